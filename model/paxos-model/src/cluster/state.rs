//! The state of a cluster: the nodes with their disks, and every message that ever left one.

use std::fmt;

use smallvec::SmallVec;

pub use super::{
    network::Network,
    node::small::Request,
    parts::{
        Acceptor, Answer, Input, Live, Message, Nack, Node, Reads, Role, Round, Step, Unsynced,
        Vote,
    },
    shared::SharedNode,
    types::{
        BALLOTS_MAX, Ballot, Log, NODES_MAX, NodeId, NodeSet, READS_MAX, SLOTS_MAX, Slot,
        UNSYNCED_MAX, VALUES_MAX, Value,
    },
};

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
        prepared_from(self.network.iter(), ballot)
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

/// Returns the first slot that the Prepare message of a ballot names, or none if there is no such message.
pub(super) fn prepared_from(
    mut messages: impl Iterator<Item = Message>,
    ballot: Ballot,
) -> Option<Slot> {
    messages.find_map(|message| match message {
        Message::Prepare { ballot: b, first } if b == ballot => Some(first),
        _ => None,
    })
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
