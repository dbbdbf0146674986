//! The reads of this node's clients. At the leader, also the questions of other nodes about their reads.
//!
//! Reads that arrive together form a batch. A batch costs one question to the leader, and one round of the leader
//! confirms all batches that wait at the leader. A read runs on the state machine of its own node, as soon as that
//! machine has applied every slot below the one that the leader has named.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use thiserror::Error;

use super::{options::Options, packet::Packet, status::forming, timers::Now};
use paxos::{
    event::{ReadReady, Token},
    types::{NodeId, Slot},
};

/// The reason for which a read has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The time was up.
    #[error("the read was not served within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The cluster is forming: these nodes have not met this node yet.
    #[error("{}", forming(.0))]
    Forming(Vec<NodeId>),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
    /// The state machine of this node has panicked. Until the node has restored the snapshot of a peer, it refuses all
    /// requests of its clients.
    #[error("the state machine of this node has halted at slot {0}")]
    Halted(Slot),
    /// The function that reads has panicked.
    #[error("the read has panicked")]
    Panicked,
}

/// The function that reads the machine, or takes the error.
pub(super) type Reading<M> = Box<dyn FnOnce(Result<&M, ReadError>) + Send>;

/// A read that waits.
struct Waiting<M> {
    deadline: Now,
    reading: Reading<M>,
}

/// The number of a batch, on this node and in the packets that ask the leader to confirm it. No two incarnations of a
/// node use the same number. So a node never mistakes an answer to an earlier incarnation for an answer to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BatchId(pub(super) u64);

/// Reads that arrived together.
struct Batch<M> {
    reads: Vec<Waiting<M>>,
    /// The node that was asked last, and the time of that.
    asked: Option<(NodeId, Now)>,
}

/// The origin of a batch that this node confirms as the leader.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asker {
    /// A batch of the leader itself.
    Own(BatchId),
    /// A batch of another node.
    Peer(NodeId, BatchId),
}

/// The reads that wait at a node.
pub(super) struct Reads<M> {
    timeout: Duration,
    retry: Duration,
    fresh: Vec<Waiting<M>>,
    /// The next number of a batch or a token.
    next: u64,
    /// Batches that wait for the leader.
    batches: BTreeMap<BatchId, Batch<M>>,
    /// The confirmed reads. Each waits until this node has applied every slot below its key.
    confirmed: BTreeMap<Slot, VecDeque<Waiting<M>>>,
    /// At a leader: the tokens that the replica was given and has neither confirmed nor refused, each with its batch.
    tokens: HashMap<Token, Asker>,
}

impl<M> Reads<M> {
    /// `incarnation` is the number of the present incarnation. It must not be 0, because token 0 stands for
    /// proposals.
    pub(super) fn new(options: &Options, incarnation: u64) -> Self {
        Self {
            timeout: options.request_timeout,
            retry: options.resend,
            fresh: Vec::new(),
            next: incarnation << 32,
            batches: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            tokens: HashMap::new(),
        }
    }

    /// The number of reads that wait.
    pub(super) fn waiting(&self) -> usize {
        let batches = self.batches.values().map(|batch| batch.reads.len());
        self.fresh.len() + batches.chain(self.confirmed.values().map(VecDeque::len)).sum::<usize>()
    }

    /// Takes a client's read.
    pub(super) fn read(&mut self, reading: Reading<M>, now: Now) {
        self.fresh.push(Waiting { deadline: now + self.timeout, reading });
    }

    /// Returns the batches for which this node must ask the leader now. The fresh reads form a new batch. If `overdue` is
    /// true, this also returns two kinds of older batches: those for which this node last asked another node, and those for
    /// which it asked the leader too long ago.
    pub(super) fn due(&mut self, leader: NodeId, now: Now, overdue: bool) -> Vec<BatchId> {
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
            let id = BatchId(self.next_number());
            self.batches.insert(id, Batch { reads, asked: Some((leader, now)) });
            due.push(id);
        }
        due
    }

    /// Answers all reads with an error: the node stops, or its machine has halted.
    pub(super) fn end(&mut self, error: &ReadError) {
        let fresh = std::mem::take(&mut self.fresh).into_iter();
        let batches = std::mem::take(&mut self.batches).into_values().flat_map(|batch| batch.reads);
        let confirmed = std::mem::take(&mut self.confirmed).into_values().flatten();
        let all = fresh.chain(batches).chain(confirmed);
        all.for_each(|Waiting { reading, .. }| reading(Err(error.clone())));
    }

    fn next_number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }
}

/// At the leader.
impl<M> Reads<M> {
    /// Returns the token by which the replica confirms a batch.
    pub(super) fn token(&mut self, asker: Asker) -> Token {
        let token = Token(self.next_number());
        self.tokens.insert(token, asker);
        token
    }

    /// Takes a token that the replica has confirmed. Confirms the batch of this node, or returns the answer for the
    /// node that has asked.
    pub(super) fn ready(&mut self, ready: ReadReady) -> Option<(NodeId, Packet)> {
        match self.tokens.remove(&ready.token)? {
            Asker::Own(batch) => {
                self.confirm(batch, ready.at);
                None
            }
            Asker::Peer(peer, BatchId(id)) => Some((peer, Packet::ReadAt { id, at: ready.at })),
        }
    }

    /// Forgets a token that the replica has refused. The node that asked will ask again. The caller passes the refusals of
    /// proposals, too. They have token 0, which no read has, so they change nothing.
    pub(super) fn refused(&mut self, token: Token) {
        self.tokens.remove(&token);
    }
}

/// Reading.
impl<M> Reads<M> {
    /// Lets the reads of a batch run once this node has applied every slot below `at`.
    pub(super) fn confirm(&mut self, batch: BatchId, at: Slot) {
        if let Some(batch) = self.batches.remove(&batch) {
            self.confirmed.entry(at).or_default().extend(batch.reads);
        }
    }

    /// Returns true if a read may run.
    pub(super) fn are_due(&self, applied: Slot) -> bool {
        self.confirmed.first_key_value().is_some_and(|(at, _)| *at <= applied)
    }

    /// Runs the reads that may run: at least one, and more as long as `goes_on` returns true. Passes to `runs`, for each
    /// read, the slot below which the read must see every slot.
    pub(super) fn serve(
        &mut self,
        applied: Slot,
        machine: &M,
        goes_on: impl Fn() -> bool,
        mut runs: impl FnMut(Slot),
    ) {
        while let Some(mut first) = self.confirmed.first_entry()
            && *first.key() <= applied
        {
            let Some(Waiting { reading, .. }) = first.get_mut().pop_front() else {
                first.remove();
                continue;
            };
            runs(*first.key());
            if first.get().is_empty() {
                first.remove();
            }
            // A read cannot change the machine, so a panic leaves the machine intact.
            if catch_unwind(AssertUnwindSafe(|| reading(Ok(machine)))).is_err() {
                tracing::error!("a read has panicked");
            }
            if !goes_on() {
                break;
            }
        }
    }

    /// Answers the reads whose time is up with an error.
    pub(super) fn give_up(&mut self, now: Now) {
        let timeout = ReadError::Timeout(self.timeout);
        let late = |waiting: &Waiting<M>| waiting.deadline <= now;
        let batches = self.batches.values_mut().map(|batch| &mut batch.reads);
        for waiting in batches.chain([&mut self.fresh]) {
            for Waiting { reading, .. } in waiting.extract_if(.., |waiting| late(waiting)) {
                reading(Err(timeout.clone()));
            }
        }
        for waiting in self.confirmed.values_mut() {
            let (late, in_time) =
                std::mem::take(waiting).into_iter().partition::<VecDeque<_>, _>(late);
            *waiting = in_time;
            for Waiting { reading, .. } in late {
                reading(Err(timeout.clone()));
            }
        }
        self.batches.retain(|_, batch| !batch.reads.is_empty());
        self.confirmed.retain(|_, waiting| !waiting.is_empty());
    }
}
