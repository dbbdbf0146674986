//! The proposer: the promises that a candidate has received, and the votes that a leader has received.
//!
//! A crash loses this state. In "Paxos Made Moderately Complex" a candidate is a scout, and a leader has one commander
//! for each slot in flight.
//!
//! Invariant: a candidate or leader has promised its own ballot and none above. A node that promises another node's
//! ballot becomes a follower in the same step. So this module stores no ballot: the ballot of a candidate or leader is
//! [`Acceptor::promised`](super::acceptor::Acceptor::promised).

use super::{
    log::{RunLog, batches},
    node_set::NodeSet,
    reader::Reader,
    tally::Tally,
};
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
    /// The first slot that this node did not know to be chosen when it began the ballot. Promises report votes from
    /// this slot on.
    pub first: Slot,
    /// The nodes that have promised, this node included.
    pub heard: NodeSet,
    /// The highest slot below which one of these nodes has trimmed its log. Every slot below this one is chosen.
    pub trimmed: Slot,
    /// The reported vote of the highest ballot in each slot from `first` on, for the slots that this node has not trimmed.
    pub reported: RunLog<B, V>,
}

impl<B: OpaqueBallot, V> Candidate<B, V> {
    /// Returns a candidate without promises, of a node that knows every slot below `first` to be chosen.
    pub(crate) fn new(first: Slot) -> Self {
        let (heard, reported) = (NodeSet::default(), RunLog::trimmed(first));
        Self { first, heard, trimmed: Slot(0), reported }
    }

    /// Adds one promise, and keeps for each slot the value "of the highest-numbered proposal among the responses".
    ///
    /// Papers: Paxos Made Simple, section 2.2, phase 2a; Paxos Made Moderately Complex, `pmax`.
    pub(crate) fn hear(&mut self, index: usize, trimmed: Slot, reports: Vec<Report<B, V>>) {
        self.heard.insert(index);
        self.trimmed = self.trimmed.max(trimmed);
        let votes = reports.into_iter().map(|it| (it.slot, it.ballot, it.value));
        for (first, ballot, values) in batches(votes, u64::MAX) {
            let _ = self.reported.set(first, ballot, &values, |known| known < Some(ballot));
        }
    }
}

/// The state of phase 2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Leader {
    /// The nodes that voted for this leader's proposals, in each slot in flight.
    ///
    /// Invariant: it begins with the first slot that the node does not know to be chosen. A slot is not in flight if
    /// nothing is proposed there, or if its value is known to be chosen.
    pub tally: Tally,
    /// The reads that wait.
    pub reader: Reader,
}

impl Leader {
    /// Returns a leader that proposes from `first` on, and whose reads see every slot below `barrier`.
    pub(crate) fn new(first: Slot, barrier: Slot) -> Self {
        Self { tally: Tally::new(first), reader: Reader::new(barrier) }
    }
}
