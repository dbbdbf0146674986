//! The nouns of the cluster: nodes, slots, votes and sets of nodes, and how many of each there is room for.

use std::fmt;

pub use crate::synod::{Ballot, Value};

/// The most slots that a state has room for.
pub const SLOTS_MAX: usize = 3;
/// The most nodes.
pub const NODES_MAX: usize = 5;
/// The most ballots.
pub const BALLOTS_MAX: usize = 7;
/// The most values that clients ask for; the no-op is one more.
pub const VALUES_MAX: usize = 4;
/// The most rounds of reads in a ballot.
pub const READS_MAX: u8 = 3;
/// The most steps of a node that wait for their sync.
pub const UNSYNCED_MAX: u8 = 3;

/// One node, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u8);

/// A place in the log, counted from 0.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u8);

/// Something for each slot.
pub type Log<T> = [T; SLOTS_MAX];

/// A vote: a value accepted in a ballot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vote {
    /// maxVBal.
    pub ballot: Ballot,
    /// maxVal.
    pub value: Value,
}

/// A set of nodes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct NodeSet(pub u8);

impl NodeSet {
    /// The set of one.
    pub fn of(node: NodeId) -> Self {
        Self(1 << node.0)
    }
    /// With one more node.
    #[must_use]
    pub fn with(self, node: NodeId) -> Self {
        Self(self.0 | 1 << node.0)
    }
    /// Whether a node is in it.
    pub fn has(self, node: NodeId) -> bool {
        self.0 & 1 << node.0 != 0
    }
    /// How many there are.
    pub fn len(self) -> u8 {
        self.0.count_ones() as u8
    }
    /// Whether nobody is in it.
    pub fn is_empty(self) -> bool {
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

impl fmt::Debug for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}:v{}", self.ballot.0, self.value.0)
    }
}

impl fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries((0..8).map(NodeId).filter(|&node| self.has(node))).finish()
    }
}

/// The entries of a log that are there, as `s0=… s1=…`.
pub(super) fn entries<T: fmt::Debug>(log: &Log<Option<T>>) -> String {
    let entries = (0u8..).map(Slot).zip(log);
    let entries =
        entries.filter_map(|(slot, entry)| Some(format!("{slot:?}={:?}", entry.as_ref()?)));
    entries.collect::<Vec<_>>().join(" ")
}

/// What a leader keeps for the sake of reads. It is nothing where there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reads {
    /// Where the log ended when it began to lead: what was chosen before lies below.
    pub barrier: Slot,
    /// How many rounds have begun.
    pub rounds: u8,
    /// The last of them, while it is under way.
    pub under_way: Option<Round>,
    /// Whether a read waits for the next round.
    pub waits: bool,
}

/// A round that is not yet confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Round {
    /// Who confirmed, the leader included.
    pub heard: NodeSet,
    /// What lies below has to be known, slot by slot, before the read is answered.
    pub index: Slot,
}

/// What reads are judged by. No node sees it, and it stays empty where there are no reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Witness {
    /// Which slots somebody has ever known to be chosen, and could tell.
    pub known: Log<bool>,
    /// How much of the log was known when the round began that is under way at a node.
    pub must_see: [Slot; NODES_MAX],
    /// Whether a read was answered without something that was known before it.
    pub stale: bool,
}

/// Drops what is below a slot.
pub(super) fn forget<T: Default>(log: &mut Log<T>, below: Slot) {
    log.iter_mut().take(usize::from(below.0)).for_each(|place| *place = T::default());
}
