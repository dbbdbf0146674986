//! Why a node does not run.

use thiserror::Error;

use super::peers::Members;
use crate::machine::RestoreError;
use paxos::{
    protocol::RecoverError,
    types::{NodeId, Slot},
};
use paxos_store::StorageError;

/// Why a node does not start, or stops.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The store failed, or what it holds cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What the store holds is not this node's, or does not fit the configuration.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The store has a snapshot that the machine does not understand.
    #[error("the snapshot on the disk: {0}")]
    Restore(#[from] RestoreError),
    /// The store is that of a node with other members.
    #[error(
        "the store is of a cluster of nodes {noted}; this node was told that they are {given}. Members cannot be \
         changed yet: start it with the peers that it had. (If that cluster was never formed, empty the directories \
         of all its nodes.)"
    )]
    Members {
        /// Those that the store has noted.
        noted: Members,
        /// Those of the configuration.
        given: Members,
    },
    /// The state machine has panicked, and the other nodes have gone on for so long that this one keeps too much.
    #[error(
        "the state machine has halted at slot {slot}, and the log has grown since; started again, this node gets a \
         snapshot from a node that has applied the slot"
    )]
    Halted {
        /// Where.
        slot: Slot,
    },
    /// A peer has found out earlier that this node has lost its memory, or a part of it.
    #[error("this node may not come back with this store: it was {reason}")]
    Banned {
        /// What the peer has said.
        reason: String,
    },
    /// A peer knows that this node's store is not the one it had.
    #[error("node {by} refuses this node: {reason}")]
    Refused {
        /// The peer.
        by: NodeId,
        /// What it says.
        reason: String,
    },
}
