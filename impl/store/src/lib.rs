//! The records and snapshots that a replica keeps through crashes.
//!
//! A [`Storage`] makes records durable, and after a crash returns all of them, or an error that says what was found. It has no
//! third way: an acceptor that forgets a promise breaks agreement, so a store that is damaged, lost or of
//! another node is an error, never a fresh start.
//!
//! - [`Storage`] is the contract, and [`contract`] has tests that hold any store to it.
//! - [`MemoryStore`] forgets everything with its process, for tests and simulations.
//! - [`disk`] is a store in a directory, on a Unix, with the feature `disk`.
//!
//! A store does not decide when records have to be durable. That is the contract of the replica
//! ([`paxos`]), which the crate `paxos-node` keeps.

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

/// What a node keeps through crashes.
///
/// A change is durable once [`persist`](Self::persist), [`adopt_snapshot`](Self::adopt_snapshot) or [`note`](Self::note)
/// returns `Ok`: no crash of the process, of the host or of its power takes it away again. A change that a crash interrupts is
/// there as a whole, or not at all. ([`MemoryStore`] withstands the crash of a node, and not the end of its process.)
///
/// A change that fails or is refused poisons the store: it refuses all later changes ([`StorageError::Poisoned`]) until it is
/// opened again, because the outcome of the failed change is unknown. Errors of reading do not.
///
/// The order in which a snapshot takes the place of records is the caller's:
/// [`adopt_snapshot`](Self::adopt_snapshot), then
/// [`Event::Snapshot`](paxos::Event::Snapshot), then [`persist`](Self::persist) of the
/// [`Record::Trimmed`] that comes of it.
pub trait Storage {
    /// The bytes of a snapshot: of the durable one, or of one that is being written beside it.
    type SnapshotFile: SnapshotFile;

    /// All records that are durable, as [`Replica::recover`](paxos::Replica::recover) needs them.
    ///
    /// # Errors
    /// The contents differ from what was made durable, or the snapshot covers less than what was trimmed.
    fn recover(&mut self) -> Result<Vec<Record>, StorageError>;

    /// Makes records durable, after all earlier ones: those of one call all or none. A
    /// [`Record::Trimmed`] drops what lies below it in the same step.
    ///
    /// # Errors
    /// Nothing is known about these records then; all earlier ones are safe. A `Trimmed` beyond the
    /// durable snapshot is refused.
    fn persist(&mut self, records: &[Record]) -> Result<(), StorageError>;

    /// The durable snapshot: the slot below which it has the effect of every slot, and its bytes. They can be read
    /// while the next snapshot is written. After the next one was adopted, the bytes are lost when another is begun.
    fn snapshot(&self) -> Option<(Slot, Self::SnapshotFile)>;

    /// An empty file for the next snapshot, beside the durable one. Another thread may write it while the store is
    /// used. There is one such file at a time: the caller writes none that was begun before.
    ///
    /// # Errors
    /// The store has failed before.
    fn begin_snapshot(&mut self) -> Result<Self::SnapshotFile, StorageError>;

    /// Makes the snapshot in a file that was begun the durable one, in place of the earlier one. It has the effect of
    /// every slot below `below`. No record is dropped. The file is synced if it was not.
    ///
    /// # Errors
    /// Either snapshot may be the durable one then. A snapshot that covers less than what is
    /// trimmed is refused, and so is a file that could not be written.
    fn adopt_snapshot(&mut self, below: Slot, file: Self::SnapshotFile)
    -> Result<(), StorageError>;

    /// Makes a snapshot durable that is in memory.
    ///
    /// # Errors
    /// Those of [`adopt_snapshot`](Self::adopt_snapshot).
    fn persist_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), StorageError> {
        let mut file = self.begin_snapshot()?;
        let written = file.write_all(&snapshot.state);
        self.adopt_snapshot(snapshot.below, file)?;
        written.map_err(StorageError::io("write the snapshot"))
    }

    /// Makes a value durable under a name, in place of the earlier value of that name. It is for the driver of the replica;
    /// the protocol does not use it.
    ///
    /// # Errors
    /// Either fact may be the durable one then.
    fn note(&mut self, name: &str, fact: &[u8]) -> Result<(), StorageError>;

    /// The fact that was noted under a name.
    ///
    /// # Errors
    /// What is there is not what was noted.
    fn noted(&self, name: &str) -> Result<Option<Bytes>, StorageError>;

    /// Which store this is. A node that comes back with another one has lost its memory.
    fn id(&self) -> StoreId;

    /// How much room it takes, in bytes.
    fn disk_bytes(&self) -> u64;
}

/// The bytes of a snapshot. Writing adds to their end.
pub trait SnapshotFile: Write + Send + 'static {
    /// The number of bytes.
    fn length(&self) -> u64;

    /// Fills `out` with the bytes from `offset` on.
    ///
    /// # Errors
    /// There are not so many, or the system does not give them.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// Nothing is known about the bytes then.
    fn sync(&mut self) -> io::Result<()>;

    /// Reads all bytes, from the first on.
    fn reader(&self) -> SnapshotReader<'_, Self>
    where
        Self: Sized,
    {
        SnapshotReader { file: self, offset: 0 }
    }
}

/// Reads a snapshot from its beginning to its end.
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

/// A random number that a store gets when it is made, and keeps for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StoreId(pub u128);

/// The state of a machine in place of the commands that led to it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// It contains the effect of every slot below.
    pub below: Slot,
    /// The state, as the machine wrote it.
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

/// A trim must be covered by a snapshot: what it forgets is nowhere else.
fn covers(snapshot: Option<Slot>, trimmed: Slot) -> Result<(), StorageError> {
    if snapshot.unwrap_or_default() < trimmed {
        return Err(StorageError::Uncovered { trimmed, snapshot });
    }
    Ok(())
}

/// The highest trim among records.
fn trims(records: &[Record]) -> Option<Slot> {
    let trims = records.iter().filter_map(|record| match record {
        Record::Trimmed { below } => Some(*below),
        Record::Promised(_) | Record::Accepted { .. } => None,
    });
    trims.max()
}
