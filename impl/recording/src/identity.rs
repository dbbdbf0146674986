//! Digests of what a recording contains: of values, batches and messages.
//!
//! A message that left is found again by its digest where it arrives.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

pub use crate::digest::{AnswerId, Digest, Hashed, MessageId, StateId, ValueId};
use crate::frame::{BatchRef, Message, Step, Value};

impl Value {
    /// Returns the value without its command: the no-op, or the digest.
    #[must_use]
    pub fn digested(&self) -> Self {
        match self {
            Self::Command(bytes) => Self::Digest(Digest::of(bytes)),
            Self::Noop | Self::Digest(_) => self.clone(),
        }
    }

    /// Returns the digest of the value.
    pub fn id(&self) -> ValueId {
        match self {
            Self::Noop => ValueId(0),
            Self::Digest(digest) => digest.id(),
            Self::Command(bytes) => Digest::of(bytes).id(),
        }
    }
}

/// Returns the digest of the values of consecutive slots.
pub(crate) fn of_batch(values: &[Value]) -> Digest {
    let mut hasher = Xxh3::new();
    for value in values {
        match value {
            Value::Noop => hasher.update(&[0]),
            Value::Digest(digest) => {
                hasher.update(&[1]);
                hasher.update(&digest.0);
            }
            Value::Command(bytes) => {
                hasher.update(&[1]);
                hasher.update(&Digest::of(bytes).0);
            }
        }
    }
    Digest(hasher.digest128().to_le_bytes())
}

impl Step {
    /// Returns the digest of a message of the event or of the output.
    pub fn id(&self, message: &Message<BatchRef>) -> MessageId {
        MessageId::of(message.map(|batch| of_batch(self.batch(*batch))))
    }

    /// Returns a message of the event or of the output with the length of its batch in place of the batch.
    pub fn measured(&self, message: &Message<BatchRef>) -> Message<u64> {
        message.map(|batch| self.batch(*batch).len() as u64)
    }
}

impl MessageId {
    /// Returns the digest of a message whose batch was replaced by its digest.
    pub(crate) fn of(mut message: Message<Digest>) -> Self {
        if let Message::Promise { reports, .. } = &mut message {
            for report in reports {
                report.value = report.value.digested();
            }
        }
        let mut buffer = [0; 64];
        let id = match postcard::to_slice(&message, &mut buffer) {
            Ok(bytes) => xxh3_64(bytes),
            // Only a promise with reports is longer.
            Err(_) => xxh3_64(&postcard::to_allocvec(&message).expect("there is memory")),
        };
        Self(id)
    }
}
