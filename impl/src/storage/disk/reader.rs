//! A store as it lies there, without changing it: for whoever wants to know what is in it.

use std::{fs::OpenOptions, path::Path};

use bytes::Bytes;
use redb::ReadableDatabase;

use super::{
    Commits, Identity,
    contents::{Base, Contents, SnapshotHeader},
    extent::Extent,
    mark::Mark,
    overlay::Overlay,
    place::{Files, Place},
    rows::Rows,
};
use crate::storage::{Snapshot, StorageError, StoreId};

/// A store that is only looked at. Nothing is ever written to its files: what a repair would write
/// is kept in memory.
pub struct Reader {
    contents: Contents,
    identity: Identity,
    id: StoreId,
    acknowledged: u64,
    /// Behind `contents`, which is closed first.
    _rows: Rows,
    _place: Option<Place>,
}

impl Reader {
    /// Opens a store that nobody writes to meanwhile. It may be damaged in part: what is read says so.
    ///
    /// # Errors
    /// There is none, it is in use, or nothing in it can be read.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StorageError> {
        let place = Place::share(dir.as_ref())?;
        let files = place.files(OpenOptions::new().read(true))?;
        Ok(Self { _place: Some(place), ..Self::of(files)? })
    }

    pub(super) fn of(files: Files) -> Result<Self, StorageError> {
        let overlay =
            Overlay::new(files.database).map_err(StorageError::io("open the database"))?;
        if redb::StorageBackend::len(&overlay).is_ok_and(|length| length == 0) {
            // An empty file would be taken for a new database.
            return Err(StorageError::damaged("the database is empty"));
        }
        let rows = Rows::open(overlay)?;
        let contents = rows.run(|database| Contents::of(&database.begin_read()?))?;
        let (identity, id) = rows.run(|_| contents.identity())?;
        let (_, acknowledged) = Mark::open(files.mark, id)?;
        Ok(Self { contents, identity, id, acknowledged, _rows: rows, _place: None })
    }

    /// Whose store it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Which store it is.
    pub fn id(&self) -> StoreId {
        self.id
    }

    /// The highest commit that is known to have been acknowledged. There may be one more.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// What is left of the records that are trimmed.
    ///
    /// # Errors
    /// It is damaged.
    pub fn base(&self) -> Result<Base, StorageError> {
        self.reading(Contents::base)
    }

    /// The commits that are kept, in order.
    ///
    /// # Errors
    /// Not even the first can be read.
    pub fn commits(&self) -> Result<Commits, StorageError> {
        self.reading(Contents::commits)
    }

    /// What the snapshot is.
    ///
    /// # Errors
    /// It is damaged.
    pub fn snapshot_header(&self) -> Result<Option<SnapshotHeader>, StorageError> {
        self.reading(Contents::snapshot_header)
    }

    /// The snapshot itself.
    ///
    /// # Errors
    /// It is damaged.
    pub fn snapshot(&self) -> Result<Option<Snapshot>, StorageError> {
        self.reading(Contents::snapshot)
    }

    /// All that was noted, by name.
    ///
    /// # Errors
    /// One of the notes is damaged.
    pub fn notes(&self) -> Result<Vec<(String, Bytes)>, StorageError> {
        self.reading(|contents| {
            let notes = contents.notes()?.into_iter().map(|name| {
                let fact = contents.noted(&name)?.unwrap_or_default();
                Ok((name, fact))
            });
            notes.collect()
        })
    }

    /// Holds everything against everything else.
    ///
    /// # Errors
    /// The first thing that would keep the store from being opened by its owner.
    pub fn verify(&self) -> Result<(), StorageError> {
        self.extent().map(drop)
    }

    pub(super) fn extent(&self) -> Result<Extent, StorageError> {
        let extent = self.reading(Extent::of)?;
        self.notes()?;
        if extent.last() < self.acknowledged {
            let (acknowledged, found) = (self.acknowledged, extent.last());
            return Err(StorageError::Lost { acknowledged, found });
        }
        Ok(extent)
    }

    fn reading<T>(
        &self,
        read: impl FnOnce(&Contents) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        super::rows::fenced(|| read(&self.contents))
    }
}
