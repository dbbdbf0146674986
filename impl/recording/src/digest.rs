//! Digests of bytes: of commands, results, messages and snapshots.

use std::io::{self, Read, Write};

use paxos::Value;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128};

/// The digest of a command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 16]);

/// The digest of a message of a replica. Equal messages have equal digests at the node that sends and at the node that receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId(pub u64);

/// The digest of a value that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ValueId(pub u64);

/// The digest of the result of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AnswerId(pub u64);

/// The digest of the bytes of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StateId(pub u64);

impl Digest {
    /// Returns the digest of a command.
    pub fn of(command: &[u8]) -> Self {
        Self(xxh3_128(command).to_le_bytes())
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Digest {
    /// Returns the digest of a value with this digest of its command.
    pub(crate) fn id(self) -> ValueId {
        let [low @ .., _, _, _, _, _, _, _, _] = self.0;
        ValueId(u64::from_le_bytes(low) | 1)
    }
}

impl ValueId {
    /// Returns the digest of a value of the replica.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Noop => Self(0),
            Value::Command(bytes) => Digest::of(bytes).id(),
        }
    }
}

impl AnswerId {
    /// Returns the digest of the bytes of a result.
    pub fn of(bytes: &[u8]) -> Self {
        Self(xxh3_64(bytes))
    }
}

/// Computes the digest of the bytes that pass through it.
pub struct Hashed<T> {
    inner: T,
    hasher: Xxh3,
}

impl<T> std::fmt::Debug for Hashed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hashed").finish_non_exhaustive()
    }
}

impl<T> Hashed<T> {
    /// Returns a reader or writer through which no byte has passed.
    pub fn new(inner: T) -> Self {
        Self { inner, hasher: Xxh3::new() }
    }

    /// Returns the digest of the bytes so far.
    pub fn state(&self) -> StateId {
        StateId(self.hasher.digest())
    }
}

impl<T: Write> Write for Hashed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashed<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
