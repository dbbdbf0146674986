//! Sessions that are to be opened: those of clients, and the session of the node itself.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{attempt::Attempt, error::ProposeError};
use crate::{
    session::{Entry, Owner, SessionId},
    timers::Now,
};
use paxos::types::NodeId;

/// The channel for the id of a new session.
pub(crate) type SessionReply = oneshot::Sender<Result<SessionId, ProposeError>>;

/// The owner of a session that is to be opened.
#[derive(Debug)]
pub(super) enum Opener {
    /// The node itself, which waits without a deadline.
    Node,
    /// A client, which waits until a deadline.
    Client(SessionReply, Now),
}

#[derive(Debug)]
struct Opening {
    opener: Opener,
    attempt: Option<Attempt>,
}

/// Sessions that are to be opened, by nonce.
#[derive(Debug)]
pub(super) struct Openings {
    last_nonce: u128,
    openings: BTreeMap<u128, Opening>,
}

impl Openings {
    /// The first nonce is the one after `last_nonce`. No other incarnation of any node may use the same nonces.
    pub(super) fn new(last_nonce: u128) -> Self {
        Self { last_nonce, openings: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.openings.len()
    }

    /// Begins to open a session.
    pub(super) fn begin(&mut self, opener: Opener) {
        self.last_nonce += 1;
        self.openings.insert(self.last_nonce, Opening { opener, attempt: None });
    }

    /// Returns the entries that are to be proposed now.
    pub(super) fn due(&mut self, leader: NodeId, now: Now, retry: Duration) -> Vec<Bytes> {
        let mut entries = Vec::new();
        for (&nonce, opening) in &mut self.openings {
            if Attempt::is_due(opening.attempt, leader, now) {
                opening.attempt = Some(Attempt::now(opening.attempt, leader, now, retry));
                let owner = match opening.opener {
                    Opener::Node => Owner::Node,
                    Opener::Client(..) => Owner::Client,
                };
                entries.push(Entry::Open { nonce, owner }.encode());
            }
        }
        entries
    }

    /// Removes and returns the opener of the session with this nonce. Returns `None` if another node has opened the
    /// session, or if it was opened before.
    pub(super) fn opened(&mut self, nonce: u128) -> Option<Opener> {
        self.openings.remove(&nonce).map(|opening| opening.opener)
    }

    /// Answers the clients whose time is up with an error.
    pub(super) fn give_up(&mut self, now: Now, error: &ProposeError) {
        let late = |opener: &Opener| matches!(opener, Opener::Client(_, late) if *late <= now);
        for (_, opening) in self.openings.extract_if(.., |_, opening| late(&opening.opener)) {
            opening.opener.fail(error);
        }
    }

    /// Answers all clients with an error.
    pub(super) fn end(&mut self, error: &ProposeError) {
        for opening in std::mem::take(&mut self.openings).into_values() {
            opening.opener.fail(error);
        }
    }
}

impl Opener {
    fn fail(self, error: &ProposeError) {
        if let Self::Client(reply, _) = self {
            let _ = reply.send(Err(error.clone())); // The client may have gone away.
        }
    }
}
