//! The types over which the rules are generic: nodes, ballots, slots and values, and the limits of a cluster.
//!
//! The rules can use these types only through the traits of this module. Ballots have an order, an owner, and a next ballot of
//! an owner. Values can be equal. Nodes are members of sets, and sets have a size. Slots have an order and a successor. No
//! rule sees the number of a node, ballot or slot.
//!
//! There are two universes. [`Small`](super::small::Small) has room for a few nodes, ballots, slots and values, in a few
//! bytes, and is explored exhaustively. [`Unbounded`](super::unbounded::Unbounded) has any number of each. The code of the
//! rules is the same for both.

use std::{fmt::Debug, hash::Hash};

/// A type that can be part of a state.
pub trait Thing: Clone + Debug + Eq + Hash + Send + Sync + 'static {}

impl<T: Clone + Debug + Eq + Hash + Send + Sync + 'static> Thing for T {}

/// The types over which the rules are generic.
pub trait Universe: Copy + Debug + Default + Eq + Ord + Hash + Send + Sync + 'static {
    /// A node.
    type NodeId: Thing + Copy + Ord;
    /// A set of nodes.
    type NodeSet: Thing + Default + Set<Self::NodeId>;
    /// A ballot. A rule sees only its order. The [`Limits`] know its owner.
    type Ballot: Thing + Copy + Ord;
    /// A value. A rule can only compare it for equality.
    type Value: Thing;
    /// A place in the log. The default is the first one.
    type Slot: Thing + Copy + Default + Ord + Successor;
    /// The number of a round of reads. The default is the number before the first round.
    type ReadRound: Thing + Copy + Default + Ord + Successor;
    /// The values that a client asks a leader for at once, one for each slot.
    type Request: Thing + IntoIterator<Item = Self::Value>;
    /// One entry for each slot. All but finitely many entries are the default, which stands for an empty slot.
    type Log<T: Thing + Default>: Thing + Default + SlotMap<Self::Slot, T>;
    /// The limits of a cluster.
    type Limits: Limits<Self>;
}

/// A type in which each value has a successor that is greater.
pub trait Successor {
    /// Returns the successor.
    #[must_use]
    fn next(self) -> Self;
}

/// A set of nodes.
pub trait Set<N>: Sized {
    /// Returns the set with a node added.
    #[must_use]
    fn with(&self, node: N) -> Self;
    /// Returns true if the node is in the set.
    fn has(&self, node: N) -> bool;
    /// Returns the number of nodes in the set.
    fn count(&self) -> usize;
    /// Returns the set of one node.
    fn of(node: N) -> Self
    where
        Self: Default,
    {
        Self::default().with(node)
    }
}

/// One entry for each slot.
pub trait SlotMap<S, T> {
    /// Returns the entry of a slot.
    fn at(&self, slot: S) -> T;
    /// Replaces the entry of a slot.
    fn put(&mut self, slot: S, thing: T);
    /// Returns the slots that are not empty, with their entries, in order.
    fn filled(&self) -> impl DoubleEndedIterator<Item = (S, T)>;
    /// Empties all slots below `below`.
    fn forget(&mut self, below: S);
}

/// The limits of a cluster: its nodes, quorums, owners of ballots, slots, and rounds of reads.
pub trait Limits<U: Universe>: Clone + Debug {
    /// Returns all nodes.
    fn nodes(&self) -> impl Iterator<Item = U::NodeId>;
    /// Returns the number of promises that let a candidate lead.
    fn phase1_quorum(&self) -> usize;
    /// Returns the number of votes that choose a value.
    fn phase2_quorum(&self) -> usize;
    /// Returns the owner of a ballot.
    fn owner(&self, ballot: U::Ballot) -> U::NodeId;
    /// Returns the lowest ballot of a node above `above`, or none if there is no such ballot.
    fn next_ballot(&self, node: U::NodeId, above: Option<U::Ballot>) -> Option<U::Ballot>;
    /// Returns the value that fills gaps.
    fn noop(&self) -> U::Value;
    /// Returns true if the log has a slot.
    fn has_slot(&self, slot: U::Slot) -> bool;
    /// Returns true if a leader may begin a round of reads in its ballot.
    fn has_read_round(&self, round: U::ReadRound) -> bool;

    /// Returns true if a leader may begin a round of reads at all.
    fn has_reads(&self) -> bool {
        self.has_read_round(U::ReadRound::default().next())
    }
}

/// Returns the slots from `from` up to, but not including, `to`.
pub(super) fn slots<S: Copy + Ord + Successor>(from: S, to: S) -> impl Iterator<Item = S> {
    std::iter::successors(Some(from), |slot| Some(slot.next())).take_while(move |slot| *slot < to)
}

/// Returns the slot after the last one that is not empty, or none if all are empty.
pub(super) fn end<S: Successor, T>(log: &impl SlotMap<S, T>) -> Option<S> {
    log.filled().next_back().map(|(slot, _)| slot.next())
}

/// Returns the log with a function applied to each entry that is not empty.
pub(super) fn map<S: Copy, T, L: SlotMap<S, T> + Clone>(log: &L, f: impl Fn(S, T) -> T) -> L {
    let mut mapped = log.clone();
    log.filled().for_each(|(slot, thing)| mapped.put(slot, f(slot, thing)));
    mapped
}
