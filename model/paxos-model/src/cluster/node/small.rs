//! A universe that is small enough to be explored: a few nodes, ballots, slots and values, in a few bytes.

use std::{
    hash::{Hash, Hasher},
    mem::discriminant,
};

use super::{
    message::Message,
    state::{Acceptor, Live, Reads, Role, Round, Vote},
    step::{Answer, Input, Nack},
    universe::{self, Limits, Successor, Thing, Universe},
};
use crate::cluster::{
    bounds::Bounds,
    types::{Ballot, Log, NodeId, NodeSet, SLOTS_MAX, Slot, VALUES_MAX, Value},
};

/// The universe of the explored cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Small;

/// A client's request for the same value in several slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The value.
    pub value: Value,
    /// The number of slots.
    pub count: u8,
}

impl IntoIterator for Request {
    type Item = Value;
    type IntoIter = std::iter::RepeatN<Value>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::repeat_n(self.value, usize::from(self.count))
    }
}

impl Universe for Small {
    type NodeId = NodeId;
    type NodeSet = NodeSet;
    type Ballot = Ballot;
    type Value = Value;
    type Slot = Slot;
    type ReadRound = u8;
    type Request = Request;
    type Log<T: Thing + Default> = Log<T>;
    type Limits = Bounds;
}

/// The kind of an Accepted message, in its word.
const ACCEPTED: u8 = 3;

impl Message<Small> {
    /// Returns true if a word is that of an Accepted message.
    #[inline]
    pub(in crate::cluster) const fn is_vote(word: u64) -> bool {
        word.to_be_bytes()[0] == ACCEPTED
    }

    /// Returns the message as one word. The words have the order of the messages: first the kind, then the fields from the
    /// first to the last, one byte for each. The last byte is 0.
    #[inline]
    pub fn to_word(self) -> u64 {
        u64::from_be_bytes(match self {
            Self::Prepare { ballot, first } => [0, ballot.0, first.0, 0, 0, 0, 0, 0],
            Self::Promise { ballot, from, trimmed, reports } => {
                let [a, b, c] = reports.map(vote_to_byte);
                [1, ballot.0, from.0, trimmed.0, a, b, c, 0]
            }
            Self::Accept { ballot, slot, value } => [2, ballot.0, slot.0, value.0, 0, 0, 0, 0],
            Self::Accepted { ballot, slot, value, from } => {
                [ACCEPTED, ballot.0, slot.0, value.0, from.0, 0, 0, 0]
            }
            Self::Confirm { ballot, round } => [4, ballot.0, round, 0, 0, 0, 0, 0],
            Self::Confirmed { ballot, round, from } => [5, ballot.0, round, from.0, 0, 0, 0, 0],
        })
    }

    /// Returns the message of a word that [`to_word`](Self::to_word) returned.
    #[inline]
    pub fn from_word(word: u64) -> Self {
        let [kind, ballot, third, fourth, fifth, sixth, seventh, _] = word.to_be_bytes();
        let ballot = Ballot(ballot);
        match kind {
            0 => Self::Prepare { ballot, first: Slot(third) },
            1 => {
                let reports = [fifth, sixth, seventh].map(vote_from_byte);
                Self::Promise { ballot, from: NodeId(third), trimmed: Slot(fourth), reports }
            }
            2 => Self::Accept { ballot, slot: Slot(third), value: Value(fourth) },
            ACCEPTED => {
                let (slot, value) = (Slot(third), Value(fourth));
                Self::Accepted { ballot, slot, value, from: NodeId(fifth) }
            }
            4 => Self::Confirm { ballot, round: third },
            5 => Self::Confirmed { ballot, round: third, from: NodeId(fourth) },
            _ => unreachable!("no message has the kind {kind}"),
        }
    }
}

/// The number of values for which the byte of a vote has room: those of the clients, and the no-op.
const VALUES: u8 = VALUES_MAX as u8 + 1;

#[inline]
fn vote_to_byte(vote: Option<Vote<Small>>) -> u8 {
    vote.map_or(0, |vote| 1 + vote.ballot.0 * VALUES + vote.value.0)
}

#[inline]
fn vote_from_byte(byte: u8) -> Option<Vote<Small>> {
    let vote = byte.checked_sub(1)?;
    Some(Vote { ballot: Ballot(vote / VALUES), value: Value(vote % VALUES) })
}

/// Hashes each message as one word, because a search hashes many millions of messages.
impl Hash for Message<Small> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.to_word());
    }
}

impl Hash for Input<Small> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        discriminant(self).hash(state);
        match self {
            Self::Campaign | Self::Read => {}
            Self::Propose { request } => request.hash(state),
            Self::Message(message) => message.hash(state),
            Self::Nack { ballot, promised } => (ballot, promised).hash(state),
            Self::Chosen { slot, value } => (slot, value).hash(state),
            Self::Snapshot { below } => below.hash(state),
        }
    }
}

/// Each of these types takes a few bytes, so it can be `Copy`.
macro_rules! copied {
    ($($thing:ident)+) => { $(impl Copy for $thing<Small> {})+ };
}
copied!(Vote Acceptor Role Reads Round Live Message Input Nack Answer);

impl Limits<Small> for Bounds {
    fn nodes(&self) -> impl Iterator<Item = NodeId> {
        (0..self.nodes).map(NodeId)
    }

    fn phase1_quorum(&self) -> usize {
        self.phase1_quorum.into()
    }

    fn phase2_quorum(&self) -> usize {
        self.phase2_quorum.into()
    }

    fn owner(&self, ballot: Ballot) -> NodeId {
        Self::owner(self, ballot)
    }

    fn next_ballot(&self, node: NodeId, above: Option<Ballot>) -> Option<Ballot> {
        Self::next_ballot(self, node, above)
    }

    fn noop(&self) -> Value {
        Self::noop(self)
    }

    fn has_slot(&self, slot: Slot) -> bool {
        slot.0 < self.slots
    }

    fn has_read_round(&self, round: u8) -> bool {
        round <= self.reads
    }
}

impl Successor for Slot {
    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Successor for u8 {
    fn next(self) -> Self {
        self + 1
    }
}

impl universe::Set<NodeId> for NodeSet {
    fn with(&self, node: NodeId) -> Self {
        Self::with(*self, node)
    }

    fn has(&self, node: NodeId) -> bool {
        Self::has(*self, node)
    }

    fn count(&self) -> usize {
        self.len().into()
    }
}

impl<T: Thing + Default> universe::SlotMap<Slot, T> for Log<T> {
    fn at(&self, slot: Slot) -> T {
        self.get(usize::from(slot.0)).cloned().unwrap_or_default()
    }

    fn put(&mut self, slot: Slot, thing: T) {
        self[usize::from(slot.0)] = thing;
    }

    fn filled(&self) -> impl DoubleEndedIterator<Item = (Slot, T)> {
        let slots = (0..SLOTS_MAX as u8).map(Slot).zip(self);
        slots.filter(|(_, thing)| **thing != T::default()).map(|(slot, it)| (slot, it.clone()))
    }

    fn forget(&mut self, below: Slot) {
        self.iter_mut().take(usize::from(below.0)).for_each(|place| *place = T::default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::types::{BALLOTS_MAX, NODES_MAX};

    fn vote() -> impl Strategy<Value = Vote<Small>> {
        let (ballot, value) = (0..BALLOTS_MAX as u8, 0..VALUES);
        (ballot, value).prop_map(|(b, v)| Vote { ballot: Ballot(b), value: Value(v) })
    }

    fn message() -> impl Strategy<Value = Message<Small>> {
        let reports = prop::array::uniform3(prop::option::of(vote()));
        let (from, slot) = (0..NODES_MAX as u8, 0..=SLOTS_MAX as u8);
        (0..6, vote(), from, slot, reports, 1..4_u8).prop_map(
            |(kind, vote, from, slot, reports, round)| {
                let (Vote { ballot, value }, from, slot) = (vote, NodeId(from), Slot(slot));
                match kind {
                    0 => Message::Prepare { ballot, first: slot },
                    1 => Message::Promise { ballot, from, trimmed: slot, reports },
                    2 => Message::Accept { ballot, slot, value },
                    3 => Message::Accepted { ballot, slot, value, from },
                    4 => Message::Confirm { ballot, round },
                    _ => Message::Confirmed { ballot, round, from },
                }
            },
        )
    }

    proptest! {
        #[test]
        fn words_are_the_messages_in_their_order(one in message(), other in message()) {
            prop_assert_eq!(Message::from_word(one.to_word()), one);
            prop_assert_eq!(one.to_word().cmp(&other.to_word()), one.cmp(&other));
        }
    }
}
