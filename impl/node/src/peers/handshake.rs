//! The handshake: the first data that a node sends to a peer, and the peer's answer.
//!
//! A transport carries a [`Handshake`] to each peer whenever it connects, and brings the [`Admission`] back. The nodes
//! decide. The transport only closes connections that are refused.

use std::fmt;

use itertools::Itertools as _;
use serde::{Deserialize, Serialize};

use super::incarnations::{Incarnation, Incarnations};
use paxos::{config::Config, types::NodeId};
use paxos_store::StoreId;

/// The store of a node, its incarnations, and the members that its operator has named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshake {
    pub(crate) store: StoreId,
    pub(crate) incarnations: Incarnations,
    pub(crate) members: Members,
}

/// The answer of a peer to a handshake. A reason is a sentence for operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admission {
    /// The peer accepts packets of the node.
    Welcome,
    /// The peer refuses this handshake. It may accept a later one, once an operator has corrected a setting.
    Refused(String),
    /// The peer knows another store under this id: the disk of the node was lost or replaced, or this is the wrong
    /// node.
    Replaced(String),
    /// The store has lost a part of its memory. The node must never take part again with this store.
    Banned(String),
}

impl Handshake {
    /// The present incarnation of the node.
    pub(super) fn incarnation(&self) -> Incarnation {
        self.incarnations.present(self.store)
    }

    /// Returns true if this is the store that was met, and it remembers the incarnation that was met or has forgotten the
    /// number of that incarnation.
    pub(super) fn remembers(&self, met: &Incarnation) -> bool {
        self.store == met.store && self.incarnations.contain(met)
    }
}

/// The members of a cluster and the sizes of its quorums. They are the same at all members, and never change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// In ascending order.
    nodes: Vec<NodeId>,
    phase1_quorum: usize,
    phase2_quorum: usize,
}

impl Members {
    pub(crate) fn of(config: &Config) -> Self {
        let nodes = config.nodes.iter().copied().sorted().collect();
        let (phase1_quorum, phase2_quorum) = (config.phase1_quorum, config.phase2_quorum);
        Self { nodes, phase1_quorum, phase2_quorum }
    }

    pub(super) fn contains(&self, node: NodeId) -> bool {
        self.nodes.contains(&node)
    }
}

/// Writes the members as in "1, 2, 3", and the sizes of the quorums unless they are majorities.
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
