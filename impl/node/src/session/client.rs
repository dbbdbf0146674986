//! A client's side of its session.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Entry, Owner, SessionId};
use paxos::types::Slot;

/// A session of a client's own, which does not depend on the node that it was opened through. It numbers
/// the commands, and remembers which answers are still to come.
///
/// It can be written down, and gone on with after the client was started again. Then both, the session as it
/// is after [`request`](Self::request) and the request, have to be written down before it is asked for: a
/// number that is used twice is applied the first time only. At most
/// [`ANSWERS_MAX`](super::ANSWERS_MAX) answers are kept for a session, so say which were
/// [`heard`](Self::heard).
///
/// ```
/// use paxos::Slot;
/// use paxos_node::session::ClientSession;
///
/// let mut session = ClientSession::new(Slot(7)); // Handle::open_session gives one that is open
/// let first = session.request("add one");
/// let second = session.request("add two");
/// assert_eq!((first.sequence(), second.sequence()), (0, 1));
/// session.heard(&first); // its answer has come: nobody has to keep it any longer
/// assert_eq!(session.request("add three").answered_below(), 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSession {
    id: SessionId,
    next: u64,
    /// Requests whose answers were not heard.
    open: BTreeSet<u64>,
}

/// A command with its place in a session. However often it is asked for, and of whichever nodes, it is
/// applied once, and every time answered with what it was answered then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    session: SessionId,
    sequence: u64,
    answered_below: u64,
    command: Bytes,
}

impl ClientSession {
    /// A session that was opened by the entry in this slot, and in which nothing was asked for.
    pub fn new(opened: Slot) -> Self {
        let id = SessionId { owner: Owner::Client, slot: opened };
        Self { id, next: 0, open: BTreeSet::new() }
    }

    /// Its name.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The next command.
    pub fn request(&mut self, command: impl Into<Bytes>) -> Request {
        let sequence = self.next;
        self.next += 1;
        self.open.insert(sequence);
        let answered_below = self.open.first().copied().unwrap_or(sequence);
        Request { session: self.id, sequence, answered_below, command: command.into() }
    }

    /// The answer to a request was heard, or nobody wants it any more: the request is not asked for again, and
    /// its answer may be forgotten. A request of another session changes nothing.
    pub fn heard(&mut self, request: &Request) {
        if request.session == self.id {
            self.open.remove(&request.sequence);
        }
    }

    /// None of the requests so far is asked for again.
    pub fn forget_all(&mut self) {
        self.open.clear();
    }
}

impl Request {
    /// A request by its numbers, for whoever keeps count of them by other means than a [`ClientSession`]:
    /// nothing if it is one whose answer was heard.
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

    /// The session that it belongs to.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Its number there.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// All answers below this number were heard when it was made.
    pub fn answered_below(&self) -> u64 {
        self.answered_below
    }

    /// What is to be applied.
    pub fn command(&self) -> &Bytes {
        &self.command
    }

    /// The same request with its command in another form.
    #[must_use]
    pub fn map(mut self, command: impl FnOnce(Bytes) -> Bytes) -> Self {
        self.command = command(self.command);
        self
    }

    /// As it is written in the log.
    pub fn entry(&self) -> Entry {
        let Self { session, sequence, answered_below, command } = self.clone();
        Entry::Command { session, sequence, answered_below, command }
    }
}
