//! What nodes say to each other before anything else: which store this is, how often it was started, and who
//! the members are.
//!
//! A transport carries an [`Introduction`] to each peer, whenever it makes a connection, and brings the
//! [`Answer`] back. What to think of it is the node's affair.

use std::fmt;

use itertools::Itertools as _;
use serde::{Deserialize, Serialize};

use crate::{config::Config, storage::StoreId, types::NodeId};

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    pub(super) life: Life,
    pub(super) members: Members,
}

/// What a peer says to that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Come in.
    Welcome,
    /// Not like this; it may be put right.
    Refused(String),
    /// It has lost its memory, or a part of it: never come back like this.
    Banned(String),
}

/// A node from one start to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Life {
    pub(super) store: StoreId,
    /// The how manieth life of its store it is.
    pub(super) number: u64,
    /// Tells it from that of a copy of the store.
    pub(super) nonce: u64,
}

impl Life {
    /// Whether nothing that `earlier` has done is missing in this one's store.
    pub(super) fn continues(&self, earlier: &Self) -> bool {
        self == earlier || self.store == earlier.store && self.number > earlier.number
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
