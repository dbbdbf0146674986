//! Stores that forget nothing but the process they live in.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{Recovered, Snapshot, Storage, StorageError, StoreId, covers, trims};
use crate::{
    event::Record,
    protocol::{RecoverError, acceptor::Acceptor},
    types::Value,
};

/// What is durable, folded: the promise, and of every slot the last accepted entry. That is exactly
/// an acceptor, so it is kept as one; an older entry of the same slot is of no use to anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    image: Acceptor,
}

impl Memory {
    /// Makes records durable.
    ///
    /// # Errors
    /// Records that contradict what is stored are refused; nothing that follows them is stored.
    pub fn append(&mut self, records: &[Record]) -> Result<(), RecoverError> {
        records.iter().try_for_each(|record| self.image.replay(record))
    }

    /// All that is stored, as records for [`Replica::recover`](crate::Replica::recover).
    pub fn records(&self) -> Vec<Record> {
        self.image.records()
    }

    /// What is stored, to be looked at.
    pub fn image(&self) -> &Acceptor {
        &self.image
    }
}

/// A whole store in memory. [`reopen`](Self::reopen) it after its node has crashed: what was stored
/// is shared by all that came of one [`new`](Self::new).
#[derive(Debug)]
pub struct MemoryStore {
    id: StoreId,
    kept: Arc<Mutex<Kept>>,
    failed: Option<String>,
}

#[derive(Debug, Default)]
struct Kept {
    records: Memory,
    snapshot: Option<Snapshot>,
    notes: BTreeMap<String, Bytes>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(id: StoreId) -> Self {
        Self { id, kept: Arc::default(), failed: None }
    }

    /// The same store for the next process.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self { id: self.id, kept: Arc::clone(&self.kept), failed: None }
    }

    /// A panic elsewhere does not make what is stored less true.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is kept, unless an earlier change failed.
    fn change(
        &mut self,
        change: impl FnOnce(&mut Kept) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        if let Some(first) = self.failed.clone() {
            return Err(StorageError::Poisoned { first });
        }
        let changed = change(&mut self.kept());
        self.failed = changed.as_ref().err().map(ToString::to_string);
        changed
    }
}

impl Storage for MemoryStore {
    fn recover(&mut self) -> Result<Recovered, StorageError> {
        let kept = self.kept();
        Ok(Recovered { snapshot: kept.snapshot.clone(), records: kept.records.records() })
    }

    fn persist(&mut self, records: &[Record]) -> Result<(), StorageError> {
        self.change(|kept| {
            if let Some(below) = trims(records) {
                covers(kept.snapshot.as_ref().map(|snapshot| snapshot.below), below)?;
            }
            Ok(kept.records.append(records)?)
        })
    }

    fn persist_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), StorageError> {
        self.change(|kept| {
            covers(Some(snapshot.below), kept.records.image.trimmed)?;
            kept.snapshot = Some(snapshot.clone());
            Ok(())
        })
    }

    fn note(&mut self, name: &str, fact: &[u8]) -> Result<(), StorageError> {
        self.change(|kept| {
            kept.notes.insert(name.into(), Bytes::copy_from_slice(fact));
            Ok(())
        })
    }

    fn noted(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        Ok(self.kept().notes.get(name).cloned())
    }

    fn id(&self) -> StoreId {
        self.id
    }

    fn disk_bytes(&self) -> u64 {
        let kept = self.kept();
        let state = kept.snapshot.as_ref().map_or(0, |snapshot| snapshot.state.len());
        let votes = kept.records.image.votes.iter().map(|(_, vote)| match &vote.value {
            Value::Noop => 1,
            Value::Command(command) => command.len(),
        });
        (state + votes.sum::<usize>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::contract::{self, Harness};

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
