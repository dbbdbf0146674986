//! The messages that nodes send to each other.

use std::fmt;

use super::{
    state::{Vote, write_entries},
    universe::{SlotMap as _, Universe},
};

/// A message of the protocol. A node's promise of its own ballot, and its votes in it, are messages as well. The network
/// does not deliver them, but keeps them as a record of the node's actions.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Message<U: Universe> {
    /// 1a, from the owner of the ballot to every other node.
    Prepare {
        /// The ballot that begins.
        ballot: U::Ballot,
        /// The first slot that the candidate does not know to be chosen. Promises report votes from this slot on.
        first: U::Slot,
    },
    /// 1b, to the owner of the ballot.
    Promise {
        /// The ballot that is promised.
        ballot: U::Ballot,
        /// The acceptor.
        from: U::NodeId,
        /// The end of the acceptor's trimmed log. Each slot below it has a chosen value.
        trimmed: U::Slot,
        /// The acceptor's last vote in each slot that it has not trimmed, from the first slot of the Prepare message on.
        reports: U::Log<Option<Vote<U>>>,
    },
    /// 2a, from the owner of the ballot to every other node. The implementation may send a batch of slots in one message.
    /// The model sends one message for each slot.
    Accept {
        /// The leader's ballot.
        ballot: U::Ballot,
        /// The slot that the value is proposed in.
        slot: U::Slot,
        /// The value.
        value: U::Value,
    },
    /// 2b, to the owner of the ballot.
    Accepted {
        /// The ballot of the vote.
        ballot: U::Ballot,
        /// The slot of the vote.
        slot: U::Slot,
        /// The value of the vote. In a correct protocol, the ballot and the slot determine it.
        value: U::Value,
        /// The acceptor.
        from: U::NodeId,
    },
    /// A request to confirm that the receiver has promised no higher ballot, from the owner of the ballot to every other
    /// node.
    Confirm {
        /// The leader's ballot.
        ballot: U::Ballot,
        /// The round of reads in this ballot, counted from 1.
        round: U::ReadRound,
    },
    /// The confirmation, to the owner of the ballot.
    Confirmed {
        /// The leader's ballot.
        ballot: U::Ballot,
        /// The round that the node confirms.
        round: U::ReadRound,
        /// The node that confirms.
        from: U::NodeId,
    },
}

impl<U: Universe> Message<U> {
    /// Returns the ballot that the message belongs to.
    pub const fn ballot(&self) -> U::Ballot {
        let (Self::Prepare { ballot, .. }
        | Self::Promise { ballot, .. }
        | Self::Accept { ballot, .. }
        | Self::Accepted { ballot, .. }
        | Self::Confirm { ballot, .. }
        | Self::Confirmed { ballot, .. }) = self;
        *ballot
    }

    /// Returns the sender of an answer, or none for any other message. The owner of the ballot sends the other messages.
    pub const fn answered_by(&self) -> Option<U::NodeId> {
        match self {
            Self::Promise { from, .. }
            | Self::Accepted { from, .. }
            | Self::Confirmed { from, .. } => Some(*from),
            Self::Prepare { .. } | Self::Accept { .. } | Self::Confirm { .. } => None,
        }
    }
}

impl<U: Universe> fmt::Debug for Message<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare { ballot, first } => {
                write!(f, "Prepare {ballot:?}")?;
                if *first == U::Slot::default() {
                    return Ok(());
                }
                write!(f, ", slots from {first:?}")
            }
            Self::Promise { ballot, from, trimmed, reports } => {
                write!(f, "Promise {ballot:?} from {from:?} reporting ")?;
                write_entries(f, reports.filled(), "nothing")?;
                if *trimmed == U::Slot::default() {
                    return Ok(());
                }
                write!(f, ", trimmed below {trimmed:?}")
            }
            Self::Accept { ballot, slot, value } => {
                write!(f, "Accept {ballot:?} {slot:?}={value:?}")
            }
            Self::Accepted { ballot, slot, value, from } => {
                write!(f, "Accepted {ballot:?} {slot:?}={value:?} from {from:?}")
            }
            Self::Confirm { ballot, round } => write!(f, "Confirm {ballot:?} round {round:?}"),
            Self::Confirmed { ballot, round, from } => {
                write!(f, "Confirmed {ballot:?} round {round:?} from {from:?}")
            }
        }
    }
}
