//! The nouns of the protocol: nodes, ballots, slots and values.
//!
//! They are newtypes, so that a slot is never taken for a round.

use std::{fmt, num::NonZeroU64, ops::Range};

use bytes::Bytes;

/// The name of a node. Any number is allowed; the configuration lists the nodes of the cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeId(pub u32);

/// A ballot: Lamport's proposal number. Ballots are totally ordered, and each is owned by one node.
///
/// Invariant: no two nodes share a ballot, because the owner is part of the ballot. No node uses a ballot twice: it
/// begins only ballots above its promise, and makes its promise of the new ballot durable before it sends a message
/// of that ballot. In Paxos Made Simple, section 2.5: "different proposers choose their numbers from disjoint sets".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ballot {
    /// Compared first. The type excludes zero, so that an `Option<Ballot>` takes no more space than a `Ballot`.
    pub round: NonZeroU64,
    /// The owner. Compared second.
    pub node: NodeId,
}

impl Ballot {
    /// Returns the ballot of `node` in `round`, or `None` for round 0.
    pub fn new(round: u64, node: NodeId) -> Option<Self> {
        Some(Self { round: NonZeroU64::new(round)?, node })
    }

    /// Returns the least ballot of `node` above `seen`, or `None` if no round is left.
    pub fn next(node: NodeId, seen: Option<Self>) -> Option<Self> {
        let round = match seen {
            None => NonZeroU64::MIN,
            Some(seen) if node > seen.node => seen.round,
            Some(seen) => seen.round.checked_add(1)?,
        };
        Some(Self { round, node })
    }
}

/// A position in the log: Lamport's instance. The first is 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Slot(pub u64);

impl Slot {
    /// Returns the slot that is `count` positions later, or the last slot if there is none.
    #[must_use]
    #[inline]
    pub fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// Returns `count` slots, this one and those after it. Fewer are left at the end of all slots.
    #[must_use]
    #[inline]
    pub fn range(self, count: usize) -> Range<u64> {
        self.0..self.plus(count as u64).0
    }
}

/// The content of a slot.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Value {
    /// Fills a gap that a new leader finds in the log (Paxos Made Simple, section 3).
    Noop,
    /// A client's command. The protocol does not look into it.
    Command(Bytes),
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `round.node`, as in `2.1`.
impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.round, self.node.0)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noop => f.write_str("no-op"),
            Self::Command(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
        }
    }
}
