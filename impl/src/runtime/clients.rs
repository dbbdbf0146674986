//! The commands of this node's own clients, from the moment they are asked for until they are applied
//! here.
//!
//! A node has one session, in which it numbers its clients' commands. Each is kept, and asked for
//! again, until this node itself applies it, or until its time is up. So it does not matter where a
//! command was lost: on its way to the leader, with the leader, or against another one. The session
//! sees to it that it is applied once.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::oneshot;

use super::timing::Now;
use crate::{
    machine::StateMachine,
    session::{Applied, Entry, SessionId, Sessions},
    types::NodeId,
};

/// Why a command has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// Its time was up. It may have been applied, or be applied later.
    #[error("not applied within {} ms; it may have been, or be later", .0.as_millis())]
    Timeout(Duration),
    /// The session was not used for so long that it expired. It may have been applied, long ago.
    #[error("the session expired; the command may have been applied before that")]
    Expired,
    /// The node has stopped. It may have been applied, or be applied later.
    #[error("the node has stopped; the command may have been applied, or be later")]
    Stopped,
    /// It was never asked for: it is too long.
    #[error("the command has {found} bytes; at most {most} are allowed")]
    TooLong {
        /// How many it has.
        found: usize,
        /// How many it may have.
        most: usize,
    },
}

impl ProposeError {
    /// Whether the command may have been applied, or still be.
    pub fn may_be_applied(&self) -> bool {
        !matches!(self, Self::TooLong { .. })
    }
}

/// Where the answer to a command goes.
pub(super) type Reply = oneshot::Sender<Result<Bytes, ProposeError>>;

/// A command that waits.
#[derive(Debug)]
struct Pending {
    /// As it is written in the log.
    entry: Bytes,
    reply: Reply,
    deadline: Now,
    asked: Option<Asked>,
}

/// When something was asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    of: NodeId,
    /// When it is to be asked for again.
    again_at: Now,
    /// How long after that, then: twice as long each time. What takes long because there is much to do
    /// would only take longer if all of it was asked for twice.
    pause: Duration,
}

impl Asked {
    fn now(before: Option<Self>, leader: NodeId, now: Now, retry: Duration) -> Self {
        let pause =
            before.filter(|before| before.of == leader).map_or(retry, |before| before.pause);
        Self { of: leader, again_at: now + pause, pause: pause * 2 }
    }

    fn is_due(before: Option<Self>, leader: NodeId, now: Now) -> bool {
        before.is_none_or(|before| before.of != leader || before.again_at <= now)
    }
}

#[derive(Debug)]
enum Session {
    None,
    /// It was asked for under a nonce.
    Opening {
        nonce: u128,
        asked: Option<Asked>,
    },
    Open(SessionId),
}

/// What waits, and the session it waits in.
#[derive(Debug)]
pub(super) struct Clients {
    timeout: Duration,
    retry: Duration,
    session: Session,
    /// For the next session.
    nonce: u128,
    next_sequence: u64,
    pending: BTreeMap<u64, Pending>,
    /// Those of `pending` that were never asked for.
    fresh: Vec<u64>,
    /// What came before there was a session.
    early: Vec<(Bytes, Reply, Now)>,
}

impl Clients {
    /// `life` is a number that no other life of any node has.
    pub(super) fn new(timeout: Duration, retry: Duration, life: u128) -> Self {
        Self {
            timeout,
            retry,
            session: Session::None,
            nonce: life << 32,
            next_sequence: 0,
            pending: BTreeMap::new(),
            fresh: Vec::new(),
            early: Vec::new(),
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.pending.len() + self.early.len()
    }

    /// A client asks for a command.
    pub(super) fn propose(&mut self, command: Bytes, reply: Reply, now: Now) {
        let deadline = now + self.timeout;
        match self.session {
            Session::Open(session) => self.number(session, command, reply, deadline),
            _ => self.early.push((command, reply, deadline)),
        }
    }

    fn number(&mut self, session: SessionId, command: Bytes, reply: Reply, deadline: Now) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let answered_below = self.pending.keys().next().copied().unwrap_or(sequence);
        let entry = Entry::Command { session, sequence, answered_below, command }.encode();
        self.pending.insert(sequence, Pending { entry, reply, deadline, asked: None });
        self.fresh.push(sequence);
    }

    /// What is to be asked of `leader` now: what is new, and with `overdue` all that was asked of
    /// another, or too long ago.
    pub(super) fn due(&mut self, leader: NodeId, now: Now, overdue: bool) -> Vec<Bytes> {
        let retry = self.retry;
        let mut entries = Vec::new();
        if matches!(self.session, Session::None) && !self.early.is_empty() {
            self.nonce += 1;
            self.session = Session::Opening { nonce: self.nonce, asked: None };
        }
        if let Session::Opening { nonce, asked } = &mut self.session
            && Asked::is_due(*asked, leader, now)
        {
            *asked = Some(Asked::now(*asked, leader, now, retry));
            entries.push(Entry::Open { nonce: *nonce }.encode());
        }
        let mut ask = |pending: &mut Pending| {
            pending.asked = Some(Asked::now(pending.asked, leader, now, retry));
            entries.push(pending.entry.clone());
        };
        if overdue {
            self.pending
                .values_mut()
                .filter(|pending| Asked::is_due(pending.asked, leader, now))
                .for_each(&mut ask);
            self.fresh.clear();
        } else {
            for sequence in self.fresh.drain(..) {
                if let Some(pending) = self.pending.get_mut(&sequence) {
                    ask(pending);
                }
            }
        }
        entries
    }

    /// Gives up what has waited too long.
    pub(super) fn give_up(&mut self, now: Now) {
        let timeout = ProposeError::Timeout(self.timeout);
        for (_, late) in self.pending.extract_if(.., |_, pending| pending.deadline <= now) {
            let _ = late.reply.send(Err(timeout.clone()));
        }
        for (_, reply, _) in self.early.extract_if(.., |(_, _, deadline)| *deadline <= now) {
            let _ = reply.send(Err(timeout.clone()));
        }
    }

    /// Something was applied here.
    pub(super) fn applied(&mut self, applied: Applied) {
        match (applied, &self.session) {
            (Applied::Opened { nonce: opened, session }, Session::Opening { nonce, .. })
                if opened == *nonce =>
            {
                self.session = Session::Open(session);
                for (command, reply, deadline) in std::mem::take(&mut self.early) {
                    self.number(session, command, reply, deadline);
                }
            }
            (Applied::Answered { session, sequence, answer }, Session::Open(mine))
                if session == *mine =>
            {
                self.answer(sequence, Ok(answer));
            }
            (Applied::Expired { session, .. }, Session::Open(mine)) if session == *mine => {
                self.expire();
            }
            _ => {}
        }
    }

    /// What was applied was applied elsewhere, and has come as a snapshot: its answers are there.
    pub(super) fn restored<M: StateMachine>(&mut self, sessions: &Sessions<M>) {
        let Session::Open(session) = self.session else { return };
        if !sessions.is_open(session) {
            return self.expire();
        }
        let waiting: Vec<u64> = self.pending.keys().copied().collect();
        for sequence in waiting {
            if let Some(answer) = sessions.answer(session, sequence) {
                self.answer(sequence, Ok(answer.clone()));
            }
        }
    }

    /// Answers everybody, since the node stops.
    pub(super) fn stop(&mut self) {
        let early = std::mem::take(&mut self.early).into_iter().map(|(_, reply, _)| reply);
        let pending = std::mem::take(&mut self.pending).into_values().map(|pending| pending.reply);
        for reply in early.chain(pending) {
            let _ = reply.send(Err(ProposeError::Stopped));
        }
    }

    fn expire(&mut self) {
        self.session = Session::None;
        self.next_sequence = 0;
        self.fresh.clear();
        for pending in std::mem::take(&mut self.pending).into_values() {
            let _ = pending.reply.send(Err(ProposeError::Expired));
        }
    }

    fn answer(&mut self, sequence: u64, answer: Result<Bytes, ProposeError>) {
        if let Some(pending) = self.pending.remove(&sequence) {
            // A client that has gone away does not want to know.
            let _ = pending.reply.send(answer);
        }
    }
}
