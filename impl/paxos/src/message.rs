//! The messages between replicas.
//!
//! The first six messages are those of Paxos itself. With the next two a leader answers reads. These eight have
//! counterparts in the model. The last four carry no vote and no promise. Of these, only a Learned message changes
//! the state of its receiver: the receiver learns chosen values, and a candidate that waited for them may then lead.

use crate::{
    batch::Batch,
    types::{Ballot, NodeId, Slot, Value},
};

/// One vote, as a Promise message reports it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Report<B = Ballot, V = Value> {
    /// The slot of the vote.
    pub slot: Slot,
    /// The ballot of the vote. It is below the ballot that the message promises.
    pub ballot: B,
    /// The value voted for.
    pub value: V,
}

/// A message between two nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Message<B = Ballot, V = Value> {
    /// Phase 1a: the owner of `ballot` asks for promises. A promise covers the whole log.
    Prepare {
        /// The ballot that the sender begins.
        ballot: B,
        /// The first slot that the sender did not know to be chosen when it began the ballot. A promise reports votes
        /// from this slot on.
        first: Slot,
    },
    /// Phase 1b: the sender promises to accept nothing in a ballot below `ballot`, and reports its votes.
    Promise {
        /// The ballot promised.
        ballot: B,
        /// Every slot below this one is chosen. The sender has trimmed its votes in these slots. A snapshot of the
        /// sender has their effect.
        trimmed: Slot,
        /// The sender's last vote in each other slot in which it has voted, by rising slot, from the slot `first` of the
        /// Prepare message on.
        reports: Vec<Report<B, V>>,
    },
    /// Phase 2a: the leader of `ballot` proposes `values` in consecutive slots.
    Accept {
        /// The leader's ballot.
        ballot: B,
        /// The slot of the first value.
        first: Slot,
        /// One value per slot.
        values: Batch<V>,
    },
    /// Phase 2b: the sender has accepted the values that `ballot` proposed in these slots.
    Accepted {
        /// The ballot of the votes.
        ballot: B,
        /// The slot of the first vote.
        first: Slot,
        /// The number of consecutive slots.
        count: u64,
    },
    /// The sender refuses a message of `ballot`, because it has promised a higher ballot. The receiver's next ballot
    /// is then above `promised`.
    Nack {
        /// The ballot refused.
        ballot: B,
        /// The higher ballot that the sender has promised.
        promised: B,
    },
    /// The values that `ballot` proposed in these slots are chosen. The message carries no values. A node that voted
    /// in that ballot has them, and any other node asks for them with [`Message::Learn`].
    Chosen {
        /// The ballot in which a quorum voted.
        ballot: B,
        /// The first slot.
        first: Slot,
        /// The number of consecutive slots.
        count: u64,
    },
    /// The leader of `ballot` asks each receiver to confirm that it has promised no higher ballot.
    Confirm {
        /// The leader's ballot.
        ballot: B,
        /// The number of the leader's round of reads.
        round: u64,
    },
    /// The sender has promised nothing above `ballot`.
    Confirmed {
        /// The ballot of the Confirm message.
        ballot: B,
        /// The round of the Confirm message.
        round: u64,
    },
    /// The leader of `ballot` is alive.
    Heartbeat {
        /// The leader's ballot.
        ballot: B,
        /// Every slot below this one is chosen.
        chosen_below: Slot,
    },
    /// The sender asks for chosen values.
    Learn {
        /// The first slot that the sender does not know to be chosen.
        from: Slot,
    },
    /// The chosen values of consecutive slots.
    Learned {
        /// The slot of the first value.
        first: Slot,
        /// One value per slot.
        values: Batch<V>,
        /// True if the sender knows the chosen value of the next slot as well. The receiver then asks for it.
        more: bool,
    },
    /// The sender has trimmed the values of the slots below `below`. A snapshot of the sender has their effect.
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
pub struct Envelope<B = Ballot, V = Value> {
    /// The receivers.
    pub to: To,
    /// The message.
    pub message: Message<B, V>,
}
