//! A store as it lies there, without changing it: for whoever wants to know what is in it.

use std::{collections::BTreeMap, fs::OpenOptions, path::Path};

use bytes::Bytes;

use super::{
    Commit, Facts, Identity, SnapshotHeader,
    contents::Contents,
    place::{Files, Place},
};
use crate::{Snapshot, StorageError, StoreId};

/// A store that is only looked at. Nothing is ever written to its files.
pub struct Reader {
    contents: Contents,
    files: Files,
    _place: Place,
}

impl Reader {
    /// Opens a store that nobody writes to meanwhile. It may be damaged in part:
    /// [`verify`](Self::verify) says so.
    ///
    /// # Errors
    /// There is none, it is in use, or nothing in it can be read.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StorageError> {
        let place = Place::share(dir.as_ref())?;
        let files = place.files(OpenOptions::new().read(true))?;
        Ok(Self { contents: Contents::read(&files)?, files, _place: place })
    }

    /// Whose store it is.
    pub fn identity(&self) -> &Identity {
        &self.contents.head.identity
    }

    /// Which store it is.
    pub fn id(&self) -> StoreId {
        self.contents.id
    }

    /// The highest commit that is known to have been acknowledged. There may be one more.
    pub fn acknowledged(&self) -> u64 {
        self.contents.acknowledged
    }

    /// What followed from the commits that are not kept.
    pub fn base(&self) -> &Facts {
        &self.contents.head.facts
    }

    /// The commits that are kept, in order.
    pub fn commits(&self) -> &[Commit] {
        &self.contents.commits
    }

    /// What the snapshot is.
    pub fn snapshot_header(&self) -> Option<SnapshotHeader> {
        self.contents.facts.snapshot
    }

    /// The snapshot itself.
    ///
    /// # Errors
    /// It is damaged.
    pub fn snapshot(&self) -> Result<Option<Snapshot>, StorageError> {
        self.contents.snapshot(&self.files)
    }

    /// All that was noted, by name.
    pub fn notes(&self) -> &BTreeMap<String, Bytes> {
        &self.contents.facts.notes
    }

    /// Holds everything against everything else.
    ///
    /// # Errors
    /// The first thing that would keep the store from being opened by its owner.
    pub fn verify(&self) -> Result<(), StorageError> {
        self.contents.recovered(&self.files).map(drop)
    }
}
