//! The commands of this node's own clients, from their arrival until this node has applied them.
//!
//! The node has one session, in which it numbers the commands of its clients. A client may have a session of its own,
//! and then numbers its commands itself. The node keeps a command, and sends it to the leader again and again, until it
//! has applied the command, the time is up, or no client waits any more. So it does not matter where a command was
//! lost: on its way to the leader, at the leader, or to a competing proposal. The session makes sure that the command
//! is applied once.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    attempt::Attempt,
    error::ProposeError,
    openings::{Opener, Openings, SessionReply},
};
use crate::{
    machine::{Answer, StateMachine},
    session::{Applied, CommandId, Entry, Request, SessionId, Sessions},
    timers::Now,
};
use paxos::types::NodeId;

/// The channel for the answer to a command.
pub(crate) type Reply<A> = oneshot::Sender<Result<A, ProposeError>>;

/// A command that waits for its answer.
#[derive(Debug)]
struct Pending<A> {
    /// The entry of the log.
    entry: Bytes,
    reply: Reply<A>,
    /// The channels of clients that have sent the same request again.
    also: Vec<Reply<A>>,
    deadline: Now,
    attempt: Option<Attempt>,
}

/// The session of the node itself.
#[derive(Debug)]
enum OwnSession {
    None,
    /// The session is among the openings.
    Opening,
    Open(SessionId),
}

/// A command that waits for the session of the node.
#[derive(Debug)]
struct Early<A> {
    command: Bytes,
    reply: Reply<A>,
    deadline: Now,
}

/// The requests of this node's clients, except for reads.
#[derive(Debug)]
pub(crate) struct PendingProposals<A> {
    timeout: Duration,
    retry: Duration,
    openings: Openings,
    session: OwnSession,
    next_sequence: u64,
    pending: BTreeMap<CommandId, Pending<A>>,
    /// The commands among `pending` that were never sent.
    fresh: Vec<CommandId>,
    early: Vec<Early<A>>,
}

/// Arrival.
impl<A: Answer> PendingProposals<A> {
    /// `incarnation` must be a number that no other incarnation of any node has.
    pub(super) fn new(timeout: Duration, retry: Duration, incarnation: u128) -> Self {
        Self {
            timeout,
            retry,
            openings: Openings::new(incarnation << 32),
            session: OwnSession::None,
            next_sequence: 0,
            pending: BTreeMap::new(),
            fresh: Vec::new(),
            early: Vec::new(),
        }
    }

    /// The number of requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.pending.len() + self.early.len() + self.openings.len()
    }

    /// The number of commands that wait in a session.
    pub(super) fn commands(&self) -> usize {
        self.pending.len()
    }

    /// Takes a client's command, and numbers it in the session of the node once that is open.
    pub(crate) fn propose(&mut self, command: Bytes, reply: Reply<A>, now: Now) {
        let deadline = now + self.timeout;
        match self.session {
            OwnSession::Open(session) => self.number(session, command, reply, deadline),
            _ => self.early.push(Early { command, reply, deadline }),
        }
    }

    /// Opens a session for a client.
    pub(crate) fn open(&mut self, reply: SessionReply, now: Now) {
        let deadline = now + self.timeout;
        self.openings.begin(Opener::Client(reply, deadline));
    }

    /// Takes a command of a client's own session. If the command is pending already, all its clients wait until the
    /// deadline of the last one.
    pub(crate) fn request(&mut self, request: &Request, reply: Reply<A>, now: Now) {
        let id = CommandId { session: request.session(), sequence: request.sequence() };
        match self.pending.get_mut(&id) {
            Some(pending) => {
                pending.deadline = now + self.timeout;
                pending.also.retain(|reply| !reply.is_closed());
                pending.also.push(reply);
            }
            None => self.keep(id, request.entry().encode(), reply, now + self.timeout),
        }
    }

    fn number(&mut self, session: SessionId, command: Bytes, reply: Reply<A>, deadline: Now) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let mut waiting = self.pending.range(all_of(session));
        let answered_below = waiting.next().map_or(sequence, |(first, _)| first.sequence);
        let entry = Entry::Command { session, sequence, answered_below, command }.encode();
        self.keep(CommandId { session, sequence }, entry, reply, deadline);
    }

    fn keep(&mut self, id: CommandId, entry: Bytes, reply: Reply<A>, deadline: Now) {
        let also = Vec::new();
        self.pending.insert(id, Pending { entry, reply, also, deadline, attempt: None });
        self.fresh.push(id);
    }
}

/// Sending.
impl<A: Answer> PendingProposals<A> {
    /// Returns the entries that are to be sent to the leader now: new commands, and requests for sessions that are due.
    /// If `overdue` is true, also returns commands that were sent to another node or too long ago.
    pub(super) fn due(&mut self, leader: NodeId, now: Now, overdue: bool) -> Vec<Bytes> {
        let retry = self.retry;
        if matches!(self.session, OwnSession::None) && !self.early.is_empty() {
            self.session = OwnSession::Opening;
            self.openings.begin(Opener::Node);
        }
        let mut entries = self.openings.due(leader, now, retry);
        let mut send = |pending: &mut Pending<A>| {
            pending.attempt = Some(Attempt::now(pending.attempt, leader, now, retry));
            entries.push(pending.entry.clone());
        };
        if overdue {
            self.pending
                .values_mut()
                .filter(|pending| Attempt::is_due(pending.attempt, leader, now))
                .for_each(&mut send);
            self.fresh.clear();
        } else {
            for id in self.fresh.drain(..) {
                if let Some(pending) = self.pending.get_mut(&id) {
                    send(pending);
                }
            }
        }
        entries
    }

    /// Answers the requests whose time is up with an error, and drops the commands whose clients have all gone away.
    pub(crate) fn give_up(&mut self, now: Now) {
        let (timeout, unsent) =
            (ProposeError::Timeout(self.timeout), ProposeError::Unsent(self.timeout));
        for (_, late) in self.pending.extract_if(.., |_, pending| pending.is_over(now)) {
            let error = if late.attempt.is_some() { &timeout } else { &unsent };
            late.answer(&Err(error.clone()));
        }
        self.fresh.retain(|id| self.pending.contains_key(id));
        let is_over = |early: &mut Early<A>| early.deadline <= now || early.reply.is_closed();
        for early in self.early.extract_if(.., is_over) {
            let _ = early.reply.send(Err(unsent.clone())); // The client may have gone away.
        }
        self.openings.give_up(now, &timeout);
    }
}

/// Answering.
impl<A: Answer> PendingProposals<A> {
    /// Answers the clients of an entry that this node has applied.
    pub(crate) fn applied(&mut self, applied: Applied<A>) {
        match applied {
            Applied::Opened { nonce, session } => self.opened(nonce, session),
            Applied::Answered { session, sequence, answer } => {
                self.answer(CommandId { session, sequence }, &Ok(answer));
            }
            Applied::Forgotten { session, sequence } => {
                self.answer(CommandId { session, sequence }, &Err(ProposeError::Forgotten));
            }
            Applied::Expired { session, .. } if self.is_own(session) => self.begin_anew(session),
            Applied::Expired { session, .. } => self.expire(session),
            Applied::Nothing => {}
        }
    }

    /// Answers a command, unless it came from another node.
    fn answer(&mut self, id: CommandId, answer: &Result<A, ProposeError>) {
        if let Some(pending) = self.pending.remove(&id) {
            pending.answer(answer);
        }
    }

    fn opened(&mut self, nonce: u128, session: SessionId) {
        match self.openings.opened(nonce) {
            Some(Opener::Client(reply, _)) => {
                // If the client has gone away, the session will expire.
                let _ = reply.send(Ok(session));
            }
            Some(Opener::Node) => {
                (self.session, self.next_sequence) = (OwnSession::Open(session), 0);
                for Early { command, reply, deadline } in std::mem::take(&mut self.early) {
                    self.number(session, command, reply, deadline);
                }
            }
            None => {}
        }
    }

    /// Answers the clients whose commands or sessions are settled by a restored snapshot of a peer. The snapshot has
    /// answers to commands that this node has not applied itself.
    pub(crate) fn restored<M: StateMachine<Answer = A>>(&mut self, sessions: &Sessions<M>) {
        // The snapshot does not know a session that was opened in a later slot.
        let expired = |id: SessionId| id.slot < sessions.applied() && !sessions.is_open(id);
        if let OwnSession::Open(session) = self.session
            && expired(session)
        {
            self.expire(session);
        }
        let waiting: Vec<_> = self.pending.keys().copied().collect();
        for CommandId { session, sequence } in waiting {
            if expired(session) {
                self.expire(session);
            } else if let Some(became) = sessions.became(session, sequence) {
                self.applied(became);
            }
        }
    }

    /// Answers all requests with an error: the node stops, or its machine has halted.
    pub(crate) fn end(&mut self, error: &ProposeError) {
        for early in std::mem::take(&mut self.early) {
            let _ = early.reply.send(Err(error.clone()));
        }
        for pending in std::mem::take(&mut self.pending).into_values() {
            pending.answer(&Err(error.clone()));
        }
        self.openings.end(error);
    }

    fn is_own(&self, session: SessionId) -> bool {
        matches!(self.session, OwnSession::Open(own) if own == session)
    }

    /// Answers the pending commands of an expired session with an error. It is unknown which of them were applied.
    fn expire(&mut self, session: SessionId) {
        if self.is_own(session) {
            self.session = OwnSession::None;
        }
        for (_, pending) in self.pending.extract_if(all_of(session), |_, _| true) {
            pending.answer(&Err(ProposeError::Expired));
        }
    }

    /// Moves the pending commands of the node's own session, which has expired, into the next session. This node has
    /// applied the log up to the expiry, so each command that was applied has its answer, and no other will be applied.
    fn begin_anew(&mut self, session: SessionId) {
        self.session = OwnSession::None;
        for (_, pending) in self.pending.extract_if(all_of(session), |_, _| true) {
            let Some(Entry::Command { command, .. }) = Entry::decode(&pending.entry) else {
                unreachable!("only commands are pending");
            };
            let Pending { reply, deadline, .. } = pending;
            self.early.push(Early { command, reply, deadline });
        }
    }
}

fn all_of(session: SessionId) -> RangeInclusive<CommandId> {
    CommandId { session, sequence: 0 }..=CommandId { session, sequence: u64::MAX }
}

impl<A: Answer> Pending<A> {
    fn is_over(&self, now: Now) -> bool {
        self.deadline <= now
            || self.reply.is_closed() && self.also.iter().all(oneshot::Sender::is_closed)
    }

    fn answer(self, answer: &Result<A, ProposeError>) {
        for reply in self.also.into_iter().chain([self.reply]) {
            let _ = reply.send(answer.clone()); // The client may have gone away.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        machine::tests::{Counter, bytes},
        session::{ClientSession, Owner, SESSIONS_MAX},
    };
    use paxos::types::{Slot, Value};

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

        /// Applies every entry that is due, until none is.
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

    /// A command that was never sent will not be applied, and its client learns that.
    #[test]
    fn only_a_command_that_was_sent_may_be_applied() {
        let mut node = Node::new();
        let mut before_there_is_a_session = node.propose(Now::ZERO);
        node.clients.give_up(TIMEOUT);
        let error = before_there_is_a_session.try_recv().unwrap().unwrap_err();
        assert!(!error.may_be_applied(), "{error}");
        node.propose(Now::ZERO);
        node.settle(Now::ZERO);
        let mut sent = node.propose(Now::ZERO);
        node.clients.due(LEADER, Now::ZERO, false);
        let mut not_sent = node.propose(Now::ZERO);
        node.clients.give_up(TIMEOUT);
        assert!(sent.try_recv().unwrap().unwrap_err().may_be_applied());
        assert!(!not_sent.try_recv().unwrap().unwrap_err().may_be_applied());
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

    /// A node that has not applied the opening of a session does not know the session yet. A node that has applied the
    /// slot of the opening, and does not know the session, knows that it has expired.
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
    fn commands_without_clients_are_given_up() {
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
        assert_eq!(node.clients.commands(), 2, "the first, and the request that came again");
        drop((kept, again));
        node.clients.give_up(Now::ZERO);
        assert_eq!((node.clients.commands(), node.clients.fresh.len()), (0, 0));
    }

    #[test]
    fn a_request_that_comes_again_extends_the_deadline() {
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
