//! What a replicated log is for: a deterministic state machine to which it is applied.
//!
//! Every node applies the same commands in the same order, so all have the same state, as long as
//! nothing but the commands decides what happens: no clock, no random source, no order that a hash
//! map of this process happens to have. A command that makes no sense is an answer like any other,
//! and the same on each node; it must not panic, or it would on all of them.
//!
//! ```
//! use bytes::Bytes;
//! use paxos::machine::{RestoreError, StateMachine};
//!
//! /// Adds up the lengths of all commands.
//! #[derive(Default)]
//! struct Sum(u64);
//!
//! impl StateMachine for Sum {
//!     type Answer = Bytes;
//!
//!     fn apply(&mut self, command: &[u8]) -> Bytes {
//!         self.0 += command.len() as u64;
//!         Bytes::copy_from_slice(&self.0.to_le_bytes())
//!     }
//!
//!     fn snapshot(&self) -> Vec<u8> {
//!         self.0.to_le_bytes().into()
//!     }
//!
//!     fn restore(&mut self, snapshot: &[u8]) -> Result<(), RestoreError> {
//!         let bytes = snapshot.try_into().map_err(|_| RestoreError::new("not eight bytes"))?;
//!         self.0 = u64::from_le_bytes(bytes);
//!         Ok(())
//!     }
//! }
//!
//! let (mut one, mut other) = (Sum::default(), Sum::default());
//! one.apply(b"abc");
//! other.restore(&one.snapshot())?;
//! assert_eq!(one.apply(b"d"), other.apply(b"d"));
//! # Ok::<(), RestoreError>(())
//! ```

use std::borrow::Cow;

use bytes::Bytes;
use thiserror::Error;

/// A state that commands change, one after the other, the same way on every node.
pub trait StateMachine: Send + 'static {
    /// The answer to a command. `Bytes` will do for most machines.
    type Answer: Answer;

    /// Executes a command and returns its answer. The same command in the same state has the same effect
    /// and the same answer on every node. A command that the machine cannot understand has an answer, too.
    ///
    /// Every node executes every command, so the machine must bound the time and the memory that one
    /// command takes. A panic halts the machine of each node that reaches the command
    /// ([`Status::halted`](crate::runtime::Status::halted)).
    fn apply(&mut self, command: &[u8]) -> Self::Answer;

    /// All of the state as bytes. Equal states should have equal bytes, so that nodes can be
    /// compared.
    fn snapshot(&self) -> Vec<u8>;

    /// Replaces all of the state by that of a snapshot.
    ///
    /// # Errors
    /// Bytes that are no snapshot of this machine, with the state left as it was.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), RestoreError>;

    /// The number of bytes that the state takes, for operators; 0 if the machine does not count them.
    fn state_bytes(&self) -> u64 {
        0
    }
}

/// The answer of a state machine to a command.
///
/// Every node makes the answer, but only one node sends it to a client. So making an answer should cost
/// little: it may share memory with the state, as [`Bytes`] does. [`to_bytes`](Self::to_bytes) is called only
/// for a snapshot that keeps the answer for a client that may ask again.
pub trait Answer: Clone + Send + 'static {
    /// The number of bytes that keeping the answer takes. The same answer has the same size on every node,
    /// also after a snapshot was restored.
    fn size(&self) -> usize;

    /// The answer as bytes.
    fn to_bytes(&self) -> Bytes;

    /// The answer that [`to_bytes`](Self::to_bytes) has written; `None` for any other bytes.
    fn from_bytes(bytes: Bytes) -> Option<Self>;
}

impl Answer for Bytes {
    fn size(&self) -> usize {
        self.len()
    }

    fn to_bytes(&self) -> Bytes {
        self.clone()
    }

    fn from_bytes(bytes: Bytes) -> Option<Self> {
        Some(bytes)
    }
}

/// Why a snapshot could not be restored.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("this is no snapshot: {reason}")]
pub struct RestoreError {
    reason: Cow<'static, str>,
}

impl RestoreError {
    /// An error for this reason.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into() }
    }

    /// What is wrong with the snapshot, in words.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}
