//! Who takes part, and how many make a quorum.

use itertools::Itertools;
use thiserror::Error;

use crate::types::NodeId;

/// The most nodes a cluster can have: votes are counted in the bits of one word.
pub const NODES_MAX: usize = 64;

/// The most that `slots_ahead_max` and `in_flight_max` can be.
pub const SLOTS_AHEAD_LIMIT: u64 = 1 << 32;

/// The configuration of one replica. All replicas of a cluster must agree on `nodes` and quorums.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// All nodes, this one included.
    pub nodes: Vec<NodeId>,
    /// How many promises let a candidate lead.
    pub phase1_quorum: usize,
    /// How many votes choose a value.
    pub phase2_quorum: usize,
    /// How many slots a leader proposes beyond the chosen prefix of its log.
    pub in_flight_max: u64,
    /// How far beyond the end of its log a replica accepts; what is further is treated as lost, so
    /// that a stray slot number cannot demand all memory.
    pub slots_ahead_max: u64,
    /// The most slots in one message that resends or catches up.
    pub batch_slots_max: u64,
}

/// Why a configuration cannot be used, and what to change.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// This node is not one of the nodes.
    #[error("node {id} is not among the nodes {}; add it to `nodes` or change `id`", list(nodes))]
    UnknownId {
        /// The stranger.
        id: NodeId,
        /// The nodes there are.
        nodes: Vec<NodeId>,
    },
    /// A node is listed more than once.
    #[error("node {0} is listed more than once; every node needs an id of its own")]
    DuplicateId(NodeId),
    /// More nodes than votes can be counted for.
    #[error("{0} nodes are too many; at most {NODES_MAX} are supported")]
    TooManyNodes(usize),
    /// A quorum of nobody or of more nodes than there are.
    #[error("the phase {phase} quorum is {size}; with {nodes} nodes it must be 1 to {nodes}")]
    QuorumSize {
        /// 1 or 2.
        phase: u8,
        /// The size asked for.
        size: usize,
        /// How many nodes there are.
        nodes: usize,
    },
    /// Quorums of the two phases that may miss each other.
    #[error(
        "quorums of {phase1} (phase 1) and {phase2} (phase 2) of {nodes} nodes need not share a \
         node; their sum must be at least {}", nodes + 1
    )]
    QuorumsDoNotIntersect {
        /// The phase 1 quorum.
        phase1: usize,
        /// The phase 2 quorum.
        phase2: usize,
        /// How many nodes there are.
        nodes: usize,
    },
    /// A limit that would stop all work, or is none.
    #[error("`{name}` is {found}; it must be 1 to {most}")]
    Limit {
        /// Which.
        name: &'static str,
        /// What was asked for.
        found: u64,
        /// The most that makes sense.
        most: u64,
    },
}

fn list(nodes: &[NodeId]) -> String {
    nodes.iter().join(", ")
}

impl Config {
    /// A configuration with majority quorums and ordinary limits.
    pub fn new(id: NodeId, nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let nodes = nodes.into_iter().collect_vec();
        let majority = nodes.len() / 2 + 1;
        Self {
            id,
            nodes,
            phase1_quorum: majority,
            phase2_quorum: majority,
            in_flight_max: 1 << 16,
            slots_ahead_max: 1 << 20,
            batch_slots_max: 1 << 10,
        }
    }

    /// The same with other quorum sizes (Flexible Paxos: only quorums of different phases need to
    /// intersect).
    #[must_use]
    pub fn with_quorums(self, phase1_quorum: usize, phase2_quorum: usize) -> Self {
        Self { phase1_quorum, phase2_quorum, ..self }
    }

    /// Says whether a replica can run with it.
    ///
    /// # Errors
    /// The first thing that is wrong, with what to change.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let nodes = self.nodes.len();
        if let Some(node) = self.nodes.iter().duplicates().next() {
            return Err(ConfigError::DuplicateId(*node));
        }
        if nodes > NODES_MAX {
            return Err(ConfigError::TooManyNodes(nodes));
        }
        if !self.nodes.contains(&self.id) {
            return Err(ConfigError::UnknownId { id: self.id, nodes: self.nodes.clone() });
        }
        let (phase1, phase2) = (self.phase1_quorum, self.phase2_quorum);
        for (phase, size) in [(1, phase1), (2, phase2)] {
            if !(1..=nodes).contains(&size) {
                return Err(ConfigError::QuorumSize { phase, size, nodes });
            }
        }
        if phase1 + phase2 <= nodes {
            return Err(ConfigError::QuorumsDoNotIntersect { phase1, phase2, nodes });
        }
        // A batch that is longer than what a replica takes in at once would never be taken in.
        for (name, found, most) in [
            ("in_flight_max", self.in_flight_max, SLOTS_AHEAD_LIMIT),
            ("slots_ahead_max", self.slots_ahead_max, SLOTS_AHEAD_LIMIT),
            ("batch_slots_max", self.batch_slots_max, self.slots_ahead_max),
        ] {
            if !(1..=most).contains(&found) {
                return Err(ConfigError::Limit { name, found, most });
            }
        }
        Ok(())
    }

    /// The place of a node in `nodes`, which is its bit in a set of votes.
    pub(crate) fn index(&self, node: NodeId) -> Option<usize> {
        self.nodes.iter().position(|&other| other == node)
    }
}
