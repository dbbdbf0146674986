//! State machines and clients with Rust types in place of bytes.
//!
//! A [`TypedMachine`] has types for its commands and answers, and is its own snapshot. [`Typed`] makes a
//! [`StateMachine`] of it, and [`TypedClient`] proposes its commands. Commands, answers and snapshots are written with
//! [postcard], a compact format without names of fields.
//!
//! ```
//! use paxos_node::{StateMachine as _, typed::{Typed, TypedMachine, encode}};
//! use serde::{Deserialize, Serialize};
//!
//! /// Adds numbers. The answer is the sum.
//! #[derive(Clone, Default, Serialize, Deserialize)]
//! struct Sum(u64);
//!
//! impl TypedMachine for Sum {
//!     type Command = u64;
//!     type Answer = u64;
//!
//!     fn apply(&mut self, number: u64) -> u64 {
//!         self.0 += number;
//!         self.0
//!     }
//! }
//!
//! let mut replica = Typed::<Sum>::default();
//! replica.apply(&encode::<Sum>(&2)?);
//! replica.apply(&encode::<Sum>(&3)?);
//! assert_eq!(replica.machine().0, 5);
//! # Ok::<(), paxos_node::typed::TypedError>(())
//! ```
//!
//! # Versions
//!
//! Commands are in the log, and the state is in snapshots, so both outlive a version of the program. Add a new command
//! as the last variant of an `enum`. A node that does not know a command answers [`TypedError::UnknownCommand`] and
//! changes nothing. A node that knows the command changes its state, so the states of the two nodes differ from then
//! on. So replace the program on all nodes before a client sends the first new command.
//!
//! # Limits
//!
//! - A snapshot begins with a clone of the machine, and requests wait for the clone. A machine with a large state
//!   shares it between clones, for example by [`Arc`](std::sync::Arc) or a persistent map.
//! - Equal states should have equal bytes. So use ordered maps and sets.
//! - postcard cannot write or read every type: `#[serde(untagged)]`, `#[serde(flatten)]` and `skip_serializing_if` do
//!   not work. An answer that postcard cannot write halts the machine, as a panic does.

use std::io::Read;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{
    ClientHandle, Frozen, ProposeError, ReadError, RestoreError, StateMachine, session::Request,
};

/// A deterministic state machine whose commands, answers and state are Rust types.
///
/// The rules of [`StateMachine`] hold here, too. The effect and the answer of a command must depend on the state and
/// the command alone. The machine must bound the time and the memory that one command takes.
pub trait TypedMachine: Clone + Serialize + DeserializeOwned + Send + 'static {
    /// A command of a client.
    type Command: Serialize + DeserializeOwned;
    /// The answer to a command.
    type Answer: Serialize + DeserializeOwned;

    /// Executes a command and returns its answer.
    fn apply(&mut self, command: Self::Command) -> Self::Answer;

    /// The number of bytes that the state takes, for operators; 0 if the machine does not count them.
    fn state_bytes(&self) -> u64 {
        0
    }
}

/// A [`TypedMachine`] as a [`StateMachine`].
#[derive(Clone, Debug, Default)]
pub struct Typed<M>(M);

impl<M> Typed<M> {
    /// Returns a state machine that begins with this state.
    pub fn new(machine: M) -> Self {
        Self(machine)
    }

    /// Returns the state.
    pub fn machine(&self) -> &M {
        &self.0
    }
}

impl<M: TypedMachine> StateMachine for Typed<M> {
    /// The bytes of an `Option` of the answer, which is `None` if the command is unknown.
    type Answer = Bytes;

    fn apply(&mut self, command: &[u8]) -> Bytes {
        let answer = decode(command).map(|command| self.0.apply(command));
        postcard::to_stdvec(&answer).expect("postcard can write the answers of this machine").into()
    }

    fn snapshot(&self) -> Frozen {
        let machine = self.0.clone();
        Box::new(move |file| {
            postcard::to_io(&machine, file).map(drop).map_err(std::io::Error::other)
        })
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes)?;
        let machine = decode(&bytes);
        self.0 = machine.ok_or_else(|| RestoreError::new("it is no state of this machine"))?;
        Ok(())
    }

    fn state_bytes(&self) -> u64 {
        self.0.state_bytes()
    }
}

/// Reads a value that takes up all bytes.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
    rest.is_empty().then_some(value)
}

/// Returns the bytes of a command, for [`ClientSession::request`](crate::session::ClientSession::request).
///
/// # Errors
/// postcard cannot write the command.
pub fn encode<M: TypedMachine>(command: &M::Command) -> Result<Bytes, TypedError> {
    let bytes = postcard::to_stdvec(command);
    bytes.map(Bytes::from).map_err(|error| TypedError::Unwritable(error.to_string()))
}

/// Sends typed commands and reads to a node, from any thread. Cheap to clone.
pub struct TypedClient<M: TypedMachine>(ClientHandle<Typed<M>>);

impl<M: TypedMachine> Clone for TypedClient<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: TypedMachine> From<ClientHandle<Typed<M>>> for TypedClient<M> {
    fn from(handle: ClientHandle<Typed<M>>) -> Self {
        Self(handle)
    }
}

impl<M: TypedMachine> TypedClient<M> {
    /// The handle of the node, for status, leadership, sessions and stopping.
    pub fn handle(&self) -> &ClientHandle<Typed<M>> {
        &self.0
    }

    /// Proposes a command, and returns its answer once it is chosen and applied ([`ClientHandle::propose`]).
    ///
    /// # Errors
    /// There is no answer. [`TypedError::may_be_applied`] says whether the command may have an effect.
    pub async fn propose(&self, command: &M::Command) -> Result<M::Answer, TypedError> {
        answer(&self.0.propose(encode::<M>(command)?).await?)
    }

    /// Proposes a request of a session, whose command is [`encode`]d ([`ClientHandle::request`]).
    ///
    /// # Errors
    /// There is no answer.
    pub async fn request(&self, request: Request) -> Result<M::Answer, TypedError> {
        answer(&self.0.request(request).await?)
    }

    /// Reads the state machine, linearizably ([`ClientHandle::read`]).
    ///
    /// # Errors
    /// The machine could not be read.
    pub async fn read<R: Send + 'static>(
        &self,
        reading: impl FnOnce(&M) -> R + Send + 'static,
    ) -> Result<R, ReadError> {
        self.0.read(|typed| reading(&typed.0)).await
    }
}

fn answer<A: DeserializeOwned>(bytes: &[u8]) -> Result<A, TypedError> {
    decode::<Option<A>>(bytes)
        .ok_or(TypedError::UnreadableAnswer)?
        .ok_or(TypedError::UnknownCommand)
}

/// The reason for which a typed command has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TypedError {
    /// The node has no answer.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// postcard cannot write the command. The command was not sent.
    #[error("the command cannot be written as bytes: {0}")]
    Unwritable(String),
    /// The state machine of the node does not know the command. The command has changed nothing at that node.
    #[error("the node does not know this command; it may run another version of the program")]
    UnknownCommand,
    /// The answer was made by another version of the program, and this version cannot read it. The command was applied.
    #[error("the command was applied, but its answer is one of another version of the program")]
    UnreadableAnswer,
}

impl TypedError {
    /// Returns true if the command may have been applied, or may still be applied.
    pub fn may_be_applied(&self) -> bool {
        match self {
            Self::Propose(error) => error.may_be_applied(),
            // Nodes of another version may know the command.
            Self::UnknownCommand | Self::UnreadableAnswer => true,
            Self::Unwritable(_) => false,
        }
    }

    /// Returns true if the same request would fail again with the same error.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Propose(error) => error.is_final(),
            Self::Unwritable(_) | Self::UnknownCommand | Self::UnreadableAnswer => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::machine::tests::bytes;

    /// Two versions of one machine.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Words(BTreeMap<String, u32>);

    #[derive(Serialize, Deserialize)]
    enum Command {
        Count(String),
    }

    #[derive(Serialize, Deserialize)]
    enum NextCommand {
        Count(String),
        Forget(String),
    }

    impl TypedMachine for Words {
        type Command = Command;
        type Answer = u32;

        fn apply(&mut self, Command::Count(word): Command) -> u32 {
            let count = self.0.entry(word).or_default();
            *count += 1;
            *count
        }
    }

    fn written(command: &impl Serialize) -> Vec<u8> {
        postcard::to_stdvec(command).expect("it can be written")
    }

    #[test]
    fn an_unknown_command_changes_nothing_and_is_answered() {
        let mut words = Typed::<Words>::default();
        let counted = words.apply(&written(&NextCommand::Count("tea".into())));
        assert_eq!(answer::<u32>(&counted), Ok(1));
        let before = words.machine().clone();
        let longer = [&written(&Command::Count("tea".into()))[..], b"more"].concat();
        for unknown in [&written(&NextCommand::Forget("tea".into())), &longer, b"".as_slice()] {
            assert_eq!(answer::<u32>(&words.apply(unknown)), Err(TypedError::UnknownCommand));
        }
        assert_eq!(*words.machine(), before);
        assert_eq!(answer::<u32>(b"\x07"), Err(TypedError::UnreadableAnswer));
    }

    #[test]
    fn a_snapshot_has_the_whole_state_and_nothing_else_is_restored() {
        let mut words = Typed::new(Words([("tea".to_owned(), 3)].into()));
        let snapshot = bytes(words.snapshot());
        let mut restored = Typed::<Words>::default();
        restored.restore(&mut &snapshot[..]).expect("it is a snapshot");
        assert_eq!(restored.machine(), words.machine());
        let longer = [&snapshot[..], b"more"].concat();
        for damaged in [&snapshot[..snapshot.len() - 1], &longer] {
            let error = words.restore(&mut &*damaged).expect_err("it is none");
            assert_eq!(error.to_string(), "this is no snapshot: it is no state of this machine");
            assert_eq!(words.machine(), restored.machine(), "the state is as it was");
        }
    }

    #[tokio::test]
    async fn a_client_says_why_there_is_no_answer() {
        let mut words = Typed::<Words>::default();
        let handle = ClientHandle::without_node(move |command| Some(words.apply(&command)));
        let client = TypedClient::<Words>::from(handle);
        assert_eq!(client.propose(&Command::Count("tea".into())).await, Ok(1));
        assert_eq!(client.propose(&Command::Count("tea".into())).await, Ok(2));
        assert!(
            TypedError::UnknownCommand.is_final() && TypedError::UnknownCommand.may_be_applied()
        );
        let stopped = TypedError::from(ProposeError::StoppedBefore);
        assert!(!stopped.is_final() && !stopped.may_be_applied());
    }
}
