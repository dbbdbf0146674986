//! A universe without bounds: any number of nodes, ballots, slots and values.
//!
//! It serves runs that were recorded, where the numbers are those of real clusters. It is not explored.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::{
    message::Message,
    universe::{self, Limits, Successor, Thing, Universe},
};

/// The universe of clusters of any size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unbounded;

/// A node. The number only names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// A ballot: a round, and the node that owns it. A higher round is a higher ballot; the node decides between equal
/// rounds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// The round.
    pub round: u64,
    /// The owner.
    pub owner: NodeId,
}

/// A place in the log, counted from 0.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

/// The number of a round of reads in a ballot, counted from 1.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadRound(pub u64);

/// A value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// The value that fills a gap.
    Noop,
    /// A command of a client, or a digest of one. Equal bytes are the same value.
    Command(Arc<[u8]>),
}

/// A set of nodes.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct NodeSet(BTreeSet<NodeId>);

/// A thing for each slot. Invariant: no thing that is stored is the default.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Log<T>(BTreeMap<Slot, T>);

/// The numbers of a cluster: its nodes, and its quorums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    nodes: BTreeSet<NodeId>,
    phase1_quorum: usize,
    phase2_quorum: usize,
}

impl Cluster {
    /// Returns the cluster of these nodes with quorums of these sizes, or none if two quorums need not share a node.
    pub fn new(
        nodes: impl IntoIterator<Item = NodeId>,
        phase1_quorum: usize,
        phase2_quorum: usize,
    ) -> Option<Self> {
        let nodes: BTreeSet<_> = nodes.into_iter().collect();
        let sizes = 1..=nodes.len();
        let valid = sizes.contains(&phase1_quorum)
            && sizes.contains(&phase2_quorum)
            && phase1_quorum + phase2_quorum > nodes.len();
        valid.then_some(Self { nodes, phase1_quorum, phase2_quorum })
    }
}

impl Limits<Unbounded> for Cluster {
    fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().copied()
    }

    fn phase1_quorum(&self) -> usize {
        self.phase1_quorum
    }

    fn phase2_quorum(&self) -> usize {
        self.phase2_quorum
    }

    fn owner(&self, ballot: Ballot) -> NodeId {
        ballot.owner
    }

    /// Returns the ballot of the same round if it is higher, and otherwise that of the next round. The first round is 1.
    fn next_ballot(&self, owner: NodeId, above: Option<Ballot>) -> Option<Ballot> {
        let Some(above) = above else { return Some(Ballot { round: 1, owner }) };
        let same_round = Ballot { round: above.round, owner };
        if same_round > above {
            return Some(same_round);
        }
        Some(Ballot { round: above.round.checked_add(1)?, owner })
    }

    fn noop(&self) -> Value {
        Value::Noop
    }

    fn has_slot(&self, _: Slot) -> bool {
        true
    }

    fn has_read_round(&self, _: ReadRound) -> bool {
        true
    }
}

impl Universe for Unbounded {
    type NodeId = NodeId;
    type NodeSet = NodeSet;
    type Ballot = Ballot;
    type Value = Value;
    type Slot = Slot;
    type ReadRound = ReadRound;
    type Request = Vec<Value>;
    type Log<T: Thing + Default> = Log<T>;
    type Limits = Cluster;

    fn hash_message<H: Hasher>(message: &Message<Self>, hasher: &mut H) {
        std::mem::discriminant(message).hash(hasher);
        message.ballot().hash(hasher);
        match message {
            Message::Prepare { .. } => {}
            Message::Promise { from, trimmed, reports, .. } => {
                (from, trimmed, reports).hash(hasher);
            }
            Message::Accept { slot, value, .. } => (slot, value).hash(hasher),
            Message::Accepted { slot, value, from, .. } => (slot, value, from).hash(hasher),
            Message::Confirm { round, .. } => round.hash(hasher),
            Message::Confirmed { round, from, .. } => (round, from).hash(hasher),
        }
    }
}

impl Successor for Slot {
    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Successor for ReadRound {
    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl universe::NodeSet<NodeId> for NodeSet {
    fn with(&self, node: NodeId) -> Self {
        let mut nodes = self.0.clone();
        nodes.insert(node);
        Self(nodes)
    }

    fn has(&self, node: NodeId) -> bool {
        self.0.contains(&node)
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Thing + Default> universe::Log<Slot, T> for Log<T> {
    fn at(&self, slot: Slot) -> T {
        self.0.get(&slot).cloned().unwrap_or_default()
    }

    fn put(&mut self, slot: Slot, thing: T) {
        if thing == T::default() {
            self.0.remove(&slot);
        } else {
            self.0.insert(slot, thing);
        }
    }

    fn filled(&self) -> impl DoubleEndedIterator<Item = (Slot, T)> {
        self.0.iter().map(|(slot, thing)| (*slot, thing.clone()))
    }

    fn forget(&mut self, below: Slot) {
        self.0 = self.0.split_off(&below);
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Debug for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}.{}", self.round, self.owner.0)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl fmt::Debug for ReadRound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noop => f.write_str("noop"),
            Self::Command(bytes) => write!(f, "{}", bytes.escape_ascii()),
        }
    }
}

impl fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.0).finish()
    }
}
