//! What replicas say to each other.
//!
//! The first six are Paxos, the next two let a leader read; these have their counterparts in the
//! model. The rest carry no vote and no promise: they change nothing at whom they reach except what
//! it knows to be chosen.

use crate::types::{Ballot, Batch, NodeId, Slot, Value};

/// One accepted entry, as a promise reports it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Report {
    /// Where it was accepted.
    pub slot: Slot,
    /// In which ballot; always below the one that is promised.
    pub ballot: Ballot,
    /// What was accepted.
    pub value: Value,
}

/// A message between two nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Message {
    /// 1a: the owner of `ballot` asks for promises, for the whole log.
    Prepare {
        /// The ballot that begins.
        ballot: Ballot,
    },
    /// 1b: the sender will accept nothing below `ballot`, and reports what it has accepted.
    Promise {
        /// The ballot promised.
        ballot: Ballot,
        /// Every slot below is chosen, and the sender has its effect but no longer its vote.
        trimmed: Slot,
        /// The last accepted entry of every other slot that has one, by rising slot.
        reports: Vec<Report>,
    },
    /// 2a: the leader of `ballot` asks that `values` be accepted in consecutive slots.
    Accept {
        /// The leader's ballot.
        ballot: Ballot,
        /// The slot of the first value.
        first: Slot,
        /// One value per slot.
        values: Batch,
    },
    /// 2b: the sender has accepted what `ballot` proposed in these slots.
    Accepted {
        /// The ballot of the votes.
        ballot: Ballot,
        /// The first slot voted in.
        first: Slot,
        /// How many consecutive slots.
        count: u64,
    },
    /// A refusal of a message of `ballot`; lets its owner begin above `promised` at once.
    Nack {
        /// The ballot refused.
        ballot: Ballot,
        /// What the sender has promised instead.
        promised: Ballot,
    },
    /// What `ballot` proposed in these slots is chosen. Carries no values: whoever accepted them in
    /// that ballot has them, others ask with [`Message::Learn`].
    Chosen {
        /// The ballot in which a quorum voted.
        ballot: Ballot,
        /// The first slot.
        first: Slot,
        /// How many consecutive slots.
        count: u64,
    },
    /// The leader of `ballot` asks whether it still leads.
    Confirm {
        /// The leader's ballot.
        ballot: Ballot,
        /// Which time it asks.
        round: u64,
    },
    /// The sender has promised nothing above `ballot`.
    Confirmed {
        /// The ballot that was asked about.
        ballot: Ballot,
        /// Which time it was asked.
        round: u64,
    },
    /// The leader is alive.
    Heartbeat {
        /// The leader's ballot.
        ballot: Ballot,
        /// Every slot below this one is chosen.
        chosen_below: Slot,
    },
    /// Asks for values that were chosen.
    Learn {
        /// The first slot that the sender does not know.
        from: Slot,
    },
    /// The chosen values of consecutive slots.
    Learned {
        /// The slot of the first value.
        first: Slot,
        /// One value per slot.
        values: Batch,
    },
    /// The sender no longer has what was chosen in the slots below, only its effect.
    Trimmed {
        /// The first slot that it still has.
        below: Slot,
    },
}

/// To whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum To {
    /// All other nodes.
    Peers,
    /// One of them.
    Node(NodeId),
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// The receivers.
    pub to: To,
    /// What they get.
    pub message: Message,
}
