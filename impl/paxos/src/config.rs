//! The members of the cluster, the quorum sizes, and the limits of one replica.

use itertools::Itertools;
use thiserror::Error;

use crate::types::NodeId;

/// The highest number of nodes in a cluster. A [`NodeSet`](crate::protocol::NodeSet) has one bit for each node.
pub const NODES_MAX: usize = 64;

/// The highest value of `slots_ahead_max` and of `in_flight_max`.
pub const SLOTS_AHEAD_LIMIT: u64 = 1 << 32;

/// The configuration of one replica. All replicas of a cluster must have the same `nodes` and the same quorum sizes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// All nodes, this one included.
    pub nodes: Vec<NodeId>,
    /// The number of promises that a candidate needs to lead, its own included.
    pub phase1_quorum: usize,
    /// The number of votes that choose a value.
    pub phase2_quorum: usize,
    /// A leader proposes clients' commands only in the first `in_flight_max` slots after the chosen prefix of its log
    /// (Lamport's α).
    pub in_flight_max: u64,
    /// The number of slots beyond the end of its log for which a replica takes values. It treats a Promise, Accept or
    /// Learned message with later slots as lost, so that a wrong slot number cannot use up the memory.
    pub slots_ahead_max: u64,
    /// The highest number of slots in an Accept message that proposes adopted values or is sent again, and in a
    /// Learned message. An Accept message with new commands has as many slots as the replica got commands at once.
    pub batch_slots_max: u64,
}

/// The reason why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// This node is not one of the nodes.
    #[error("node {id} is not among the nodes {}; add it to `nodes` or change `id`", list(nodes))]
    UnknownId {
        /// The configured id.
        id: NodeId,
        /// The configured nodes.
        nodes: Vec<NodeId>,
    },
    /// A node is listed more than once.
    #[error("node {0} is listed more than once; every node needs an id of its own")]
    DuplicateId(NodeId),
    /// There are more than [`NODES_MAX`] nodes.
    #[error("{0} nodes are too many; at most {NODES_MAX} are supported")]
    TooManyNodes(usize),
    /// A quorum is empty or has more nodes than the cluster.
    #[error("the phase {phase} quorum is {size}; with {nodes} nodes it must be 1 to {nodes}")]
    QuorumSize {
        /// 1 or 2.
        phase: u8,
        /// The configured size.
        size: usize,
        /// The number of nodes.
        nodes: usize,
    },
    /// A quorum of phase 1 need not share a node with a quorum of phase 2.
    #[error(
        "quorums of {phase1} (phase 1) and {phase2} (phase 2) of {nodes} nodes need not share a \
         node; their sum must be at least {}", nodes + 1
    )]
    QuorumsDoNotIntersect {
        /// The phase 1 quorum.
        phase1: usize,
        /// The phase 2 quorum.
        phase2: usize,
        /// The number of nodes.
        nodes: usize,
    },
    /// A limit is zero or too high.
    #[error("`{name}` is {found}; it must be 1 to {most}")]
    Limit {
        /// The field of [`Config`].
        name: &'static str,
        /// The configured limit.
        found: u64,
        /// The highest limit.
        most: u64,
    },
}

fn list(nodes: &[NodeId]) -> String {
    nodes.iter().join(", ")
}

impl Config {
    /// Returns a configuration with majority quorums and the default limits.
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
            batch_slots_max: 1 << 16,
        }
    }

    /// Sets the quorum sizes (Flexible Paxos: only quorums of different phases need to intersect).
    #[must_use]
    pub fn with_quorums(self, phase1_quorum: usize, phase2_quorum: usize) -> Self {
        Self { phase1_quorum, phase2_quorum, ..self }
    }

    /// Checks that a replica can run with this configuration.
    ///
    /// # Errors
    /// Fails with the first fault that it finds.
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
        // A replica that has none of the slots of a batch ignores the batch if it is longer than `slots_ahead_max`.
        // Its peers would send it again for ever.
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

    /// Returns the index of a node in `nodes`. The index is the bit of the node in a
    /// [`NodeSet`](crate::protocol::NodeSet).
    pub(crate) fn index(&self, node: NodeId) -> Option<usize> {
        self.nodes.iter().position(|&other| other == node)
    }
}
