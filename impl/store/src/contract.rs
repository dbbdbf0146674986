//! The contract of a [`Storage`], as tests for any store.
//!
//! ```
//! use paxos_store::{MemoryStore, StoreId, contract::{self, Harness}};
//!
//! struct InMemory;
//!
//! impl Harness for InMemory {
//!     type Store = MemoryStore;
//!
//!     fn create(&mut self) -> MemoryStore {
//!         MemoryStore::new(StoreId(7))
//!     }
//!
//!     fn crash(&mut self, store: MemoryStore) -> MemoryStore {
//!         store.reopen()
//!     }
//! }
//!
//! contract::check(&mut InMemory);
//! ```

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    iter,
};

use bytes::Bytes;

use super::{Memory, Snapshot, SnapshotFile, Storage, StorageError};
use paxos::{
    event::Record,
    types::{Ballot, NodeId, Slot, Value},
};

/// Makes stores for the tests, and crashes them.
pub trait Harness {
    /// The store under test.
    type Store: Storage;

    /// Makes a new store.
    fn create(&mut self) -> Self::Store;

    /// Simulates the worst crash that the store has to withstand, and opens the store again.
    fn crash(&mut self, store: Self::Store) -> Self::Store;
}

/// Runs all tests.
///
/// # Panics
/// Panics if the store breaks the contract. The message names the test and the difference.
pub fn check<H: Harness>(harness: &mut H) {
    a_new_store_is_empty(harness);
    durable_changes_survive(harness);
    a_trim_needs_a_snapshot(harness);
    a_snapshot_covers_what_is_trimmed(harness);
    a_snapshot_that_is_not_adopted_changes_nothing(harness);
    the_store_is_used_while_a_snapshot_is_written(harness);
    an_error_poisons_the_store(harness);
    for seed in 1..=4 {
        any_sequence_of_steps_survives(harness, seed);
    }
}

/// A new store is empty and keeps its id. A crash does not change either.
pub fn a_new_store_is_empty<H: Harness>(harness: &mut H) {
    let mut store = harness.create();
    assert_eq!(Contents::of(&mut store), Contents::default(), "new");
    let id = store.id();
    let mut store = harness.crash(store);
    assert_eq!(Contents::of(&mut store), Contents::default(), "new, after a crash");
    assert_eq!(store.id(), id, "the id stays");
}

/// A change that the store acknowledged survives a crash, and can be read any number of times.
pub fn durable_changes_survive<H: Harness>(harness: &mut H) {
    let steps = [
        Step::Persist(vec![promised(1)]),
        Step::Note("peer".into(), Bytes::from_static(b"one")),
        Step::Persist(vec![accepted(1, 0, 3), promised(2)]),
        Step::Persist(vec![]),
        Step::Note(String::new(), Bytes::new()),
        Step::Snapshot(snapshot(2, 300_000)),
        Step::Persist(vec![accepted(2, 1, 4), Record::Trimmed { below: Slot(2) }]),
        Step::Note("peer".into(), Bytes::from_static(b"two")),
        Step::Snapshot(snapshot(5, 0)),
        Step::Persist(vec![Record::Trimmed { below: Slot(5) }]),
        Step::PersistAndNote(vec![accepted(3, 5, 1)], "peers".into(), Bytes::from_static(b"three")),
    ];
    let (mut store, mut expected) = (harness.create(), Contents::default());
    for step in &steps {
        step.take(&mut store).unwrap_or_else(|error| panic!("{step:?}: {error}"));
        expected.take(step);
        assert_eq!(Contents::of(&mut store), expected, "after {step:?}");
        store = harness.crash(store);
        assert_eq!(Contents::of(&mut store), expected, "after {step:?} and a crash");
        assert_eq!(Contents::of(&mut store), expected, "asked once more");
    }
    assert_eq!(store.noted("unknown").expect("reads"), None);
}

/// The store refuses a trim unless a durable snapshot covers the trimmed slots.
pub fn a_trim_needs_a_snapshot<H: Harness>(harness: &mut H) {
    for covered in [None, Some(2)] {
        let mut store = harness.create();
        store.persist(&[accepted(1, 0, 4)]).expect("persists");
        if let Some(below) = covered {
            store.persist_snapshot(&snapshot(below, 10)).expect("persists");
        }
        let before = Contents::of(&mut store);
        let refused = store.persist(&[Record::Trimmed { below: Slot(3) }]);
        let covered = covered.map(Slot);
        assert!(
            matches!(refused, Err(StorageError::Uncovered { trimmed: Slot(3), snapshot }) if snapshot == covered),
            "{refused:?}"
        );
        let mut store = harness.crash(store);
        assert_eq!(Contents::of(&mut store), before, "nothing was changed");
    }
}

/// The store refuses a snapshot that does not cover the trimmed slots.
pub fn a_snapshot_covers_what_is_trimmed<H: Harness>(harness: &mut H) {
    let mut store = harness.create();
    store.persist(&[accepted(1, 0, 4)]).expect("persists");
    store.persist_snapshot(&snapshot(3, 10)).expect("persists");
    store.persist(&[Record::Trimmed { below: Slot(2) }]).expect("persists");
    store.persist_snapshot(&snapshot(2, 10)).expect("covers what is trimmed");
    let before = Contents::of(&mut store);
    let refused = store.persist_snapshot(&snapshot(1, 10));
    assert!(
        matches!(
            refused,
            Err(StorageError::Uncovered { trimmed: Slot(2), snapshot: Some(Slot(1)) })
        ),
        "{refused:?}"
    );
    let mut store = harness.crash(store);
    assert_eq!(Contents::of(&mut store), before, "nothing was changed");
}

/// A snapshot replaces the durable one only when it is adopted, even if all of it was written and synced before.
pub fn a_snapshot_that_is_not_adopted_changes_nothing<H: Harness>(harness: &mut H) {
    let mut store = harness.create();
    store.persist_snapshot(&snapshot(3, 300_000)).expect("persists");
    let before = Contents::of(&mut store);
    let mut file = store.begin_snapshot().expect("begins");
    file.write_all(&snapshot(4, 400_000).state).expect("writes");
    file.sync().expect("syncs");
    assert_eq!(Contents::of(&mut store), before, "while the next one is written");
    drop(file);
    let mut store = harness.crash(store);
    assert_eq!(Contents::of(&mut store), before, "after a crash");
    // A new file is empty, whatever bytes an earlier one has left.
    let file = store.begin_snapshot().expect("begins");
    assert_eq!(file.length(), 0);
    store.adopt_snapshot(Slot(5), file).expect("adopts");
    let mut store = harness.crash(store);
    assert_eq!(Contents::of(&mut store).snapshot, Some(snapshot(5, 0)));
}

/// Another thread writes a snapshot piece by piece while records are persisted.
pub fn the_store_is_used_while_a_snapshot_is_written<H: Harness>(harness: &mut H) {
    let (mut store, mut expected) = (harness.create(), Contents::default());
    let next = snapshot(2, 300_000);
    let mut file = store.begin_snapshot().expect("begins");
    let state = next.state.clone();
    let thread = std::thread::spawn(move || {
        for piece in state.chunks(1000) {
            file.write_all(piece).expect("writes");
        }
        file.sync().expect("syncs");
        file
    });
    for slot in 0..20 {
        let step = Step::Persist(vec![accepted(1, slot, 1)]);
        step.take(&mut store).expect("persists");
        expected.take(&step);
    }
    let file = thread.join().expect("it ends");
    assert_eq!(file.length(), next.state.len() as u64);
    let mut middle = [0; 10];
    file.read_at(1000, &mut middle).expect("reads");
    assert_eq!(middle, next.state[1000..1010]);
    assert!(file.read_at(next.state.len() as u64 - 9, &mut middle).is_err(), "there are nine");
    store.adopt_snapshot(next.below, file).expect("adopts");
    expected.take(&Step::Snapshot(next));
    assert_eq!(Contents::of(&mut store), expected);
    let mut store = harness.crash(store);
    assert_eq!(Contents::of(&mut store), expected, "after a crash");
}

/// After an error the store refuses every change until it is opened again.
pub fn an_error_poisons_the_store<H: Harness>(harness: &mut H) {
    let mut store = harness.create();
    store.persist(&[promised(1)]).expect("persists");
    let before = Contents::of(&mut store);
    store.persist(&[Record::Trimmed { below: Slot(1) }]).expect_err("there is no snapshot");
    for (what, refused) in [
        ("records", store.persist(&[promised(2)])),
        ("nothing", store.persist(&[])),
        ("a snapshot", store.persist_snapshot(&snapshot(1, 1))),
        ("a note", store.note("a", b"b")),
    ] {
        assert!(matches!(refused, Err(StorageError::Poisoned { .. })), "{what}: {refused:?}");
    }
    let mut store = harness.crash(store);
    assert_eq!(Contents::of(&mut store), before, "nothing was changed");
    store.persist(&[promised(2)]).expect("persists again");
}

/// A long sequence of random steps, with a crash after every tenth.
pub fn any_sequence_of_steps_survives<H: Harness>(harness: &mut H, seed: u64) {
    let (mut store, mut expected) = (harness.create(), Contents::default());
    for (number, step) in steps(seed).take(150).enumerate() {
        step.take(&mut store).unwrap_or_else(|error| panic!("{step:?}: {error}"));
        expected.take(&step);
        if number % 10 == 9 {
            assert_eq!(Contents::of(&mut store), expected, "seed {seed}, after step {number}");
            store = harness.crash(store);
            assert_eq!(Contents::of(&mut store), expected, "seed {seed}, step {number}, crash");
        }
    }
}

/// One change of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// [`Storage::persist`].
    Persist(Vec<Record>),
    /// [`Storage::persist_snapshot`].
    Snapshot(Snapshot),
    /// [`Storage::note`].
    Note(String, Bytes),
    /// [`Storage::persist_and_note`].
    PersistAndNote(Vec<Record>, String, Bytes),
}

impl Step {
    /// Performs the step on a store.
    ///
    /// # Errors
    /// Fails if the change of the store fails.
    pub fn take(&self, store: &mut impl Storage) -> Result<(), StorageError> {
        match self {
            Self::Persist(records) => store.persist(records),
            Self::Snapshot(snapshot) => store.persist_snapshot(snapshot),
            Self::Note(name, value) => store.note(name, value),
            Self::PersistAndNote(records, name, value) => {
                store.persist_and_note(records, name, value)
            }
        }
    }
}

/// The content of a store, for comparison. The records are reduced to the state that they lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// All records.
    pub records: Memory,
    /// The snapshot.
    pub snapshot: Option<Snapshot>,
    /// The metadata values by name, for the names in [`NAMES`].
    pub notes: BTreeMap<String, Bytes>,
}

/// The names of the metadata values in [`steps`].
pub const NAMES: [&str; 3] = ["", "peer", "peers"];

impl Contents {
    /// Reads the content of a store.
    ///
    /// # Errors
    /// Fails if the store cannot be read, or if its records contradict each other.
    pub fn read(store: &mut impl Storage) -> Result<Self, StorageError> {
        let mut records = Memory::default();
        records.append(&store.recover()?)?;
        let mut notes = BTreeMap::new();
        for name in NAMES {
            notes.extend(store.noted(name)?.map(|value| (name.to_owned(), value)));
        }
        let snapshot = match store.snapshot() {
            Some((below, file)) => {
                let mut state = Vec::new();
                let read = file.reader().read_to_end(&mut state);
                read.map_err(StorageError::io("read the snapshot"))?;
                Some(Snapshot { below, state: state.into() })
            }
            None => None,
        };
        Ok(Self { records, snapshot, notes })
    }

    fn of(store: &mut impl Storage) -> Self {
        Self::read(store).unwrap_or_else(|error| panic!("it cannot be read: {error}"))
    }

    /// Performs the step on this content.
    pub fn take(&mut self, step: &Step) {
        match step {
            Step::Persist(records) => self.append(records),
            Step::Snapshot(snapshot) => self.snapshot = Some(snapshot.clone()),
            Step::Note(name, value) => self.note(name, value),
            Step::PersistAndNote(records, name, value) => {
                self.append(records);
                self.note(name, value);
            }
        }
    }

    fn append(&mut self, records: &[Record]) {
        self.records.append(records).expect("steps do not contradict each other");
    }

    fn note(&mut self, name: &str, value: &Bytes) {
        self.notes.insert(name.to_owned(), value.clone());
    }
}

/// Returns random steps of the kinds that a node takes. The rounds of promises and votes do not fall, the votes move
/// to later slots, and some snapshots are followed by their trim. Equal seeds lead to equal steps.
pub fn steps(seed: u64) -> impl Iterator<Item = Step> {
    let mut chance = Chance(seed);
    let (mut round, mut end, mut covered, mut trimmed) = (1, 0, 0, 0);
    iter::from_fn(move || {
        Some(match chance.below(12) {
            0 => {
                round += chance.below(3);
                Step::Persist(vec![promised(round)])
            }
            1 => {
                let name = NAMES[chance.below(3) as usize];
                Step::Note(name.into(), Bytes::from(vec![b'x'; chance.below(40) as usize]))
            }
            2 => {
                covered = trimmed + chance.below(end - trimmed + 1);
                Step::Snapshot(snapshot(covered, chance.below(3000) as usize))
            }
            3 if covered > trimmed => {
                trimmed = covered;
                Step::Persist(vec![Record::Trimmed { below: Slot(trimmed) }])
            }
            _ => {
                let records = (0..=chance.below(2)).map(|_| {
                    let first = trimmed + chance.below(end - trimmed + 2);
                    let count = 1 + chance.below(8);
                    end = end.max(first + count);
                    round += u64::from(chance.below(10) == 0);
                    accepted(round, first, count)
                });
                let records = records.collect();
                match chance.below(3) {
                    0 => {
                        let value = vec![b'y'; chance.below(9) as usize];
                        Step::PersistAndNote(records, NAMES[2].into(), value.into())
                    }
                    _ => Step::Persist(records),
                }
            }
        })
    })
}

/// A generator of random numbers (splitmix64), so that the contract needs no other crate for it.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn ballot(round: u64) -> Ballot {
    Ballot::new(round, NodeId(1)).expect("rounds begin with 1")
}

fn promised(round: u64) -> Record {
    Record::Promised(ballot(round))
}

/// Returns votes in consecutive slots. Slot and round determine each value, so no two votes contradict each other.
pub(crate) fn accepted(round: u64, first: u64, count: u64) -> Record {
    let value = |slot: u64| match slot % 7 {
        6 => Value::Noop,
        _ => Value::Command(Bytes::from(format!("slot {slot} in round {round}"))),
    };
    let values = (first..first + count).map(value).collect();
    Record::Accepted { ballot: ballot(round), first: Slot(first), values }
}

pub(crate) fn snapshot(below: u64, length: usize) -> Snapshot {
    let state = (0..length).map(|at| (at as u64 * 31 + below) as u8).collect();
    Snapshot { below: Slot(below), state }
}
