//! A universe without bounds: any number of nodes, ballots, slots and values.
//!
//! No search explores it. A test takes the steps of random walks in this universe and in the small one, and compares them.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    hash::{Hash, Hasher},
    mem::discriminant,
    sync::Arc,
};

use smallvec::SmallVec;

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

/// A ballot: a round, and the node that owns the ballot. The round decides which of two ballots is higher, and then the
/// number of the owner.
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

/// A set of nodes: its members, in order.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct NodeSet(SmallVec<[NodeId; 5]>);

/// The number of slots whose entries are stored together. A run of slots then costs few searches.
const CHUNK: u64 = 8;

/// One entry for each slot, in chunks of consecutive slots. Invariant: the numbers of the chunks rise, and each stored chunk has
/// an entry that is not the default.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Log<T>(VecDeque<(u64, Chunk<T>)>);

type Chunk<T> = Box<[T; CHUNK as usize]>;

/// The nodes of a cluster, and the sizes of its quorums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    nodes: Arc<BTreeSet<NodeId>>,
    phase1_quorum: usize,
    phase2_quorum: usize,
}

impl Membership {
    /// Returns the cluster of these nodes with quorums of these sizes. Returns none if a size is out of range, or if a quorum
    /// of phase 1 and one of phase 2 need not share a node.
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
        valid.then(|| Self { nodes: Arc::new(nodes), phase1_quorum, phase2_quorum })
    }
}

impl Limits<Unbounded> for Membership {
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

    /// Returns the owner's ballot of the same round if it is higher, and otherwise that of the next round. The first round is
    /// 1. Returns none if there is no next round.
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
    type Limits = Membership;
}

impl Hash for Message<Unbounded> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (discriminant(self), self.ballot()).hash(state);
        match self {
            Self::Prepare { first, .. } => first.hash(state),
            Self::Promise { from, trimmed, reports, .. } => (from, trimmed, reports).hash(state),
            Self::Accept { slot, value, .. } => (slot, value).hash(state),
            Self::Accepted { slot, value, from, .. } => (slot, value, from).hash(state),
            Self::Confirm { round, .. } => round.hash(state),
            Self::Confirmed { round, from, .. } => (round, from).hash(state),
        }
    }
}

/// The last slot is its own successor. Only a damaged or false recording has an entry there.
impl Successor for Slot {
    fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Successor for ReadRound {
    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl universe::Set<NodeId> for NodeSet {
    fn with(&self, node: NodeId) -> Self {
        let mut nodes = self.0.clone();
        if let Err(place) = nodes.binary_search(&node) {
            nodes.insert(place, node);
        }
        Self(nodes)
    }

    fn has(&self, node: NodeId) -> bool {
        self.0.binary_search(&node).is_ok()
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

/// Returns the chunk of a slot, and the place in it.
fn place(Slot(slot): Slot) -> (u64, usize) {
    (slot / CHUNK, (slot % CHUNK) as usize)
}

impl<T> Log<T> {
    /// Returns the place of a chunk, or the place at which it would be stored. Most are at the end.
    fn find(&self, number: u64) -> Result<usize, usize> {
        match self.0.back() {
            None => Err(0),
            Some((last, _)) if *last < number => Err(self.0.len()),
            Some((last, _)) if *last == number => Ok(self.0.len() - 1),
            Some(_) => self.0.binary_search_by_key(&number, |(number, _)| *number),
        }
    }
}

impl<T: Thing + Default> Log<T> {
    fn drop_if_empty(&mut self, place: usize) {
        if self.0[place].1.iter().all(|it| *it == T::default()) {
            self.0.remove(place);
        }
    }
}

impl<T: Thing + Default> universe::SlotMap<Slot, T> for Log<T> {
    fn at(&self, slot: Slot) -> T {
        let (number, place) = place(slot);
        self.find(number).map_or_else(|_| T::default(), |chunk| self.0[chunk].1[place].clone())
    }

    fn put(&mut self, slot: Slot, thing: T) {
        let (number, place) = place(slot);
        let empties = thing == T::default();
        match self.find(number) {
            Ok(chunk) => {
                self.0[chunk].1[place] = thing;
                if empties {
                    self.drop_if_empty(chunk);
                }
            }
            Err(_) if empties => {}
            Err(chunk) => {
                let mut entries = Box::new(std::array::from_fn(|_| T::default()));
                entries[place] = thing;
                self.0.insert(chunk, (number, entries));
            }
        }
    }

    fn filled(&self) -> impl DoubleEndedIterator<Item = (Slot, T)> {
        self.0.iter().flat_map(|(number, chunk)| {
            let filled = (0..CHUNK).filter(|&place| chunk[place as usize] != T::default());
            filled.map(move |place| (Slot(number * CHUNK + place), chunk[place as usize].clone()))
        })
    }

    fn forget(&mut self, below: Slot) {
        let (number, end) = place(below);
        let (Ok(first) | Err(first)) = self.find(number);
        self.0.drain(..first);
        if let Some((found, chunk)) = self.0.front_mut()
            && *found == number
        {
            chunk[..end].fill_with(T::default);
            self.drop_if_empty(0);
        }
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
