//! Stores in memory. Their content survives the crash of a node, and ends with the process.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{SnapshotFile, Storage, StorageError, StoreId, check_covered, highest_trim};
use paxos::{
    event::Record,
    protocol::{RecoverError, acceptor::Acceptor},
    types::{Slot, Value},
};

/// The durable records, reduced to the state that they lead to. This is the state of an acceptor: the promise, the
/// trimmed slots, and the last vote in every other slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    image: Acceptor,
}

impl Memory {
    /// Makes records durable.
    ///
    /// # Errors
    /// Fails at the first record that contradicts the stored ones. The records before it are stored. The record
    /// itself may be stored in part. The records after it are not stored.
    pub fn append(&mut self, records: &[Record]) -> Result<(), RecoverError> {
        records.iter().try_for_each(|record| self.image.replay(record))
    }

    /// Returns records with the stored state, for [`Replica::recover`](paxos::Replica::recover).
    pub fn records(&self) -> Vec<Record> {
        self.image.records()
    }

    /// Returns the stored state.
    pub fn image(&self) -> &Acceptor {
        &self.image
    }
}

/// A store in memory. After its node has crashed, [`reopen`](Self::reopen) returns the same store again.
#[derive(Debug)]
pub struct MemoryStore {
    id: StoreId,
    kept: Arc<Mutex<Kept>>,
    failed: Option<String>,
}

#[derive(Debug, Default)]
struct Kept {
    records: Memory,
    snapshot: Option<(Slot, MemorySnapshot)>,
    notes: BTreeMap<String, Bytes>,
}

/// A snapshot in memory. The store gets its bytes when it adopts the snapshot.
#[derive(Clone, Debug, Default)]
pub struct MemorySnapshot(Arc<Vec<u8>>);

impl io::Write for MemorySnapshot {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Arc::make_mut(&mut self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SnapshotFile for MemorySnapshot {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = self.0.get(start..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MemoryStore {
    /// Returns an empty store.
    pub fn new(id: StoreId) -> Self {
        Self { id, kept: Arc::default(), failed: None }
    }

    /// Returns the same store after a crash. It shares its content with this one.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self { id: self.id, kept: Arc::clone(&self.kept), failed: None }
    }

    /// Locks the content. A panic of a thread that holds the lock does not damage the content.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a change, unless an earlier one failed. If this one fails, all later ones are refused.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Kept) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        if let Some(first) = self.failed.clone() {
            return Err(StorageError::Poisoned { first });
        }
        let changed = change(&mut self.kept());
        self.failed = changed.as_ref().err().map(ToString::to_string);
        changed
    }
}

impl Storage for MemoryStore {
    type SnapshotFile = MemorySnapshot;

    fn recover(&mut self) -> Result<Vec<Record>, StorageError> {
        Ok(self.kept().records.records())
    }

    fn persist(&mut self, records: &[Record]) -> Result<(), StorageError> {
        self.change(|kept| {
            if let Some(below) = highest_trim(records) {
                check_covered(kept.snapshot.as_ref().map(|(covered, _)| *covered), below)?;
            }
            Ok(kept.records.append(records)?)
        })
    }

    fn snapshot(&self) -> Option<(Slot, MemorySnapshot)> {
        self.kept().snapshot.clone()
    }

    fn begin_snapshot(&mut self) -> Result<MemorySnapshot, StorageError> {
        self.change(|_| Ok(MemorySnapshot::default()))
    }

    fn adopt_snapshot(&mut self, below: Slot, file: MemorySnapshot) -> Result<(), StorageError> {
        self.change(|kept| {
            check_covered(Some(below), kept.records.image.trimmed)?;
            kept.snapshot = Some((below, file));
            Ok(())
        })
    }

    fn note(&mut self, name: &str, value: &[u8]) -> Result<(), StorageError> {
        self.change(|kept| {
            kept.notes.insert(name.into(), Bytes::copy_from_slice(value));
            Ok(())
        })
    }

    fn persist_and_note(
        &mut self,
        records: &[Record],
        name: &str,
        value: &[u8],
    ) -> Result<(), StorageError> {
        self.persist(records)?;
        self.note(name, value)
    }

    fn noted(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        Ok(self.kept().notes.get(name).cloned())
    }

    fn id(&self) -> StoreId {
        self.id
    }

    fn disk_bytes(&self) -> u64 {
        let kept = self.kept();
        let state = kept.snapshot.as_ref().map_or(0, |(_, file)| file.0.len());
        let votes = kept.records.image.votes.iter().map(|(_, _, value)| match value {
            Value::Noop => 1,
            Value::Command(command) => command.len(),
        });
        (state + votes.sum::<usize>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{self, Harness};

    struct InMemory;

    impl Harness for InMemory {
        type Store = MemoryStore;

        fn create(&mut self) -> MemoryStore {
            MemoryStore::new(StoreId(7))
        }

        fn crash(&mut self, store: MemoryStore) -> MemoryStore {
            store.reopen()
        }
    }

    #[test]
    fn the_contract_is_kept() {
        contract::check(&mut InMemory);
    }
}
