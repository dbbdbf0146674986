//! Digests of bytes: of commands, results, messages and snapshots.

use std::io::{self, Read, Write};

use paxos::Value;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128};

/// The digest of a command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(#[serde(with = "fixed")] pub [u8; 16]);

/// The digest of a message of a replica. Equal messages have equal digests at the node that sends and at the node that receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId(#[serde(with = "fixed_number")] pub u64);

/// The digest of a value that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ValueId(#[serde(with = "fixed_number")] pub u64);

/// The digest of the result of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AnswerId(#[serde(with = "fixed_number")] pub u64);

/// The digest of the bytes of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StateId(#[serde(with = "fixed_number")] pub u64);

/// Bytes of a known number, as one byte string. Postcard copies a byte string at once, and writes an array byte by byte.
mod fixed {
    use serde::{
        Deserializer, Serializer,
        de::{Error, Visitor},
    };

    pub(super) fn serialize<S: Serializer, const N: usize>(
        bytes: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        struct Bytes<const N: usize>;

        impl<const N: usize> Visitor<'_> for Bytes<N> {
            type Value = [u8; N];

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{N} bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<[u8; N], E> {
                bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

/// A number without order, as its bytes. Postcard would write most such numbers in ten steps.
mod fixed_number {
    use serde::{Deserializer, Serializer};

    use super::fixed;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        fixed::serialize(&number.to_le_bytes(), serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        fixed::deserialize(deserializer).map(u64::from_le_bytes)
    }
}

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
