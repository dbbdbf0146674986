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
    types::{Ballot, Log, NodeId, NodeSet, SLOTS_MAX, Slot, Value},
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

/// Hashes each message as one word, because a search hashes many millions of messages.
impl Hash for Message<Small> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let word = |bytes: [u8; 5]| bytes.into_iter().fold(0, |word, b| word << 8 | u64::from(b));
        state.write_u64(match *self {
            Self::Prepare { ballot, first } => word([0, ballot.0, first.0, 0, 0]),
            Self::Promise { ballot, from, trimmed, reports } => {
                let [a, b, c] =
                    reports.map(|vote| vote.map_or(0, |vote| 1 + vote.ballot.0 * 8 + vote.value.0));
                let word = word([1 + ballot.0, 1 + from.0, a, b, c]);
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
