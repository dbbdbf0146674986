//! The nouns of the protocol: nodes, ballots, slots and values.
//!
//! Newtypes, so that a slot is never taken for a round. Nothing here decides anything.

use std::{fmt, num::NonZeroU64, sync::Arc};

use bytes::Bytes;

/// Names one node of the cluster. Any number will do; the configuration lists those that exist.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeId(pub u32);

/// A ballot (Lamport's proposal number), totally ordered and owned by one node for ever.
///
/// Invariant: no two nodes share a ballot, since the owner is part of it, and its owner never begins
/// it twice: a ballot is begun only above the owner's own durable promise (Paxos Made Simple,
/// section 2.5: "different proposers choose their numbers from disjoint sets").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ballot {
    /// Counts attempts; compared first. Never zero, so that an absent ballot costs no space.
    pub round: NonZeroU64,
    /// The owner; breaks ties.
    pub node: NodeId,
}

impl Ballot {
    /// The ballot of `node` in `round`, or nothing for round 0, which does not exist.
    pub fn new(round: u64, node: NodeId) -> Option<Self> {
        Some(Self { round: NonZeroU64::new(round)?, node })
    }

    /// The least ballot of `node` above `seen`; nothing once the rounds are used up.
    pub fn next(node: NodeId, seen: Option<Self>) -> Option<Self> {
        let round = match seen {
            None => NonZeroU64::MIN,
            Some(seen) if node > seen.node => seen.round,
            Some(seen) => seen.round.checked_add(1)?,
        };
        Some(Self { round, node })
    }
}

/// A place in the log (Lamport's instance). The first is 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Slot(pub u64);

impl Slot {
    /// The slot `count` places further on; stays at the last one rather than overflow.
    #[must_use]
    pub fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

/// What a slot can hold.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Value {
    /// Fills a gap that a new leader found below a slot that may be chosen
    /// (Paxos Made Simple, section 3).
    Noop,
    /// A client's command, never looked into.
    Command(Bytes),
}

/// Values of consecutive slots, shared between the log, the record and the messages.
pub type Batch = Arc<[Value]>;

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
