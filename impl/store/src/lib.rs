//! Stores for the records and snapshots that a replica keeps through crashes.
//!
//! A [`Storage`] makes records durable. After a crash it returns all of them, or an error that says what was found.
//! A store that is damaged, lost or of another node leads to an error, and never to an empty store, because an
//! acceptor that forgets a promise breaks agreement.
//!
//! The driver decides when records have to be durable, by its contract with the replica ([`paxos`]). The driver in the
//! crate `paxos-node` keeps this contract.
//!
//! # Modules, in reading order
//!
//! - [`Storage`], in this file, is the contract of a store. [`contract`] has tests that check the contract for any
//!   store.
//! - [`StorageError`] has the ways in which a store can fail.
//! - [`MemoryStore`] is a store that ends with its process, for tests and simulations.
//! - [`disk`] is a store in a data directory, on a Unix, with the feature `disk`.

pub mod contract;
#[cfg(feature = "disk")]
pub mod disk;
mod error;
mod memory;

use std::{
    fmt,
    io::{self, Read, Write},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

#[cfg(feature = "disk")]
pub use disk::{Disk, DiskSnapshot, Identity};
pub use error::StorageError;
pub use memory::{Memory, MemorySnapshot, MemoryStore};

use paxos::{event::Record, types::Slot};

/// A store: the records, the snapshot and the metadata of one node.
///
/// A change is durable once [`persist`](Self::persist), [`adopt_snapshot`](Self::adopt_snapshot), [`note`](Self::note)
/// or [`persist_and_note`](Self::persist_and_note) returns `Ok`: no crash of the process or of the host, and no loss of
/// power, undoes it. A change that a crash interrupts is atomic: it takes effect as a whole or not at all.
/// ([`MemoryStore`] withstands the crash of a node, but not the end of its process.)
///
/// A change that fails or is refused poisons the store, because the outcome of the change may be unknown. The store
/// then refuses all later changes ([`StorageError::Poisoned`]) until it is opened again, and may refuse to be read.
/// An error of reading does not poison the store.
///
/// The caller replaces records by a snapshot in this order: [`adopt_snapshot`](Self::adopt_snapshot), then
/// [`Event::Snapshot`](paxos::Event::Snapshot), then [`persist`](Self::persist) of the resulting [`Record::Trimmed`].
pub trait Storage {
    /// The bytes of a snapshot: the durable one, or the next one that is being written.
    type SnapshotFile: SnapshotFile;

    /// Returns all durable records, as [`Replica::recover`](paxos::Replica::recover) needs them.
    ///
    /// # Errors
    /// Fails if the store finds that its content is not what was made durable, if the snapshot does not cover the
    /// trimmed slots, or if the store cannot be read.
    fn recover(&mut self) -> Result<Vec<Record>, StorageError>;

    /// Appends records to the earlier ones and makes them durable. The records of one call are atomic. A
    /// [`Record::Trimmed`] drops the votes below it in the same step.
    ///
    /// # Errors
    /// After an error these records may be durable or not. All earlier records are durable. The store refuses a
    /// `Trimmed` beyond the durable snapshot.
    fn persist(&mut self, records: &[Record]) -> Result<(), StorageError>;

    /// Returns the durable snapshot: the slot below which it has the effect of every slot, and its bytes. The bytes
    /// can be read while the next snapshot is written. They may be overwritten once the next snapshot is adopted and
    /// a further one is begun.
    fn snapshot(&self) -> Option<(Slot, Self::SnapshotFile)>;

    /// Returns an empty file for the next snapshot. The durable snapshot stays as it is. Another thread may write
    /// the file while the store is used. There is one such file at a time: after this call the caller must not write
    /// to a file that was begun earlier.
    ///
    /// # Errors
    /// Fails if the store has failed before.
    fn begin_snapshot(&mut self) -> Result<Self::SnapshotFile, StorageError>;

    /// Makes the snapshot in `file` the durable one, in place of the earlier one. Syncs the file if that was not
    /// done. Drops no record. The file must come from the last call of [`begin_snapshot`](Self::begin_snapshot), and
    /// must have the effect of every slot below `below`.
    ///
    /// # Errors
    /// After an error either snapshot may be the durable one. The store refuses a snapshot that does not cover the
    /// trimmed slots, and a file of which a write failed.
    fn adopt_snapshot(&mut self, below: Slot, file: Self::SnapshotFile)
    -> Result<(), StorageError>;

    /// Makes a snapshot in memory durable.
    ///
    /// # Errors
    /// As [`adopt_snapshot`](Self::adopt_snapshot).
    fn persist_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), StorageError> {
        let mut file = self.begin_snapshot()?;
        let written = file.write_all(&snapshot.state);
        self.adopt_snapshot(snapshot.below, file)?;
        written.map_err(StorageError::io("write the snapshot"))
    }

    /// Makes a metadata value durable under a name, in place of the earlier value of that name. Metadata is for the
    /// driver, and the replica does not use it.
    ///
    /// # Errors
    /// After an error either value may be the durable one.
    fn note(&mut self, name: &str, value: &[u8]) -> Result<(), StorageError>;

    /// Makes records and a metadata value durable in one step, like [`persist`](Self::persist) and
    /// [`note`](Self::note). After a crash the store has both or neither.
    ///
    /// # Errors
    /// As [`persist`](Self::persist).
    fn persist_and_note(
        &mut self,
        records: &[Record],
        name: &str,
        value: &[u8],
    ) -> Result<(), StorageError>;

    /// Returns the metadata value of a name.
    ///
    /// # Errors
    /// Fails if the store is damaged or has failed before.
    fn noted(&self, name: &str) -> Result<Option<Bytes>, StorageError>;

    /// Returns the random number of this store. A node that comes back with another number has lost its promises and
    /// votes.
    fn id(&self) -> StoreId;

    /// Returns the size of the store in bytes.
    fn disk_bytes(&self) -> u64;
}

/// The bytes of a snapshot. A write appends to them.
pub trait SnapshotFile: Write + Send + 'static {
    /// Returns the number of bytes.
    fn length(&self) -> u64;

    /// Fills `out` with the bytes from `offset` on.
    ///
    /// # Errors
    /// Fails if the snapshot ends before `out` is full, or if it cannot be read.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Makes all written bytes durable.
    ///
    /// # Errors
    /// After an error it is unknown which bytes are durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Returns a reader of all bytes.
    fn reader(&self) -> SnapshotReader<'_, Self>
    where
        Self: Sized,
    {
        SnapshotReader { file: self, offset: 0 }
    }
}

/// A reader of a snapshot, from its beginning to its end.
#[derive(Debug)]
pub struct SnapshotReader<'a, F> {
    file: &'a F,
    offset: u64,
}

impl<F: SnapshotFile> Read for SnapshotReader<'_, F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.file.length() - self.offset;
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        self.file.read_at(self.offset, &mut out[..length])?;
        self.offset += length as u64;
        Ok(length)
    }
}

/// A random number that a store gets when it is made. It never changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StoreId(pub u128);

/// The state of a state machine. It replaces the commands that led to this state.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The state contains the effect of every slot below this one.
    pub below: Slot,
    /// The state, as the state machine wrote it.
    pub state: Bytes,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot below {} of {} bytes", self.below, self.state.len())
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Fails unless a snapshot covers the trimmed slots, because only a snapshot has their effect.
fn check_covered(snapshot: Option<Slot>, trimmed: Slot) -> Result<(), StorageError> {
    if snapshot.unwrap_or_default() < trimmed {
        return Err(StorageError::Uncovered { trimmed, snapshot });
    }
    Ok(())
}

/// Returns the highest slot up to which these records trim the log, if one does.
fn highest_trim(records: &[Record]) -> Option<Slot> {
    let trims = records.iter().filter_map(|record| match record {
        Record::Trimmed { below } => Some(*below),
        Record::Promised(_) | Record::Accepted { .. } => None,
    });
    trims.max()
}
