//! What nodes say to each other, and the network: the set of all that was ever said.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use smallvec::SmallVec;

use super::types::{Ballot, Log, NodeId, Slot, Value, Vote, entries};

/// A message that stays in the network for ever once it is sent. A node's own promise and vote are
/// messages, too: nobody delivers them, but they say what the node has done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Message {
    /// 1a, from the owner of the ballot to everyone.
    Prepare {
        /// The ballot that begins.
        ballot: Ballot,
    },
    /// 1b, to the owner of the ballot.
    Promise {
        /// The ballot promised.
        ballot: Ballot,
        /// By whom.
        from: NodeId,
        /// Everything below is chosen, and it has a snapshot in its place.
        trimmed: Slot,
        /// Its last vote in each slot that it has not trimmed.
        reports: Log<Option<Vote>>,
    },
    /// 2a, from the owner of the ballot to everyone. A batch is the set of its slots.
    Accept {
        /// The leader's ballot.
        ballot: Ballot,
        /// Where.
        slot: Slot,
        /// What.
        value: Value,
    },
    /// 2b, to the owner of the ballot.
    Accepted {
        /// The ballot of the vote.
        ballot: Ballot,
        /// Where.
        slot: Slot,
        /// For what; implied by the ballot as long as the protocol is right.
        value: Value,
        /// By whom.
        from: NodeId,
    },
    /// From the owner of the ballot to everyone: whether it is still the highest they have promised.
    Confirm {
        /// The leader's ballot.
        ballot: Ballot,
        /// Which round of it, from 1.
        round: u8,
    },
    /// That it is, to the owner of the ballot.
    Confirmed {
        /// The ballot.
        ballot: Ballot,
        /// The round.
        round: u8,
        /// By whom.
        from: NodeId,
    },
}

impl Message {
    /// The ballot it belongs to.
    pub fn ballot(self) -> Ballot {
        let (Self::Prepare { ballot }
        | Self::Promise { ballot, .. }
        | Self::Accept { ballot, .. }
        | Self::Accepted { ballot, .. }
        | Self::Confirm { ballot, .. }
        | Self::Confirmed { ballot, .. }) = self;
        ballot
    }

    /// Who answers with it, if it is an answer to the owner of its ballot.
    pub fn answered_by(self) -> Option<NodeId> {
        match self {
            Self::Promise { from, .. }
            | Self::Accepted { from, .. }
            | Self::Confirmed { from, .. } => Some(from),
            Self::Prepare { .. } | Self::Accept { .. } | Self::Confirm { .. } => None,
        }
    }
}

/// One word says a message: states are told apart by millions of them.
impl Hash for Message {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let word = |bytes: [u8; 5]| bytes.into_iter().fold(0, |word, b| word << 8 | u64::from(b));
        let vote = |vote: Option<Vote>| vote.map_or(0, |vote| 1 + vote.ballot.0 * 8 + vote.value.0);
        state.write_u64(match *self {
            Self::Prepare { ballot } => word([0, ballot.0, 0, 0, 0]),
            Self::Promise { ballot, from, trimmed, reports: [a, b, c] } => {
                let word = word([1 + ballot.0, 1 + from.0, vote(a), vote(b), vote(c)]);
                word | 1 << 40 | u64::from(trimmed.0) << 41
            }
            Self::Accept { ballot, slot, value } => word([2, ballot.0, slot.0, value.0, 0]),
            Self::Accepted { ballot, slot, value, from } => {
                word([3, ballot.0, slot.0, value.0, from.0])
            }
            Self::Confirm { ballot, round } => word([4, ballot.0, round, 0, 0]),
            Self::Confirmed { ballot, round, from } => word([5, ballot.0, round, 0, from.0]),
        });
    }
}

/// The set of all messages that ever left a node, sorted.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Network(SmallVec<[Message; 24]>);

impl Network {
    /// The set of some messages.
    pub fn of(messages: impl IntoIterator<Item = Message>) -> Self {
        let mut messages: SmallVec<_> = messages.into_iter().collect();
        messages.sort_unstable();
        messages.dedup();
        Self(messages)
    }
    /// Adds a message; sending again adds nothing.
    pub fn insert(&mut self, message: Message) {
        if let Err(place) = self.0.binary_search(&message) {
            self.0.insert(place, message);
        }
    }
    /// Whether a message was ever sent.
    pub fn contains(&self, message: Message) -> bool {
        self.0.binary_search(&message).is_ok()
    }
    /// Whether all of these were sent in `other`, too.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().all(|message| other.contains(*message))
    }
    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Message> {
        self.0.iter().copied()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare { ballot } => write!(f, "Prepare b{}", ballot.0),
            Self::Promise { ballot, from, trimmed, reports } => {
                let reports = entries(reports);
                let reports = if reports.is_empty() { "nothing" } else { &reports };
                write!(f, "Promise b{} from {from:?} reporting {reports}", ballot.0)?;
                if *trimmed == Slot(0) { Ok(()) } else { write!(f, ", trimmed below {trimmed:?}") }
            }
            Self::Accept { ballot, slot, value } => {
                write!(f, "Accept b{} {slot:?}=v{}", ballot.0, value.0)
            }
            Self::Accepted { ballot, slot, value, from } => {
                write!(f, "Accepted b{} {slot:?}=v{} from {from:?}", ballot.0, value.0)
            }
            Self::Confirm { ballot, round } => write!(f, "Confirm b{} round {round}", ballot.0),
            Self::Confirmed { ballot, round, from } => {
                write!(f, "Confirmed b{} round {round} from {from:?}", ballot.0)
            }
        }
    }
}
