//! The disk of a node: a store in memory that outlives the node. A test can make it fail or forget.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use paxos::{Ballot, Message, Record, Slot};
use paxos_store::{MemorySnapshot, MemoryStore, Storage, StorageError, StoreId};

/// A disk. A clone is the same disk.
#[derive(Clone, Debug)]
pub struct Disk {
    store: Arc<MemoryStore>,
    fault: Arc<Mutex<Fault>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Fault {
    /// The number of changes that succeed before all changes fail. `None` if the disk does not fail.
    changes_left: Option<u64>,
    /// True if the disk drops records that it calls durable.
    forgets: bool,
}

impl Disk {
    /// Returns an empty disk.
    pub fn new(id: StoreId) -> Self {
        Self { store: Arc::new(MemoryStore::new(id)), fault: Arc::default() }
    }

    /// Opens the store for a node that starts.
    pub fn open(&self) -> FaultyStore {
        FaultyStore { inner: self.store.reopen(), fault: self.fault.clone() }
    }

    /// Makes each change fail, after `changes` more that succeed.
    pub fn fail_after(&self, changes: u64) {
        self.fault().changes_left = Some(changes);
    }

    /// From now on the disk says that new records are durable, but drops them. It keeps snapshots and metadata.
    pub fn forget(&self) {
        self.fault().forgets = true;
    }

    /// Ends all faults.
    pub fn mend(&self) {
        *self.fault() = Fault::default();
    }

    /// Returns the durable records.
    pub fn records(&self) -> Vec<Record> {
        self.store.reopen().recover().expect("memory can be read")
    }

    /// Returns true if the durable records of the sender allow a message. Most messages need the promise of their
    /// ballot, and a Nack message needs the promise that it names. Accepted and Chosen messages need the sender's own
    /// votes. A Trimmed message needs its trim. Learn, Learned and Confirmed messages need nothing. The reports of a
    /// Promise message are not checked.
    pub fn backs(&self, message: &Message) -> bool {
        let durable = self.records();
        let promised = |ballot: Ballot| {
            durable.iter().any(|record| match record {
                Record::Promised(promised) => *promised >= ballot,
                Record::Accepted { ballot: voted, .. } => *voted >= ballot,
                Record::Trimmed { .. } => false,
            })
        };
        let voted = |ballot: Ballot, slot: u64| {
            durable.iter().any(|record| match record {
                Record::Accepted { ballot: voted, first, values } => {
                    *voted >= ballot && (first.0..first.0 + values.len() as u64).contains(&slot)
                }
                Record::Trimmed { below } => slot < below.0,
                Record::Promised(_) => false,
            })
        };
        match message {
            Message::Prepare { ballot, .. }
            | Message::Promise { ballot, .. }
            | Message::Accept { ballot, .. }
            | Message::Confirm { ballot, .. }
            | Message::Heartbeat { ballot, .. }
            | Message::Nack { promised: ballot, .. } => promised(*ballot),
            Message::Accepted { ballot, first, count }
            | Message::Chosen { ballot, first, count } => {
                (first.0..first.0 + count).all(|slot| voted(*ballot, slot))
            }
            Message::Trimmed { below } => durable.contains(&Record::Trimmed { below: *below }),
            Message::Learn { .. } | Message::Learned { .. } | Message::Confirmed { .. } => true,
        }
    }

    /// Returns true if a durable snapshot has the effect of all slots below `below`.
    pub fn backs_snapshot(&self, below: Slot) -> bool {
        self.store.snapshot().is_some_and(|(durable, _)| durable >= below)
    }

    fn fault(&self) -> MutexGuard<'_, Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The store of a node on a [`Disk`].
#[derive(Debug)]
pub struct FaultyStore {
    inner: MemoryStore,
    fault: Arc<Mutex<Fault>>,
}

impl FaultyStore {
    /// Counts a change, and fails if it is the turn of the fault. Returns false if the disk forgets records.
    fn change(&self) -> Result<bool, StorageError> {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut fault.changes_left {
            Some(0) => return Err(StorageError::Poisoned { first: "the disk fails".to_owned() }),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(!fault.forgets)
    }
}

impl Storage for FaultyStore {
    type SnapshotFile = MemorySnapshot;

    fn recover(&mut self) -> Result<Vec<Record>, StorageError> {
        self.inner.recover()
    }

    fn persist(&mut self, records: &[Record]) -> Result<(), StorageError> {
        if self.change()? { self.inner.persist(records) } else { Ok(()) }
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

    fn persist_and_note(
        &mut self,
        records: &[Record],
        name: &str,
        value: &[u8],
    ) -> Result<(), StorageError> {
        if self.change()? { self.inner.persist_and_note(records, name, value) } else { Ok(()) }
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

#[cfg(test)]
mod tests {
    use paxos::{NodeId, Value};
    use paxos_store::{Snapshot, contract};

    use super::*;

    struct Disks(Disk);

    impl contract::Harness for Disks {
        type Store = FaultyStore;

        fn create(&mut self) -> FaultyStore {
            self.0 = Disk::new(StoreId(7));
            self.0.open()
        }

        fn crash(&mut self, store: FaultyStore) -> FaultyStore {
            drop(store);
            self.0.open()
        }
    }

    #[test]
    fn a_disk_without_faults_is_a_store() {
        contract::check(&mut Disks(Disk::new(StoreId(7))));
    }

    fn ballot(round: u64) -> Ballot {
        Ballot::new(round, NodeId(1)).expect("rounds begin with 1")
    }

    #[test]
    fn a_disk_fails_and_forgets_on_demand() {
        let disk = Disk::new(StoreId(7));
        let promised = |round| [Record::Promised(ballot(round))];
        let mut store = disk.open();
        disk.fail_after(1);
        assert!(store.persist(&promised(1)).is_ok());
        assert!(store.persist(&promised(2)).is_err() && store.note("name", b"").is_err());
        disk.mend();
        disk.forget();
        assert!(store.persist(&promised(3)).is_ok());
        assert_eq!(disk.records(), promised(1), "the second failed, and the third is forgotten");
    }

    /// A proposal needs the durable promise of its ballot. A message that follows from a vote needs the durable vote.
    #[test]
    fn messages_are_backed_by_what_is_durable() {
        let (first, value) = (Slot(4), Value::Noop);
        let vote = Record::Accepted { ballot: ballot(2), first, values: [value.clone()].into() };
        let proposal = |round| {
            let values = [value.clone()].into();
            Message::Accept { ballot: ballot(round), first, values }
        };
        let backs = |durable: &[Record], message: &Message| {
            let disk = Disk::new(StoreId(1));
            disk.open().persist(durable).expect("there are no faults");
            disk.backs(message)
        };
        let promised = [Record::Promised(ballot(2))];
        assert!(backs(&promised, &proposal(2)));
        let earlier = [Record::Promised(ballot(1))];
        assert!(!backs(&earlier, &proposal(2)), "its ballot may be begun again");
        let (ballot, count) = (ballot(2), 1);
        for follows in [
            Message::Accepted { ballot, first, count },
            Message::Chosen { ballot, first, count },
            Message::Chosen { ballot, first, count: 2 },
        ] {
            assert!(!backs(&promised, &follows), "{follows:?} follows from a vote");
        }
        assert!(backs(&[vote], &Message::Chosen { ballot, first, count }));
        let promise = Message::Promise { ballot, trimmed: Slot(0), reports: Vec::new() };
        assert!(!backs(&[], &promise));
        let disk = Disk::new(StoreId(1));
        let snapshot = Snapshot { below: Slot(4), state: Bytes::new() };
        disk.open().persist_snapshot(&snapshot).expect("there are no faults");
        assert!(disk.backs_snapshot(Slot(4)) && !disk.backs_snapshot(Slot(5)));
    }
}
