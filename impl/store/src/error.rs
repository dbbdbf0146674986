//! The errors of a store.

use std::{io, path::PathBuf};

use thiserror::Error;

use paxos::{protocol::RecoverError, types::Slot};

/// The reason why a store could not be opened, read or changed.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The directory has no store.
    #[error("there is no store in {}: {found}", dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
        /// The state of the directory.
        found: &'static str,
    },
    /// A new store cannot be made in a directory that has a store.
    #[error("{} already holds a store", dir.display())]
    Exists {
        /// The directory.
        dir: PathBuf,
    },
    /// Another process uses the store.
    #[error("the store in {} is in use", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The store belongs to another node or cluster.
    #[error("the store is of {what} {found}, and was opened for {what} {expected}")]
    Foreign {
        /// The difference: `cluster` or `node`.
        what: &'static str,
        /// The owner of the store.
        found: String,
        /// The expected owner.
        expected: String,
    },
    /// Another version of the program has written the store.
    #[error("the store has format {found}; this program knows only format {known}")]
    Format {
        /// The format of the store.
        found: u32,
        /// The format of this program.
        known: u32,
    },
    /// The content of the store is not what was written.
    #[error("the store is damaged: {found}")]
    Damaged {
        /// The fault.
        found: String,
    },
    /// The commits of the store are intact, but the last ones are missing.
    #[error(
        "the store ends with commit {found}, but commit {acknowledged} was acknowledged: it is \
         damaged, or an old copy, or its disk confirmed what it had not written"
    )]
    Lost {
        /// The last commit that is known to have been durable.
        acknowledged: u64,
        /// The last commit in the store.
        found: u64,
    },
    /// The snapshot does not cover the trimmed slots.
    #[error(
        "every slot below {trimmed} is trimmed, but {}",
        snapshot.map_or("there is no snapshot".into(), |below| format!("the snapshot ends at {below}"))
    )]
    Uncovered {
        /// The first slot that is not trimmed, or would not have been.
        trimmed: Slot,
        /// The first slot that the snapshot does not cover.
        snapshot: Option<Slot>,
    },
    /// The records contradict each other.
    #[error(transparent)]
    Contradiction(#[from] RecoverError),
    /// An operation of the system failed.
    #[error("cannot {doing}: {cause}")]
    Io {
        /// The operation, as a verb and its object.
        doing: String,
        /// The error of the system.
        cause: io::Error,
    },
    /// An earlier change failed.
    #[error(
        "the store refuses changes until it is opened again, because an earlier one failed: {first}"
    )]
    Poisoned {
        /// The first error.
        first: String,
    },
}

impl StorageError {
    /// Returns [`StorageError::Damaged`].
    pub fn damaged(found: impl Into<String>) -> Self {
        Self::Damaged { found: found.into() }
    }

    /// Returns a function for `map_err`. It makes a [`StorageError::Io`] of the error of the system.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        |cause| Self::Io { doing, cause }
    }
}
