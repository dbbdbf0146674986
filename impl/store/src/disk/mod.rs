//! A store in a data directory: a log of commits, and the last snapshot.
//!
//! ```text
//! log.0, log.1             two segments with commits, written in turn
//! snapshot.0, snapshot.1   the durable snapshot, and an earlier or unfinished one; the log says which, with a checksum
//! mark                     the commit watermark: the number of a commit that was durable, in most cases the last
//! lock                     locked by the process that uses the store
//! ```
//!
//! Every change is one numbered commit with a checksum: records, a metadata value, both of them, or the description of a
//! snapshot that is complete in its file. So a wrong checksum or a missing number shows that content is missing, damaged or
//! misplaced. A last number below the watermark shows that the store is an old copy. [`Reader`] shows the content of a
//! store without changing it.
//!
//! # Assumptions
//!
//! - Synced bytes stay. A write does not damage the bytes beside it, even if the power fails during the write.
//! - The system is a Unix, where directories can be synced.
//!
//! # Modules, in reading order
//!
//! - `data_directory`: the names of the files, and the lock.
//! - `identity`: the owner of the store.
//! - `file`: files that tests can replace.
//! - `change`, `frame`: the content of a commit, and its form on disk with number and checksums.
//! - `log`, `watermark`: the writing of commits, and of the number of the last one.
//! - `scan`, `contents`: the reading of one segment, and the check of all files against each other.
//! - `snapshot`: the file of a snapshot.
//! - `reader`: a store that is only read.

#[cfg(not(unix))]
compile_error!("the feature `disk` needs a Unix, where directories can be synced");

mod change;
mod contents;
mod data_directory;
mod file;
mod frame;
mod identity;
mod log;
mod reader;
mod scan;
mod snapshot;
#[cfg(test)]
mod tests;
mod watermark;

use std::{borrow::Cow, fs::OpenOptions, path::Path};

use bytes::Bytes;

pub use change::{Change, Head, Note, SnapshotHeader, Summary};
pub use identity::Identity;
pub use log::FORMAT;
pub use reader::Reader;
pub use scan::Commit;
pub use snapshot::DiskSnapshot;

use self::{
    contents::Contents,
    data_directory::{DataDirectory, Files},
    log::{Log, SegmentSizes},
    watermark::Watermark,
};
use super::{SnapshotFile as _, Storage, StorageError, StoreId};
use paxos::{event::Record, types::Slot};

/// A store on disk.
///
/// ```
/// use paxos::{Ballot, NodeId, Record};
/// use paxos_store::{Disk, Identity, Storage};
///
/// let dir = tempfile::tempdir()?;
/// let identity = Identity { cluster: "tea".into(), node: NodeId(1) };
/// let promise = Record::Promised(Ballot::new(1, NodeId(1)).unwrap());
///
/// let mut store = Disk::open_or_create(dir.path(), &identity)?;
/// store.persist(&[promise.clone()])?;
/// drop(store);
///
/// let mut store = Disk::open_or_create(dir.path(), &identity)?;
/// assert_eq!(store.recover()?, [promise]);
/// assert!(Disk::create(dir.path(), &identity).is_err(), "there is one already");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Disk {
    identity: Identity,
    log: Log,
    summary: Summary,
    watermark: Watermark,
    /// The records that were read when the store was opened. `None` after `recover` has returned them, and after any
    /// change.
    recovered: Option<Vec<Record>>,
    /// The error of the change that failed, if one did.
    failed: Option<String>,
    files: Files,
    /// The last field, so that the lock is released after all files are closed. `None` in tests.
    dir: Option<DataDirectory>,
}

impl Disk {
    /// Makes a new store. A crash during the creation leaves no store or a complete one.
    ///
    /// # Errors
    /// Fails if the directory has a store already, is in use, or cannot be written.
    pub fn create(dir: impl AsRef<Path>, identity: &Identity) -> Result<Self, StorageError> {
        let dir = DataDirectory::make(dir.as_ref())?;
        let mut id = [0; 16];
        getrandom::fill(&mut id)
            .map_err(|error| StorageError::io("find a random number")(error.into()))?;
        dir.build(|files| build(files, identity, StoreId(u128::from_le_bytes(id))))?;
        Self::at(dir, identity)
    }

    /// Opens an existing store.
    ///
    /// # Errors
    /// Fails if there is no store, or if the store is in use, belongs to another node, is damaged, or is older than
    /// its watermark says. Then nothing is written to the store.
    pub fn open(dir: impl AsRef<Path>, identity: &Identity) -> Result<Self, StorageError> {
        Self::at(DataDirectory::take(dir.as_ref())?, identity)
    }

    /// Opens the store in a directory. Makes a new one if the directory never had a store.
    ///
    /// A directory that was emptied or replaced looks like a new one. The other nodes refuse a node that comes back
    /// with a new store, if the transport carries their handshakes.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create). Does not replace a damaged store, but fails.
    pub fn open_or_create(
        dir: impl AsRef<Path>,
        identity: &Identity,
    ) -> Result<Self, StorageError> {
        match Self::open(&dir, identity) {
            Err(StorageError::Missing { .. }) => Self::create(dir, identity),
            opened => opened,
        }
    }

    fn at(dir: DataDirectory, identity: &Identity) -> Result<Self, StorageError> {
        dir.sync()?;
        let files = dir.files(OpenOptions::new().read(true).write(true))?;
        let mut store = Self::on(files, identity, SegmentSizes::default())?;
        store.dir = Some(dir);
        Ok(store)
    }

    /// Opens the store in these files. Reads and checks the whole store before it writes anything.
    fn on(files: Files, expected: &Identity, sizes: SegmentSizes) -> Result<Self, StorageError> {
        let contents = Contents::read(&files)?;
        contents.head.identity.expect(expected)?;
        let recovered = Some(contents.recovered(&files)?);
        let log = contents.resume(&files, sizes)?;
        let mut watermark = Watermark::of(files.watermark.clone(), log.id);
        // After this sync the watermark is above 0. So if the log is gone, a later open does not take the directory for
        // one without a store.
        watermark.raise(log.last)?;
        watermark.sync()?;
        let (identity, summary) = (contents.head.identity, contents.summary);
        Ok(Self { identity, log, summary, watermark, recovered, failed: None, files, dir: None })
    }

    /// Makes one change durable: checks it, begins the other segment if that is due, and appends a commit.
    fn commit(&mut self, change: &Change<'_>) -> Result<(), StorageError> {
        self.summary.check(change)?;
        if self.log.switch_is_due(self.summary.trimmed) {
            let (identity, summary) = (self.identity.clone(), self.summary.clone());
            self.log.switch(&Head { identity, summary, votes_end: self.log.votes_end() })?;
            self.watermark.raise(self.log.last)?;
        }
        self.log.append(change)?;
        self.watermark.raise(self.log.last)?;
        self.summary.apply(change);
        Ok(())
    }

    /// Runs a change, unless an earlier one failed. If this one fails, all later ones are refused.
    fn change(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        self.unfailed()?;
        self.recovered = None;
        let changed = change(self);
        self.failed = changed.as_ref().err().map(ToString::to_string);
        changed
    }

    fn unfailed(&self) -> Result<(), StorageError> {
        match self.failed.clone() {
            Some(first) => Err(StorageError::Poisoned { first }),
            None => Ok(()),
        }
    }
}

impl Storage for Disk {
    type SnapshotFile = DiskSnapshot;

    fn recover(&mut self) -> Result<Vec<Record>, StorageError> {
        self.unfailed()?;
        match self.recovered.take() {
            Some(recovered) => Ok(recovered),
            None => Contents::read(&self.files)?.recovered(&self.files),
        }
    }

    fn persist(&mut self, records: &[Record]) -> Result<(), StorageError> {
        if records.is_empty() {
            return self.unfailed();
        }
        self.change(|store| store.commit(&Change::Records(Cow::Borrowed(records))))
    }

    fn snapshot(&self) -> Option<(Slot, DiskSnapshot)> {
        let header = self.summary.snapshot?;
        Some((header.below, DiskSnapshot::durable(&self.files.snapshots, &header)))
    }

    fn begin_snapshot(&mut self) -> Result<DiskSnapshot, StorageError> {
        self.unfailed()?;
        // The file that the log does not name.
        let file = self.summary.snapshot.map_or(0, |durable| 1 - durable.file);
        Ok(DiskSnapshot::begin(&self.files.snapshots, file))
    }

    fn adopt_snapshot(&mut self, below: Slot, mut file: DiskSnapshot) -> Result<(), StorageError> {
        self.change(|store| {
            file.sync().map_err(StorageError::io("write the snapshot"))?;
            store.commit(&Change::Snapshot(file.header(below)))
        })
    }

    fn note(&mut self, name: &str, value: &[u8]) -> Result<(), StorageError> {
        self.change(|store| store.commit(&Change::Note(Note::new(name, value))))
    }

    fn persist_and_note(
        &mut self,
        records: &[Record],
        name: &str,
        value: &[u8],
    ) -> Result<(), StorageError> {
        let (records, note) = (Cow::Borrowed(records), Note::new(name, value));
        self.change(|store| store.commit(&Change::RecordsAndNote(records, note)))
    }

    fn noted(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        self.unfailed()?;
        Ok(self.summary.notes.get(name).cloned())
    }

    fn id(&self) -> StoreId {
        self.log.id
    }

    fn disk_bytes(&self) -> u64 {
        let Files { logs, snapshots, watermark } = &self.files;
        let files = logs.iter().chain(snapshots).chain([watermark]);
        files.map(|file| file.length().unwrap_or_default()).sum()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.failed.is_none() {
            // The store does not depend on this sync, because the watermark may be behind. So a failure is not
            // reported.
            let _ = self.watermark.sync();
        }
    }
}

/// Writes the files of a new store, and makes them durable.
fn build(files: &Files, identity: &Identity, id: StoreId) -> Result<(), StorageError> {
    for snapshot in &files.snapshots {
        snapshot.sync().map_err(StorageError::io("make a file for snapshots"))?;
    }
    Watermark::create(files.watermark.clone(), id)?;
    let (identity, summary, votes_end) = (identity.clone(), Summary::default(), Slot(0));
    Log::create(&files.logs, id, &Head { identity, summary, votes_end })
}
