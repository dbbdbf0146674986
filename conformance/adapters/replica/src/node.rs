//! One node: the replica and its driver, with a disk that the judge keeps, and timers that the judge fires.

use std::convert::Infallible;

use paxos::{
    Config, Event, Message, Output, Proposal, Record, Replica, Report, Slot, Timer, To, Token,
    Value,
    protocol::{Parts, proposer::Role},
};

use crate::{
    names::{Names, answers, phase, text},
    protocol::{Decided, Failure, Fault, InSlot, Internal, Send, SlotState, State, Step, Vote},
};

/// The timers, in the order in which they are listed.
const TIMERS: [(Timer, &str); 3] =
    [(Timer::Campaign, "campaign"), (Timer::Heartbeat, "heartbeat"), (Timer::Resend, "resend")];

pub(crate) struct Node {
    name: String,
    replica: Replica,
    /// The records of the node, each one a line of JSON.
    disk: String,
    /// The timers that the replica has armed and that did not fire since.
    armed: Vec<Timer>,
    /// The commands of clients that wait until this node leads.
    waiting: Vec<String>,
}

/// An event from the judge.
pub(crate) enum Input {
    Propose(String),
    Message { from: String, mid: u64, raw: String },
    Timer(String),
}

impl Node {
    /// Starts a node on its disk. Like the driver of a real node, it arms the campaign timer.
    pub(crate) fn start(names: &Names, name: &str, disk: String) -> Result<Self, Failure> {
        let records =
            disk.lines().map(serde_json::from_str::<Record>).collect::<Result<Vec<_>, _>>();
        let records = records.map_err(|error| format!("the store of {name}: {error}"))?;
        let config = Config::new(names.id(name)?, names.ids());
        config.validate().map_err(|error| error.to_string())?;
        let replica = Replica::recover(config, records)
            .map_err(|error| Failure::Fault(Fault { kind: "reject", text: error.to_string() }))?;
        let armed = vec![Timer::Campaign];
        Ok(Self { name: name.to_owned(), replica, disk, armed, waiting: Vec::new() })
    }

    /// Handles an event. The order of the effects is that of the driver's contract: the records come first.
    pub(crate) fn handle(&mut self, names: &Names, input: Input) -> Result<Step, String> {
        let (event, mid) = match input {
            Input::Propose(value) => {
                self.waiting.push(value);
                (None, None)
            }
            Input::Message { from, mid, raw } => {
                let message =
                    serde_json::from_str(&raw).map_err(|error| format!("raw: {error}"))?;
                (Some(Event::Message { from: names.id(&from)?, message }), Some(mid))
            }
            Input::Timer(name) => (Some(Event::Timer(self.fire(&name)?)), None),
        };
        let answered = match &event {
            Some(Event::Message { message, .. }) => phase(message),
            _ => None,
        };
        let own_promise = match &event {
            Some(Event::Timer(Timer::Campaign)) => Some(self.reports()),
            _ => None,
        };
        let mut output = Output::default();
        if let Some(event) = event {
            self.replica.step(event, &mut output);
        }
        self.propose(&mut output);
        let internal = self.internal(names, output.records(), own_promise);
        let writes = !output.records().is_empty();
        self.persist(&mut output);
        let effects = std::mem::take(output.released());
        self.arm(&effects.timers);

        let send = |envelope: &paxos::Envelope| {
            let msg = names.message(&envelope.message, self.replica.parts(), answered);
            let re = mid.filter(|_| answers(&msg));
            let to = match envelope.to {
                To::Peers => names.peers(self.parts().config.id),
                To::Node(node) => vec![names.name(node)],
            };
            Send {
                to,
                msg: crate::protocol::Message { re, raw: Some(to_json(&envelope.message)), ..msg },
            }
        };
        let decided = effects.chosen_slots().map(|(slot, value)| Decided {
            at: self.name.clone(),
            slot: slot.0,
            value: text(value),
        });
        let mut step = Step {
            internal,
            send: effects.messages.iter().map(send).filter(|send| !send.to.is_empty()).collect(),
            decided: decided.collect(),
            ..Step::default()
        };
        if writes {
            step.persist.insert(self.name.clone(), self.disk.clone());
        }
        self.look(names, &mut step);
        Ok(step)
    }

    /// Adds the records to the disk, which the judge keeps.
    fn persist(&mut self, output: &mut Output) {
        let durable = output.persist(|records| {
            for record in records {
                self.disk += &(to_json(record) + "\n");
            }
            Ok::<(), Infallible>(())
        });
        let Ok(()) = durable;
    }

    /// Adds the timers and the state of the node to a step.
    pub(crate) fn look(&self, names: &Names, step: &mut Step) {
        let Parts { acceptor, learner, .. } = self.parts();
        let end = acceptor.votes.end().max(learner.chosen.end());
        let slots = (acceptor.trimmed.0..end.0).map(|s| {
            let SlotState { accepted, decided, .. } = self.slot(names, s);
            InSlot { s, accepted, decided }
        });
        let promised = acceptor.promised.map(|ballot| names.ballot(ballot));
        let state = State { promised, slots: slots.collect() };
        step.timers.insert(self.name.clone(), self.timers().map(|(_, name)| name).collect());
        step.state.insert(self.name.clone(), state);
    }

    /// Returns the state of the node in a slot.
    pub(crate) fn slot(&self, names: &Names, slot: u64) -> SlotState {
        let Parts { acceptor, learner, .. } = self.parts();
        let slot = paxos::Slot(slot);
        let vote = acceptor.vote(slot);
        SlotState {
            promised: acceptor.promised.map(|ballot| names.ballot(ballot)),
            accepted: vote.map(|vote| Vote { b: names.ballot(vote.ballot), v: text(vote.value) }),
            decided: learner.value(slot).map(text),
        }
    }

    fn parts(&self) -> Parts<'_> {
        self.replica.parts()
    }

    /// Proposes the commands that wait, if the node leads. Those that get no slot wait on.
    fn propose(&mut self, output: &mut Output) {
        if self.waiting.is_empty() || !matches!(self.parts().role, Role::Leader(_)) {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let proposals = (0..).map(Token).zip(&waiting);
        let proposals =
            proposals.map(|(token, value)| Proposal { token, command: value.clone().into() });
        self.replica.step(Event::Propose(proposals.collect()), output);
        let refused =
            |token| output.held().refused.iter().any(|refused| refused.token == Token(token));
        let kept = (0..).zip(waiting).filter(|&(token, _)| refused(token));
        self.waiting = kept.map(|(_, value)| value).collect();
    }
}

/// Timers.
impl Node {
    /// Returns the armed timers that have an effect. The replica arms others too: a leader's campaign timer does
    /// nothing, and neither does its resend timer while no slot is in flight.
    fn timers(&self) -> impl Iterator<Item = (Timer, &'static str)> {
        let needed = |timer| match (self.parts().role, timer) {
            (Role::Follower | Role::Candidate(_), Timer::Campaign)
            | (Role::Candidate(_), Timer::Resend)
            | (Role::Leader(_), Timer::Heartbeat) => true,
            (Role::Leader(leader), Timer::Resend) => leader.tally.runs().next().is_some(),
            _ => false,
        };
        TIMERS.into_iter().filter(move |&(timer, _)| self.armed.contains(&timer) && needed(timer))
    }

    fn fire(&mut self, name: &str) -> Result<Timer, String> {
        let (timer, _) = self
            .timers()
            .find(|&(_, other)| other == name)
            .ok_or_else(|| format!("{} has no timer {name} armed", self.name))?;
        self.armed.retain(|&other| other != timer);
        Ok(timer)
    }

    fn arm(&mut self, timers: &[Timer]) {
        for &timer in timers {
            if !self.armed.contains(&timer) {
                self.armed.push(timer);
            }
        }
    }
}

/// The messages that a node tells itself. The replica counts its own promise and its own votes without a message.
/// The records say when.
impl Node {
    /// Returns the first slot that this node does not know to be chosen, and its votes from there on. Its promise of a ballot
    /// that it begins now reports them.
    fn reports(&self) -> (Slot, Vec<Report>) {
        let Parts { acceptor, learner, .. } = self.parts();
        let votes = acceptor.votes.iter().filter(|(slot, ..)| *slot >= learner.below);
        let report =
            |(slot, ballot, value): (_, _, &Value)| Report { slot, ballot, value: value.clone() };
        (learner.below, votes.map(report).collect())
    }

    /// Returns the messages behind the records of a step. `own_promise` is what a promise reported before the step, if the
    /// step was a campaign: then the first promise on record is that of the node's own new ballot. A vote in a ballot of
    /// this node is always a vote for its own proposal.
    fn internal(
        &self,
        names: &Names,
        records: &[Record],
        mut own_promise: Option<(Slot, Vec<Report>)>,
    ) -> Vec<Internal> {
        let Parts { config, acceptor, .. } = self.parts();
        let own = |ballot: paxos::Ballot| ballot.node == config.id;
        let mut messages = Vec::new();
        for record in records {
            match record {
                Record::Promised(ballot) if own(*ballot) => {
                    if let Some((first, reports)) = own_promise.take() {
                        let (ballot, trimmed) = (*ballot, acceptor.trimmed);
                        messages.push(Message::Prepare { ballot, first });
                        messages.push(Message::Promise { ballot, trimmed, reports });
                    }
                }
                Record::Accepted { ballot, first, values } if own(*ballot) => {
                    let (ballot, first, count) = (*ballot, *first, values.len() as u64);
                    messages.push(Message::Accept { ballot, first, values: values.clone() });
                    messages.push(Message::Accepted { ballot, first, count });
                }
                Record::Promised(_) | Record::Accepted { .. } | Record::Trimmed { .. } => {}
            }
        }
        let read = |message| names.message(message, self.parts(), None);
        messages
            .iter()
            .map(|message| Internal { at: self.name.clone(), msg: read(message) })
            .collect()
    }
}

/// Returns a message or a record as text.
fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("messages and records have no maps")
}
