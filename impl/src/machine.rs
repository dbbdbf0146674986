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
    /// Does what a command says, and answers. The same command in the same state has the same effect
    /// and the same answer everywhere; one that cannot be understood is answered, too.
    fn apply(&mut self, command: &[u8]) -> Bytes;

    /// All of the state as bytes. Equal states should have equal bytes, so that nodes can be
    /// compared.
    fn snapshot(&self) -> Vec<u8>;

    /// Replaces all of the state by that of a snapshot.
    ///
    /// # Errors
    /// Bytes that are no snapshot of this machine, with the state left as it was.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), RestoreError>;
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
