//! Sets of nodes in which votes and promises are counted.

/// A set of nodes: bit `i` stands for the node with index `i` in `Config::nodes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeSet(pub u64);

impl NodeSet {
    /// Returns the set of one node.
    pub(crate) fn of(index: usize) -> Self {
        Self(1 << index)
    }

    /// Adds the node with this index, which must be below 64.
    pub fn insert(&mut self, index: usize) {
        self.0 |= 1 << index;
    }

    /// Returns true if the set has the node with this index.
    pub fn contains(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }

    /// Returns the number of nodes.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Returns true if the set has no node.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}
