//! The replica: one pure function from an event to records and messages.
//!
//! A replica plays all roles. [`acceptor`] is what must be durable, [`proposer`] what a candidate or
//! leader has heard, [`learner`] what is known to be chosen, [`reader`] who waits to read. How an
//! event moves through them is told in the order in which things happen: electing (phase 1),
//! proposing (phase 2), learning, reading, trimming, resending. Every handler first says what it
//! ignores, and why.
//!
//! Departures from "Paxos Made Simple": one promise covers the whole log (as there in section 3);
//! accepting a ballot promises it; a refusal is said (Nack) rather than kept silent; a node's own
//! promise and vote are counted at once, since its driver releases nothing that follows from them before they
//! are durable.

pub mod acceptor;
mod electing;
pub mod learner;
mod learning;
pub mod log;
mod node_set;
pub mod proposer;
mod proposing;
pub mod reader;
mod reading;
mod resending;
mod trimming;

use std::sync::Arc;

pub use self::acceptor::RecoverError;
pub use self::node_set::NodeSet;
use self::{acceptor::Acceptor, learner::Learner, proposer::Role};
use crate::{
    config::{Config, ConfigError},
    event::{Event, Output, Record, Refusal, Refused, Timer, Token},
    message::Message,
    types::{NodeId, Slot},
};

/// One node's protocol state. Two replicas that behave alike are equal: there are no counters and no
/// caches beside the state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replica {
    config: Arc<Config>,
    acceptor: Acceptor,
    role: Role,
    learner: Learner,
}

/// Everything a replica consists of, to be looked at.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Never changes.
    pub config: &'a Config,
    /// Durable.
    pub acceptor: &'a Acceptor,
    /// Volatile.
    pub role: &'a Role,
    /// Volatile.
    pub learner: &'a Learner,
}

impl Replica {
    /// A replica that has never run. Use it only where no earlier state can exist: a node that comes
    /// back without its promises breaks agreement.
    ///
    /// # Errors
    /// A configuration that cannot work.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            config: Arc::new(config),
            acceptor: Acceptor::default(),
            role: Role::default(),
            learner: Learner::default(),
        })
    }

    /// The replica that wrote these records, after a crash: it keeps its promises and votes, follows,
    /// and has to be told again what is chosen. What it had trimmed is in its driver's snapshot.
    ///
    /// # Errors
    /// A configuration that cannot work, or records that cannot be this node's.
    pub fn recover(
        config: Config,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Self, RecoverError> {
        let mut replica = Self::new(config)?;
        for record in records {
            if let Record::Promised(ballot) | Record::Accepted { ballot, .. } = &record
                && replica.config.index(ballot.node).is_none()
            {
                return Err(RecoverError::ForeignBallot { ballot: *ballot });
            }
            replica.acceptor.replay(&record)?;
        }
        replica.learner = Learner::after_snapshot(replica.acceptor.trimmed);
        Ok(replica)
    }

    /// Everything it consists of.
    pub fn parts(&self) -> Parts<'_> {
        Parts {
            config: &self.config,
            acceptor: &self.acceptor,
            role: &self.role,
            learner: &self.learner,
        }
    }

    /// Who leads, as far as this node can tell: itself, or the owner of the ballot it has promised.
    pub fn leader(&self) -> Option<NodeId> {
        let promised = self.acceptor.promised?;
        let certain = promised.node != self.config.id || matches!(self.role, Role::Leader(_));
        certain.then_some(promised.node)
    }

    /// Takes in one event and appends to `output` what follows from it. See the crate's
    /// documentation for what a driver owes.
    pub fn step(&mut self, event: Event, output: &mut Output) {
        match event {
            Event::Message { from, message } => {
                if from != self.config.id
                    && let Some(index) = self.config.index(from)
                {
                    self.receive(from, index, message, output);
                }
            }
            Event::Propose(proposals) => self.on_propose(proposals, output),
            Event::Read(tokens) => self.on_read(tokens, output),
            Event::Snapshot { below } => self.on_snapshot(below, output),
            Event::Timer(Timer::Campaign) => self.on_campaign(output),
            Event::Timer(Timer::Heartbeat) => self.on_heartbeat_due(output),
            Event::Timer(Timer::Resend) => self.on_resend_due(output),
        }
    }

    fn receive(&mut self, from: NodeId, index: usize, message: Message, output: &mut Output) {
        match message {
            Message::Prepare { ballot } => self.on_prepare(from, ballot, output),
            Message::Promise { ballot, trimmed, reports } => {
                self.on_promise(from, index, ballot, trimmed, reports, output);
            }
            Message::Accept { ballot, first, values } => {
                self.on_accept(from, ballot, first, &values, output);
            }
            Message::Accepted { ballot, first, count } => {
                self.on_accepted(index, ballot, first, count, output);
            }
            Message::Nack { ballot, promised } => self.on_nack(ballot, promised, output),
            Message::Chosen { ballot, first, count } => {
                self.on_chosen(ballot, first, count, output);
            }
            Message::Confirm { ballot, round } => self.on_confirm(from, ballot, round, output),
            Message::Confirmed { ballot, round } => {
                self.on_confirmed(index, ballot, round, output);
            }
            Message::Heartbeat { ballot, chosen_below } => {
                self.on_heartbeat(from, ballot, chosen_below, output);
            }
            Message::Learn { from: slot } => self.on_learn(from, slot, output),
            Message::Learned { first, values } => self.on_learned(from, first, &values, output),
            Message::Trimmed { below } => self.on_trimmed(from, below, output),
        }
    }
}

/// What several rooms need.
impl Replica {
    /// Whoever has promised another's ballot has none of its own any more.
    fn follow(&mut self, output: &mut Output) {
        if let Role::Leader(leader) = std::mem::take(&mut self.role) {
            self.refuse(leader.reader.into_tokens(), output);
        }
        output.timers.push(Timer::Campaign);
    }

    /// Turns away proposals or reads, since this node does not lead.
    fn refuse(&self, tokens: impl IntoIterator<Item = Token>, output: &mut Output) {
        let refusal = Refusal::NotLeader { leader: self.leader() };
        output.refused.extend(tokens.into_iter().map(|token| Refused { token, refusal }));
    }

    fn me(&self) -> usize {
        self.config.index(self.config.id).expect("a valid configuration lists its own node")
    }

    /// The slot after all that are in use.
    fn log_end(&self) -> Slot {
        self.acceptor.votes.end().max(self.learner.chosen.end())
    }

    /// The first slot that this node will not hold yet.
    fn slot_limit(&self) -> Slot {
        self.log_end().plus(self.config.slots_ahead_max)
    }
}
