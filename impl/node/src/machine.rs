//! The deterministic state machine to which the replicated log is applied.
//!
//! Every node applies the same commands in the same order, so all nodes have the same state. This requires that the
//! effect of a command depends on the state and the command alone, and not on a clock, a random source or the order of
//! a hash map. A machine also answers a command that makes no sense, with the same answer on each node. The machine
//! must not panic, because it would panic on all nodes.
//!
//! ```
//! use std::io::{Read, Write};
//!
//! use bytes::Bytes;
//! use paxos_node::machine::{Frozen, RestoreError, StateMachine};
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
//!     fn snapshot(&self) -> Frozen {
//!         let sum = self.0;
//!         Box::new(move |file| file.write_all(&sum.to_le_bytes()))
//!     }
//!
//!     fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
//!         let mut bytes = [0; 8];
//!         snapshot.read_exact(&mut bytes)?;
//!         self.0 = u64::from_le_bytes(bytes);
//!         Ok(())
//!     }
//! }
//!
//! let (mut one, mut other) = (Sum::default(), Sum::default());
//! one.apply(b"abc");
//! let frozen = one.snapshot();
//! one.apply(b"d"); // It is not in the snapshot.
//! let mut file = Vec::new();
//! frozen(&mut file)?;
//! other.restore(&mut &file[..])?;
//! assert_eq!(one.apply(b"e"), 5_u64.to_le_bytes()[..]);
//! assert_eq!(other.apply(b"e"), 4_u64.to_le_bytes()[..]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    borrow::Cow,
    io::{self, Read, Write},
};

use bytes::Bytes;
use thiserror::Error;

/// The state of a machine at one moment, as a function that writes the state. Another thread may call the function
/// while the machine applies further commands.
pub type Frozen = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// A state that commands change, one after the other, the same way on every node.
pub trait StateMachine: Send + 'static {
    /// The answer to a command. `Bytes` will do for most machines.
    type Answer: Answer;

    /// Executes a command and returns its answer. The same command in the same state has the same effect
    /// and the same answer on every node. A command that the machine cannot understand has an answer, too.
    ///
    /// Every node executes every command, so the machine must bound the time and the memory that one
    /// command takes. A panic halts the machine of each node that reaches the command
    /// ([`Status::halted`](crate::Status::halted)).
    fn apply(&mut self, command: &[u8]) -> Self::Answer;

    /// Returns the whole present state, for a snapshot. Commands wait for this call, but not while the snapshot is
    /// written. So the call should take little time, however large the state is. The state and the result may share all
    /// that does not change.
    ///
    /// Equal states should write equal bytes, so that nodes can be compared.
    fn snapshot(&self) -> Frozen;

    /// Replaces the whole state by the state of a snapshot.
    ///
    /// A node restores its own snapshot when it starts, and the snapshot of a peer on a thread of its own. Commands and
    /// reads of its clients wait for this call, and the node goes on to vote. A panic ends the node.
    ///
    /// # Errors
    /// The bytes are no snapshot of this machine, or cannot be read. The state must then be as it was. A node that is told
    /// to stop waits for this call, which gets an error when it reads on.
    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError>;

    /// The number of bytes that the state takes, for operators; 0 if the machine does not count them.
    fn state_bytes(&self) -> u64 {
        0
    }
}

/// The answer of a state machine to a command.
///
/// Every node makes the answer, but usually only one node sends it to a client. So making an answer should cost
/// little: the answer may share memory with the state, as [`Bytes`] can. [`to_bytes`](Self::to_bytes) is called only
/// when a snapshot is written, for the answers that clients have not confirmed.
pub trait Answer: Clone + Send + Sync + 'static {
    /// The number of bytes that keeping the answer takes. The same answer has the same size on every node,
    /// also after a snapshot was restored.
    fn size(&self) -> usize;

    /// The answer as bytes.
    fn to_bytes(&self) -> Bytes;

    /// Returns the answer that [`to_bytes`](Self::to_bytes) has written, or `None` for any other bytes.
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

/// The snapshot is too short, or cannot be read.
impl From<io::Error> for RestoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::new("it ends too early"),
            _ => Self::new(error.to_string()),
        }
    }
}

/// The reason for which a snapshot could not be restored.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("this is no snapshot: {reason}")]
pub struct RestoreError {
    reason: Cow<'static, str>,
}

impl RestoreError {
    /// Returns an error with this reason.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into() }
    }

    /// The reason, as a phrase for operators.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Answers each command with the number of commands so far.
    #[derive(Debug, Default)]
    pub(crate) struct Counter(pub(crate) u64);

    impl StateMachine for Counter {
        type Answer = Bytes;

        fn apply(&mut self, _: &[u8]) -> Bytes {
            self.0 += 1;
            self.0.to_string().into()
        }

        fn snapshot(&self) -> Frozen {
            let count = self.0;
            Box::new(move |file| file.write_all(&count.to_le_bytes()))
        }

        fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
            let mut bytes = [0; 8];
            snapshot.read_exact(&mut bytes)?;
            self.0 = u64::from_le_bytes(bytes);
            Ok(())
        }
    }

    /// The bytes that a snapshot writes.
    pub(crate) fn bytes(frozen: Frozen) -> Vec<u8> {
        let mut bytes = Vec::new();
        frozen(&mut bytes).expect("there is memory");
        bytes
    }
}
