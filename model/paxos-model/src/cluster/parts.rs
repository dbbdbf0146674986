//! The parts of a state: the nodes with their disks, and the messages, of the universe that is explored.

use super::node::{message, small::Small, state as node, step};

/// A vote.
pub type Vote = node::Vote<Small>;
/// The part of a node that must survive a crash.
pub type Acceptor = node::Acceptor<Small>;
/// The part that a node plays in elections.
pub type Role = node::Role<Small>;
/// The part of a leader that serves reads.
pub type Reads = node::Reads<Small>;
/// A round of reads that is not yet confirmed.
pub type Round = node::Round<Small>;
/// A node as it runs.
pub type Live = node::Live<Small>;
/// A message.
pub type Message = message::Message<Small>;
/// An input of a node.
pub type Input = step::Input<Small>;
/// A refusal that a node sends.
pub type Nack = step::Nack<Small>;
/// The step that a node takes on an input.
pub type Step = step::Step<Small>;
/// A read that is confirmed.
pub type Answer = step::Answer<Small>;

/// A step that is not yet durable. Of its messages, only Accept messages may have left the node.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Unsynced {
    /// The acceptor on the disk after the sync.
    pub acceptor: Acceptor,
    /// The messages that leave after the sync.
    pub messages: Vec<Message>,
}

/// A node and its disk.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Node {
    /// The acceptor on the disk. It survives a crash.
    pub durable: Acceptor,
    /// The steps that wait for their sync, oldest first.
    pub unsynced: Vec<Unsynced>,
    /// The node as it runs.
    pub live: Live,
}
