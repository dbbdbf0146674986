//! The small types of the explored cluster: nodes, slots and sets of nodes, and the limits of the bounds.

use std::fmt;

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

/// A node, counted from 0. Its `Debug` text counts from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u8);

/// A place in the log, counted from 0.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u8);

/// A set of nodes, one bit for each.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct NodeSet(pub u8);

/// One entry for each slot.
pub type Log<T> = [T; SLOTS_MAX];

impl NodeSet {
    /// Returns the set of one node.
    pub const fn of(node: NodeId) -> Self {
        Self(1 << node.0)
    }

    /// Returns the set with a node added.
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
