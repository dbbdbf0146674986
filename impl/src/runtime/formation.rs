//! Who may take part: nodes that have their memory.
//!
//! A node that has lost its disk has forgotten its promises, and must not come back under its id. So
//! each store has an identity, made at random with it. A node whose store is new takes no part until
//! every other node has durably noted that identity under its id; and a node that has noted another one
//! refuses. All of them have to meet once, when a cluster is formed; from then on any quorum will do.

use crate::{
    storage::{Storage, StorageError, StoreId},
    types::NodeId,
};

/// The note that says that all others know this store.
const FORMED: &str = "formed";

/// What a node knows of the stores of others, and they of its own.
#[derive(Debug)]
pub(super) struct Formation {
    /// Peers that have not yet said that they know this node's store.
    missing: Vec<NodeId>,
}

impl Formation {
    /// As the store remembers it.
    pub(super) fn recover(storage: &impl Storage, peers: &[NodeId]) -> Result<Self, StorageError> {
        let formed = peers.is_empty() || storage.noted(FORMED)?.is_some();
        Ok(Self { missing: if formed { Vec::new() } else { peers.to_vec() } })
    }

    /// Without introductions: nobody will notice a lost disk.
    pub(super) fn trusting() -> Self {
        Self { missing: Vec::new() }
    }

    /// Whether this node may take part.
    pub(super) fn complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Who has still to be met.
    pub(super) fn missing(&self) -> &[NodeId] {
        &self.missing
    }

    /// A peer says that it knows this node's store.
    pub(super) fn welcomed(
        &mut self,
        by: NodeId,
        storage: &mut impl Storage,
    ) -> Result<(), StorageError> {
        let before = self.missing.len();
        self.missing.retain(|&peer| peer != by);
        if before > 0 && self.missing.is_empty() {
            storage.note(FORMED, b"")?;
        }
        Ok(())
    }

    /// A peer introduces itself with its store. Noted for ever, or refused with the reason.
    pub(super) fn introduce(
        peer: NodeId,
        store: StoreId,
        storage: &mut impl Storage,
    ) -> Result<Result<(), String>, StorageError> {
        let name = format!("store of node {peer}");
        match storage.noted(&name)? {
            None => storage.note(&name, &store.0.to_le_bytes())?,
            Some(noted) if noted[..] == store.0.to_le_bytes() => {}
            Some(_) => {
                return Ok(Err(format!(
                    "node {peer} was here before with another store. Its disk was lost or replaced, and with \
                     it what it had promised: it may not come back under this id. Start it with its \
                     old data, or not at all (replacing a node is not offered yet)"
                )));
            }
        }
        Ok(Ok(()))
    }
}
