//! Proposals: from the commands of clients to batches that a leader proposes.
//!
//! A command passes three places, in this order:
//!
//! 1. [`pending`]: it waits until this node has applied it, and is sent to the leader again and again.
//! 2. [`batching`]: at this node and at the leader, it waits for others that share its batch.
//! 3. [`in_flight`]: at the leader, it is proposed and not applied yet.

mod attempt;
mod batch_delay;
mod batching;
mod error;
mod in_flight;
mod openings;
mod pending;

use bytes::Bytes;

pub use self::error::ProposeError;
use self::{batching::Batching, in_flight::InFlight, pending::PendingProposals};
pub(super) use self::{openings::SessionReply, pending::Reply};
use super::{machine::Answer, options::Options, timers::Now};
use paxos::{
    event::{Proposal, Token},
    types::{NodeId, Slot},
};

/// The token of every proposal. The node recognises its commands by their sessions and numbers, and no token of a read
/// is 0.
const NO_TOKEN: Token = Token(0);

/// The commands that this node is to get chosen, for its own clients and, as the leader, for other nodes.
#[derive(Debug)]
pub(super) struct Proposals<A> {
    pub(super) pending: PendingProposals<A>,
    batching: Batching,
    in_flight: InFlight,
}

impl<A: Answer> Proposals<A> {
    /// No other incarnation of any node has the number `incarnation`.
    pub(super) fn new(options: &Options, incarnation: u128) -> Self {
        let (timeout, retry) = (options.request_timeout, options.resend);
        Self {
            pending: PendingProposals::new(timeout, retry, incarnation),
            batching: Batching::new(options.batch_wait),
            in_flight: InFlight::default(),
        }
    }

    /// Adds commands to the next batch, except for those that are in flight.
    pub(super) fn gather(&mut self, mut commands: Vec<Bytes>, now: Now) {
        commands.retain(|command| !self.in_flight.holds(command));
        self.batching.extend(commands, now);
    }

    /// Adds the pending commands that are due to the next batch; `overdue` as for
    /// [`PendingProposals::due`].
    pub(super) fn gather_pending(&mut self, leader: NodeId, now: Now, overdue: bool) {
        let entries = self.pending.due(leader, now, overdue);
        self.gather(entries, now);
    }

    /// Forgets the batch and the proposals in flight: another node leads, or none does. Pending commands are sent
    /// again.
    pub(super) fn forget(&mut self) {
        self.batching.clear();
        self.in_flight.clear();
    }

    /// Returns true if a follower waits for no command that it has forwarded.
    pub(super) fn all_gathered(&self) -> bool {
        self.pending.commands() <= self.batching.len()
    }

    /// The time at which the next batch has to leave. While too many bytes are in flight, it waits for an answer.
    pub(super) fn due_at(&self) -> Option<Now> {
        self.batching.due_at().filter(|_| self.in_flight.bytes_left() > 0)
    }

    /// Returns the batch that a leader has to propose now. `idle` says that none of its proposals is in flight.
    pub(super) fn take_proposed(&mut self, idle: bool, now: Now) -> Option<Vec<Bytes>> {
        self.batching.take_due(idle, self.in_flight.bytes_left(), now)
    }

    /// Returns the batch that a follower has to forward now. `idle` says that the leader has answered all before.
    pub(super) fn take_forwarded(&mut self, idle: bool, now: Now) -> Option<Vec<Bytes>> {
        self.batching.take_due(idle, usize::MAX, now)
    }

    /// The batch was proposed in slots that end at `end`.
    pub(super) fn proposed(&mut self, end: Slot, batch: &[Bytes]) {
        self.in_flight.add(end, batch);
    }

    /// All slots below are done: applied here, or chosen if the machine has halted.
    pub(super) fn done_below(&mut self, below: Slot) {
        self.in_flight.remove_below(below);
    }

    /// The batch in flight is done at the end of a turn.
    pub(super) fn batch_done(&mut self) {
        self.batching.done();
    }
}

/// The proposals of a batch, one for each command.
pub(super) fn proposals(batch: &[Bytes]) -> Vec<Proposal> {
    let proposal = |command: &Bytes| Proposal { token: NO_TOKEN, command: command.clone() };
    batch.iter().map(proposal).collect()
}
