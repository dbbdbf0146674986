//! Why a store could not do what it was asked, and what was found instead.

use std::{io, path::PathBuf};

use thiserror::Error;

use paxos::{protocol::RecoverError, types::Slot};

/// Why a store could not be opened, read or changed.
#[derive(Debug, Error)]
pub enum StorageError {
    /// There is nothing to open.
    #[error("there is no store in {}: {found}", dir.display())]
    Missing {
        /// Where it was looked for.
        dir: PathBuf,
        /// What is there instead.
        found: &'static str,
    },
    /// A store would have been made over another one.
    #[error("{} already holds a store", dir.display())]
    Exists {
        /// Where.
        dir: PathBuf,
    },
    /// Two may not write to one store.
    #[error("the store in {} is in use", dir.display())]
    InUse {
        /// Where.
        dir: PathBuf,
    },
    /// The store of somebody else.
    #[error("the store is of {what} {found}, and was opened for {what} {expected}")]
    Foreign {
        /// What differs: the cluster or the node.
        what: &'static str,
        /// What the store says.
        found: String,
        /// What it should have said.
        expected: String,
    },
    /// A store that another version of the program has written.
    #[error("the store has format {found}; this program knows only format {known}")]
    Format {
        /// What the store says.
        found: u32,
        /// What this program can read.
        known: u32,
    },
    /// The store does not hold what was written into it.
    #[error("the store is damaged: {found}")]
    Damaged {
        /// What is wrong.
        found: String,
    },
    /// The store is whole but older than it once was.
    #[error(
        "the store ends with commit {found}, but commit {acknowledged} was acknowledged: it is \
         damaged, or an old copy, or its disk confirmed what it had not written"
    )]
    Lost {
        /// The last commit that is known to have been durable.
        acknowledged: u64,
        /// The last one that is there.
        found: u64,
    },
    /// What was trimmed is in no snapshot.
    #[error(
        "all below slot {trimmed} is trimmed, but {}",
        snapshot.map_or("there is no snapshot".into(), |below| format!("the snapshot ends at {below}"))
    )]
    Uncovered {
        /// What is trimmed, or would have been.
        trimmed: Slot,
        /// What the snapshot covers.
        snapshot: Option<Slot>,
    },
    /// Records that cannot be of one node.
    #[error(transparent)]
    Contradiction(#[from] RecoverError),
    /// The system said no.
    #[error("cannot {doing}: {cause}")]
    Io {
        /// What was to be done.
        doing: String,
        /// What the system said.
        cause: io::Error,
    },
    /// It failed before.
    #[error("the store takes no more changes until it is opened again, since it {first}")]
    Poisoned {
        /// How it failed.
        first: String,
    },
}

impl StorageError {
    /// What is in the store is not what was made durable.
    pub fn damaged(found: impl Into<String>) -> Self {
        Self::Damaged { found: found.into() }
    }

    /// For `map_err`: says what the system refused to do.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        |cause| Self::Io { doing, cause }
    }
}
