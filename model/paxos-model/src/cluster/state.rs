//! The state of a cluster: the nodes with their disks, and every message that ever left one.

use std::fmt;

use smallvec::SmallVec;

use super::node::{message, small::Small, state as node, step, universe::SlotMap as _};
pub use super::{
    node::small::Request,
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
#[derive(Default, PartialEq, Eq, Hash)]
pub struct Node {
    /// The acceptor on the disk. It survives a crash.
    pub durable: Acceptor,
    /// The steps that wait for their sync, oldest first.
    pub unsynced: Vec<Unsynced>,
    /// The node as it runs.
    pub live: Live,
}

/// The set of all messages that ever left a node.
#[derive(Default, PartialEq, Eq, Hash)]
pub struct Network {
    /// Sorted.
    messages: SmallVec<[Message; 24]>,
    /// The slots that some node has known to be chosen, so that news of them can arrive. No slot is marked in a cluster
    /// without reads: there it makes no difference if news arrives before a node knows.
    news: Log<bool>,
}

/// A state of a cluster.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The nodes, by id.
    pub nodes: SmallVec<[Node; NODES_MAX]>,
    /// The messages that were sent.
    pub network: Network,
}

/// Copies the acceptor and the live node as a whole. A derived clone would clone each of their parts.
impl Clone for Node {
    fn clone(&self) -> Self {
        Self { durable: self.durable, unsynced: self.unsynced.clone(), live: self.live }
    }
}

/// Copies all messages at once. A derived clone would clone each message and its parts.
impl Clone for Network {
    fn clone(&self) -> Self {
        Self { messages: SmallVec::from_slice(&self.messages), news: self.news }
    }
}

impl Network {
    /// Returns the network with these messages, and with news of these slots.
    pub fn of(messages: impl IntoIterator<Item = Message>, news: Log<bool>) -> Self {
        let mut messages: SmallVec<_> = messages.into_iter().collect();
        messages.sort_unstable();
        messages.dedup();
        Self { messages, news }
    }

    /// Adds a message, unless it was sent before.
    pub fn insert(&mut self, message: Message) {
        if let Err(place) = self.messages.binary_search(&message) {
            self.messages.insert(place, message);
        }
    }

    /// Returns true if a message was ever sent.
    pub fn contains(&self, message: Message) -> bool {
        self.messages.binary_search(&message).is_ok()
    }

    /// Returns true if `other` has every message of this network.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|message| other.contains(message))
    }

    /// Returns the messages that `before` does not have. The caller must pass a `before` that is a subset of this network.
    pub fn sent_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = Message> + 'a {
        let mut known = before.messages.iter().peekable();
        let none = self.messages.len() == before.messages.len();
        let all = if none { &[] } else { &self.messages[..] };
        all.iter().filter(move |message| known.next_if_eq(message).is_none()).copied()
    }

    /// Returns the messages, in order.
    pub fn iter(&self) -> impl Iterator<Item = Message> {
        self.messages.iter().copied()
    }

    /// Adds the news that the slots with a known value are chosen.
    pub fn add_news(&mut self, known: &Log<Option<Value>>) {
        for (slot, _) in known.filled() {
            self.news[usize::from(slot.0)] = true;
        }
    }

    /// Returns true for each slot with news that it is chosen.
    pub const fn news(&self) -> &Log<bool> {
        &self.news
    }
}

impl State {
    /// Returns a node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[usize::from(id.0)]
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
        let votes = self.network.iter().filter_map(|message| match message {
            Message::Accepted { ballot, slot: at, value, from } if (at, from) == (slot, node) => {
                Some(Vote { ballot, value })
            }
            _ => None,
        });
        votes.filter(|vote| below.is_none_or(|below| vote.ballot < below)).max()
    }

    /// Returns the distinct votes in a slot, each with its voters.
    pub fn ballots_voted(&self, slot: Slot) -> SmallVec<[(Vote, NodeSet); 8]> {
        let mut votes: SmallVec<[(Vote, NodeSet); 8]> = SmallVec::new();
        for message in self.network.iter() {
            if let Message::Accepted { ballot, slot: at, value, from } = message
                && at == slot
            {
                let vote = Vote { ballot, value };
                match votes.iter_mut().find(|(other, _)| *other == vote) {
                    Some((_, voters)) => *voters = voters.with(from),
                    None => votes.push((vote, NodeSet::of(from))),
                }
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
