//! The messages between replicas.
//!
//! Paxos itself takes the first six. The next two let a leader answer reads. These eight have counterparts in the
//! model. The other messages carry no vote and no promise: they can change only the receiver's knowledge of what is
//! chosen.

use crate::types::{Ballot, Batch, NodeId, Slot, Value};

/// One accepted entry, as a promise reports it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Report {
    /// The slot of the vote.
    pub slot: Slot,
    /// The ballot of the vote; always below the ballot that is promised.
    pub ballot: Ballot,
    /// The value voted for.
    pub value: Value,
}

/// A message between two nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Message {
    /// Phase 1a: the owner of `ballot` asks for promises, for the whole log.
    Prepare {
        /// The ballot that the sender begins.
        ballot: Ballot,
    },
    /// Phase 1b: the sender will accept nothing below `ballot`, and reports its votes.
    Promise {
        /// The ballot promised.
        ballot: Ballot,
        /// Every slot below is chosen. The sender has its effect in a snapshot, and no longer its vote.
        trimmed: Slot,
        /// The last vote of every other slot that has one, by rising slot.
        reports: Vec<Report>,
    },
    /// Phase 2a: the leader of `ballot` proposes `values` in consecutive slots.
    Accept {
        /// The leader's ballot.
        ballot: Ballot,
        /// The slot of the first value.
        first: Slot,
        /// One value per slot.
        values: Batch,
    },
    /// Phase 2b: the sender has accepted the values that `ballot` proposed in these slots.
    Accepted {
        /// The ballot of the votes.
        ballot: Ballot,
        /// The slot of the first vote.
        first: Slot,
        /// The number of consecutive slots.
        count: u64,
    },
    /// The sender refuses a message of `ballot`. The owner can begin a ballot above `promised` at once.
    Nack {
        /// The ballot refused.
        ballot: Ballot,
        /// The higher ballot that the sender has promised.
        promised: Ballot,
    },
    /// The values that `ballot` proposed in these slots are chosen. The message carries no values: a node that
    /// voted in that ballot has them, and any other node asks with [`Message::Learn`].
    Chosen {
        /// The ballot in which a quorum voted.
        ballot: Ballot,
        /// The first slot.
        first: Slot,
        /// The number of consecutive slots.
        count: u64,
    },
    /// The leader of `ballot` asks for a confirmation that no higher ballot is promised.
    Confirm {
        /// The leader's ballot.
        ballot: Ballot,
        /// The number of the leader's round of reads.
        round: u64,
    },
    /// The sender has promised nothing above `ballot`.
    Confirmed {
        /// The ballot of the Confirm message.
        ballot: Ballot,
        /// The round of the Confirm message.
        round: u64,
    },
    /// The leader of `ballot` is alive.
    Heartbeat {
        /// The leader's ballot.
        ballot: Ballot,
        /// Every slot below this one is chosen.
        chosen_below: Slot,
    },
    /// The sender asks for chosen values.
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
    /// The sender has trimmed the values of the slots below, and has their effect in a snapshot.
    Trimmed {
        /// The first slot that the sender has not trimmed.
        below: Slot,
    },
}

/// The receivers of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum To {
    /// All other nodes.
    Peers,
    /// One other node.
    Node(NodeId),
}

/// A message and its receivers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// One peer, or all.
    pub to: To,
    /// The message.
    pub message: Message,
}
