//! The owner of a store.

use serde::{Deserialize, Serialize};

use crate::StorageError;
use paxos::types::NodeId;

/// The owner of a store: one node of one cluster. A store is opened only for its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The name of the cluster.
    pub cluster: String,
    /// The node within the cluster.
    pub node: NodeId,
}

impl Identity {
    /// Fails if this is not the expected owner.
    pub(super) fn expect(&self, expected: &Self) -> Result<(), StorageError> {
        let differs = |what, found: &dyn ToString, expected: &dyn ToString| {
            let (found, expected) = (found.to_string(), expected.to_string());
            Err(StorageError::Foreign { what, found, expected })
        };
        if self.cluster != expected.cluster {
            return differs("cluster", &self.cluster, &expected.cluster);
        }
        if self.node != expected.node {
            return differs("node", &self.node, &expected.node);
        }
        Ok(())
    }
}
