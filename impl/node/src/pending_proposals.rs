//! The commands of this node's own clients, from the moment they are asked for until they are applied
//! here.
//!
//! A node has one session, in which it numbers its clients' commands; clients may have sessions of their
//! own, and number for themselves. Each command is kept, and asked for again, until this node itself
//! applies it, or until its time is up. So it does not matter where it was lost: on its way to the leader,
//! with the leader, or against another one. The session sees to it that it is applied once.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::oneshot;

use super::timing::Now;
use crate::{
    machine::{Answer, StateMachine},
    session::{Applied, Entry, Owner, Request, SessionId, Sessions},
};
use paxos::types::{NodeId, Slot};

/// Why a command has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// Its time was up. It may have been applied, or be applied later.
    #[error("not applied within {} ms; it may have been, or be later", .0.as_millis())]
    Timeout(Duration),
    /// Its time was up before there was anybody to ask. It will not be applied, unless it was asked for elsewhere as
    /// well.
    #[error("no leader was found within {} ms; nobody was asked", .0.as_millis())]
    Unsent(Duration),
    /// There is no such session, or it was not used for so long that it expired. It may have been applied, long ago.
    #[error(
        "there is no such session, or it has expired; the command may have been applied before that"
    )]
    Expired,
    /// Its answer is not kept: it was heard, or lay for too long, or too many later ones came before it.
    #[error("no answer to this command is kept; it may have been applied")]
    Forgotten,
    /// The node has stopped. It may have been applied, or be applied later.
    #[error("the node has stopped; the command may have been applied, or be later")]
    Stopped,
    /// The node had stopped before it was asked. It will not be applied, unless it was asked for elsewhere as well.
    #[error("the node has stopped; it was not asked for the command")]
    StoppedBefore,
    /// The state machine of this node has panicked, so the node answers nothing.
    #[error(
        "the state machine of this node has halted at slot {slot}{}", if *.may_be_applied {
            "; the command may have been applied, or be later"
        } else {
            "; the cluster was not asked for the command"
        }
    )]
    Halted {
        /// Where.
        slot: Slot,
        /// Whether the command was asked for before.
        may_be_applied: bool,
    },
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
        !matches!(
            self,
            Self::TooLong { .. }
                | Self::Unsent(_)
                | Self::StoppedBefore
                | Self::Halted { may_be_applied: false, .. }
        )
    }

    /// Whether asking again gives the same error.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::Expired | Self::Forgotten)
    }
}

/// Where the answer to a command goes.
pub(super) type Reply<A> = oneshot::Sender<Result<A, ProposeError>>;

/// Where the name of a new session goes.
pub(super) type Opened = oneshot::Sender<Result<SessionId, ProposeError>>;

/// A command that waits.
#[derive(Debug)]
struct Pending<A> {
    /// As it is written in the log.
    entry: Bytes,
    reply: Reply<A>,
    /// Who has asked for the same meanwhile.
    also: Vec<Reply<A>>,
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

/// A session that is to be opened.
#[derive(Debug)]
struct Opening {
    /// Nobody, if it is the node's own.
    reply: Option<(Opened, Now)>,
    asked: Option<Asked>,
}

impl Opening {
    fn owner(&self) -> Owner {
        if self.reply.is_some() { Owner::Client } else { Owner::Node }
    }
}

/// The session of the node.
#[derive(Debug)]
enum Session {
    None,
    /// It is among those that are to be opened.
    Opening,
    Open(SessionId),
}

/// What waits, and the session it waits in.
#[derive(Debug)]
pub(super) struct PendingProposals<A> {
    timeout: Duration,
    retry: Duration,
    session: Session,
    /// By nonce.
    openings: BTreeMap<u128, Opening>,
    /// The last nonce.
    nonce: u128,
    next_sequence: u64,
    pending: BTreeMap<(SessionId, u64), Pending<A>>,
    /// Those of `pending` that were never asked for.
    fresh: Vec<(SessionId, u64)>,
    /// What came before there was a session.
    early: Vec<(Bytes, Reply<A>, Now)>,
}

/// Coming.
impl<A: Answer> PendingProposals<A> {
    /// `life` is a number that no other life of any node has.
    pub(super) fn new(timeout: Duration, retry: Duration, life: u128) -> Self {
        Self {
            timeout,
            retry,
            session: Session::None,
            openings: BTreeMap::new(),
            nonce: life << 32,
            next_sequence: 0,
            pending: BTreeMap::new(),
            fresh: Vec::new(),
            early: Vec::new(),
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.pending.len() + self.early.len() + self.openings.len()
    }

    /// How many commands that have a session wait.
    pub(super) fn commands(&self) -> usize {
        self.pending.len()
    }

    /// A client asks for a command.
    pub(super) fn propose(&mut self, command: Bytes, reply: Reply<A>, now: Now) {
        let deadline = now + self.timeout;
        match self.session {
            Session::Open(session) => self.number(session, command, reply, deadline),
            _ => self.early.push((command, reply, deadline)),
        }
    }

    /// A client asks for a session of its own.
    pub(super) fn open(&mut self, reply: Opened, now: Now) {
        let deadline = now + self.timeout;
        self.begin_opening(Some((reply, deadline)));
    }

    /// A client asks for a command in a session of its own. If it waits already, all who have asked wait until
    /// the time of the last is up.
    pub(super) fn request(&mut self, request: &Request, reply: Reply<A>, now: Now) {
        let key = (request.session(), request.sequence());
        match self.pending.get_mut(&key) {
            Some(pending) => {
                pending.deadline = now + self.timeout;
                pending.also.retain(|reply| !reply.is_closed());
                pending.also.push(reply);
            }
            None => self.keep(key, request.entry().encode(), reply, now + self.timeout),
        }
    }

    fn begin_opening(&mut self, reply: Option<(Opened, Now)>) {
        self.nonce += 1;
        self.openings.insert(self.nonce, Opening { reply, asked: None });
    }

    fn number(&mut self, session: SessionId, command: Bytes, reply: Reply<A>, deadline: Now) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let mut waiting = self.pending.range(all_of(session));
        let answered_below = waiting.next().map_or(sequence, |(&(_, first), _)| first);
        let entry = Entry::Command { session, sequence, answered_below, command }.encode();
        self.keep((session, sequence), entry, reply, deadline);
    }

    fn keep(&mut self, key: (SessionId, u64), entry: Bytes, reply: Reply<A>, deadline: Now) {
        let also = Vec::new();
        self.pending.insert(key, Pending { entry, reply, also, deadline, asked: None });
        self.fresh.push(key);
    }
}

/// Asking.
impl<A: Answer> PendingProposals<A> {
    /// What is to be asked of `leader` now: what is new, and with `overdue` all that was asked of
    /// another, or too long ago.
    pub(super) fn due(&mut self, leader: NodeId, now: Now, overdue: bool) -> Vec<Bytes> {
        let retry = self.retry;
        let mut entries = Vec::new();
        if matches!(self.session, Session::None) && !self.early.is_empty() {
            self.session = Session::Opening;
            self.begin_opening(None);
        }
        for (&nonce, opening) in &mut self.openings {
            if Asked::is_due(opening.asked, leader, now) {
                opening.asked = Some(Asked::now(opening.asked, leader, now, retry));
                entries.push(Entry::Open { nonce, owner: opening.owner() }.encode());
            }
        }
        let mut ask = |pending: &mut Pending<A>| {
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
            for key in self.fresh.drain(..) {
                if let Some(pending) = self.pending.get_mut(&key) {
                    ask(pending);
                }
            }
        }
        entries
    }

    /// Gives up what has waited too long, or what nobody waits for any more.
    pub(super) fn give_up(&mut self, now: Now) {
        let (timeout, unsent) =
            (ProposeError::Timeout(self.timeout), ProposeError::Unsent(self.timeout));
        for (_, late) in self.pending.extract_if(.., |_, pending| pending.is_over(now)) {
            let error = if late.asked.is_some() { &timeout } else { &unsent };
            late.answer(&Err(error.clone()));
        }
        self.fresh.retain(|key| self.pending.contains_key(key));
        for (_, reply, _) in
            self.early.extract_if(.., |(_, reply, deadline)| *deadline <= now || reply.is_closed())
        {
            let _ = reply.send(Err(unsent.clone()));
        }
        let late = |opening: &Opening| matches!(opening.reply, Some((_, late)) if late <= now);
        for (_, opening) in self.openings.extract_if(.., |_, opening| late(opening)) {
            if let Some((reply, _)) = opening.reply {
                let _ = reply.send(Err(timeout.clone()));
            }
        }
    }
}

/// Answering.
impl<A: Answer> PendingProposals<A> {
    /// Something was applied here.
    pub(super) fn applied(&mut self, applied: Applied<A>) {
        match applied {
            Applied::Opened { nonce, session } => self.opened(nonce, session),
            Applied::Answered { session, sequence, answer } => {
                self.answer((session, sequence), &Ok(answer));
            }
            Applied::Forgotten { session, sequence } => {
                self.answer((session, sequence), &Err(ProposeError::Forgotten));
            }
            Applied::Expired { session, .. } if self.is_own(session) => self.begin_anew(session),
            Applied::Expired { session, .. } => self.expire(session),
            Applied::Nothing => {}
        }
    }

    /// Nobody waits for what was asked for elsewhere.
    fn answer(&mut self, key: (SessionId, u64), answer: &Result<A, ProposeError>) {
        if let Some(pending) = self.pending.remove(&key) {
            pending.answer(answer);
        }
    }

    fn opened(&mut self, nonce: u128, session: SessionId) {
        match self.openings.remove(&nonce) {
            Some(Opening { reply: Some((reply, _)), .. }) => {
                // If the client has gone away, the session will expire.
                let _ = reply.send(Ok(session));
            }
            Some(Opening { reply: None, .. }) => {
                (self.session, self.next_sequence) = (Session::Open(session), 0);
                for (command, reply, deadline) in std::mem::take(&mut self.early) {
                    self.number(session, command, reply, deadline);
                }
            }
            None => {} // Of another node, or opened once more.
        }
    }

    /// What was applied was applied elsewhere, and has come as a snapshot: its answers are there.
    pub(super) fn restored<M: StateMachine<Answer = A>>(&mut self, sessions: &Sessions<M>) {
        // One that is opened above the snapshot is not known yet.
        let expired = |id: SessionId| id.slot < sessions.applied() && !sessions.is_open(id);
        if let Session::Open(session) = self.session
            && expired(session)
        {
            self.expire(session);
        }
        let waiting: Vec<_> = self.pending.keys().copied().collect();
        for (session, sequence) in waiting {
            if expired(session) {
                self.expire(session);
            } else if let Some(became) = sessions.became(session, sequence) {
                self.applied(became);
            }
        }
    }

    /// Answers everything that waits with the same error: the node stops, or its machine has halted.
    pub(super) fn end(&mut self, error: &ProposeError) {
        for (_, reply, _) in std::mem::take(&mut self.early) {
            let _ = reply.send(Err(error.clone()));
        }
        for pending in std::mem::take(&mut self.pending).into_values() {
            pending.answer(&Err(error.clone()));
        }
        for (reply, _) in
            std::mem::take(&mut self.openings).into_values().filter_map(|opening| opening.reply)
        {
            let _ = reply.send(Err(error.clone()));
        }
    }

    fn is_own(&self, session: SessionId) -> bool {
        matches!(self.session, Session::Open(own) if own == session)
    }

    /// Nobody can tell what became of the commands of a session.
    fn expire(&mut self, session: SessionId) {
        if self.is_own(session) {
            self.session = Session::None;
        }
        for (_, pending) in self.pending.extract_if(all_of(session), |_, _| true) {
            pending.answer(&Err(ProposeError::Expired));
        }
    }

    /// The node's own session was found to have expired, where the log says so: what of it was applied has its
    /// answer, and nothing else of it will be. So the rest goes into the next session.
    fn begin_anew(&mut self, session: SessionId) {
        self.session = Session::None;
        for (_, pending) in self.pending.extract_if(all_of(session), |_, _| true) {
            let Some(Entry::Command { command, .. }) = Entry::decode(&pending.entry) else {
                unreachable!("commands wait, and nothing else");
            };
            self.early.push((command, pending.reply, pending.deadline));
        }
    }
}

fn all_of(session: SessionId) -> RangeInclusive<(SessionId, u64)> {
    (session, 0)..=(session, u64::MAX)
}

impl<A: Answer> Pending<A> {
    fn is_over(&self, now: Now) -> bool {
        self.deadline <= now
            || self.reply.is_closed() && self.also.iter().all(oneshot::Sender::is_closed)
    }

    /// A client that has gone away does not want to know.
    fn answer(self, answer: &Result<A, ProposeError>) {
        for reply in self.also.into_iter().chain([self.reply]) {
            let _ = reply.send(answer.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        machine::tests::{Counter, bytes},
        session::{ClientSession, SESSIONS_MAX},
    };
    use paxos::types::Value;

    /// One node's clients, and a log that is applied at once.
    struct Node {
        clients: PendingProposals<Bytes>,
        sessions: Sessions<Counter>,
    }

    const LEADER: NodeId = NodeId(1);
    const TIMEOUT: Duration = Duration::from_secs(10);

    impl Node {
        fn new() -> Self {
            let clients = PendingProposals::new(TIMEOUT, Duration::from_millis(100), 1);
            Self { clients, sessions: Sessions::new(Counter::default()) }
        }

        fn apply(&mut self, entry: Bytes) -> Applied {
            let slot = self.sessions.applied();
            self.sessions.apply(slot, &Value::Command(entry))
        }

        /// What is asked for is chosen, until nothing more is asked for.
        fn settle(&mut self, now: Now) {
            loop {
                let entries = self.clients.due(LEADER, now, false);
                if entries.is_empty() {
                    return;
                }
                for entry in entries {
                    let applied = self.apply(entry);
                    self.clients.applied(applied);
                }
            }
        }

        fn propose(&mut self, now: Now) -> oneshot::Receiver<Result<Bytes, ProposeError>> {
            let (reply, answer) = oneshot::channel();
            self.clients.propose("add".into(), reply, now);
            answer
        }

        fn request(
            &mut self,
            request: &Request,
            now: Now,
        ) -> oneshot::Receiver<Result<Bytes, ProposeError>> {
            let (reply, answer) = oneshot::channel();
            self.clients.request(request, reply, now);
            answer
        }
    }

    /// What nobody was asked for will not be applied, and its client learns that.
    #[test]
    fn whether_a_command_may_be_applied_depends_on_whether_it_was_asked_for() {
        let mut node = Node::new();
        let mut before_there_is_a_session = node.propose(Now::ZERO);
        node.clients.give_up(TIMEOUT);
        let error = before_there_is_a_session.try_recv().unwrap().unwrap_err();
        assert!(!error.may_be_applied(), "{error}");
        node.propose(Now::ZERO);
        node.settle(Now::ZERO);
        let mut asked_for = node.propose(Now::ZERO);
        node.clients.due(LEADER, Now::ZERO, false);
        let mut not_asked_for = node.propose(Now::ZERO);
        node.clients.give_up(TIMEOUT);
        assert!(asked_for.try_recv().unwrap().unwrap_err().may_be_applied());
        assert!(!not_asked_for.try_recv().unwrap().unwrap_err().may_be_applied());
    }

    #[test]
    fn when_the_nodes_own_session_has_expired_its_commands_go_into_the_next() {
        let mut node = Node::new();
        let mut first = node.propose(Now::ZERO);
        node.settle(Now::ZERO);
        assert_eq!(first.try_recv().unwrap().unwrap(), "1");
        for nonce in 1 << 100..(1 << 100) + SESSIONS_MAX as u128 {
            node.apply(Entry::Open { nonce, owner: Owner::Client }.encode());
        }
        let mut second = node.propose(Now::ZERO);
        node.settle(Now::ZERO);
        assert_eq!(second.try_recv().unwrap().unwrap(), "2");
    }

    /// A node that lags behind the session of a client does not know it yet; one that is ahead of its end does.
    #[test]
    fn a_session_that_a_snapshot_does_not_know_yet_has_not_expired() {
        let mut other = Node::new();
        let mut node = Node::new();
        let mut session = ClientSession::new(Slot(3));
        let request = session.request("add");
        for below in [2, 3, 4] {
            let mut answer = node.request(&request, Now::ZERO);
            while other.sessions.applied() < Slot(below) {
                other.apply(Entry::Open { nonce: 7, owner: Owner::Client }.encode());
            }
            if below == 4 {
                other.sessions = Sessions::new(Counter::default());
                while other.sessions.applied() < Slot(below) {
                    other.apply("no entry".into());
                }
            }
            let snapshot = bytes(other.sessions.snapshot());
            node.sessions.restore(Slot(below), &mut &snapshot[..]).unwrap();
            node.clients.restored(&node.sessions);
            match below {
                4 => assert_eq!(answer.try_recv().unwrap(), Err(ProposeError::Expired)),
                _ => assert!(answer.try_recv().is_err(), "nothing is known of it"),
            }
        }
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_given_up() {
        let mut node = Node::new();
        let mut kept = node.propose(Now::ZERO);
        drop(node.propose(Now::ZERO));
        node.clients.give_up(Now::ZERO);
        assert_eq!(node.clients.early.len(), 1, "before there is a session");
        node.settle(Now::ZERO);
        assert_eq!(kept.try_recv().unwrap().unwrap(), "1");

        let kept = node.propose(Now::ZERO);
        drop(node.propose(Now::ZERO));
        let request = ClientSession::new(Slot(3)).request("add");
        drop(node.request(&request, Now::ZERO));
        let again = node.request(&request, Now::ZERO);
        node.clients.give_up(Now::ZERO);
        assert_eq!(node.clients.commands(), 2, "the first, and what was asked for again");
        drop((kept, again));
        node.clients.give_up(Now::ZERO);
        assert_eq!((node.clients.commands(), node.clients.fresh.len()), (0, 0));
    }

    #[test]
    fn whoever_asks_again_waits_as_long_as_anybody() {
        let mut node = Node::new();
        let request = ClientSession::new(Slot(3)).request("add");
        let mut first = node.request(&request, Now::ZERO);
        drop(node.request(&request, Now::ZERO));
        let mut again = node.request(&request, TIMEOUT / 2);
        assert_eq!(
            node.clients.pending.values().map(|pending| pending.also.len()).sum::<usize>(),
            1
        );
        node.clients.give_up(TIMEOUT);
        assert!(first.try_recv().is_err() && again.try_recv().is_err(), "it is not time yet");
        node.clients.give_up(TIMEOUT * 3 / 2);
        for answer in [&mut first, &mut again] {
            assert_eq!(answer.try_recv().unwrap(), Err(ProposeError::Unsent(TIMEOUT)));
        }
        assert_eq!((node.clients.waiting(), node.clients.fresh.len()), (0, 0));
    }
}
