//! A store of your own, checked against the contract of [`Storage`].
//!
//! The store keeps everything in one file, the snapshot included. On each change it writes the whole content to a new file,
//! syncs that file, and renames it. This is slow, but plainly correct: a change takes effect as a whole or not at all.
//!
//! `cargo run -p paxos-store --example own_store` runs the tests of the contract.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use paxos::{Record, Slot};
use paxos_store::{
    Memory, MemorySnapshot, SnapshotFile as _, Storage, StorageError, StoreId,
    contract::{self, Harness},
};
use serde::{Deserialize, Serialize};

/// The content of the file.
#[derive(Clone, Serialize, Deserialize)]
struct Contents {
    id: StoreId,
    records: Vec<Record>,
    notes: BTreeMap<String, Vec<u8>>,
    /// The durable snapshot, with its end. It has the effect of every slot below its end.
    snapshot: Option<(Slot, Vec<u8>)>,
}

/// A store in a directory. Only one process may use the directory.
pub(crate) struct OwnStore {
    directory: PathBuf,
    contents: Contents,
    failed: Option<String>,
}

impl OwnStore {
    /// Creates a new store with an id that the caller draws at random. Fails if the directory has a store.
    pub(crate) fn create(directory: &Path, id: StoreId) -> Result<Self, StorageError> {
        if directory.join("store").exists() {
            return Err(StorageError::Exists { dir: directory.into() });
        }
        let contents = Contents { id, records: Vec::new(), notes: BTreeMap::new(), snapshot: None };
        let mut store =
            Self { directory: directory.into(), contents: contents.clone(), failed: None };
        store.write(contents)?;
        Ok(store)
    }

    /// Opens an existing store. Fails if the file is missing or damaged.
    pub(crate) fn open(directory: &Path) -> Result<Self, StorageError> {
        let bytes =
            fs::read(directory.join("store")).map_err(StorageError::io("read the store"))?;
        let contents = read(&bytes).ok_or(StorageError::damaged("the checksum is wrong"))?;
        Ok(Self { directory: directory.into(), contents, failed: None })
    }

    fn write(&mut self, contents: Contents) -> Result<(), StorageError> {
        let replace = || {
            let (new, store) = (self.directory.join("new"), self.directory.join("store"));
            let mut file = File::create(&new)?;
            file.write_all(&written(&contents))?;
            file.sync_all()?;
            fs::rename(new, store)?;
            File::open(&self.directory)?.sync_all() // The rename is durable once the directory is synced.
        };
        replace().map_err(StorageError::io("write the store"))?;
        self.contents = contents;
        Ok(())
    }

    /// Makes a change durable. After a failure the file may have either content, so all later changes are refused.
    fn change(
        &mut self,
        change: impl FnOnce(&mut Contents) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        if let Some(first) = self.failed.clone() {
            return Err(StorageError::Poisoned { first });
        }
        let mut contents = self.contents.clone();
        let changed = change(&mut contents).and_then(|()| self.write(contents));
        self.failed = changed.as_ref().err().map(ToString::to_string);
        changed
    }
}

/// Returns the bytes of the file: the checksum, and then the contents.
fn written(contents: &Contents) -> Vec<u8> {
    let bytes = postcard::to_stdvec(contents).expect("it can be written to memory");
    [&crc32c::crc32c(&bytes).to_le_bytes()[..], &bytes].concat()
}

fn read(bytes: &[u8]) -> Option<Contents> {
    let (checksum, bytes) = bytes.split_first_chunk()?;
    let intact = crc32c::crc32c(bytes) == u32::from_le_bytes(*checksum);
    postcard::from_bytes(bytes).ok().filter(|_| intact)
}

/// Adds records to those in the contents. Fails unless the snapshot covers the trimmed slots.
fn add(contents: &mut Contents, records: &[Record]) -> Result<(), StorageError> {
    // `Memory` reduces the records to the state that they result in, so that the file does not grow for ever.
    let mut memory = Memory::default();
    memory.append(&contents.records)?;
    memory.append(records)?;
    contents.records = memory.records();
    let trimmed = memory.image().trimmed;
    let snapshot = contents.snapshot.as_ref().map(|(below, _)| *below);
    if snapshot.unwrap_or_default() < trimmed {
        return Err(StorageError::Uncovered { trimmed, snapshot });
    }
    Ok(())
}

impl Storage for OwnStore {
    type SnapshotFile = MemorySnapshot;

    fn recover(&mut self) -> Result<Vec<Record>, StorageError> {
        Ok(self.contents.records.clone())
    }

    fn persist(&mut self, records: &[Record]) -> Result<(), StorageError> {
        self.change(|contents| add(contents, records))
    }

    fn snapshot(&self) -> Option<(Slot, MemorySnapshot)> {
        let (below, bytes) = self.contents.snapshot.as_ref()?;
        let mut file = MemorySnapshot::default();
        file.write_all(bytes).expect("there is memory");
        Some((*below, file))
    }

    fn begin_snapshot(&mut self) -> Result<MemorySnapshot, StorageError> {
        Ok(MemorySnapshot::default())
    }

    fn adopt_snapshot(&mut self, below: Slot, file: MemorySnapshot) -> Result<(), StorageError> {
        self.change(|contents| {
            let mut bytes = Vec::new();
            let read = file.reader().read_to_end(&mut bytes);
            read.map_err(StorageError::io("read the snapshot"))?;
            contents.snapshot = Some((below, bytes));
            add(contents, &[])
        })
    }

    fn note(&mut self, name: &str, value: &[u8]) -> Result<(), StorageError> {
        self.change(|contents| {
            contents.notes.insert(name.into(), value.into());
            Ok(())
        })
    }

    fn persist_and_note(
        &mut self,
        records: &[Record],
        name: &str,
        value: &[u8],
    ) -> Result<(), StorageError> {
        self.change(|contents| {
            contents.notes.insert(name.into(), value.into());
            add(contents, records)
        })
    }

    fn noted(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        Ok(self.contents.notes.get(name).cloned().map(Bytes::from))
    }

    fn id(&self) -> StoreId {
        self.contents.id
    }

    fn disk_bytes(&self) -> u64 {
        fs::metadata(self.directory.join("store")).map_or(0, |file| file.len())
    }
}

/// Creates each store in a directory of its own. A crash here is the end of a process: the operating system still has all
/// written bytes. A test of power cuts needs faults below the store, such as a file system that loses unsynced bytes.
struct InDirectories(Vec<tempfile::TempDir>);

impl Harness for InDirectories {
    type Store = OwnStore;

    fn create(&mut self) -> OwnStore {
        let directory = tempfile::tempdir().expect("there is room");
        let store = OwnStore::create(directory.path(), StoreId(7)).expect("it can be made");
        self.0.push(directory);
        store
    }

    fn crash(&mut self, store: OwnStore) -> OwnStore {
        let directory = store.directory.clone();
        drop(store);
        OwnStore::open(&directory).expect("it can be opened again")
    }
}

/// Runs the example, and panics if it fails.
pub(crate) fn main() {
    contract::check(&mut InDirectories(Vec::new()));
    println!("the store keeps the contract, as far as the tests see");
}
