//! The model's replica: it takes the events of a recording with the rules of the model, and says what must come out.
//!
//! The rules are those that the model explores, in the universe without bounds. This module adds what the model leaves out
//! because safety does not depend on it: batches, limits, timers, heartbeats, questions for chosen values, and the tokens of
//! reads. A message that a limit makes the replica ignore counts as lost, which the model allows for every message.

use std::{ops::Range, sync::Arc};

use paxos_model::cluster::node::{
    invariant::{self, Conjunct, Node},
    message::Message as ModelMessage,
    rules::Rules,
    state::{Acceptor, Live, Role, Vote},
    step::{Input, Step as ModelStep},
    unbounded::{Membership, ReadRound, Unbounded},
    universe::{Set as _, SlotMap as _},
};
use paxos_recording::frame::{BatchRef, Event, Message, Refusal, Start, Step, Timer};

use crate::{
    coverage::Kind,
    said::{self, Ballot, ModelVote, NodeId, Said, Sent, Slot, Value, Values},
};

/// The limits of a replica, as its start recorded them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// All nodes of the cluster.
    pub nodes: Vec<NodeId>,
    /// The number of slots in flight at most.
    pub in_flight_max: u64,
    /// The number of slots beyond the end of the log for which the replica takes values.
    pub slots_ahead_max: u64,
    /// The number of slots in a batch at most.
    pub batch_slots_max: u64,
}

/// A replica of the model.
#[derive(Clone, Debug)]
pub struct Replica {
    me: NodeId,
    rules: Rules<Unbounded>,
    limits: Arc<Limits>,
    live: Live<Unbounded>,
    /// The first slot that is not trimmed and whose chosen value the node does not know.
    known_below: Slot,
    /// The tokens of the reads of the round that is under way.
    asked: Vec<u64>,
    /// The tokens of the reads of the next round.
    waiting: Vec<u64>,
}

/// The result of an event.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The messages.
    pub sent: Sent,
    /// The slots of the proposals that get one, as a range.
    pub taken: Option<Range<u64>>,
    /// The number of proposals that get none, and the reason.
    pub refused_proposals: Option<(u64, Refusal)>,
    /// The tokens of reads that are refused, and the reason.
    pub refused_reads: Option<(Vec<u64>, Refusal)>,
    /// The reads that are confirmed.
    pub reads: Vec<(u64, Slot)>,
    /// The nodes whose snapshot is wanted.
    pub fetch: Vec<NodeId>,
    /// The slots whose values are released to be applied.
    pub released: Range<u64>,
    /// The change of the acceptor.
    pub change: Change,
    /// The kinds of transitions that the event has exercised.
    pub kinds: Vec<Kind>,
}

/// The change of an acceptor, with what was there before, so that it can be taken back.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The promise before, if it has changed.
    pub promised: Option<Option<Ballot>>,
    /// The slots with a new vote, and the votes before.
    pub votes: Vec<(Slot, Option<ModelVote>)>,
    /// The end of the trimmed log before, if it has changed.
    pub trimmed: Option<Slot>,
    /// The votes that were trimmed.
    pub dropped: Vec<(Slot, Option<ModelVote>)>,
}

impl Change {
    /// Returns true if nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.promised.is_none() && self.votes.is_empty() && self.trimmed.is_none()
    }
}

impl Replica {
    /// Returns the replica that has recovered. Returns none if the configuration is impossible.
    pub fn start(start: &Start, acceptor: Acceptor<Unbounded>) -> Option<Self> {
        let nodes: Vec<_> = start.nodes.iter().map(|&id| said::node(id)).collect();
        let phase1 = usize::try_from(start.phase1_quorum).ok()?;
        let phase2 = usize::try_from(start.phase2_quorum).ok()?;
        let membership = Membership::new(nodes.iter().copied(), phase1, phase2)?;
        let limits = Limits {
            nodes,
            in_flight_max: start.in_flight_max,
            slots_ahead_max: start.slots_ahead_max,
            batch_slots_max: start.batch_slots_max,
        };
        let known_below = acceptor.trimmed;
        Some(Self {
            me: said::node(start.node),
            rules: Rules { limits: membership, bug: None },
            limits: Arc::new(limits),
            live: Live { acceptor, role: Role::Follower, ..Live::default() },
            known_below,
            asked: Vec::new(),
            waiting: Vec::new(),
        })
    }

    /// Returns a replica in this state, so that a check can begin at any state. `asked` and `waiting` are the tokens of the
    /// reads of the round that is under way, and of the next round.
    pub fn at(
        me: NodeId,
        rules: Rules<Unbounded>,
        limits: Arc<Limits>,
        live: Live<Unbounded>,
        (asked, waiting): (Vec<u64>, Vec<u64>),
    ) -> Self {
        let known_below = live.known_below();
        Self { me, rules, limits, live, known_below, asked, waiting }
    }

    /// The state, without what follows from it.
    pub fn live(&self) -> &Live<Unbounded> {
        &self.live
    }

    /// The tokens of the reads of the round that is under way, and of the next round.
    pub fn tokens(&self) -> (&[u64], &[u64]) {
        (&self.asked, &self.waiting)
    }

    /// The acceptor, with the changes that are not durable.
    pub fn acceptor(&self) -> &Acceptor<Unbounded> {
        &self.live.acceptor
    }

    /// The first slot that is not trimmed and whose chosen value the node does not know.
    pub fn known_below(&self) -> Slot {
        self.known_below
    }

    /// Returns the chosen value of a slot, if the node knows it and has not trimmed it.
    pub fn chosen(&self, slot: Slot) -> Option<Value> {
        self.live.chosen.at(slot)
    }

    /// Returns the name of the role and the state of the node, as text.
    pub fn describe(&self) -> String {
        let role = match &self.live.role {
            Role::Follower => "follower",
            Role::Candidate { .. } => "candidate",
            Role::Leader { .. } => "leader",
        };
        let promised = self.live.acceptor.promised;
        let promised = promised.map_or("nothing".to_owned(), |ballot| format!("{ballot:?}"));
        format!("{role}, promised {promised}, knows the chosen values below {:?}", self.known_below)
    }

    /// Takes an event of a recorded step, and returns what must come out.
    pub fn take(&mut self, step: &Step, values: &impl Values) -> Expected {
        let mut turn = Turn {
            before_known: self.known_below,
            was_leader: matches!(self.live.role, Role::Leader { .. }),
            expected: Expected::default(),
            replica: self,
        };
        turn.event(step, values);
        turn.finish()
    }

    /// The node.
    pub fn id(&self) -> NodeId {
        self.me
    }

    /// All nodes of the cluster.
    pub fn members(&self) -> &[NodeId] {
        &self.limits.nodes
    }

    /// Returns the first conjunct of the invariant that the state breaks.
    pub fn broken(&self) -> Option<Conjunct<Unbounded>> {
        invariant::broken(&Node { me: self.me, limits: &self.rules.limits, live: &self.live })
    }

    fn leads(&self) -> bool {
        matches!(self.live.role, Role::Leader { .. })
    }

    /// Returns the node that leads, as far as this node can tell.
    fn leader(&self) -> Option<paxos::NodeId> {
        let owner = self.live.acceptor.promised?.owner;
        let known = owner != self.me || self.leads();
        known.then_some(paxos::NodeId(owner.0 as u32))
    }

    /// Returns the slot after the last one that has a vote or a known chosen value.
    pub fn log_end(&self) -> Slot {
        self.live.log_end()
    }

    /// Returns the first slot for which the replica takes no values yet.
    fn slot_limit(&self) -> u64 {
        self.log_end().0.saturating_add(self.limits.slots_ahead_max)
    }

    fn is_member(&self, node: NodeId) -> bool {
        self.limits.nodes.contains(&node)
    }
}

/// One event at one replica.
struct Turn<'a> {
    replica: &'a mut Replica,
    before_known: Slot,
    was_leader: bool,
    expected: Expected,
}

impl Turn<'_> {
    fn cover(&mut self, kind: Kind) {
        self.expected.kinds.push(kind);
    }

    fn say(&mut self, to: NodeId, said: Said) {
        self.expected.sent.push((Some(to), said));
    }

    fn event(&mut self, step: &Step, values: &impl Values) {
        match &step.event {
            Event::Message { from, message } => {
                let from = said::node(*from);
                if from != self.replica.me && self.replica.is_member(from) {
                    self.message(from, step, message, values);
                } else {
                    self.cover(Kind::OfStranger);
                }
            }
            Event::Propose { batch } => self.propose(step.batch(*batch), values),
            Event::Read { tokens } => self.read(tokens),
            Event::Snapshot { below } => self.snapshot(said::slot(*below)),
            Event::VotesChosen { below } => {
                self.votes_chosen(0..below.0, |_| true);
                self.cover(Kind::VotesChosen);
            }
            Event::Timer(Timer::Campaign) => self.campaign(),
            Event::Timer(Timer::Heartbeat) => self.heartbeat_due(),
            Event::Timer(Timer::Resend) => self.resend(),
        }
    }

    /// Takes a step of the model, and collects its results.
    fn input(&mut self, input: Input<Unbounded>) -> Option<Slot> {
        let replica = &mut *self.replica;
        let me = replica.me;
        let promised = replica.live.acceptor.promised;
        // Votes in slots that the node has voted in before change only when it accepts, or begins to lead.
        let old = match (&input, &replica.live.role) {
            (Input::Message(ModelMessage::Accept { .. }) | Input::Propose { .. }, _) => None,
            (_, Role::Follower | Role::Leader { .. }) if !matches!(input, Input::Campaign) => None,
            _ => Some(replica.live.acceptor.votes.clone()),
        };
        let old_of = |slot: Slot, live: &Live<Unbounded>| match &old {
            Some(votes) => votes.at(slot),
            None => live.acceptor.votes.at(slot),
        };
        let accepted = match &input {
            Input::Message(ModelMessage::Accept { slot, .. }) => {
                Some((*slot, old_of(*slot, &replica.live)))
            }
            _ => None,
        };
        let had_round = replica.live.reads().is_some_and(|reads| reads.under_way.is_some());
        let live = std::mem::take(&mut replica.live);
        let ModelStep { live, messages, nack, announced, answer } =
            replica.rules.step(me, live, input);
        replica.live = live;
        let expected = &mut self.expected;
        if replica.live.acceptor.promised != promised {
            expected.change.promised.get_or_insert(promised);
        }
        for message in messages {
            if let ModelMessage::Accepted { ballot, slot, .. } = &message {
                let before = match &accepted {
                    Some((_, before)) => before.clone(),
                    None => old.as_ref().and_then(|votes| votes.at(*slot)),
                };
                if before.as_ref().is_none_or(|vote| vote.ballot != *ballot) {
                    expected.change.votes.push((*slot, before));
                }
            }
            expected.sent.extend(Said::of_model(me, message));
        }
        if let Some(nack) = &nack {
            // Each part of a batch is refused on its own.
            let refusal = (Some(nack.ballot.owner), Said::Nack(nack.ballot, nack.promised));
            if expected.sent.last() != Some(&refusal) {
                expected.sent.push(refusal);
            }
        }
        if let Some(ballot) = replica.live.acceptor.promised {
            let announced = announced.iter().map(|&slot| (None, Said::Chosen(ballot, slot)));
            expected.sent.extend(announced);
        }
        let has_round = replica.live.reads().is_some_and(|reads| reads.under_way.is_some());
        if !had_round && (has_round || answer.is_some()) {
            replica.asked = std::mem::take(&mut replica.waiting);
        }
        let index = answer.map(|answer| answer.index);
        if let Some(at) = index {
            let asked = std::mem::take(&mut replica.asked);
            expected.reads.extend(asked.into_iter().map(|token| (token, at)));
            if has_round {
                replica.asked = std::mem::take(&mut replica.waiting);
            }
        }
        index
    }

    fn message(
        &mut self,
        from: NodeId,
        step: &Step,
        message: &Message<BatchRef>,
        values: &impl Values,
    ) {
        match message {
            Message::Prepare { ballot, first } => {
                self.prepare(from, said::ballot(*ballot), said::slot(*first));
            }
            Message::Promise { ballot, trimmed, reports } => {
                let (ballot, trimmed) = (said::ballot(*ballot), said::slot(*trimmed));
                self.promise(from, ballot, trimmed, said::votes(reports, values));
            }
            Message::Accept { ballot, first, values: batch } => {
                let batch = step.batch(*batch);
                if self.is_too_far(*first, batch.len()) {
                    return self.cover(Kind::AcceptTooFar);
                }
                let slots = (first.0..).map(Slot).zip(batch.iter());
                let proposals = slots.map(|(at, value)| (at, values.value(at, value)));
                self.accept(from, said::ballot(*ballot), proposals.collect());
            }
            Message::Accepted { ballot, first, count } => {
                self.accepted(from, said::ballot(*ballot), first.0..first.0.saturating_add(*count));
            }
            Message::Nack { ballot, promised } => {
                self.nack(said::ballot(*ballot), said::ballot(*promised));
            }
            Message::Chosen { ballot, first, count } => {
                let (ballot, slots) =
                    (said::ballot(*ballot), first.0..first.0.saturating_add(*count));
                self.votes_chosen(slots, |voted| voted == ballot);
                self.cover(Kind::Chosen);
            }
            Message::Confirm { ballot, round } => {
                self.confirm(from, said::ballot(*ballot), ReadRound(*round));
            }
            Message::Confirmed { ballot, round } => {
                let (ballot, round) = (said::ballot(*ballot), ReadRound(*round));
                let message = ModelMessage::Confirmed { ballot, round, from };
                let confirmed = self.input(Input::Message(message)).is_some();
                self.cover(if confirmed { Kind::ConfirmedByQuorum } else { Kind::Confirmed });
            }
            Message::Heartbeat { ballot, chosen_below } => {
                self.heartbeat(from, said::ballot(*ballot), said::slot(*chosen_below));
            }
            Message::Learn { from: first } => self.learn(from, said::slot(*first)),
            Message::Learned { first, values: batch, more } => {
                let batch = step.batch(*batch);
                if self.is_too_far(*first, batch.len()) {
                    return self.cover(Kind::LearnedTooFar);
                }
                let slots = (first.0..).map(Slot).zip(batch.iter());
                let known = slots.map(|(at, value)| (at, values.value(at, value)));
                self.learned(from, known.collect(), *more);
            }
            Message::Trimmed { below } => {
                let wanted = said::slot(*below) > self.replica.known_below;
                self.expected.fetch.extend(wanted.then_some(from));
                self.cover(if wanted { Kind::TrimmedWants } else { Kind::TrimmedKnown });
            }
        }
    }

    /// Returns true if the replica takes no values for these slots yet. It then ignores the message.
    fn is_too_far(&self, first: paxos::Slot, count: usize) -> bool {
        first.0.saturating_add(count as u64) > self.replica.slot_limit()
    }

    fn campaign(&mut self) {
        let leads = self.replica.leads();
        self.input(Input::Campaign);
        self.cover(if leads { Kind::CampaignOfLeader } else { Kind::Campaign });
    }

    fn prepare(&mut self, from: NodeId, ballot: Ballot, first: Slot) {
        if ballot.owner != from {
            return self.cover(Kind::OfStranger);
        }
        let before = self.replica.live.acceptor.promised;
        self.input(Input::Message(ModelMessage::Prepare { ballot, first }));
        self.cover(match self.expected.sent.last() {
            Some((_, Said::Promise(_))) if before == Some(ballot) => Kind::PrepareAgain,
            Some((_, Said::Promise(_))) => Kind::PreparePromises,
            Some(_) => Kind::PrepareRefused,
            None => Kind::PrepareSilent,
        });
    }

    fn promise(&mut self, from: NodeId, ballot: Ballot, trimmed: Slot, reports: said::Votes) {
        let replica = &mut *self.replica;
        let Role::Candidate { heard, .. } = &replica.live.role else {
            return self.cover(Kind::PromiseLate);
        };
        if replica.live.acceptor.promised != Some(ballot) || heard.has(from) {
            return self.cover(Kind::PromiseLate);
        }
        let limit = replica.slot_limit();
        if reports.filled().any(|(slot, _)| slot.0 >= limit) {
            let known_below = replica.known_below;
            self.say(from, Said::Learn(known_below));
            return self.cover(Kind::PromiseTooFar);
        }
        if trimmed > replica.known_below {
            self.expected.fetch.push(from);
        }
        self.input(Input::Message(ModelMessage::Promise { ballot, from, trimmed, reports }));
        let leads = self.replica.leads();
        self.cover(if leads { Kind::PromiseLeads } else { Kind::PromiseCounts });
    }

    fn accept(&mut self, from: NodeId, ballot: Ballot, proposals: Vec<(Slot, Value)>) {
        if ballot.owner != from || proposals.is_empty() {
            return self.cover(Kind::OfStranger);
        }
        let trimmed = self.replica.live.acceptor.trimmed;
        let hides = proposals.iter().any(|(slot, _)| *slot < trimmed);
        for (slot, value) in proposals {
            self.input(Input::Message(ModelMessage::Accept { ballot, slot, value }));
        }
        let refused = matches!(self.expected.sent.last(), Some((_, Said::Nack(..))));
        let voted = !self.expected.change.votes.is_empty();
        if hides && !refused {
            self.say(from, Said::Trimmed(trimmed));
        }
        self.cover(match () {
            () if refused => Kind::AcceptRefused,
            () if hides => Kind::AcceptTrimmed,
            () if voted => Kind::AcceptVotes,
            () => Kind::AcceptAgain,
        });
    }

    fn accepted(&mut self, from: NodeId, ballot: Ballot, slots: Range<u64>) {
        if self.replica.live.acceptor.promised != Some(ballot) || !self.replica.leads() {
            return self.cover(Kind::AcceptedLate);
        }
        let before = self.expected.sent.len();
        // A leader counts votes only in slots in which it has voted.
        let end = slots.end.min(self.replica.log_end().0);
        for slot in (slots.start..end).map(Slot) {
            let Some(Vote { value, .. }) = self.replica.live.acceptor.votes.at(slot) else {
                continue;
            };
            self.input(Input::Message(ModelMessage::Accepted { ballot, slot, value, from }));
        }
        let chooses = self.expected.sent.len() > before;
        self.cover(if chooses { Kind::AcceptedChooses } else { Kind::AcceptedCounts });
    }

    fn nack(&mut self, ballot: Ballot, promised: Ballot) {
        if self.replica.is_member(promised.owner) {
            self.input(Input::Nack { ballot, promised });
        }
        let abandons = self.expected.change.promised.is_some();
        self.cover(if abandons { Kind::NackAbandons } else { Kind::NackLate });
    }

    /// Learns the values of those slots in which this node's vote is in the ballot. The highest slot comes first: a candidate
    /// that waits for some of the slots then leads only after it knows all of them.
    /// Learns that the votes in these slots are for chosen values, if `counts` agrees to their ballot.
    fn votes_chosen(&mut self, slots: Range<u64>, counts: impl Fn(Ballot) -> bool) {
        let (start, end) = (slots.start.max(self.replica.known_below.0), slots.end);
        for slot in (start..end.min(self.replica.log_end().0)).rev().map(Slot) {
            if let Some(vote) = self.replica.live.acceptor.votes.at(slot)
                && counts(vote.ballot)
            {
                self.input(Input::Chosen { slot, value: vote.value });
            }
        }
    }

    fn learned(&mut self, from: NodeId, values: Vec<(Slot, Value)>, more: bool) {
        for (slot, value) in values.into_iter().rev() {
            self.input(Input::Chosen { slot, value });
        }
        self.advance();
        if more {
            let known_below = self.replica.known_below;
            self.say(from, Said::Learn(known_below));
        }
        self.cover(Kind::Learned);
    }

    fn confirm(&mut self, from: NodeId, ballot: Ballot, round: ReadRound) {
        if ballot.owner != from {
            return self.cover(Kind::OfStranger);
        }
        self.input(Input::Message(ModelMessage::Confirm { ballot, round }));
        let refused = matches!(self.expected.sent.last(), Some((_, Said::Nack(..))));
        self.cover(if refused { Kind::ConfirmRefused } else { Kind::ConfirmConfirms });
    }

    fn heartbeat(&mut self, from: NodeId, ballot: Ballot, chosen_below: Slot) {
        let (promised, known) = (self.replica.live.acceptor.promised, self.replica.known_below);
        if ballot.owner != from {
            return self.cover(Kind::OfStranger);
        }
        if let Some(promised) = promised.filter(|promised| *promised > ballot) {
            self.say(from, Said::Nack(ballot, promised));
            return self.cover(Kind::HeartbeatRefused);
        }
        if chosen_below > known {
            self.say(from, Said::Learn(known));
        }
        self.cover(Kind::Heartbeat);
    }

    /// Sends known chosen values from a slot on, up to the first that is not known and at most one batch.
    fn learn(&mut self, from: NodeId, first: Slot) {
        let trimmed = self.replica.live.acceptor.trimmed;
        if first < trimmed {
            self.say(from, Said::Trimmed(trimmed));
            return self.cover(Kind::LearnTrimmed);
        }
        let last = first.0.saturating_add(self.replica.limits.batch_slots_max);
        for slot in (first.0..last).map(Slot) {
            let Some(value) = self.replica.live.chosen.at(slot) else { break };
            self.say(from, Said::Learned(slot, value));
            if slot.0 + 1 == last && self.replica.live.chosen.at(Slot(last)).is_some() {
                self.say(from, Said::More(Slot(last)));
            }
        }
        self.cover(Kind::LearnAnswers);
    }

    fn propose(&mut self, batch: &[paxos_recording::frame::Value], values: &impl Values) {
        if !self.replica.leads() {
            let refusal = Refusal::NotLeader { leader: self.replica.leader() };
            self.expected.refused_proposals = Some((batch.len() as u64, refusal));
            return self.cover(Kind::ProposeRefused);
        }
        let next = self.replica.log_end().0;
        let room = self.replica.known_below.0.saturating_add(self.replica.limits.in_flight_max);
        let taken = (batch.len() as u64).min(room.saturating_sub(next));
        let left = batch.len() as u64 - taken;
        self.expected.refused_proposals = (left > 0).then_some((left, Refusal::Busy));
        if taken > 0 {
            self.expected.taken = Some(next..next + taken);
            let slots = (next..next + taken).map(Slot).zip(batch);
            let request = slots.map(|(at, value)| values.value(at, value)).collect();
            self.input(Input::Propose { request });
        }
        self.cover(if left > 0 { Kind::ProposeBusy } else { Kind::Propose });
    }

    fn read(&mut self, tokens: &[u64]) {
        if !self.replica.leads() {
            let refusal = Refusal::NotLeader { leader: self.replica.leader() };
            self.expected.refused_reads = Some((tokens.to_vec(), refusal));
            return self.cover(Kind::ReadRefused);
        }
        let waits = !self.replica.waiting.is_empty();
        self.replica.waiting.extend(tokens);
        if !waits && !tokens.is_empty() {
            self.input(Input::Read);
        }
        self.cover(Kind::Read);
    }

    fn snapshot(&mut self, below: Slot) {
        let trimmed = self.replica.live.acceptor.trimmed;
        if below <= trimmed {
            return self.cover(Kind::SnapshotOld);
        }
        // The votes that the snapshot replaces, in case it is lost in a crash.
        let votes = self.replica.live.acceptor.votes.filled();
        let gone: Vec<_> = votes.take_while(|(slot, _)| *slot < below).collect();
        self.input(Input::Snapshot { below });
        let change = &mut self.expected.change;
        change.trimmed = Some(trimmed);
        change.dropped = gone;
        self.cover(if below > self.before_known { Kind::SnapshotOfPeer } else { Kind::Snapshot });
    }

    fn heartbeat_due(&mut self) {
        if let (true, Some(ballot)) = (self.replica.leads(), self.replica.live.acceptor.promised) {
            let heartbeat = Said::Heartbeat(ballot, self.replica.known_below);
            self.expected.sent.push((None, heartbeat));
        }
        self.cover(Kind::HeartbeatDue);
    }

    /// Sends messages again to each node that has not answered them.
    fn resend(&mut self) {
        let replica = &*self.replica;
        let Some(ballot) = replica.live.acceptor.promised else { return };
        let peers = replica.limits.nodes.iter().copied().filter(|&node| node != replica.me);
        let mut again = Vec::new();
        match &replica.live.role {
            Role::Follower => {}
            Role::Candidate { first, heard, .. } => {
                let silent = peers.filter(|&node| !heard.has(node));
                again.extend(silent.map(|node| (Some(node), Said::Prepare(ballot, *first))));
            }
            Role::Leader { votes, reads } => {
                for node in peers {
                    if reads.under_way.as_ref().is_some_and(|round| !round.heard.has(node)) {
                        again.push((Some(node), Said::Confirm(ballot, reads.rounds.0)));
                    }
                    for (slot, _) in votes.filled().filter(|(_, voters)| !voters.has(node)) {
                        if let Some(vote) = replica.live.acceptor.votes.at(slot) {
                            again.push((Some(node), Said::Accept(ballot, slot, vote.value)));
                        }
                    }
                }
            }
        }
        let any = !again.is_empty();
        self.expected.sent.extend(again);
        self.cover(if any { Kind::Resend } else { Kind::ResendNothing });
    }

    /// Moves the end of the known values to the first gap.
    fn advance(&mut self) {
        let replica = &mut *self.replica;
        let mut below = replica.known_below.max(replica.live.acceptor.trimmed);
        while replica.live.chosen.at(below).is_some() {
            below = Slot(below.0 + 1);
        }
        replica.known_below = below;
    }

    fn finish(mut self) -> Expected {
        self.advance();
        let replica = self.replica;
        // A snapshot has the effect of the slots that it covers, so their values are not released.
        let from = self.before_known.max(replica.live.acceptor.trimmed);
        self.expected.released = from.0..replica.known_below.0;
        if self.was_leader && !replica.leads() {
            let asked = std::mem::take(&mut replica.asked);
            let tokens: Vec<_> = asked.into_iter().chain(replica.waiting.drain(..)).collect();
            if !tokens.is_empty() {
                let refusal = Refusal::NotLeader { leader: replica.leader() };
                self.expected.refused_reads = Some((tokens, refusal));
            }
        }
        said::sort(&mut self.expected.sent);
        self.expected
    }
}
