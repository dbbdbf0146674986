//! The replica: one pure function from an event to records and messages.
//!
//! A replica plays all roles. [`acceptor`] is what must be durable, [`proposer`] what a candidate or
//! leader has heard, [`learner`] what is known to be chosen; this module says how an event moves
//! through them. Every handler first says what it ignores, and why.
//!
//! Departures from "Paxos Made Simple": one promise covers the whole log (as there in section 3);
//! accepting a ballot promises it; a refusal is said (Nack) rather than kept silent; a node's own
//! promise and vote are counted at once, since its driver releases nothing before they are durable.

pub mod acceptor;
pub mod learner;
pub mod log;
pub mod proposer;

use std::sync::Arc;

use itertools::Itertools;

pub use self::acceptor::RecoverError;
use self::{
    acceptor::{Acceptor, Answer},
    learner::Learner,
    log::runs,
    proposer::{Candidate, Leader, NodeSet, Role},
};
use crate::{
    config::{Config, ConfigError},
    event::{Event, Output, Proposal, Record, Refusal, Refused, Taken, Timer},
    message::{Envelope, Message, Report, To},
    types::{Ballot, Batch, NodeId, Slot, Value},
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
    /// and has to be told again what is chosen.
    ///
    /// # Errors
    /// A configuration that cannot work, or records that cannot be this node's.
    pub fn recover(
        config: Config,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Self, RecoverError> {
        let mut replica = Self::new(config)?;
        for record in records {
            let (Record::Promised(ballot) | Record::Accepted { ballot, .. }) = &record;
            if replica.config.index(ballot.node).is_none() {
                return Err(RecoverError::ForeignBallot { ballot: *ballot });
            }
            replica.acceptor.replay(&record)?;
        }
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
                    self.on_message(from, index, message, output);
                }
            }
            Event::Propose(proposals) => self.on_propose(proposals, output),
            Event::Timer(Timer::Campaign) => self.on_campaign(output),
            Event::Timer(Timer::Heartbeat) => self.on_heartbeat_due(output),
            Event::Timer(Timer::Resend) => self.on_resend_due(output),
        }
    }

    fn on_message(&mut self, from: NodeId, index: usize, message: Message, output: &mut Output) {
        match message {
            Message::Prepare { ballot } => self.on_prepare(from, ballot, output),
            Message::Promise { ballot, reports } => {
                self.on_promise(from, index, ballot, reports, output);
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
            Message::Heartbeat { ballot, chosen_below } => {
                self.on_heartbeat(from, ballot, chosen_below, output);
            }
            Message::Learn { from: slot } => self.on_learn(from, slot, output),
            Message::Learned { first, values } => self.on_learned(from, first, &values, output),
        }
    }
}

/// Phase 1: becoming the leader.
impl Replica {
    /// Begins the next ballot of its own above everything it has promised, in a durable record
    /// before anybody hears of it: so no ballot is begun twice, across crashes either.
    fn on_campaign(&mut self, output: &mut Output) {
        if matches!(self.role, Role::Leader(_)) {
            return; // It leads already.
        }
        let Some(ballot) = Ballot::next(self.config.id, self.acceptor.promised) else {
            return; // Rounds are used up; another node may still lead.
        };
        self.acceptor.promise(ballot, &mut output.records);
        let mut candidate = Candidate::default();
        candidate.hear(self.me(), self.acceptor.reports());
        self.role = Role::Candidate(candidate);
        output.broadcast(Message::Prepare { ballot });
        output.timers.extend([Timer::Campaign, Timer::Resend]);
        self.lead_if_promised(output);
    }

    fn on_prepare(&mut self, from: NodeId, ballot: Ballot, output: &mut Output) {
        if ballot.node != from {
            return; // Only its owner prepares a ballot.
        }
        match self.acceptor.prepare(ballot, &mut output.records) {
            Answer::Refuse(promised) => output.send(from, Message::Nack { ballot, promised }),
            Answer::Silence => {}
            Answer::Promise(reports) => {
                self.follow(output);
                output.send(from, Message::Promise { ballot, reports });
            }
        }
    }

    fn on_promise(
        &mut self,
        from: NodeId,
        index: usize,
        ballot: Ballot,
        reports: Vec<Report>,
        output: &mut Output,
    ) {
        if self.acceptor.promised != Some(ballot) {
            return; // A promise for a ballot that is over says nothing about the present one.
        }
        let limit = self.slot_limit();
        let Role::Candidate(candidate) = &mut self.role else {
            return; // A quorum was enough; this one is late.
        };
        if candidate.heard.contains(index) {
            return; // Heard already.
        }
        if reports.iter().any(|report| report.slot >= limit) {
            // Beyond what can be held: as if it were lost. This node is far behind, and asks.
            output.send(from, Message::Learn { from: self.learner.below });
            return;
        }
        candidate.hear(index, reports);
        self.lead_if_promised(output);
    }

    /// With a quorum of promises, proposes what earlier leaders may have got chosen: in every slot
    /// the reported value of the highest ballot, and a no-op where nothing was reported below a slot
    /// that is in use (Paxos Made Simple, section 3).
    fn lead_if_promised(&mut self, output: &mut Output) {
        let Role::Candidate(candidate) = &self.role else { return };
        if candidate.heard.len() < self.config.phase1_quorum {
            return;
        }
        let end = candidate.reported.end().max(self.learner.chosen.end());
        let adopted = (self.learner.below.0..end.0)
            .map(Slot)
            .filter(|&slot| !self.learner.knows(slot))
            .map(|slot| {
                let reported = candidate.reported.get(slot);
                (slot, reported.map_or(Value::Noop, |vote| vote.value.clone()))
            })
            .collect_vec();
        self.role = Role::Leader(Leader { first: self.learner.below, ..Leader::default() });
        for (first, values) in runs(adopted, self.config.batch_slots_max) {
            self.propose(first, values, output);
        }
        output.timers.extend([Timer::Heartbeat, Timer::Resend]);
    }

    /// Somebody has promised a higher ballot: this one is over. The refused owner promises the higher
    /// ballot itself, so that its next one is above it at once.
    fn on_nack(&mut self, ballot: Ballot, promised: Ballot, output: &mut Output) {
        let current = self.acceptor.promised == Some(ballot);
        if !current || matches!(self.role, Role::Follower) || promised <= ballot {
            return; // It refuses what is over anyway.
        }
        if self.config.index(promised.node).is_none() {
            return; // A ballot of nobody.
        }
        self.acceptor.promise(promised, &mut output.records);
        self.follow(output);
    }

    /// Whoever has promised another's ballot has none of its own any more.
    fn follow(&mut self, output: &mut Output) {
        self.role = Role::Follower;
        output.timers.push(Timer::Campaign);
    }
}

/// Phase 2: getting values chosen.
impl Replica {
    fn on_propose(&mut self, proposals: Vec<Proposal>, output: &mut Output) {
        let next = self.acceptor.votes.end().max(self.learner.chosen.end());
        let Role::Leader(leader) = &self.role else {
            let leader = self.leader();
            let refusal = Refusal::NotLeader { leader };
            let refused = proposals.into_iter().map(|p| Refused { token: p.token, refusal });
            output.refused.extend(refused);
            return;
        };
        let room = leader.first.plus(self.config.in_flight_max).0.saturating_sub(next.0);
        let taken = proposals.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let mut proposals = proposals.into_iter();
        let mut values = Vec::with_capacity(taken);
        for (slot, proposal) in (next.0..).map(Slot).zip(proposals.by_ref().take(taken)) {
            output.taken.push(Taken { token: proposal.token, slot });
            values.push(Value::Command(proposal.command));
        }
        let refusal = Refusal::Busy;
        output.refused.extend(proposals.map(|p| Refused { token: p.token, refusal }));
        if !values.is_empty() {
            self.propose(next, values.into(), output);
        }
    }

    /// Phase 2a: the leader votes for its own proposal and asks the others to.
    fn propose(&mut self, first: Slot, values: Batch, output: &mut Output) {
        let ballot = self.acceptor.promised.expect("a leader has promised its own ballot");
        let count = values.len() as u64;
        let own = self.acceptor.accept(ballot, first, &values, &mut output.records);
        assert!(own.is_ok(), "a leader leads in the ballot it has promised");
        output.broadcast(Message::Accept { ballot, first, values });
        let me = NodeSet::of(self.me());
        let Role::Leader(leader) = &mut self.role else { unreachable!("only leaders propose") };
        for slot in (first.0..first.0 + count).map(Slot) {
            leader.open(slot, me);
        }
        if self.config.phase2_quorum == 1 {
            self.count_votes(self.me(), ballot, first, count, output);
        }
    }

    fn on_accept(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        first: Slot,
        values: &Batch,
        output: &mut Output,
    ) {
        let beyond = first.plus(values.len() as u64) > self.slot_limit();
        if ballot.node != from || values.is_empty() || beyond {
            return; // Not from the owner, about nothing, or beyond what can be held.
        }
        if let Err(promised) = self.acceptor.accept(ballot, first, values, &mut output.records) {
            output.send(from, Message::Nack { ballot, promised });
            return;
        }
        self.follow(output);
        output.send(from, Message::Accepted { ballot, first, count: values.len() as u64 });
    }

    fn on_accepted(
        &mut self,
        index: usize,
        ballot: Ballot,
        first: Slot,
        count: u64,
        output: &mut Output,
    ) {
        if self.acceptor.promised != Some(ballot) {
            return; // Votes of another ballot do not add up with those of this one.
        }
        self.count_votes(index, ballot, first, count, output);
    }

    /// A value is chosen once a quorum has voted for it in one ballot.
    fn count_votes(
        &mut self,
        index: usize,
        ballot: Ballot,
        first: Slot,
        count: u64,
        output: &mut Output,
    ) {
        let Role::Leader(leader) = &mut self.role else { return };
        let open = leader.first.max(first).0..leader.first.plus(leader.votes.len() as u64).0;
        let end = open.end.min(first.plus(count).0);
        let mut run: Option<(Slot, u64)> = None;
        let mut announce = |run: Option<(Slot, u64)>| {
            if let Some((first, count)) = run {
                let message = Message::Chosen { ballot, first, count };
                output.messages.push(Envelope { to: To::Peers, message });
            }
        };
        for slot in (open.start..end).map(Slot) {
            let Some(votes) = leader.votes(slot) else { continue };
            votes.insert(index);
            if votes.len() < self.config.phase2_quorum {
                continue;
            }
            *votes = NodeSet::default();
            let vote = self.acceptor.votes.get(slot).expect("a leader voted for what it proposed");
            self.learner.learn(slot, &vote.value, &mut output.chosen);
            run = match run {
                Some((first, count)) if first.plus(count) == slot => Some((first, count + 1)),
                other => {
                    announce(other);
                    Some((slot, 1))
                }
            };
        }
        announce(run);
        leader.advance(self.learner.below);
    }
}

/// Learning what is chosen, and keeping each other informed. Nothing here votes or promises.
impl Replica {
    fn on_chosen(&mut self, ballot: Ballot, first: Slot, count: u64, output: &mut Output) {
        let end = first.plus(count).min(self.acceptor.votes.end());
        for slot in (first.0..end.0).map(Slot) {
            // In one ballot only one value is proposed: whoever voted in it knows the value.
            if let Some(vote) = self.acceptor.votes.get(slot)
                && vote.ballot == ballot
            {
                self.learner.learn(slot, &vote.value, &mut output.chosen);
                Self::close(&mut self.role, slot);
            }
        }
        self.advance();
    }

    fn on_learned(&mut self, from: NodeId, first: Slot, values: &Batch, output: &mut Output) {
        if first.plus(values.len() as u64) > self.slot_limit() {
            return; // Beyond what can be held.
        }
        for (slot, value) in (first.0..).map(Slot).zip(values.iter()) {
            self.learner.learn(slot, value, &mut output.chosen);
            Self::close(&mut self.role, slot);
        }
        self.advance();
        if values.len() as u64 >= self.config.batch_slots_max {
            // A full batch: there is more to be had.
            output.send(from, Message::Learn { from: self.learner.below });
        }
    }

    fn on_learn(&self, from: NodeId, first: Slot, output: &mut Output) {
        let known = (first.0..self.learner.chosen.end().0).map(Slot);
        let known = known.map_while(|slot| self.learner.chosen.get(slot).cloned());
        let values: Batch = known.take(self.config.batch_slots_max as usize).collect();
        if !values.is_empty() {
            output.send(from, Message::Learned { first, values });
        }
    }

    fn on_heartbeat(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        chosen_below: Slot,
        output: &mut Output,
    ) {
        if ballot.node != from {
            return; // Only its owner leads in a ballot.
        }
        if let Some(promised) = self.acceptor.promised
            && ballot < promised
        {
            output.send(from, Message::Nack { ballot, promised });
            return;
        }
        output.timers.push(Timer::Campaign);
        if chosen_below > self.learner.below {
            output.send(from, Message::Learn { from: self.learner.below });
        }
    }

    fn on_heartbeat_due(&self, output: &mut Output) {
        let (Role::Leader(_), Some(ballot)) = (&self.role, self.acceptor.promised) else { return };
        output.broadcast(Message::Heartbeat { ballot, chosen_below: self.learner.below });
        output.timers.push(Timer::Heartbeat);
    }

    /// Sends again what may have been lost: a candidate its Prepare, a leader its open proposals, to
    /// those who have not answered.
    fn on_resend_due(&self, output: &mut Output) {
        let Some(ballot) = self.acceptor.promised else { return };
        let peers = self.config.nodes.iter().copied().enumerate();
        let peers = peers.filter(|&(_, node)| node != self.config.id);
        match &self.role {
            Role::Follower => return,
            Role::Candidate(candidate) => {
                for (_, node) in peers.filter(|&(index, _)| !candidate.heard.contains(index)) {
                    output.send(node, Message::Prepare { ballot });
                }
            }
            Role::Leader(leader) => {
                for (index, node) in peers {
                    let open = leader.open_slots().filter(|(_, votes)| !votes.contains(index));
                    let open = open.filter_map(|(slot, _)| {
                        Some((slot, self.acceptor.votes.get(slot)?.value.clone()))
                    });
                    for (first, values) in runs(open, self.config.batch_slots_max) {
                        output.send(node, Message::Accept { ballot, first, values });
                    }
                }
            }
        }
        output.timers.push(Timer::Resend);
    }

    fn close(role: &mut Role, slot: Slot) {
        if let Role::Leader(leader) = role {
            leader.close(slot);
        }
    }

    fn advance(&mut self) {
        if let Role::Leader(leader) = &mut self.role {
            leader.advance(self.learner.below);
        }
    }

    fn me(&self) -> usize {
        self.config.index(self.config.id).expect("a valid configuration lists its own node")
    }

    /// The first slot that this node will not hold yet.
    fn slot_limit(&self) -> Slot {
        let end = self.acceptor.votes.end().max(self.learner.chosen.end());
        end.plus(self.config.slots_ahead_max)
    }
}
