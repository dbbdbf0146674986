//! The client table: the open sessions, and the answers that they keep.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    ANSWER_BYTES, ANSWERS_BYTES_MAX, ANSWERS_MAX, SESSIONS_MAX,
    entry::{Applied, CommandId, SessionId},
};
use crate::machine::Answer;
use paxos::types::Slot;

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session<A = Bytes> {
    /// The slot of the session's last entry.
    used: Slot,
    answered_below: u64,
    /// The answers that the client has not confirmed.
    answers: BTreeMap<u64, A>,
    /// The commands that were applied and whose answers were dropped for want of space.
    unkept: BTreeSet<u64>,
}

impl<A: Answer> Session<A> {
    fn new(used: Slot) -> Self {
        Self { used, answered_below: 0, answers: BTreeMap::new(), unkept: BTreeSet::new() }
    }

    /// The number of bytes that the session keeps.
    fn bytes(&self) -> usize {
        self.answers.values().map(kept_bytes).sum::<usize>() + self.unkept.len() * ANSWER_BYTES
    }

    /// Returns true if the session keeps answers, or the numbers of dropped ones.
    fn keeps(&self) -> bool {
        !(self.answers.is_empty() && self.unkept.is_empty())
    }

    /// Forgets all commands below a number. Returns the bytes that are freed.
    fn forget_below(&mut self, answered_below: u64) -> usize {
        self.answered_below = answered_below;
        let answers = self.answers.split_off(&answered_below);
        let unkept = self.unkept.split_off(&answered_below);
        let answers = std::mem::replace(&mut self.answers, answers);
        let unkept = std::mem::replace(&mut self.unkept, unkept);
        answers.values().map(kept_bytes).sum::<usize>() + unkept.len() * ANSWER_BYTES
    }

    /// Returns the session with its answers in another form.
    pub(super) fn map<B>(&self, answer: impl Fn(&A) -> Option<B>) -> Option<Session<B>> {
        let Self { used, answered_below, answers, unkept } = self;
        let answers = answers.iter().map(|(&sequence, kept)| Some((sequence, answer(kept)?)));
        let answers = answers.collect::<Option<_>>()?;
        let (used, answered_below, unkept) = (*used, *answered_below, unkept.clone());
        Some(Session { used, answered_below, answers, unkept })
    }
}

/// The number of bytes that it takes to keep an answer.
fn kept_bytes(answer: &impl Answer) -> usize {
    answer.size() + ANSWER_BYTES
}

/// The client table. It makes retries harmless, because it contains the applied commands and their answers.
#[derive(Debug)]
pub(super) struct ClientTable<A> {
    /// The sessions. A snapshot that is being written shares them.
    by_id: BTreeMap<SessionId, Arc<Session<A>>>,
    /// The sessions by the slot of their last use. Follows from `by_id`.
    by_use: BTreeMap<Slot, SessionId>,
    /// The part of `by_use` whose sessions keep something.
    keeping: BTreeMap<Slot, SessionId>,
    /// The number of bytes that all sessions keep. Follows from `by_id`.
    bytes: usize,
    bytes_max: usize,
}

impl<A: Answer> ClientTable<A> {
    /// Returns a table without sessions.
    pub(super) fn new() -> Self {
        Self {
            by_id: BTreeMap::new(),
            by_use: BTreeMap::new(),
            keeping: BTreeMap::new(),
            bytes: 0,
            bytes_max: ANSWERS_BYTES_MAX,
        }
    }

    /// Replaces all sessions.
    pub(super) fn replace(&mut self, by_id: BTreeMap<SessionId, Arc<Session<A>>>) {
        self.by_use = by_id.iter().map(|(&id, session)| (session.used, id)).collect();
        self.bytes = by_id.values().map(|session| session.bytes()).sum();
        let keeping = by_id.iter().filter(|(_, session)| session.keeps());
        self.keeping = keeping.map(|(&id, session)| (session.used, id)).collect();
        self.by_id = by_id;
    }

    /// The sessions, by id.
    pub(super) fn sessions(&self) -> &BTreeMap<SessionId, Arc<Session<A>>> {
        &self.by_id
    }

    /// Opens a session. If [`SESSIONS_MAX`] are open already, the session that was unused for the longest stretch of
    /// the log expires.
    pub(super) fn open(&mut self, id: SessionId) {
        if self.by_id.len() == SESSIONS_MAX
            && let Some((_, unused)) = self.by_use.pop_first()
        {
            let expired = self.by_id.remove(&unused).expect("it was used");
            self.keeping.remove(&expired.used);
            self.bytes -= expired.bytes();
        }
        self.by_id.insert(id, Arc::new(Session::new(id.slot)));
        self.by_use.insert(id.slot, id);
    }

    /// Notes that a slot uses a session, and that the client has heard the answers below a number. Returns false if the
    /// session is not open.
    pub(super) fn use_session(&mut self, slot: Slot, id: SessionId, answered_below: u64) -> bool {
        let Some(session) = self.by_id.get_mut(&id) else { return false };
        let session = Arc::make_mut(session);
        self.by_use.remove(&session.used);
        self.keeping.remove(&session.used);
        self.by_use.insert(slot, id);
        session.used = slot;
        if answered_below > session.answered_below {
            self.bytes -= session.forget_below(answered_below);
        }
        if session.keeps() {
            self.keeping.insert(slot, id);
        }
        true
    }

    /// Returns the result of a command of an open session, or `None` if the command was not applied.
    pub(super) fn result(&self, command: CommandId) -> Option<Applied<A>> {
        let CommandId { session, sequence } = command;
        let open = self.by_id.get(&session)?;
        if sequence < open.answered_below || open.unkept.contains(&sequence) {
            return Some(Applied::Forgotten { session, sequence });
        }
        let answer = open.answers.get(&sequence)?.clone();
        Some(Applied::Answered { session, sequence, answer })
    }

    /// Keeps the answer to a command. `slot` must be the one in which its session was used last. Drops older answers
    /// beyond the limits.
    pub(super) fn keep(&mut self, slot: Slot, command: CommandId, answer: A) {
        let CommandId { session: id, sequence } = command;
        let session = Arc::make_mut(self.by_id.get_mut(&id).expect("it is open"));
        self.bytes += kept_bytes(&answer);
        session.answers.insert(sequence, answer);
        self.keeping.insert(slot, id);
        if session.answers.len() + session.unkept.len() > ANSWERS_MAX {
            let firsts = [session.answers.keys().next(), session.unkept.first()];
            let oldest = firsts.into_iter().flatten().copied().min().expect("there are many");
            self.bytes -= session.forget_below(oldest + 1);
        }
        while self.bytes > self.bytes_max
            && let Some(longest_unused) = self.keeping.first_entry()
        {
            let session = self.by_id.get_mut(longest_unused.get()).expect("it keeps answers");
            let session = Arc::make_mut(session);
            if let Some((sequence, answer)) = session.answers.pop_first() {
                session.unkept.insert(sequence);
                self.bytes -= answer.size();
            } else {
                let last = session.unkept.last().copied().expect("it keeps something");
                self.bytes -= session.forget_below(last + 1);
                longest_unused.remove();
            }
        }
    }
}

#[cfg(test)]
impl<A: Answer> ClientTable<A> {
    /// Sets the limit of bytes.
    pub(super) fn limit(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// The number of bytes that all sessions keep. Checks what follows from the sessions.
    pub(super) fn bytes(&self) -> usize {
        assert!(self.bytes <= self.bytes_max);
        let bytes = self.by_id.values().map(|session| session.bytes());
        assert_eq!(self.bytes, bytes.sum::<usize>());
        let keeping = self.by_id.values().filter(|session| session.keeps());
        assert_eq!(self.keeping.len(), keeping.count());
        self.bytes
    }

    /// The most answers that one session keeps.
    pub(super) fn answers(&self) -> usize {
        let kept = self.by_id.values().map(|session| session.answers.len());
        kept.max().unwrap_or_default()
    }
}
