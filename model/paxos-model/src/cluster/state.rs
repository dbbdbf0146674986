//! The state of a cluster: the nodes with their disks, and every message that ever left one.

use std::fmt;

use smallvec::SmallVec;

use super::node::{message, small::Small, state as node, step};
pub use super::{
    network::Network,
    node::small::Request,
    shared::SharedNode,
    types::{
        BALLOTS_MAX, Ballot, Log, NODES_MAX, NodeId, NodeSet, READS_MAX, SLOTS_MAX, Slot,
        UNSYNCED_MAX, VALUES_MAX, Value,
    },
};

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

/// A state of a cluster.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The nodes, by id.
    pub nodes: SmallVec<[SharedNode; NODES_MAX]>,
    /// The messages that were sent.
    pub network: Network,
}

impl State {
    /// Returns a node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[usize::from(id.0)]
    }

    /// Returns the state in which one node and the network are replaced.
    pub(super) fn with(&self, id: NodeId, node: SharedNode, network: Network) -> Self {
        let mut nodes = SmallVec::from_slice(&self.nodes);
        nodes[usize::from(id.0)] = node;
        Self { nodes, network }
    }

    /// Returns the first slot for which the owner of a ballot has asked for votes, or none if the ballot has not begun.
    pub fn prepared_from(&self, ballot: Ballot) -> Option<Slot> {
        self.network.iter().find_map(|message| match message {
            Message::Prepare { ballot: b, first } if b == ballot => Some(first),
            _ => None,
        })
    }

    /// Returns true if a node ever sent a promise of a ballot. A [late](Self::is_late) promise does not count.
    pub fn has_promised(&self, node: NodeId, ballot: Ballot) -> bool {
        self.network.iter().any(|message| match message {
            Message::Promise { ballot: b, from, .. } => {
                (b, from) == (ballot, node) && !self.is_late(message)
            }
            _ => false,
        })
    }

    /// Returns true if a message is a late promise: its sender had voted in the same ballot before, and had then trimmed
    /// the slot of the vote. The owner of the ballot led already, so it does not count such a promise.
    pub fn is_late(&self, message: Message) -> bool {
        let Message::Promise { ballot, from: node, trimmed, .. } = message else { return false };
        // A trimmed slot takes no more votes, so the vote came before the promise.
        trimmed > Slot(0)
            && self.network.iter().any(|message| match message {
                Message::Accepted { ballot: b, slot, from, .. } => {
                    (b, from) == (ballot, node) && slot < trimmed
                }
                _ => false,
            })
    }

    /// Returns the highest vote that a node ever sent in a slot. If `below` is given, only votes in lower ballots count.
    /// Votes that the node has trimmed count as well.
    pub fn last_vote(&self, node: NodeId, slot: Slot, below: Option<Ballot>) -> Option<Vote> {
        let votes = self.network.votes().filter(|(at, _, from)| (*at, *from) == (slot, node));
        let votes = votes.map(|(_, vote, _)| vote);
        votes.filter(|vote| below.is_none_or(|below| vote.ballot < below)).max()
    }

    /// Returns the distinct votes in a slot, each with its voters.
    pub fn ballots_voted(&self, slot: Slot) -> SmallVec<[(Vote, NodeSet); 8]> {
        let mut votes: SmallVec<[(Vote, NodeSet); 8]> = SmallVec::new();
        for (_, vote, from) in self.network.votes().filter(|(at, ..)| *at == slot) {
            match votes.iter_mut().find(|(other, _)| *other == vote) {
                Some((_, voters)) => *voters = voters.with(from),
                None => votes.push((vote, NodeSet::of(from))),
            }
        }
        votes
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, node) in (0..).map(NodeId).zip(&self.nodes) {
            write!(f, "{id:?}: {:?}", node.live)?;
            if !node.unsynced.is_empty() {
                write!(f, " [on disk: {:?}; {} unsynced]", node.durable, node.unsynced.len())?;
            }
            writeln!(f)?;
        }
        for message in self.network.iter() {
            writeln!(f, "sent: {message:?}")?;
        }
        Ok(())
    }
}
