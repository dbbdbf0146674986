//! The proposer: the promises that a candidate has received, and the votes that a leader has received.
//!
//! A crash loses this state. In "Paxos Made Moderately Complex" a candidate is a scout, and a leader has one commander
//! for each slot in flight.
//!
//! Invariant: a candidate or leader has promised its own ballot and none above. A node that promises another node's
//! ballot becomes a follower in the same step. So this module stores no ballot: the ballot of a candidate or leader is
//! [`Acceptor::promised`](super::acceptor::Acceptor::promised).

use std::collections::VecDeque;

use super::{acceptor::Vote, log::SlotLog, node_set::NodeSet, reader::Reader};
use crate::{
    message::Report,
    opaque::OpaqueBallot,
    types::{Ballot, Slot, Value},
};

/// The proposer's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role<B = Ballot, V = Value> {
    /// The node proposes nothing.
    #[default]
    Follower,
    /// The node has begun a ballot and collects promises (phase 1).
    Candidate(Candidate<B, V>),
    /// The node has a quorum of promises and proposes (phase 2).
    Leader(Leader),
}

/// The state of phase 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Candidate<B = Ballot, V = Value> {
    /// The nodes that have promised, this node included.
    pub heard: NodeSet,
    /// The highest slot below which one of these nodes has trimmed its log. Every slot below this one is chosen.
    pub trimmed: Slot,
    /// The reported vote of the highest ballot in each slot, for the slots that this node has not trimmed.
    pub reported: SlotLog<Vote<B, V>>,
}

impl<B: OpaqueBallot, V> Candidate<B, V> {
    /// Returns a candidate without promises, of a node that has trimmed its log below `trimmed`.
    pub(crate) fn new(trimmed: Slot) -> Self {
        Self { heard: NodeSet::default(), trimmed: Slot(0), reported: SlotLog::trimmed(trimmed) }
    }

    /// Adds one promise, and keeps for each slot the value "of the highest-numbered proposal among the responses".
    ///
    /// Papers: Paxos Made Simple, section 2.2, phase 2a; Paxos Made Moderately Complex, `pmax`.
    pub(crate) fn hear(&mut self, index: usize, trimmed: Slot, reports: Vec<Report<B, V>>) {
        self.heard.insert(index);
        self.trimmed = self.trimmed.max(trimmed);
        for Report { slot, ballot, value } in reports {
            let known = self.reported.get(slot).map(|vote| vote.ballot);
            if known < Some(ballot) {
                self.reported.insert(slot, Vote { ballot, value });
            }
        }
    }
}

/// The state of phase 2. A slot is in flight while the leader counts votes for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Leader {
    /// The slot of the first element of `votes`. Invariant: it is the first slot that the node does not know to be
    /// chosen.
    pub first: Slot,
    /// The nodes that voted for this leader's proposals: one set for each slot, from `first` on. A set is empty if its
    /// slot is not in flight, because nothing is proposed there or the value is known to be chosen.
    pub votes: VecDeque<NodeSet>,
    /// The reads that wait.
    pub reader: Reader,
}

impl Leader {
    /// Returns a leader that proposes from `first` on, and whose reads see every slot below `barrier`.
    pub(crate) fn new(first: Slot, barrier: Slot) -> Self {
        Self { first, votes: VecDeque::new(), reader: Reader::new(barrier) }
    }

    /// Returns the votes in a slot, if it is in flight.
    pub(crate) fn votes(&mut self, slot: Slot) -> Option<&mut NodeSet> {
        let index = slot.0.checked_sub(self.first.0)?;
        let votes = self.votes.get_mut(usize::try_from(index).ok()?)?;
        (!votes.is_empty()).then_some(votes)
    }

    /// Puts a slot in flight, with the vote of the leader. The slot must not be below `first`.
    pub(crate) fn open(&mut self, slot: Slot, own: NodeSet) {
        let index = (slot.0 - self.first.0) as usize;
        if index >= self.votes.len() {
            self.votes.resize(index + 1, NodeSet::default());
        }
        self.votes[index] = own;
    }

    /// Returns the slots in flight and their votes.
    pub(crate) fn open_slots(&self) -> impl Iterator<Item = (Slot, NodeSet)> {
        let slots = (self.first.0..).map(Slot).zip(self.votes.iter().copied());
        slots.filter(|(_, votes)| !votes.is_empty())
    }

    /// Stops counting votes for a slot, because its value is known to be chosen.
    pub(crate) fn close(&mut self, slot: Slot) {
        if let Some(votes) = self.votes(slot) {
            *votes = NodeSet::default();
        }
    }

    /// Drops the votes in the slots below `first`, which is now the first slot that is not known to be chosen.
    pub(crate) fn advance(&mut self, first: Slot) {
        let count = (first.0 - self.first.0) as usize;
        self.votes.drain(..count.min(self.votes.len()));
        self.first = first;
    }
}
