//! A store in a directory, on the database redb.
//!
//! Every change is one transaction, and every transaction adds one row to the log: a *commit*, with
//! its number and the records that were persisted in it. So whatever is missing, damaged or out of
//! place shows as a checksum that is wrong or a number that is missing, and the number of the last
//! commit says how old the whole is. [`Reader`] tells what is in a store without changing it.

mod contents;
mod extent;
mod identity;
mod mark;
mod medium;
mod overlay;
mod place;
mod reader;
mod rows;
mod sealed;
#[cfg(test)]
mod tests;

use std::{fs::OpenOptions, path::Path};

use bytes::Bytes;
use redb::{ReadableDatabase, StorageBackend, WriteTransaction};
use serde::Serialize;

pub use contents::{Base, Commit, Commits, SnapshotHeader};
pub use identity::{FORMAT, Identity};
pub use reader::Reader;

use self::{
    contents::Contents,
    extent::Extent,
    mark::Mark,
    place::{Files, Place},
    rows::{BASE, FACTS, IDENTITY, LOG, NOTE, PIECES, Rows, SNAPSHOT},
    sealed::seal,
};
use super::{Recovered, Snapshot, Storage, StorageError, StoreId, trims};
use crate::{event::Record, types::Slot};

/// The state of a snapshot is cut into pieces of this many bytes. A little less than a power of
/// two, since the database rounds up to one what it stores together with a few bytes of its own.
const PIECE_BYTES: usize = (1 << 17) - 256;

/// A store on disk.
///
/// ```
/// use paxos::{Ballot, NodeId, Record, storage::{Disk, Identity, Storage}};
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
/// assert_eq!(store.recover()?.records, [promise]);
/// assert!(Disk::create(dir.path(), &identity).is_err(), "there is one already");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Disk {
    id: StoreId,
    extent: Extent,
    mark: Mark,
    /// The row that is being written; kept for its memory.
    row: Vec<u8>,
    /// How the store failed, if it did.
    failed: Option<String>,
    rows: Rows,
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
        place.build(|files| build(&files, identity, StoreId(u128::from_le_bytes(id))))?;
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
        let files = place.files(OpenOptions::new().read(true).write(true))?;
        let mut store = Self::on(files, identity)?;
        store.place = Some(place);
        Ok(store)
    }

    /// Opens the store in these files: first reads all of it without writing, then opens it anew.
    fn on(files: Files, expected: &Identity) -> Result<Self, StorageError> {
        let reader = Reader::of(files.clone())?;
        reader.identity().expect(expected)?;
        let (id, extent) = (reader.id(), reader.extent()?);
        drop(reader);

        let rows = Rows::open(files.database.clone())?;
        let last = rows.run(|database| Contents::of(&database.begin_read()?)?.last())?;
        if last.is_some_and(|last| last != extent.last()) {
            return Err(StorageError::damaged(format!(
                "it ended with commit {} when it was looked at, and with {last:?} when it was opened",
                extent.last()
            )));
        }
        // Opening was a commit of the database's own, so that the last of ours is durable now, even
        // if it was under way when a crash came.
        let (mut mark, _) = Mark::open(files.mark.clone(), id)?;
        mark.raise(extent.last())?;
        let (row, failed, place) = (Vec::new(), None, None);
        Ok(Self { id, extent, mark, row, failed, rows, files, place })
    }

    /// One transaction: records, perhaps none, and whatever comes with them.
    fn commit(
        &mut self,
        records: &[Record],
        more: impl FnOnce(&WriteTransaction) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let number = self.extent.last() + 1;
        let Self { row, rows, mark, .. } = self;
        seal(row, &number.to_le_bytes(), |row| encode(&records, row));
        rows.run(|database| {
            let transaction = database.begin_write()?;
            transaction.open_table(LOG)?.insert(number, row.as_slice())?;
            more(&transaction)?;
            Ok(transaction.commit()?)
        })?;
        mark.raise(number)?;
        self.extent.grow(records);
        Ok(())
    }

    /// Does something to a store that has not failed yet.
    fn changing(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        self.unfailed()?;
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

    fn reading<T>(
        &self,
        read: impl FnOnce(&Contents) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.unfailed()?;
        self.rows.run(|database| read(&Contents::of(&database.begin_read()?)?))
    }
}

impl Storage for Disk {
    fn recover(&mut self) -> Result<Recovered, StorageError> {
        self.reading(Contents::recovered)
    }

    fn persist(&mut self, records: &[Record]) -> Result<(), StorageError> {
        if records.is_empty() {
            return self.unfailed();
        }
        self.changing(|store| {
            let trim = match trims(records) {
                Some(below) => store.extent.trim(below)?,
                None => None,
            };
            let Some(base) = trim else { return store.commit(records, |_| Ok(())) };
            let dropped = store.extent.base().first..base.first;
            store.commit(records, |transaction| {
                transaction.open_table(LOG)?.retain_in(dropped, |_, _| false)?;
                put(transaction, BASE, &base)
            })?;
            store.extent.rebase(base);
            Ok(())
        })
    }

    fn persist_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), StorageError> {
        self.changing(|store| {
            store.extent.accepts_snapshot(snapshot.below)?;
            let header = SnapshotHeader {
                below: snapshot.below,
                length: snapshot.state.len() as u64,
                checksum: crc32c::crc32c(&snapshot.state),
            };
            store.commit(&[], |transaction| {
                let mut pieces = transaction.open_table(PIECES)?;
                pieces.retain(|_, _| false)?;
                for (number, piece) in (0..).zip(snapshot.state.chunks(PIECE_BYTES)) {
                    pieces.insert(number, piece)?;
                }
                put(transaction, SNAPSHOT, &header)
            })?;
            store.extent.covered(snapshot.below);
            Ok(())
        })
    }

    fn note(&mut self, name: &str, fact: &[u8]) -> Result<(), StorageError> {
        self.changing(|store| {
            store.commit(&[], |transaction| {
                put_row(transaction, &[NOTE, name].concat(), |row| row.extend_from_slice(fact))
            })
        })
    }

    fn noted(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        self.reading(|contents| contents.noted(name))
    }

    fn id(&self) -> StoreId {
        self.id
    }

    fn disk_bytes(&self) -> u64 {
        self.files.database.len().unwrap_or_default()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.failed.is_none() && self.rows.close().is_ok() {
            // Not needed, only the sooner durable: there is nobody to tell if it fails.
            let _ = self.mark.sync();
        }
    }
}

/// Fills the files of a new store, and makes them durable.
fn build(files: &Files, identity: &Identity, id: StoreId) -> Result<(), StorageError> {
    let mut rows = Rows::open(files.database.clone())?;
    rows.run(|database| {
        let transaction = database.begin_write()?;
        transaction.open_table(LOG)?;
        transaction.open_table(PIECES)?;
        put_row(&transaction, IDENTITY, |row| identity::write(identity, id, row))?;
        put(&transaction, BASE, &Base { promised: None, trimmed: Slot(0), first: 1 })?;
        Ok(transaction.commit()?)
    })?;
    rows.close()?;
    Mark::create(files.mark.clone(), id)
}

fn put(
    transaction: &WriteTransaction,
    name: &str,
    fact: &impl Serialize,
) -> Result<(), StorageError> {
    put_row(transaction, name, |row| encode(fact, row))
}

fn put_row(
    transaction: &WriteTransaction,
    name: &str,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<(), StorageError> {
    let mut row = Vec::new();
    seal(&mut row, name.as_bytes(), write);
    transaction.open_table(FACTS)?.insert(name, row.as_slice())?;
    Ok(())
}

fn encode(content: &impl Serialize, row: &mut Vec<u8>) {
    postcard::to_io(content, row).expect("anything can be written to memory");
}
