//! Proposals: from the commands of clients to batches that a leader proposes.
//!
//! A command is in up to three places:
//!
//! 1. [`pending`], at the node of its client: from its arrival until that node has applied it. The node sends it to the
//!    leader again and again.
//! 2. [`batching`], at that node and at the leader: while it waits for other commands that share its batch.
//! 3. [`in_flight`], at the leader: from its proposal until the leader has applied it.

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
    /// `incarnation` must be a number that no other incarnation of any node has.
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

    /// Adds to the next batch what [`PendingProposals::due`] returns.
    pub(super) fn gather_pending(&mut self, leader: NodeId, now: Now, overdue: bool) {
        let entries = self.pending.due(leader, now, overdue);
        self.gather(entries, now);
    }

    /// Forgets the batch and the proposals in flight. The node calls this if the leader has changed, also if this node
    /// now leads, and while no leader is known. Pending commands are sent again.
    pub(super) fn forget(&mut self) {
        self.batching.clear();
        self.in_flight.clear();
    }

    /// Returns true if a follower waits for no command that it has forwarded: at most as many commands are pending as
    /// the next batch has.
    pub(super) fn none_forwarded(&self) -> bool {
        self.pending.commands() <= self.batching.len()
    }

    /// Returns the time at which the next batch has to leave. Returns `None` while too many bytes are in flight: the
    /// batch then waits until this node has applied earlier commands.
    pub(super) fn due_at(&self) -> Option<Now> {
        self.batching.due_at().filter(|_| self.in_flight.bytes_left() > 0)
    }

    /// Returns the batch that a leader has to propose now. `idle` is true if none of its proposals is in flight.
    pub(super) fn take_proposed(&mut self, idle: bool, now: Now) -> Option<Vec<Bytes>> {
        self.batching.take_due(idle, self.in_flight.bytes_left(), now)
    }

    /// Returns the batch that a follower has to forward now. `idle` is true if this node waits for no command that it
    /// forwarded earlier.
    pub(super) fn take_forwarded(&mut self, idle: bool, now: Now) -> Option<Vec<Bytes>> {
        self.batching.take_due(idle, usize::MAX, now)
    }

    /// Notes that `batch` was proposed in slots below `end`.
    pub(super) fn proposed(&mut self, end: Slot, batch: &[Bytes]) {
        self.in_flight.add(end, batch);
    }

    /// Notes that all slots below `below` are done: applied at this node, or chosen if its machine has halted.
    pub(super) fn done_below(&mut self, below: Slot) {
        self.in_flight.remove_below(below);
    }

    /// Marks the last batch as done. The node calls this at the end of a turn, if nothing is in flight.
    pub(super) fn batch_done(&mut self) {
        self.batching.done();
    }
}

/// The proposals of a batch, one for each command.
pub(super) fn proposals(batch: &[Bytes]) -> Vec<Proposal> {
    let proposal = |command: &Bytes| Proposal { token: NO_TOKEN, command: command.clone() };
    batch.iter().map(proposal).collect()
}
