//! The proposer: what a node that campaigns or leads has heard. Forgotten in a crash.
//!
//! A node campaigns or leads in the ballot that it has itself promised, or not at all: whoever
//! promises a higher ballot stops proposing in the lower one. So no ballot is kept here.

use std::collections::VecDeque;

use super::{acceptor::Vote, log::SlotLog, node_set::NodeSet, reader::Reader};
use crate::{message::Report, types::Slot};

/// What a node does about proposing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// It waits for others.
    #[default]
    Follower,
    /// It has begun a ballot and collects promises.
    Candidate(Candidate),
    /// It has a quorum of promises and proposes.
    Leader(Leader),
}

/// Phase 1, half done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Who promised, the node itself included.
    pub heard: NodeSet,
    /// Every slot below has been trimmed by one of them, and so is chosen.
    pub trimmed: Slot,
    /// Of each slot that this node itself has not trimmed, the vote of the highest ballot that they
    /// reported.
    pub reported: SlotLog<Vote>,
}

impl Candidate {
    /// Nobody has promised yet; the node itself has trimmed what is below `trimmed`.
    pub(crate) fn new(trimmed: Slot) -> Self {
        Self { reported: SlotLog::trimmed(trimmed), ..Self::default() }
    }

    /// Takes in one promise (Paxos Made Simple, section 2.2, phase 2a: the value "of the
    /// highest-numbered proposal among the responses").
    pub(crate) fn hear(&mut self, index: usize, trimmed: Slot, reports: Vec<Report>) {
        self.heard.insert(index);
        self.trimmed = self.trimmed.max(trimmed);
        for Report { slot, ballot, value } in reports {
            let known = self.reported.get(slot).map(|vote| vote.ballot);
            if known.max(Some(ballot)) == Some(ballot) {
                self.reported.insert(slot, Vote { ballot, value });
            }
        }
    }
}

/// Phase 2, slot by slot.
///
/// Invariant: `first` is the first slot that the node does not know to be chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Leader {
    /// The slot of the first set of votes.
    pub first: Slot,
    /// Who voted for what this leader proposed, from slot `first` on; empty where nothing is
    /// proposed or the value is known to be chosen.
    pub votes: VecDeque<NodeSet>,
    /// Who waits to read.
    pub reader: Reader,
}

impl Leader {
    /// A leader that proposes from `first` on, where a log ends at `barrier` that others began.
    pub(crate) fn new(first: Slot, barrier: Slot) -> Self {
        Self { first, votes: VecDeque::new(), reader: Reader::new(barrier) }
    }

    /// The votes in a slot, if it is in flight.
    pub(crate) fn votes(&mut self, slot: Slot) -> Option<&mut NodeSet> {
        let index = slot.0.checked_sub(self.first.0)?;
        let votes = self.votes.get_mut(usize::try_from(index).ok()?)?;
        (!votes.is_empty()).then_some(votes)
    }

    /// A slot is in flight: the leader itself has voted.
    pub(crate) fn open(&mut self, slot: Slot, me: NodeSet) {
        let index = (slot.0 - self.first.0) as usize;
        if index >= self.votes.len() {
            self.votes.resize(index + 1, NodeSet::default());
        }
        self.votes[index] = me;
    }

    /// The slots in flight.
    pub(crate) fn open_slots(&self) -> impl Iterator<Item = (Slot, NodeSet)> {
        let slots = (self.first.0..).map(Slot).zip(self.votes.iter().copied());
        slots.filter(|(_, votes)| !votes.is_empty())
    }

    /// Votes in a slot whose value is known are of no more use.
    pub(crate) fn close(&mut self, slot: Slot) {
        if let Some(votes) = self.votes(slot) {
            *votes = NodeSet::default();
        }
    }

    /// Follows the learner.
    pub(crate) fn advance(&mut self, first: Slot) {
        let known = (first.0 - self.first.0) as usize;
        self.votes.drain(..known.min(self.votes.len()));
        self.first = first;
    }
}
