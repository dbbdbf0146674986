//! The reasons for which a node does not run.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::peers::handshake::Members;
use crate::machine::RestoreError;
use paxos::{
    protocol::RecoverError,
    types::{NodeId, Slot},
};
use paxos_store::StorageError;

/// The reason for which a node does not start, or stops.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The store failed, or its contents cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The records belong to another node, or contradict the configuration.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The state machine cannot restore the snapshot of the store.
    #[error("the snapshot on the disk: {0}")]
    Restore(#[from] RestoreError),
    /// The system cannot start the thread of the node.
    #[error("cannot start the thread of the node: {0}")]
    Thread(#[source] io::Error),
    /// The recording cannot be created.
    #[error("cannot record in {}: {error}", directory.display())]
    Recording {
        /// The directory of the recordings.
        directory: PathBuf,
        /// The error.
        #[source]
        error: io::Error,
    },
    /// The store belongs to a node with other members.
    #[error(
        "the store is of a cluster of nodes {noted}; this node was told that they are {given}. Members cannot be \
         changed yet: start it with the peers that it had. (If that cluster was never formed, empty the directories \
         of all its nodes.)"
    )]
    Members {
        /// The members that the store has noted.
        noted: Members,
        /// The members of the configuration.
        given: Members,
    },
    /// The state machine has panicked, and too many commands were chosen since.
    #[error(
        "the state machine has halted at slot {slot}, and the log has grown since; started again, this node gets a \
         snapshot from a node that has applied the slot"
    )]
    Halted {
        /// The slot whose command has panicked.
        slot: Slot,
    },
    /// A peer has found earlier that this store has lost a part of its memory.
    #[error("this node may not come back with this store: it was {reason}")]
    Banned {
        /// The answer of the peer.
        reason: String,
    },
    /// A peer knows another store, or a later incarnation, of this node.
    #[error("node {by} refuses this node: {reason}")]
    Refused {
        /// The peer.
        by: NodeId,
        /// The answer of the peer.
        reason: String,
    },
}
