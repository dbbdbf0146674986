//! The messages that nodes send to each other.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use super::{
    state::Vote,
    universe::{Log as _, Universe},
};

/// A message of the protocol. A node's promise and votes for its own ballot are messages as well: they are not
/// delivered, but they say what the node has done.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Message<U: Universe> {
    /// 1a, from the owner of the ballot to every other node.
    Prepare {
        /// The ballot that begins.
        ballot: U::Ballot,
    },
    /// 1b, to the owner of the ballot.
    Promise {
        /// The ballot that is promised.
        ballot: U::Ballot,
        /// The acceptor.
        from: U::NodeId,
        /// The acceptor has a snapshot of everything below this slot. All of that is chosen.
        trimmed: U::Slot,
        /// The acceptor's last vote in each slot that it has not trimmed.
        reports: U::Log<Option<Vote<U>>>,
    },
    /// 2a, from the owner of the ballot to every other node. A batch of the implementation is the set of its slots.
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
        /// The value voted for. The ballot and the slot imply it as long as the protocol is right.
        value: U::Value,
        /// The acceptor.
        from: U::NodeId,
    },
    /// From the owner of the ballot to every other node: asks it to confirm that it has promised no higher ballot.
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
        /// The round that it confirms.
        round: U::ReadRound,
        /// The node that confirms.
        from: U::NodeId,
    },
}

impl<U: Universe> Message<U> {
    /// Returns the ballot that the message belongs to.
    pub const fn ballot(&self) -> U::Ballot {
        let (Self::Prepare { ballot }
        | Self::Promise { ballot, .. }
        | Self::Accept { ballot, .. }
        | Self::Accepted { ballot, .. }
        | Self::Confirm { ballot, .. }
        | Self::Confirmed { ballot, .. }) = self;
        *ballot
    }

    /// Returns the sender of an answer. Messages that are no answer have none; the owner of their ballot sends them.
    pub const fn answered_by(&self) -> Option<U::NodeId> {
        match self {
            Self::Promise { from, .. }
            | Self::Accepted { from, .. }
            | Self::Confirmed { from, .. } => Some(*from),
            Self::Prepare { .. } | Self::Accept { .. } | Self::Confirm { .. } => None,
        }
    }
}

impl<U: Universe> Hash for Message<U> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        U::hash_message(self, state);
    }
}

impl<U: Universe> fmt::Debug for Message<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare { ballot } => write!(f, "Prepare {ballot:?}"),
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

/// Writes the entries of a log as `s0=… s1=…`, or a word if there are none.
pub(super) fn write_entries<S: fmt::Debug, T: fmt::Debug>(
    f: &mut fmt::Formatter<'_>,
    entries: impl Iterator<Item = (S, Option<T>)>,
    none: &str,
) -> fmt::Result {
    let mut separator = "";
    for (slot, entry) in entries.filter_map(|(slot, entry)| Some((slot, entry?))) {
        write!(f, "{separator}{slot:?}={entry:?}")?;
        separator = " ";
    }
    if separator.is_empty() { f.write_str(none) } else { Ok(()) }
}
