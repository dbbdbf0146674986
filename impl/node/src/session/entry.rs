//! The entries of the log, and the results of applying them.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use paxos::types::Slot;

/// The id of a session. It contains the kind of the owner, so that a client cannot use the session of a node by
/// mistake, nor a node the session of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId {
    /// The owner of the session.
    pub owner: Owner,
    /// The slot of the entry that opened the session.
    pub slot: Slot,
}

/// The kind of owner of a session. The owner numbers the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Owner {
    /// A node, for the commands of clients without a session.
    Node,
    /// A client, for its own commands.
    Client,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.slot.fmt(f)
    }
}

/// An entry of the log. The replica treats the bytes of each entry as a command that it does not look into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// Opens a session.
    Open {
        /// The number by which the node that asked for the session recognises the result. No nonce may be used twice, not even
        /// after a restart. A node that starts again applies its old log once more, and would take the result of an old entry
        /// with the same nonce for the result of its new request.
        nonce: u128,
        /// The owner of the session.
        owner: Owner,
    },
    /// A command for the state machine.
    Command {
        /// The session of the command.
        session: SessionId,
        /// The number of the command in its session, from 0.
        sequence: u64,
        /// The owner of the session needs no answer to any command below this number any more.
        answered_below: u64,
        /// The bytes for the state machine.
        command: Bytes,
    },
}

impl Entry {
    /// Returns the bytes of the entry.
    pub fn encode(&self) -> Bytes {
        postcard::to_stdvec(self).expect("any entry can be written to memory").into()
    }

    /// Returns the entry with these bytes, or `None` if they are no entry.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

/// An [`Entry`], read without a copy of its command.
#[derive(Deserialize)]
pub(super) enum BorrowedEntry<'a> {
    Open { nonce: u128, owner: Owner },
    Command { session: SessionId, sequence: u64, answered_below: u64, command: &'a [u8] },
}

/// The id of a command: its session, and its number in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CommandId {
    pub(crate) session: SessionId,
    pub(crate) sequence: u64,
}

/// Returns the id of the command in an entry, if the entry has a command.
pub(crate) fn command_id(entry: &[u8]) -> Option<CommandId> {
    match postcard::from_bytes(entry) {
        Ok(BorrowedEntry::Command { session, sequence, .. }) => {
            Some(CommandId { session, sequence })
        }
        _ => None,
    }
}

/// The result of applying an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied<A = Bytes> {
    /// A session was opened.
    Opened {
        /// The nonce of the entry.
        nonce: u128,
        /// The id of the session.
        session: SessionId,
    },
    /// A command was applied, now or before.
    Answered {
        /// The session of the command.
        session: SessionId,
        /// Its number in the session.
        sequence: u64,
        /// The answer of the state machine when the command was applied.
        answer: A,
    },
    /// The command is not applied now, and no answer to it is kept. There are three possible reasons:
    ///
    /// - The command was applied before. Its answer was dropped to save space, and the session keeps only its number.
    /// - The owner of the session has said (`answered_below`) that it needs no answer.
    /// - The command is so old that the session no longer knows whether it was applied. The session has dropped this
    ///   knowledge to save space.
    ///
    /// In the last two cases the command may never have been applied.
    Forgotten {
        /// The session of the command.
        session: SessionId,
        /// Its number in the session.
        sequence: u64,
    },
    /// The session does not exist, or has expired. The command is not applied.
    Expired {
        /// The session of the command.
        session: SessionId,
        /// Its number in the session.
        sequence: u64,
    },
    /// The value of the slot is no entry. It is a no-op that fills a gap, or its bytes cannot be decoded.
    Nothing,
}
