//! A client's side of its session.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Owner, SessionId};
use paxos::types::Slot;

/// A client's session. It numbers the commands, and remembers which answers are still to come. It works with every node
/// of the cluster.
///
/// A client can write its session down and use it again after a restart. It must then write down both the request and
/// the session after each [`request`](Self::request), before it sends the request. Otherwise two commands could have
/// the same number, and only the first of them would be applied.
///
/// The cluster keeps at most [`ANSWERS_MAX`](super::ANSWERS_MAX) answers of a session, so confirm the answers that were
/// [`heard`](Self::heard).
///
/// ```
/// use paxos::Slot;
/// use paxos_node::session::ClientSession;
///
/// let mut session = ClientSession::new(Slot(7)); // ClientHandle::open_session returns an open one
/// let first = session.request("add one");
/// let second = session.request("add two");
/// assert_eq!((first.sequence(), second.sequence()), (0, 1));
/// session.heard(&first); // its answer has come, and need not be kept any longer
/// assert_eq!(session.request("add three").answered_below(), 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSession {
    id: SessionId,
    next: u64,
    /// The requests whose answers were not heard.
    open: BTreeSet<u64>,
}

/// A command with its number in a session. The cluster applies it once, even if it is sent several times or to several
/// nodes. Each time it has the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    session: SessionId,
    sequence: u64,
    answered_below: u64,
    command: Bytes,
}

impl ClientSession {
    /// Returns the session that the entry in this slot has opened, without requests so far.
    pub fn new(opened: Slot) -> Self {
        let id = SessionId { owner: Owner::Client, slot: opened };
        Self { id, next: 0, open: BTreeSet::new() }
    }

    /// The id of the session.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Returns the request for the next command.
    pub fn request(&mut self, command: impl Into<Bytes>) -> Request {
        let sequence = self.next;
        self.next += 1;
        self.open.insert(sequence);
        let answered_below = self.open.first().copied().unwrap_or(sequence);
        Request { session: self.id, sequence, answered_below, command: command.into() }
    }

    /// Confirms that the answer to a request was heard, or is not wanted any more. The cluster may then forget the
    /// answer, and the client must not send the request again. Does nothing for a request of another session.
    pub fn heard(&mut self, request: &Request) {
        if request.session == self.id {
            self.open.remove(&request.sequence);
        }
    }

    /// Confirms all requests so far. The client must not send any of them again.
    pub fn forget_all(&mut self) {
        self.open.clear();
    }
}

impl Request {
    /// Returns a request with these numbers, for a client that numbers its commands without a [`ClientSession`].
    /// Returns `None` if the client has heard the answer to the request.
    pub fn new(
        opened: Slot,
        sequence: u64,
        answered_below: u64,
        command: impl Into<Bytes>,
    ) -> Option<Self> {
        let session = SessionId { owner: Owner::Client, slot: opened };
        let request = Self { session, sequence, answered_below, command: command.into() };
        (answered_below <= sequence).then_some(request)
    }

    /// The session of the command.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The number of the command in its session.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The client has heard the answers to all commands below this number.
    pub fn answered_below(&self) -> u64 {
        self.answered_below
    }

    /// The command.
    pub fn command(&self) -> &Bytes {
        &self.command
    }

    /// Applies a function to the command of the request.
    #[must_use]
    pub fn map(mut self, command: impl FnOnce(Bytes) -> Bytes) -> Self {
        self.command = command(self.command);
        self
    }

    /// Returns the entry of the log.
    pub fn entry(&self) -> Entry {
        let Self { session, sequence, answered_below, command } = self.clone();
        Entry::Command { session, sequence, answered_below, command }
    }
}
