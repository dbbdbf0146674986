//! Whose store it is.

use serde::{Deserialize, Serialize};

use crate::{
    storage::{StorageError, StoreId},
    types::NodeId,
};

/// The format that is written, and the newest that is read.
pub const FORMAT: u32 = 1;

/// Whom a store belongs to. It is opened only for exactly that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The name of the cluster.
    pub cluster: String,
    /// The node within it.
    pub node: NodeId,
}

impl Identity {
    /// Refuses the store of somebody else.
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

/// The row that says so. The format comes first and will always be there.
pub(super) fn write(identity: &Identity, id: StoreId, row: &mut Vec<u8>) {
    row.extend_from_slice(&FORMAT.to_le_bytes());
    postcard::to_io(&(identity, id), row).expect("an identity can be written to memory");
}

/// Reads that row.
pub(super) fn read(row: &[u8]) -> Result<(Identity, StoreId), StorageError> {
    let Some((format, rest)) = row.split_first_chunk() else {
        return Err(StorageError::damaged("the identity has no format"));
    };
    let found = u32::from_le_bytes(*format);
    if found > FORMAT {
        return Err(StorageError::Format { found, known: FORMAT });
    }
    postcard::from_bytes(rest)
        .map_err(|error| StorageError::damaged(format!("the identity cannot be read: {error}")))
}
