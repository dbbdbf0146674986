//! The replica: a pure function from its state and an event to its next state, records and messages.
//!
//! A replica plays all roles of Paxos. Each role has a module with its state:
//!
//! - [`acceptor`]: the promise and the votes. Only this state is durable.
//! - [`proposer`]: the promises that a candidate received, and the votes that a leader received ([`tally`]).
//! - [`learner`]: the values that are known to be chosen.
//! - [`reader`]: the reads that wait for a confirmation.
//!
//! The handlers of events have modules of their own: `electing` for phase 1, `proposing` for phase 2, then
//! `learning`, `reading`, `trimming` and `resending`. A handler begins with the cases that it ignores. [`safety`] has
//! the arguments why the protocol is safe.
//!
//! The code is generic over ballots and values, and sees of them only what the traits of [`opaque`](crate::opaque) offer.
//! The types [`Ballot`] and [`Value`] are only the defaults of the parameters. [`Replica::step`] makes the commands of
//! clients into values before a handler sees them.
//!
//! # Departures from "Paxos Made Simple"
//!
//! - One promise covers the whole log, as in section 3 of the paper, and a vote promises its ballot
//!   ([the shared promise](safety#the-shared-promise)).
//! - A promise reports no votes in slots that the candidate knows to be chosen
//!   ([reports from the first unknown slot](safety#reports-from-the-first-unknown-slot)).
//! - An acceptor answers a message that it refuses with a Nack message. In the paper it may stay silent.
//! - A node counts its own promise and vote at once, without a message. Its driver releases nothing that follows
//!   from them before they are durable ([early Accepts](safety#early-accepts)).
//! - Before a candidate leads, it learns every slot that its quorum has trimmed, from messages or by a snapshot
//!   ([trimming](safety#trimming)).

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
pub mod safety;
pub mod tally;
mod trimming;

use std::sync::Arc;

use bytes::Bytes;

pub use self::acceptor::RecoverError;
pub use self::node_set::NodeSet;
use self::{acceptor::Acceptor, learner::Learner, proposer::Role};
use crate::{
    config::{Config, ConfigError},
    event::{Event, Record, Refusal, Refused, Timer, Token},
    message::Message,
    opaque::{OpaqueBallot, OpaqueValue},
    output::Output,
    types::{Ballot, NodeId, Slot, Value},
};

/// The protocol state of one node. It contains no statistics and no caches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replica<B = Ballot, V = Value> {
    config: Arc<Config>,
    acceptor: Acceptor<B, V>,
    role: Role<B, V>,
    learner: Learner<V>,
}

/// A view of the whole state of a replica.
#[derive(Debug)]
pub struct Parts<'a, B = Ballot, V = Value> {
    /// Never changes.
    pub config: &'a Config,
    /// Durable.
    pub acceptor: &'a Acceptor<B, V>,
    /// Volatile.
    pub role: &'a Role<B, V>,
    /// Volatile.
    pub learner: &'a Learner<V>,
}

// Derived implementations would require that ballots and values are `Copy`.
impl<B, V> Clone for Parts<'_, B, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B, V> Copy for Parts<'_, B, V> {}

impl<B: OpaqueBallot, V: OpaqueValue> Replica<B, V> {
    /// Returns the replica of a node that has never run. The caller must ensure that no earlier state of this node
    /// exists, because a node that comes back without its promises breaks agreement.
    ///
    /// # Errors
    /// Fails if the configuration is invalid.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            config: Arc::new(config),
            acceptor: Acceptor::default(),
            role: Role::default(),
            learner: Learner::default(),
        })
    }

    /// Returns the replica that wrote these records, as it is after a crash ([recovery](safety#recovery)). The
    /// replica is a follower with the recorded promise and votes. The trimmed slots are the only ones that it knows
    /// to be chosen, and the driver's snapshot has their effect.
    ///
    /// # Errors
    /// Fails if the configuration is invalid, or if a record names a node that is not in it. Fails also if records
    /// contradict each other, or if a slot is too far beyond the trimmed ones.
    pub fn recover(
        config: Config,
        records: impl IntoIterator<Item = Record<B, V>>,
    ) -> Result<Self, RecoverError<B, V>> {
        let mut replica = Self::new(config)?;
        for record in records {
            if let Record::Promised(ballot) | Record::Accepted { ballot, .. } = &record
                && replica.config.index(ballot.owner()).is_none()
            {
                let owner = ballot.owner();
                return Err(RecoverError::ForeignBallot { ballot: *ballot, owner });
            }
            replica.acceptor.replay(&record)?;
        }
        replica.learner = Learner::after_snapshot(replica.acceptor.trimmed);
        Ok(replica)
    }

    /// Returns the replica with these parts, so that a check can begin at any state. The caller must ensure that the
    /// configuration is valid, and that the parts fit together.
    #[cfg(feature = "checks")]
    pub fn from_parts(
        config: Arc<Config>,
        acceptor: Acceptor<B, V>,
        role: Role<B, V>,
        learner: Learner<V>,
    ) -> Self {
        Self { config, acceptor, role, learner }
    }

    /// Returns a view of the whole state, for drivers and checks.
    pub fn parts(&self) -> Parts<'_, B, V> {
        Parts {
            config: &self.config,
            acceptor: &self.acceptor,
            role: &self.role,
            learner: &self.learner,
        }
    }

    /// Returns the node that leads, as far as this node can tell. This is the owner of the promised ballot. Returns
    /// `None` if nothing is promised, or if this node is the owner but does not lead.
    pub fn leader(&self) -> Option<NodeId> {
        let promised = self.acceptor.promised?;
        let may_lead = promised.owner() != self.config.id || matches!(self.role, Role::Leader(_));
        may_lead.then_some(promised.owner())
    }

    /// Returns the slot that a driver may note durably together with `records`: each vote of this node below it is for the
    /// chosen value ([recovery](safety#recovery)). After a start the driver may give the slot to the replica
    /// ([`Event::VotesChosen`]).
    ///
    /// `noted` is the slot of the note so far, and 0 if there is none. `records` are all records since then. The result is
    /// below `noted` if they have a vote below it. The function looks only at slots from the lower of both on.
    pub fn votes_chosen_below(&self, noted: Slot, records: &[Record<B, V>]) -> Slot {
        let voted = records.iter().filter_map(|record| match record {
            Record::Accepted { first, .. } => Some(*first),
            Record::Promised(_) | Record::Trimmed { .. } => None,
        });
        let from = voted.chain([noted]).min().unwrap_or_default();
        let below = self.learner.below;
        for piece in self.acceptor.votes.pieces(from.0..below.0) {
            let Some((_, votes)) = piece.values else { continue };
            let first = Slot(piece.slots.start);
            if let Some((slot, ..)) = self.learner.chosen.difference(first, &votes, |()| true) {
                return slot;
            }
        }
        below.max(from)
    }

    /// Handles one event and appends the resulting records and effects to `output`. The [crate] documentation has the rules
    /// for drivers.
    ///
    /// Ignores messages from nodes that are not in the configuration, and from this node itself.
    pub fn step(&mut self, event: Event<B, V>, output: &mut Output<B, V>) {
        output.settle();
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
            Event::VotesChosen { below } => self.on_votes_chosen(below, output),
            Event::Timer(Timer::Campaign) => self.on_campaign(output),
            Event::Timer(Timer::Heartbeat) => self.on_heartbeat_due(output),
            Event::Timer(Timer::Resend) => self.on_resend_due(output),
        }
    }

    fn receive(
        &mut self,
        from: NodeId,
        index: usize,
        message: Message<B, V>,
        output: &mut Output<B, V>,
    ) {
        match message {
            Message::Prepare { ballot, first } => self.on_prepare(from, ballot, first, output),
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
            Message::Learned { first, values, more } => {
                self.on_learned(from, first, &values, more, output);
            }
            Message::Trimmed { below } => self.on_trimmed(from, below, output),
        }
    }
}

/// Helpers that several handlers share.
impl<B: OpaqueBallot, V: OpaqueValue> Replica<B, V> {
    /// Becomes a follower, because another node's ballot is promised. Refuses the reads that wait, and arms the
    /// campaign timer.
    fn follow(&mut self, output: &mut Output<B, V>) {
        if let Role::Leader(leader) = std::mem::take(&mut self.role) {
            self.refuse(leader.reader.into_tokens().map(|token| (token, None)), output);
        }
        output.effects.timers.push(Timer::Campaign);
    }

    /// Refuses these proposals or reads, because this node does not lead. A proposal comes with its command.
    fn refuse(
        &self,
        requests: impl IntoIterator<Item = (Token, Option<Bytes>)>,
        output: &mut Output<B, V>,
    ) {
        let refusal = Refusal::NotLeader { leader: self.leader() };
        let refused =
            requests.into_iter().map(|(token, command)| Refused { token, command, refusal });
        output.effects.refused.extend(refused);
    }

    fn own_index(&self) -> usize {
        self.config.index(self.config.id).expect("a valid configuration lists its own node")
    }

    /// Returns the slot after the last one that has a vote or is known to be chosen.
    fn log_end(&self) -> Slot {
        self.acceptor.votes.end().max(self.learner.chosen.end())
    }

    /// Returns the first slot for which this node takes no values yet.
    fn slot_limit(&self) -> Slot {
        self.log_end().plus(self.config.slots_ahead_max)
    }
}
