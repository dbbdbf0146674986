//! The things that the rules name: nodes, ballots, slots, values, and how many of each there are.
//!
//! The rules are generic over a [`Universe`], and so can do nothing with these things that its traits do not
//! offer. Ballots have an order, an owner, and a next ballot of an owner. Values can be equal. Nodes are members
//! of sets, and sets are counted. Slots have an order and a successor. No rule sees a number.
//!
//! There are two universes. [`Small`](super::small::Small) has room for a few of each thing, in a few bytes, and is
//! explored exhaustively. [`Unbounded`](super::unbounded::Unbounded) has any number of each. Both run the same
//! rules, because there is one text of them.

use std::{fmt::Debug, hash::Hash};

use super::message::Message;

/// A value that can be stored in the states of a universe.
pub trait Thing: Clone + Debug + Eq + Hash + Send + Sync + 'static {}

impl<T: Clone + Debug + Eq + Hash + Send + Sync + 'static> Thing for T {}

/// The types of the things that the rules name.
pub trait Universe: Copy + Debug + Default + Eq + Ord + Hash + Send + Sync + 'static {
    /// A node.
    type NodeId: Thing + Copy + Ord;
    /// A set of nodes.
    type NodeSet: Thing + Default + NodeSet<Self::NodeId>;
    /// A ballot. The order is all that a rule sees of it; its owner is known to the [`Limits`].
    type Ballot: Thing + Copy + Ord;
    /// A value. Equality is all that a rule sees of it.
    type Value: Thing;
    /// A place in the log. The default is the first one.
    type Slot: Thing + Copy + Default + Ord + Successor;
    /// The number of a round of reads. The default is that of no round.
    type ReadRound: Thing + Copy + Default + Ord + Successor;
    /// The values that a client asks a leader for at once, one for each slot.
    type Request: Thing + IntoIterator<Item = Self::Value>;
    /// A thing for each slot. All but finitely many are the default, which stands for nothing.
    type Log<T: Thing + Default>: Thing + Default + Log<Self::Slot, T>;
    /// The numbers of a cluster.
    type Limits: Limits<Self>;

    /// Feeds a message to a hasher.
    fn hash_message<H: std::hash::Hasher>(message: &Message<Self>, hasher: &mut H);
}

/// A thing that has a next one, which is greater.
pub trait Successor {
    /// Returns the next one.
    #[must_use]
    fn next(self) -> Self;
}

/// A set of nodes.
pub trait NodeSet<N>: Sized {
    /// Returns the set with one node more.
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

/// A thing for each slot.
pub trait Log<S, T> {
    /// Returns the thing in a slot.
    fn at(&self, slot: S) -> T;
    /// Replaces the thing in a slot.
    fn put(&mut self, slot: S, thing: T);
    /// Returns the slots that hold something, with what they hold, in order.
    fn filled(&self) -> impl DoubleEndedIterator<Item = (S, T)>;
    /// Empties all slots below one.
    fn forget(&mut self, below: S);
}

/// The numbers of a cluster that the rules ask for.
pub trait Limits<U: Universe>: Clone + Debug {
    /// Returns all nodes.
    fn nodes(&self) -> impl Iterator<Item = U::NodeId>;
    /// Returns the number of promises that let a candidate lead.
    fn phase1_quorum(&self) -> usize;
    /// Returns the number of votes that choose a value.
    fn phase2_quorum(&self) -> usize;
    /// Returns the owner of a ballot.
    fn owner(&self, ballot: U::Ballot) -> U::NodeId;
    /// Returns the least ballot of a node above another ballot, if there is one.
    fn next_ballot(&self, node: U::NodeId, above: Option<U::Ballot>) -> Option<U::Ballot>;
    /// Returns the value that fills gaps.
    fn noop(&self) -> U::Value;
    /// Returns true if the log has a slot.
    fn has_slot(&self, slot: U::Slot) -> bool;
    /// Returns true if a leader may begin a round of reads in its ballot.
    fn has_read_round(&self, round: U::ReadRound) -> bool;

    /// Returns true if there are reads at all.
    fn has_reads(&self) -> bool {
        self.has_read_round(U::ReadRound::default().next())
    }
}

/// Returns the slots from one up to another, which is not included.
pub(super) fn slots<S: Copy + Ord + Successor>(from: S, to: S) -> impl Iterator<Item = S> {
    std::iter::successors(Some(from), |slot| Some(slot.next())).take_while(move |slot| *slot < to)
}

/// Returns the slot after the last one that holds something.
pub(super) fn end<S: Successor, T>(log: &impl Log<S, T>) -> Option<S> {
    log.filled().next_back().map(|(slot, _)| slot.next())
}

/// Returns a log with the things that a function makes of those in another one.
pub(super) fn map<S: Copy, T, L: Log<S, T> + Clone>(log: &L, f: impl Fn(S, T) -> T) -> L {
    let mut mapped = log.clone();
    log.filled().for_each(|(slot, thing)| mapped.put(slot, f(slot, thing)));
    mapped
}
