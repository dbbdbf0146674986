//! A store in a directory: a log of commits, and the last snapshot.
//!
//! ```text
//! log.0, log.1             commits, one after the other, in two files that are written in turn
//! snapshot.0, snapshot.1   the state of the machine; the log says in which of them, and its checksum
//! mark                     the number of the last commit that was acknowledged
//! lock                     locked by whoever uses the store
//! ```
//!
//! Every change is one commit, with its number: records that were persisted, a fact that was noted, a
//! snapshot that is whole in its file. So whatever is missing, damaged or out of place shows as a
//! checksum that is wrong or a number that is missing, and the number of the last commit says how old
//! the whole is. [`Reader`] tells what is in a store without changing it.
//!
//! Of the disk it is asked that what was synced is there, and that writing does not damage the bytes
//! beside those that are written, even if the power fails meanwhile; of the system, that it is a Unix, where
//! directories can be synced.

#[cfg(not(unix))]
compile_error!("the feature `disk` needs a Unix, where directories can be synced");

mod change;
mod contents;
mod identity;
mod log;
mod mark;
mod medium;
mod place;
mod reader;
mod scan;
mod sealed;
mod snapshot;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fs::OpenOptions, path::Path};

use bytes::Bytes;

pub use change::{Change, Facts, Head, SnapshotHeader};
pub use identity::Identity;
pub use log::FORMAT;
pub use reader::Reader;
pub use scan::Commit;
pub use snapshot::DiskSnapshot;

use self::{
    contents::Contents,
    log::{Log, Room},
    mark::Mark,
    place::{Files, Place},
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
/// let mut store = Disk::create(dir.path(), &identity)?;
/// store.persist(&[promise.clone()])?;
/// drop(store);
///
/// let mut store = Disk::open(dir.path(), &identity)?;
/// assert_eq!(store.recover()?, [promise]);
/// assert!(Disk::create(dir.path(), &identity).is_err(), "there is one already");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Disk {
    identity: Identity,
    log: Log,
    facts: Facts,
    mark: Mark,
    /// What was read when it was opened, until it is asked for or anything changes.
    recovered: Option<Vec<Record>>,
    /// How the store failed, if it did.
    failed: Option<String>,
    files: Files,
    /// Given up last, when everything is closed.
    place: Option<Place>,
}

impl Disk {
    /// Makes a new store. A crash meanwhile leaves no store, or a whole one.
    ///
    /// # Errors
    /// There is one already, it is in use, or the system does not allow it.
    pub fn create(dir: impl AsRef<Path>, identity: &Identity) -> Result<Self, StorageError> {
        let place = Place::make(dir.as_ref())?;
        let mut id = [0; 16];
        getrandom::fill(&mut id)
            .map_err(|error| StorageError::io("find a random number")(error.into()))?;
        place.build(|files| build(files, identity, StoreId(u128::from_le_bytes(id))))?;
        Self::at(place, identity)
    }

    /// Opens a store that is there.
    ///
    /// # Errors
    /// There is none, it is in use, it is of somebody else, or what is in it is not exactly what was made
    /// durable. Nothing is written to it then.
    pub fn open(dir: impl AsRef<Path>, identity: &Identity) -> Result<Self, StorageError> {
        Self::at(Place::take(dir.as_ref())?, identity)
    }

    fn at(place: Place, identity: &Identity) -> Result<Self, StorageError> {
        place.settle()?;
        let files = place.files(OpenOptions::new().read(true).write(true))?;
        let mut store = Self::on(files, identity, Room::default())?;
        store.place = Some(place);
        Ok(store)
    }

    /// Opens the store in these files: reads all of it before anything is written.
    fn on(files: Files, expected: &Identity, room: Room) -> Result<Self, StorageError> {
        let contents = Contents::read(&files)?;
        contents.head.identity.expect(expected)?;
        let recovered = Some(contents.recovered(&files)?);
        let log = contents.resume(&files, room)?;
        let mut mark = Mark::of(files.mark.clone(), log.id);
        // Synced this once, so that a store that is gone is missed, and not taken for one that never was.
        mark.raise(log.last)?;
        mark.sync()?;
        let (identity, facts) = (contents.head.identity, contents.facts);
        Ok(Self { identity, log, facts, mark, recovered, failed: None, files, place: None })
    }

    /// Makes one change durable.
    fn commit(&mut self, change: &Change<'_>) -> Result<(), StorageError> {
        self.facts.allow(change)?;
        if self.log.is_due(self.facts.trimmed) {
            let (identity, facts) = (self.identity.clone(), self.facts.clone());
            self.log.turn(&Head { identity, facts, votes_end: self.log.votes_end() })?;
            self.mark.raise(self.log.last)?;
        }
        self.log.append(change)?;
        self.mark.raise(self.log.last)?;
        self.facts.take(change);
        Ok(())
    }

    /// Does something to a store that has not failed yet.
    fn changing(
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
        self.changing(|store| store.commit(&Change::Records(Cow::Borrowed(records))))
    }

    fn snapshot(&self) -> Option<(Slot, DiskSnapshot)> {
        let header = self.facts.snapshot?;
        Some((header.below, DiskSnapshot::durable(&self.files.snapshots, &header)))
    }

    fn begin_snapshot(&mut self) -> Result<DiskSnapshot, StorageError> {
        self.unfailed()?;
        // Never the file that the log speaks of.
        let file = self.facts.snapshot.map_or(0, |durable| 1 - durable.file);
        Ok(DiskSnapshot::begin(&self.files.snapshots, file))
    }

    fn adopt_snapshot(&mut self, below: Slot, mut file: DiskSnapshot) -> Result<(), StorageError> {
        self.changing(|store| {
            file.sync().map_err(StorageError::io("write the snapshot"))?;
            store.commit(&Change::Snapshot(file.header(below)))
        })
    }

    fn note(&mut self, name: &str, fact: &[u8]) -> Result<(), StorageError> {
        self.changing(|store| {
            let (name, fact) = (Cow::Borrowed(name), Bytes::copy_from_slice(fact));
            store.commit(&Change::Note { name, fact })
        })
    }

    fn noted(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        self.unfailed()?;
        Ok(self.facts.notes.get(name).cloned())
    }

    fn id(&self) -> StoreId {
        self.log.id
    }

    fn disk_bytes(&self) -> u64 {
        let Files { logs, snapshots, mark } = &self.files;
        let files = logs.iter().chain(snapshots).chain([mark]);
        files.map(|file| file.length().unwrap_or_default()).sum()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.failed.is_none() {
            // Not needed, only the sooner durable: there is nobody to tell if it fails.
            let _ = self.mark.sync();
        }
    }
}

/// Fills the files of a new store, and makes them durable.
fn build(files: &Files, identity: &Identity, id: StoreId) -> Result<(), StorageError> {
    for snapshot in &files.snapshots {
        snapshot.sync().map_err(StorageError::io("make a file for snapshots"))?;
    }
    Mark::create(files.mark.clone(), id)?;
    let (identity, facts, votes_end) = (identity.clone(), Facts::default(), Slot(0));
    Log::create(&files.logs, id, &Head { identity, facts, votes_end })
}
