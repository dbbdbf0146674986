//! A store that is only read, for tools that show its content.

use std::{collections::BTreeMap, fs::OpenOptions, path::Path};

use bytes::Bytes;

use super::{
    Commit, Identity, SnapshotHeader, Summary,
    contents::Contents,
    data_directory::{DataDirectory, Files},
};
use crate::{Snapshot, StorageError, StoreId};

/// A store that is only read. It never writes to the files.
pub struct Reader {
    contents: Contents,
    files: Files,
    _dir: DataDirectory,
}

impl Reader {
    /// Opens a store, and keeps other processes from writing to it. Opens a damaged store as well, if its log can be
    /// decoded. [`verify`](Self::verify) looks for damage.
    ///
    /// # Errors
    /// Fails if there is no store, if it is in use, if a file is missing, or if the log or the watermark cannot be
    /// decoded.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StorageError> {
        let dir = DataDirectory::share(dir.as_ref())?;
        let files = dir.files(OpenOptions::new().read(true))?;
        Ok(Self { contents: Contents::read(&files)?, files, _dir: dir })
    }

    /// Returns the owner of the store.
    pub fn identity(&self) -> &Identity {
        &self.contents.head.identity
    }

    /// Returns the random number of the store.
    pub fn id(&self) -> StoreId {
        self.contents.id
    }

    /// Returns the commit watermark. The commit with this number was durable, and the log may have later ones.
    pub fn acknowledged(&self) -> u64 {
        self.contents.acknowledged
    }

    /// Returns the summary of the commits before those that [`commits`](Self::commits) returns.
    pub fn base(&self) -> &Summary {
        &self.contents.head.summary
    }

    /// Returns the commits that are still in the log, in order.
    pub fn commits(&self) -> &[Commit] {
        &self.contents.commits
    }

    /// Returns the description of the durable snapshot.
    pub fn snapshot_header(&self) -> Option<SnapshotHeader> {
        self.contents.summary.snapshot
    }

    /// Reads the durable snapshot.
    ///
    /// # Errors
    /// Fails if it is damaged or cannot be read.
    pub fn snapshot(&self) -> Result<Option<Snapshot>, StorageError> {
        self.contents.snapshot(&self.files)
    }

    /// Returns the metadata values by name.
    pub fn notes(&self) -> &BTreeMap<String, Bytes> {
        &self.contents.summary.notes
    }

    /// Checks all files against each other.
    ///
    /// # Errors
    /// Fails with the first fault that would keep the owner from opening the store.
    pub fn verify(&self) -> Result<(), StorageError> {
        self.contents.recovered(&self.files).map(drop)
    }
}
