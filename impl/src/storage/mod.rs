//! Where records and snapshots live between crashes.
//!
//! A [`Storage`] makes things durable, and after a crash tells all of them again, or says why it
//! cannot. It has no third way: an acceptor that forgets a promise breaks agreement, so what is
//! damaged, lost or of another node is an error that says what was found, never a fresh start.

#[cfg(any(test, feature = "test-support"))]
pub mod contract;
#[cfg(feature = "disk")]
pub mod disk;
mod error;
mod memory;

use std::fmt;

use bytes::Bytes;

#[cfg(feature = "disk")]
pub use disk::{Disk, Identity};
pub use error::StorageError;
pub use memory::{Memory, MemoryStore};

use crate::{event::Record, types::Slot};

/// What a node keeps through crashes.
///
/// Everything that returns `Ok` is durable: no crash of the process, of the machine or of its power
/// takes it away again. What was under way when a crash came is there as a whole, or not at all.
///
/// After any error but those of reading, the store is not used any more: every further change is
/// refused ([`StorageError::Poisoned`]) until it is opened again, for nobody knows how much of the
/// one that failed is there.
///
/// The order in which a snapshot takes the place of records is the caller's:
/// [`persist_snapshot`](Self::persist_snapshot), then
/// [`Event::Snapshot`](crate::Event::Snapshot), then [`persist`](Self::persist) of the
/// [`Record::Trimmed`] that comes of it.
pub trait Storage {
    /// All that is durable.
    ///
    /// # Errors
    /// Anything that is not exactly what was made durable, and a snapshot that covers less than
    /// what was trimmed.
    fn recover(&mut self) -> Result<Recovered, StorageError>;

    /// Makes records durable, after all earlier ones: those of one call all or none. A
    /// [`Record::Trimmed`] drops what lies below it in the same step.
    ///
    /// # Errors
    /// Nothing is known about these records then; all earlier ones are safe. A `Trimmed` beyond the
    /// durable snapshot is refused.
    fn persist(&mut self, records: &[Record]) -> Result<(), StorageError>;

    /// Makes a snapshot durable, in place of the earlier one. No record is dropped.
    ///
    /// # Errors
    /// Either snapshot may be the durable one then. A snapshot that covers less than what is
    /// trimmed is refused.
    fn persist_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), StorageError>;

    /// Makes a fact durable under a name, in place of an earlier one of that name: what whoever
    /// drives the replica has to remember, and the protocol knows nothing of.
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

/// A random number that a store gets when it is made, and keeps for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StoreId(pub u128);

/// The state of a machine in place of the commands that led to it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// It contains the effect of every slot below.
    pub below: Slot,
    /// The state, as the machine wrote it.
    pub state: Bytes,
}

/// All that was durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The last snapshot.
    pub snapshot: Option<Snapshot>,
    /// What [`Replica::recover`](crate::Replica::recover) makes a replica of.
    pub records: Vec<Record>,
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
