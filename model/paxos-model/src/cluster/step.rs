//! The inputs of a node, and what follows from one.

use smallvec::SmallVec;

use super::state::{Ballot, Live, Message, SLOTS_MAX, Slot, Value};

/// What can happen to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// It tries to become the leader.
    Campaign,
    /// Its client asks for values in the next free slots.
    Propose {
        /// How many.
        count: u8,
    },
    /// A message arrives.
    Message(Message),
    /// A refusal of its ballot arrives.
    Nack {
        /// The ballot refused.
        ballot: Ballot,
        /// What was promised instead.
        promised: Ballot,
    },
    /// It is told that a value is chosen.
    Chosen {
        /// Where.
        slot: Slot,
        /// What.
        value: Value,
    },
    /// It has a snapshot, its own or another node's, which is durable.
    Snapshot {
        /// It has the effect of every slot below in it.
        below: Slot,
    },
    /// Its client asks to read.
    Read,
}

/// A refusal that a node sends. It is compared, not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nack {
    /// The ballot refused; its owner is told.
    pub ballot: Ballot,
    /// What was promised instead.
    pub promised: Ballot,
}

/// What follows from an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The node afterwards.
    pub live: Live,
    /// What it sends, its own promise and votes included.
    pub messages: SmallVec<[Message; 4]>,
    /// Whom it refuses.
    pub nack: Option<Nack>,
    /// The slots that it has found to be chosen by counting votes, and tells the others.
    pub announced: SmallVec<[Slot; SLOTS_MAX]>,
    /// The read that is confirmed.
    pub answer: Option<Answer>,
}

/// A read that is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// By which round, from 1.
    pub round: u8,
    /// It is answered from everything below.
    pub index: Slot,
}

impl Step {
    /// Refuses a ballot. The refusal names the promise that is in the way.
    pub(super) fn refuse(&mut self, ballot: Ballot) {
        self.nack = self.live.acceptor.promised.map(|promised| Nack { ballot, promised });
    }
}
