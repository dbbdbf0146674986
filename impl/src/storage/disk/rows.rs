//! The tables of the database, and a fence around it: its errors and its panics become ours.

use std::{
    io::ErrorKind,
    panic::{self, AssertUnwindSafe},
};

use redb::{Database, StorageBackend, TableDefinition};

use crate::storage::StorageError;

/// One row per commit under its number, without a gap: the records that were persisted, or none if
/// the commit was of something else.
pub(super) const LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("log");
/// What there is one of each, by name.
pub(super) const FACTS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("facts");
/// The state of the snapshot in pieces.
pub(super) const PIECES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("pieces");

/// Whose store it is.
pub(super) const IDENTITY: &str = "identity";
/// What is left of the records that are trimmed.
pub(super) const BASE: &str = "base";
/// What the pieces are pieces of.
pub(super) const SNAPSHOT: &str = "snapshot";
/// Precedes the names of what others have noted.
pub(super) const NOTE: &str = "note: ";

/// How much of the file is kept in memory. What is written is soon trimmed and seldom read.
const CACHE_BYTES: usize = 16 << 20;

/// A database behind the fence.
#[derive(Debug)]
pub(super) struct Rows {
    /// Nothing once it is closed.
    database: Option<Database>,
}

impl Rows {
    /// Opens what is in a file, after every checksum in it was verified, or makes a new database
    /// of an empty one.
    pub(super) fn open(file: impl StorageBackend) -> Result<Self, StorageError> {
        let database = fenced(|| {
            let mut builder = Database::builder();
            builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
            Ok(builder.create_with_backend(file)?)
        })?;
        Ok(Self { database: Some(database) })
    }

    /// Does something with the database.
    pub(super) fn run<T>(
        &self,
        run: impl FnOnce(&Database) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        match &self.database {
            Some(database) => fenced(|| run(database)),
            None => Err(StorageError::Database { cause: "it is closed".into() }),
        }
    }

    /// Marks the file as properly closed, if nothing went wrong before.
    pub(super) fn close(&mut self) -> Result<(), StorageError> {
        match self.database.take() {
            Some(database) => fenced(|| Ok(database.close()?)),
            None => Ok(()),
        }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        // There is nobody to tell. All that was acknowledged is durable, closed or not.
        let _ = self.close();
    }
}

/// Whatever the database does in there, it comes out as a result.
pub(super) fn fenced<T>(run: impl FnOnce() -> Result<T, StorageError>) -> Result<T, StorageError> {
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        let cause = format!("it panicked: {}", said.unwrap_or("without a word"));
        Err(StorageError::Database { cause })
    })
}

impl From<redb::Error> for StorageError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Corrupted(found) => Self::Damaged { found },
            // So it calls what is no database at all.
            redb::Error::Io(cause) if cause.kind() == ErrorKind::InvalidData => {
                Self::damaged(cause.to_string())
            }
            redb::Error::Io(cause) => Self::Io { doing: "use the database".into(), cause },
            missing @ redb::Error::TableDoesNotExist(_) => Self::damaged(missing.to_string()),
            other => Self::Database { cause: other.to_string() },
        }
    }
}

macro_rules! as_errors_of_the_database {
    ($($part:ident),*) => {$(
        impl From<redb::$part> for StorageError {
            fn from(error: redb::$part) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

as_errors_of_the_database!(CommitError, DatabaseError, StorageError, TableError, TransactionError);
