//! Planned faults: the nodes that are down, and the nodes that cannot reach each other, at any time.

use std::{collections::BTreeSet, fmt, str::FromStr};

use super::input::{self, ArgError, Window};

/// A time span in which a node is down. The node keeps its records and forgets everything else.
#[derive(Clone, Debug)]
pub(crate) struct Crash {
    pub(crate) node: u32,
    pub(crate) window: Window,
}

/// A time span in which groups of nodes cannot reach each other. The nodes that are in no group form one more group.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    pub(crate) groups: Vec<Vec<u32>>,
    pub(crate) window: Window,
}

impl FromStr for Crash {
    type Err = ArgError;

    fn from_str(text: &str) -> Result<Self, ArgError> {
        let (node, window) = Window::split(text)?;
        Ok(Self { node: input::node(node)?, window })
    }
}

impl FromStr for Partition {
    type Err = ArgError;

    fn from_str(text: &str) -> Result<Self, ArgError> {
        let (groups, window) = Window::split(text)?;
        let groups = groups.split('/').map(|group| group.split(',').map(input::node).collect());
        Ok(Self { groups: groups.collect::<Result<_, _>>()?, window })
    }
}

/// Writes the groups as in `1,2 / 3`.
impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, group) in self.groups.iter().enumerate() {
            if index > 0 {
                f.write_str(" / ")?;
            }
            f.write_str(&names(group))?;
        }
        Ok(())
    }
}

impl Partition {
    fn separates(&self, one: u32, other: u32) -> bool {
        let group = |node| self.groups.iter().position(|group| group.contains(&node));
        group(one) != group(other)
    }
}

/// All planned faults of a run. The nodes are 1 to `nodes`.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    pub(crate) nodes: u32,
    pub(crate) crashes: Vec<Crash>,
    pub(crate) partitions: Vec<Partition>,
}

impl Faults {
    pub(crate) fn is_up(&self, node: u32, at: u64) -> bool {
        !self.crashes.iter().any(|crash| crash.node == node && crash.window.contains(at))
    }

    pub(crate) fn are_linked(&self, one: u32, other: u32, at: u64) -> bool {
        let mut active = self.partitions.iter().filter(|partition| partition.window.contains(at));
        !active.any(|partition| partition.separates(one, other))
    }

    /// Returns the times at which a fault begins or ends, and time 0.
    pub(crate) fn changes(&self) -> BTreeSet<u64> {
        let crashes = self.crashes.iter().flat_map(|crash| crash.window.edges());
        let partitions = self.partitions.iter().flat_map(|partition| partition.window.edges());
        crashes.chain(partitions).chain([0]).collect()
    }

    /// Returns the number of nodes that are a majority.
    pub(crate) fn majority(&self) -> usize {
        self.nodes as usize / 2 + 1
    }

    /// Returns true if a node is up and directly reaches a majority, itself included.
    fn is_in_majority(&self, node: u32, at: u64) -> bool {
        let reached = (1..=self.nodes)
            .filter(|&other| self.is_up(other, at) && self.are_linked(node, other, at));
        self.is_up(node, at) && reached.count() >= self.majority()
    }

    /// Returns true if a node is in a majority now or at some later time.
    pub(crate) fn has_prospects(&self, node: u32, now: u64) -> bool {
        let later = self.changes().into_iter().filter(|&at| at > now);
        later.chain([now]).any(|at| self.is_in_majority(node, at))
    }

    /// Returns the time from which on no majority is ever up and connected again, or `None` if there is no such time.
    pub(crate) fn hopeless_from(&self) -> Option<u64> {
        let changes = self.changes().into_iter().rev();
        let hopeless =
            changes.take_while(|&at| !(1..=self.nodes).any(|node| self.is_in_majority(node, at)));
        hopeless.last()
    }

    /// Returns the nodes that are down for ever from some time on.
    pub(crate) fn dead(&self) -> Vec<u32> {
        (1..=self.nodes).filter(|&node| !self.is_up(node, u64::MAX)).collect()
    }
}

/// Returns the nodes as a list: `1,2,3`.
pub(crate) fn names(nodes: &[u32]) -> String {
    nodes.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}
