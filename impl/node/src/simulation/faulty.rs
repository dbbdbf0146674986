//! A store that fails when it is told to.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use paxos::{event::Record, types::Slot};
use paxos_store::{MemorySnapshot, MemoryStore, Storage, StorageError, StoreId};

/// A store that fails at a certain change, and says what it was asked for.
pub(super) struct Faulty {
    pub(super) inner: MemoryStore,
    /// How many changes succeed.
    pub(super) changes_left: Arc<Mutex<Option<u64>>>,
}

impl Faulty {
    fn change(&self) -> Result<(), StorageError> {
        let mut left = self.changes_left.lock().expect("one thread");
        match left.as_mut() {
            Some(0) => Err(StorageError::Poisoned { first: "failed on purpose".to_owned() }),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Storage for Faulty {
    type SnapshotFile = MemorySnapshot;

    fn recover(&mut self) -> Result<Vec<Record>, StorageError> {
        self.inner.recover()
    }

    fn persist(&mut self, records: &[Record]) -> Result<(), StorageError> {
        self.change()?;
        self.inner.persist(records)
    }

    fn snapshot(&self) -> Option<(Slot, MemorySnapshot)> {
        self.inner.snapshot()
    }

    fn begin_snapshot(&mut self) -> Result<MemorySnapshot, StorageError> {
        self.inner.begin_snapshot()
    }

    fn adopt_snapshot(&mut self, below: Slot, file: MemorySnapshot) -> Result<(), StorageError> {
        self.change()?;
        self.inner.adopt_snapshot(below, file)
    }

    fn note(&mut self, name: &str, fact: &[u8]) -> Result<(), StorageError> {
        self.change()?;
        self.inner.note(name, fact)
    }

    fn noted(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        self.inner.noted(name)
    }

    fn id(&self) -> StoreId {
        self.inner.id()
    }

    fn disk_bytes(&self) -> u64 {
        self.inner.disk_bytes()
    }
}
