//! What nodes say to each other before anything else: which store this is, which lives it has had, and who
//! the members are.
//!
//! A transport carries an [`Introduction`] to each peer, whenever it makes a connection, and brings the
//! [`Admission`] back. What to think of it is the node's affair.

use std::{collections::VecDeque, fmt};

use itertools::Itertools as _;
use serde::{Deserialize, Serialize};

use paxos::{config::Config, types::NodeId};
use paxos_store::StoreId;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    pub(super) store: StoreId,
    pub(super) lives: Lives,
    pub(super) members: Members,
}

/// What a peer says to that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admission {
    /// Come in.
    Welcome,
    /// Not like this; it may be put right.
    Refused(String),
    /// Another store is known under that id: it was lost, or this is the wrong node.
    Replaced(String),
    /// The store has lost a part of its memory: never come back with it.
    Banned(String),
}

/// The lives of a node, from one start to the next, as its store remembers them. A copy of the store shares those
/// from before it was made, and no later one, however often it is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lives {
    /// How many are not remembered any more.
    forgotten: u64,
    /// A random number for each of the others.
    nonces: VecDeque<u64>,
}

/// One life of a node, as a peer has met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Met {
    pub(super) store: StoreId,
    /// The how manieth of its store it is.
    pub(super) number: u64,
    nonce: u64,
}

impl Lives {
    /// How many are remembered. A peer that has not met any of so many has to believe the rest.
    const MOST: usize = 256;

    /// One more begins.
    pub(super) fn begin(&mut self, nonce: u64) {
        self.nonces.push_back(nonce);
        if self.nonces.len() > Self::MOST {
            self.nonces.pop_front();
            self.forgotten += 1;
        }
    }

    /// The number of the present one; the first is 1.
    pub(super) fn number(&self) -> u64 {
        // A peer may say that there were as many as it likes.
        self.forgotten.saturating_add(self.nonces.len() as u64)
    }

    /// A number that no other life of the node has, and most likely no life of a copy either.
    pub(super) fn unique(&self) -> u64 {
        self.number() << 32 | self.present() >> 32
    }

    fn present(&self) -> u64 {
        self.nonces.back().copied().unwrap_or_default()
    }

    fn nonce(&self, number: u64) -> Option<u64> {
        let place = number.checked_sub(self.forgotten)?.checked_sub(1)?;
        self.nonces.get(usize::try_from(place).ok()?).copied()
    }
}

impl Introduction {
    /// The present life.
    pub(super) fn life(&self) -> Met {
        Met { store: self.store, number: self.lives.number(), nonce: self.lives.present() }
    }

    /// Whether an earlier life is one of its own: then nothing is missing in its store.
    pub(super) fn remembers(&self, met: &Met) -> bool {
        self.store == met.store
            && (met.number <= self.lives.forgotten
                || self.lives.nonce(met.number) == Some(met.nonce))
    }
}

/// Who takes part in a cluster, and how many of them decide. It is the same for all of them, and stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// In order.
    nodes: Vec<NodeId>,
    phase1_quorum: usize,
    phase2_quorum: usize,
}

impl Members {
    pub(super) fn of(config: &Config) -> Self {
        let nodes = config.nodes.iter().copied().sorted().collect();
        let (phase1_quorum, phase2_quorum) = (config.phase1_quorum, config.phase2_quorum);
        Self { nodes, phase1_quorum, phase2_quorum }
    }

    pub(super) fn contains(&self, node: NodeId) -> bool {
        self.nodes.contains(&node)
    }
}

/// As in "1, 2, 3", with the quorums unless they are majorities.
impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.nodes.iter().join(", "))?;
        let (phase1, phase2) = (self.phase1_quorum, self.phase2_quorum);
        let majority = self.nodes.len() / 2 + 1;
        if (phase1, phase2) == (majority, majority) {
            return Ok(());
        }
        write!(f, " with quorums of {phase1} (phase 1) and {phase2} (phase 2)")
    }
}
