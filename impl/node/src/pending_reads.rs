//! Reads of this node's own clients, and of other nodes that ask the leader for them.
//!
//! What arrives together is asked for together: one question to the leader, one round of the leader
//! for all. A read runs here, on this node's own machine, once that has caught up with what the leader
//! said has to be seen.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use thiserror::Error;

use super::timing::Now;
use paxos::{
    event::Token,
    types::{NodeId, Slot},
};

/// Why a read has no answer. It has no effect either.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// Its time was up.
    #[error("no leader has confirmed it within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
    /// The state machine of this node has panicked, so the node answers nothing.
    #[error("the state machine of this node has halted at slot {0}")]
    Halted(Slot),
    /// The read itself has panicked.
    #[error("the read has panicked")]
    Panicked,
}

/// What is to be done with the machine, or without it.
pub(super) type Reading<M> = Box<dyn FnOnce(Result<&M, ReadError>) + Send>;

/// Reads that arrived together.
struct Batch<M> {
    reads: Vec<(Now, Reading<M>)>,
    asked: Option<(NodeId, Now)>,
}

/// For whom the leader's round is.
#[derive(Clone, Copy, Debug)]
pub(super) enum For {
    /// A batch of its own.
    Own(u64),
    /// A batch of another node.
    Other(NodeId, u64),
}

/// What waits to be read.
pub(super) struct PendingReads<M> {
    timeout: Duration,
    retry: Duration,
    fresh: Vec<(Now, Reading<M>)>,
    /// The next batch or token. No two lives of a node share one: an answer to a question of an earlier
    /// life must not be taken for one to a question of now.
    next: u64,
    /// Batches that wait for a leader.
    batches: BTreeMap<u64, Batch<M>>,
    /// Reads that wait until this node has applied all below.
    confirmed: BTreeMap<Slot, VecDeque<(Now, Reading<M>)>>,
    /// At a leader: for whom each token is.
    tokens: HashMap<Token, For>,
}

impl<M> PendingReads<M> {
    pub(super) fn new(timeout: Duration, retry: Duration, starts: u64) -> Self {
        Self {
            timeout,
            retry,
            fresh: Vec::new(),
            next: starts << 32,
            batches: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            tokens: HashMap::new(),
        }
    }

    /// How many reads wait.
    pub(super) fn waiting(&self) -> usize {
        let batches = self.batches.values().map(|batch| batch.reads.len());
        self.fresh.len() + batches.chain(self.confirmed.values().map(VecDeque::len)).sum::<usize>()
    }

    /// A client asks to read.
    pub(super) fn read(&mut self, reading: Reading<M>, now: Now) {
        self.fresh.push((now + self.timeout, reading));
    }

    /// The batches to be asked of `leader` now; `overdue` as for commands.
    pub(super) fn due(&mut self, leader: NodeId, now: Now, overdue: bool) -> Vec<u64> {
        let mut due = Vec::new();
        if overdue {
            let retry = self.retry;
            for (&id, batch) in &mut self.batches {
                if batch
                    .asked
                    .is_none_or(|(of, at)| of != leader || now.saturating_sub(at) >= retry)
                {
                    batch.asked = Some((leader, now));
                    due.push(id);
                }
            }
        }
        if !self.fresh.is_empty() {
            let reads = std::mem::take(&mut self.fresh);
            let id = self.fresh_number();
            self.batches.insert(id, Batch { reads, asked: Some((leader, now)) });
            due.push(id);
        }
        due
    }

    /// A token for the leader's own replica.
    pub(super) fn token(&mut self, whom: For) -> Token {
        let token = Token(self.fresh_number());
        self.tokens.insert(token, whom);
        token
    }

    /// For whom a token was, which is over now.
    pub(super) fn whose(&mut self, token: Token) -> Option<For> {
        self.tokens.remove(&token)
    }

    /// A batch may be read once everything below `at` is applied here.
    pub(super) fn confirm(&mut self, id: u64, at: Slot) {
        if let Some(batch) = self.batches.remove(&id) {
            self.confirmed.entry(at).or_default().extend(batch.reads);
        }
    }

    /// Whether any may be read.
    pub(super) fn are_due(&self, applied: Slot) -> bool {
        self.confirmed.first_key_value().is_some_and(|(at, _)| *at <= applied)
    }

    /// Reads what may be read, at least one, for as long as `goes_on` says.
    pub(super) fn serve(&mut self, applied: Slot, machine: &M, goes_on: impl Fn() -> bool) {
        while let Some(mut first) = self.confirmed.first_entry()
            && *first.key() <= applied
        {
            let Some((_, reading)) = first.get_mut().pop_front() else {
                first.remove();
                continue;
            };
            if first.get().is_empty() {
                first.remove();
            }
            // A read cannot change the machine, so nothing is broken but the read itself.
            if catch_unwind(AssertUnwindSafe(|| reading(Ok(machine)))).is_err() {
                tracing::error!("a read has panicked");
            }
            if !goes_on() {
                break;
            }
        }
    }

    /// Gives up what has waited too long.
    pub(super) fn give_up(&mut self, now: Now) {
        let timeout = ReadError::Timeout(self.timeout);
        let batches = self.batches.values_mut().map(|batch| &mut batch.reads);
        for waiting in batches.chain([&mut self.fresh]) {
            for (_, reading) in waiting.extract_if(.., |(deadline, _)| *deadline <= now) {
                reading(Err(timeout.clone()));
            }
        }
        for waiting in self.confirmed.values_mut() {
            let (late, in_time) = std::mem::take(waiting)
                .into_iter()
                .partition::<VecDeque<_>, _>(|(deadline, _)| *deadline <= now);
            *waiting = in_time;
            for (_, reading) in late {
                reading(Err(timeout.clone()));
            }
        }
        self.batches.retain(|_, batch| !batch.reads.is_empty());
        self.confirmed.retain(|_, waiting| !waiting.is_empty());
    }

    /// Answers everything that waits with the same error: the node stops, or its machine has halted.
    pub(super) fn end(&mut self, error: &ReadError) {
        let fresh = std::mem::take(&mut self.fresh).into_iter();
        let batches = std::mem::take(&mut self.batches).into_values().flat_map(|batch| batch.reads);
        let confirmed = std::mem::take(&mut self.confirmed).into_values().flatten();
        let all = fresh.chain(batches).chain(confirmed);
        all.for_each(|(_, reading)| reading(Err(error.clone())));
    }

    fn fresh_number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }
}
