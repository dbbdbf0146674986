//! Every input of one node: each event with each content of a size, and a crash.
//!
//! The contents of a message are varied where the handler looks at them. It does not look at the content of a message whose
//! ballot has made it ignore or refuse the message. There an enumeration has one content, which stands for all. A sample varies
//! the content, and `check` compares the step with the model's. So a handler that looks at the content is found.

use std::sync::Arc;

use paxos::{Config, Event, Message, Proposal, Report, Timer, Token};
use paxos_model::cluster::node::{
    state::Role,
    unbounded::{Ballot, NodeId, Slot, Value},
    universe::{Set as _, SlotMap as _},
};

use crate::{
    case::{Generator, Input, Start},
    choices::Choices,
    states::{self, Breadth, Size, some_owner},
    table::{real_ballot, real_node, real_slot},
    values,
};

/// A node outside the cluster.
pub const STRANGER: NodeId = NodeId(99);

/// The kinds of inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Crash,
    Campaign,
    HeartbeatDue,
    Resend,
    Propose,
    Read,
    Snapshot,
    VotesChosen,
    Message(Of),
}

/// The kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Prepare,
    Promise,
    Accept,
    Accepted,
    Nack,
    Chosen,
    Confirm,
    Confirmed,
    Heartbeat,
    Learn,
    Learned,
    Trimmed,
}

/// The kinds whose handlers look at what the log holds.
const OF_LOG: [Kind; 13] = [
    Kind::Crash,
    Kind::Campaign,
    Kind::Resend,
    Kind::Propose,
    Kind::Snapshot,
    Kind::VotesChosen,
    Kind::Message(Of::Prepare),
    Kind::Message(Of::Promise),
    Kind::Message(Of::Accept),
    Kind::Message(Of::Accepted),
    Kind::Message(Of::Chosen),
    Kind::Message(Of::Learn),
    Kind::Message(Of::Learned),
];

/// The kinds whose handlers look only at the end of the log, and at the first slot that is not known to be chosen.
const OF_NO_LOG: [Kind; 7] = [
    Kind::HeartbeatDue,
    Kind::Read,
    Kind::Message(Of::Nack),
    Kind::Message(Of::Confirm),
    Kind::Message(Of::Confirmed),
    Kind::Message(Of::Heartbeat),
    Kind::Message(Of::Trimmed),
];

impl Kind {
    fn of(event: &Event) -> Self {
        match event {
            Event::Timer(Timer::Campaign) => Self::Campaign,
            Event::Timer(Timer::Heartbeat) => Self::HeartbeatDue,
            Event::Timer(Timer::Resend) => Self::Resend,
            Event::Propose(_) => Self::Propose,
            Event::Read(_) => Self::Read,
            Event::Snapshot { .. } => Self::Snapshot,
            Event::VotesChosen { .. } => Self::VotesChosen,
            Event::Message { message, .. } => Self::Message(match message {
                Message::Prepare { .. } => Of::Prepare,
                Message::Promise { .. } => Of::Promise,
                Message::Accept { .. } => Of::Accept,
                Message::Accepted { .. } => Of::Accepted,
                Message::Nack { .. } => Of::Nack,
                Message::Chosen { .. } => Of::Chosen,
                Message::Confirm { .. } => Of::Confirm,
                Message::Confirmed { .. } => Of::Confirmed,
                Message::Heartbeat { .. } => Of::Heartbeat,
                Message::Learn { .. } => Of::Learn,
                Message::Learned { .. } => Of::Learned,
                Message::Trimmed { .. } => Of::Trimmed,
            }),
        }
    }

    fn any(choices: &mut impl Choices, breadth: Breadth) -> Self {
        if breadth == Breadth::Log {
            return choices.of(&OF_LOG);
        }
        let number = choices.below(OF_LOG.len() + OF_NO_LOG.len());
        OF_LOG.get(number).copied().unwrap_or_else(|| OF_NO_LOG[number - OF_LOG.len()])
    }
}

/// Returns true if the handler of an event looks at what the log holds. It then does not look at the reads
/// ([`unseen`](crate::unseen)).
pub fn looks_at_log(event: &Event) -> bool {
    OF_LOG.contains(&Kind::of(event))
}

impl Generator for Size {
    fn config(&self) -> Arc<Config> {
        Self::config(self)
    }

    fn start(&self, choices: &mut impl Choices, config: &Config) -> Option<Start> {
        states::start(choices, self, config)
    }

    fn input(&self, choices: &mut impl Choices, start: &mut Start) -> Option<Input> {
        input(choices, self, start)
    }
}

/// Returns an input of a node in this state. Returns none if the answers lead to no input.
pub fn input(choices: &mut impl Choices, size: &Size, start: &mut Start) -> Option<Input> {
    let event = match Kind::any(choices, size.breadth) {
        Kind::Crash => return Some(Input::Crash),
        Kind::Campaign => Event::Timer(Timer::Campaign),
        Kind::HeartbeatDue => Event::Timer(Timer::Heartbeat),
        Kind::Resend => Event::Timer(Timer::Resend),
        Kind::Propose => Event::Propose(proposals(choices, size)),
        Kind::Read => Event::Read((7..7 + choices.below(3) as u64).map(Token).collect()),
        Kind::Snapshot => Event::Snapshot { below: real_slot(any_slot(choices, size)) },
        Kind::VotesChosen => Event::VotesChosen { below: real_slot(any_slot(choices, size)) },
        Kind::Message(kind) => {
            let (from, message) = Letter { choices, size, start }.message(kind)?;
            Event::Message { from: real_node(from), message }
        }
    };
    Some(Input::Event(event))
}

fn proposals(choices: &mut impl Choices, size: &Size) -> Vec<Proposal> {
    // One more than there is room for.
    let most = size.limits.0 as usize + 2;
    let proposal = |number| Proposal {
        token: Token(20 + number as u64),
        command: values::real_command(number % 2),
    };
    (0..choices.below(most)).map(proposal).collect()
}

/// Chooses a slot of the log, or one of the two after it.
fn any_slot(choices: &mut impl Choices, size: &Size) -> Slot {
    Slot(choices.below(size.slots as usize + 2) as u64)
}

/// Chooses a slot, or the last one that there is.
fn any_or_last_slot(choices: &mut impl Choices, size: &Size) -> Slot {
    if size.breadth == Breadth::Log {
        return any_slot(choices, size);
    }
    let number = choices.below(size.slots as usize + 3) as u64;
    Slot(if number == size.slots + 2 { u64::MAX } else { number })
}

/// A message that is being written.
struct Letter<'a, C> {
    choices: &'a mut C,
    size: &'a Size,
    start: &'a mut Start,
}

impl<C: Choices> Letter<'_, C> {
    fn message(&mut self, kind: Of) -> Option<(NodeId, Message)> {
        let from = self.sender();
        if !self.is_peer(from) {
            return Some((from, self.of_no_peer(from, kind)?));
        }
        let message = match kind {
            Of::Prepare => {
                let first = real_slot(any_or_last_slot(self.choices, self.size));
                Message::Prepare { ballot: real_ballot(self.ballot_of(from)?), first }
            }
            Of::Promise => self.promise(from)?,
            Of::Accept => self.accept(from)?,
            Of::Accepted => self.accepted()?,
            Of::Nack => self.nack()?,
            Of::Chosen => self.chosen(from)?,
            Of::Confirm => {
                let round = self.choices.of(&[1, u64::MAX]);
                Message::Confirm { ballot: real_ballot(self.ballot_of(from)?), round }
            }
            Of::Confirmed => self.confirmed()?,
            Of::Heartbeat => {
                let chosen_below = real_slot(any_or_last_slot(self.choices, self.size));
                Message::Heartbeat { ballot: real_ballot(self.ballot_of(from)?), chosen_below }
            }
            Of::Learn => {
                Message::Learn { from: real_slot(any_or_last_slot(self.choices, self.size)) }
            }
            Of::Learned => self.learned(),
            Of::Trimmed => {
                Message::Trimmed { below: real_slot(any_or_last_slot(self.choices, self.size)) }
            }
        };
        Some((from, message))
    }

    /// Returns a message that would have an effect if it came from a peer. The content is not varied: the replica looks at the
    /// sender first.
    fn of_no_peer(&mut self, from: NodeId, kind: Of) -> Option<Message> {
        let ballot = match self.start.promised() {
            Some(promised) if promised.owner == from => promised,
            Some(promised) => self.start.chain.above(promised, from)?,
            None => self.start.chain.first(from),
        };
        let current = real_ballot(self.start.promised().unwrap_or(ballot));
        let (ballot, value) = (real_ballot(ballot), values::real(&values::command(0)));
        let first = real_slot(self.start.state.live.known_below());
        let count = 1;
        Some(match kind {
            Of::Prepare => Message::Prepare { ballot, first },
            Of::Promise => {
                Message::Promise { ballot: current, trimmed: first, reports: Vec::new() }
            }
            Of::Accept => Message::Accept { ballot, first, values: [value].into() },
            Of::Accepted => Message::Accepted { ballot: current, first, count },
            Of::Nack => Message::Nack { ballot: current, promised: ballot },
            Of::Chosen => Message::Chosen { ballot: current, first, count },
            Of::Confirm => Message::Confirm { ballot, round: 1 },
            Of::Confirmed => Message::Confirmed { ballot: current, round: 1 },
            Of::Heartbeat => Message::Heartbeat { ballot, chosen_below: first.plus(1) },
            Of::Learn => Message::Learn { from: first },
            Of::Learned => Message::Learned { first, values: [value].into(), more: true },
            Of::Trimmed => Message::Trimmed { below: first.plus(1) },
        })
    }

    fn is_wide(&self) -> bool {
        self.size.breadth != Breadth::Log
    }

    /// Chooses the sender: a peer, a stranger, or the node itself.
    fn sender(&mut self) -> NodeId {
        let Start { me, peers, .. } = &*self.start;
        if !self.is_wide() {
            // A node that counts no answers does not tell its peers apart.
            let counts = !matches!(self.start.state.live.role, Role::Follower);
            return if counts { self.choices.of(peers) } else { peers[0] };
        }
        let (first, last) = (peers.first(), peers.last());
        // A set of each size begins with the first peer and ends with the last.
        let ends = first.into_iter().chain(last.filter(|last| Some(*last) != first));
        let tried: Vec<_> =
            if self.size.every_set { peers.to_vec() } else { ends.copied().collect() };
        let senders: Vec<_> = tried.into_iter().chain([STRANGER, *me]).collect();
        self.choices.of(&senders)
    }

    fn is_peer(&self, node: NodeId) -> bool {
        self.start.peers.contains(&node)
    }

    /// Chooses any ballot. A new one belongs to the sender, or to another node.
    fn ballot_of(&mut self, from: NodeId) -> Option<Ballot> {
        let me = self.start.me;
        let other = self.start.peers.iter().copied().find(|&peer| peer != from);
        let others = [me].into_iter().chain(other).filter(|_| self.is_wide());
        let owners: Vec<_> = [from].into_iter().chain(others).collect();
        self.start.chain.any(self.choices, |choices| choices.of(&owners))
    }

    /// Chooses any ballot. A new one belongs to this node.
    fn own_ballot(&mut self) -> Option<Ballot> {
        let me = self.start.me;
        self.start.chain.any(self.choices, |_| me)
    }

    /// Chooses the value of a ballot in a slot. If the state says which one that is, chooses this one or a contradiction.
    fn value(&mut self, slot: Slot, ballot: Ballot) -> Value {
        match self.start.state.live.value_of(slot, ballot) {
            Some(known) if self.is_wide() && self.choices.flip() => values::Names::other(&known),
            Some(known) => known,
            None => self.start.names.any(self.choices),
        }
    }

    fn promise(&mut self, from: NodeId) -> Option<Message> {
        let ballot = self.own_ballot()?;
        let counts = match &self.start.state.live.role {
            Role::Candidate { heard, .. } => {
                self.start.promised() == Some(ballot) && !heard.has(from)
            }
            Role::Follower | Role::Leader { .. } => false,
        };
        if !counts && !self.size.sampled {
            let (ballot, trimmed) = (real_ballot(ballot), paxos::Slot(0));
            return Some(Message::Promise { ballot, trimmed, reports: Vec::new() });
        }
        let trimmed = if self.is_wide() {
            any_slot(self.choices, self.size)
        } else {
            // It is compared with the first slot that is not known to be chosen.
            let known_below = self.start.state.live.known_below().0;
            Slot(self.choices.of(&[known_below, known_below + 1]))
        };
        let mut reports = Vec::new();
        for slot in (0..self.size.slots).map(Slot) {
            if self.choices.flip() {
                reports.push(self.report(slot, ballot)?);
            }
        }
        // The first slot for which the node takes no values yet.
        let limit = self.start.state.live.log_end().0 + self.size.limits.1;
        // None, the last slot that fits, or the first that does not.
        let beyond = if self.is_wide() { self.choices.below(3) as u64 } else { 0 };
        if beyond > 0 && limit + beyond > self.size.slots + 2 {
            reports.push(self.report(Slot(limit + beyond - 2), ballot)?);
        }
        Some(Message::Promise { ballot: real_ballot(ballot), trimmed: real_slot(trimmed), reports })
    }

    fn report(&mut self, slot: Slot, below: Ballot) -> Option<Report> {
        let owner = some_owner(self.choices, self.size, self.start.me, &self.start.peers);
        let known = match &self.start.state.live.role {
            Role::Candidate { reported, .. } => reported.at(slot).map(|vote| vote.ballot),
            Role::Follower | Role::Leader { .. } => None,
        };
        let chain = &mut self.start.chain;
        let ballot = match known {
            _ if self.size.breadth == Breadth::Whole => {
                chain.any_below(below, self.choices, |_| owner)?
            }
            // A report is compared with the one of its slot, and with no other.
            Some(known) => chain.near(known, self.choices, owner)?,
            None => chain.just_below(below, owner)?,
        };
        let value = values::real(&self.value(slot, ballot));
        Some(Report { slot: real_slot(slot), ballot: real_ballot(ballot), value })
    }

    fn accept(&mut self, from: NodeId) -> Option<Message> {
        let ballot = match self.start.promised() {
            // The ballot is compared with the promise, and with no other.
            Some(promised) if !self.is_wide() => {
                self.start.chain.near(promised, self.choices, from)?
            }
            _ => self.ballot_of(from)?,
        };
        let heeded = ballot.owner == from || self.size.sampled;
        let refused = Some(ballot) < self.start.promised() && !self.size.sampled;
        let (first, count) = if heeded { self.range() } else { (Slot(0), 1) };
        let slots = (0..count).map(|number| Slot(first.0.saturating_add(number)));
        let varied = heeded && !refused;
        let value = |slot| if varied { self.value(slot, ballot) } else { values::command(0) };
        let values: Vec<_> = slots.map(value).collect();
        let values = values.iter().map(values::real).collect();
        Some(Message::Accept { ballot: real_ballot(ballot), first: real_slot(first), values })
    }

    /// Chooses the slots of a batch.
    fn range(&mut self) -> (Slot, u64) {
        let first = any_or_last_slot(self.choices, self.size);
        if first.0 == u64::MAX {
            return (first, 1);
        }
        (first, self.count())
    }

    /// Chooses the number of slots of a batch. An empty one is tried with one slot.
    fn count(&mut self) -> u64 {
        let least = u64::from(!self.is_wide());
        least + self.choices.below((self.size.batch + 1 - least) as usize) as u64
    }

    /// Chooses the slots that a message claims, which need not have values.
    fn claimed(&mut self) -> (Slot, u64) {
        let first = any_or_last_slot(self.choices, self.size);
        if !self.is_wide() {
            return (first, self.count());
        }
        let number = self.choices.below(self.size.batch as usize + 2) as u64;
        (first, if number == self.size.batch + 1 { u64::MAX } else { number })
    }

    fn leads_in(&self, ballot: Ballot) -> bool {
        let leads = matches!(self.start.state.live.role, Role::Leader { .. });
        leads && self.start.promised() == Some(ballot)
    }

    fn accepted(&mut self) -> Option<Message> {
        let ballot = self.own_ballot()?;
        let counts = self.leads_in(ballot) || self.size.sampled;
        let (first, count) = if counts { self.claimed() } else { (Slot(0), 1) };
        Some(Message::Accepted { ballot: real_ballot(ballot), first: real_slot(first), count })
    }

    fn nack(&mut self) -> Option<Message> {
        let ballot = self.own_ballot()?;
        let active = !matches!(self.start.state.live.role, Role::Follower);
        let heeded = self.size.sampled || (active && self.start.promised() == Some(ballot));
        let owners =
            [self.start.peers.first().copied().unwrap_or(self.start.me), self.start.me, STRANGER];
        let promised = if heeded {
            self.start.chain.any(self.choices, |choices| choices.of(&owners))?
        } else {
            self.start.chain.any_above(ballot, self.choices, |_| owners[0])?
        };
        Some(Message::Nack { ballot: real_ballot(ballot), promised: real_ballot(promised) })
    }

    fn chosen(&mut self, from: NodeId) -> Option<Message> {
        let ballot = self.ballot_of(from)?;
        let votes = self.start.state.live.acceptor.votes.filled();
        let voted = { votes }.any(|(_, vote)| vote.is_some_and(|vote| vote.ballot == ballot));
        let heeded = voted || self.size.sampled;
        let (first, count) = if heeded { self.claimed() } else { (Slot(0), 1) };
        Some(Message::Chosen { ballot: real_ballot(ballot), first: real_slot(first), count })
    }

    fn confirmed(&mut self) -> Option<Message> {
        let ballot = self.own_ballot()?;
        let counts = self.leads_in(ballot) || self.size.sampled;
        let rounds = self.start.state.live.reads().map_or(0, |reads| reads.rounds.0);
        let round = if counts { self.choices.below(rounds as usize + 2) as u64 } else { 1 };
        Some(Message::Confirmed { ballot: real_ballot(ballot), round })
    }

    fn learned(&mut self) -> Message {
        let (first, count) = self.range();
        let slots = (0..count).map(|number| Slot(first.0.saturating_add(number)));
        let values: Vec<_> = slots
            .map(|slot| match self.start.state.live.chosen.at(slot) {
                Some(known) if self.is_wide() && self.choices.flip() => {
                    values::Names::other(&known)
                }
                Some(known) => known,
                None => self.start.names.any(self.choices),
            })
            .collect();
        let values = values.iter().map(values::real).collect();
        // Nothing else in the message or the state affects what `more` does, so one slot shows it.
        let more = (self.size.slots > 1 && !self.size.sampled) || self.choices.flip();
        Message::Learned { first: real_slot(first), values, more }
    }
}
