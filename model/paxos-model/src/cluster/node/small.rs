//! A universe that is small enough to be explored: a few nodes, ballots, slots and values, in a few bytes.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use super::{
    message::Message,
    state::{Acceptor, Live, Reads, Role, Round, Vote},
    step::{Answer, Input, Nack},
    universe::{self, Limits, Successor, Thing, Universe},
};
use crate::cluster::bounds::Bounds;
pub use crate::synod::{Ballot, Value};

/// The number of slots that a state has room for.
pub const SLOTS_MAX: usize = 3;
/// The highest number of nodes.
pub const NODES_MAX: usize = 5;
/// The highest number of ballots.
pub const BALLOTS_MAX: usize = 7;
/// The highest number of values that clients ask for. The no-op is one more.
pub const VALUES_MAX: usize = 4;
/// The highest number of rounds of reads in a ballot.
pub const READS_MAX: u8 = 3;
/// The highest number of steps of a node that wait for their sync.
pub const UNSYNCED_MAX: u8 = 3;

/// The universe of the explored cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Small;

/// A node, counted from 0. People count from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u8);

/// A place in the log, counted from 0.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u8);

/// A set of nodes, one bit for each.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct NodeSet(pub u8);

/// A thing for each slot.
pub type Log<T> = [T; SLOTS_MAX];

/// The same value, asked for in several slots at once.
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

    /// Hashes one word for each message, because states are told apart by millions of them.
    fn hash_message<H: Hasher>(message: &Message<Self>, hasher: &mut H) {
        let word = |bytes: [u8; 5]| bytes.into_iter().fold(0, |word, b| word << 8 | u64::from(b));
        hasher.write_u64(match *message {
            Message::Prepare { ballot } => word([0, ballot.0, 0, 0, 0]),
            Message::Promise { ballot, from, trimmed, reports } => {
                let [a, b, c] =
                    reports.map(|vote| vote.map_or(0, |vote| 1 + vote.ballot.0 * 8 + vote.value.0));
                let word = word([1 + ballot.0, 1 + from.0, a, b, c]);
                word | 1 << 40 | u64::from(trimmed.0) << 41
            }
            Message::Accept { ballot, slot, value } => word([2, ballot.0, slot.0, value.0, 0]),
            Message::Accepted { ballot, slot, value, from } => {
                word([3, ballot.0, slot.0, value.0, from.0])
            }
            Message::Confirm { ballot, round } => word([4, ballot.0, round, 0, 0]),
            Message::Confirmed { ballot, round, from } => word([5, ballot.0, round, 0, from.0]),
        });
    }
}

/// Everything about a small node is a few bytes.
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

impl NodeSet {
    /// Returns the set of one node.
    pub const fn of(node: NodeId) -> Self {
        Self(1 << node.0)
    }

    /// Returns the set with one node more.
    #[must_use]
    pub const fn with(self, node: NodeId) -> Self {
        Self(self.0 | 1 << node.0)
    }

    /// Returns true if the node is in the set.
    pub const fn has(self, node: NodeId) -> bool {
        self.0 & 1 << node.0 != 0
    }

    /// Returns the number of nodes in the set.
    pub const fn len(self) -> u8 {
        self.0.count_ones() as u8
    }

    /// Returns true if the set has no node.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl universe::NodeSet<NodeId> for NodeSet {
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

impl<T: Thing + Default> universe::Log<Slot, T> for Log<T> {
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

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0 + 1)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries((0..8).map(NodeId).filter(|&node| self.has(node))).finish()
    }
}
