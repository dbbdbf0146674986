//! One step: the production replica and the model, from the same state, on the same input.
//!
//! Three claims are checked for every state within the invariant:
//!
//! 1. The production step and the model's step agree on the state, the records, the messages, and all other output.
//! 2. The state after the step satisfies the invariant, if the message satisfies its own.
//! 3. So does each message that is sent.
//!
//! A message that no correct node sends must have the effect that the model says, too. There is one exception. If the message
//! contradicts a value that the receiver has, then agreement or the rule of one value per ballot is broken already. The model
//! and the replica may then differ, but the replica changes no more than the model: its durable state stays, or becomes the
//! model's. A replica that learns a second chosen value stops by a panic, which is its documented behaviour.

use std::{ops::Range, sync::Arc};

use paxos::{
    Config, Envelope, Event, Message, Output, Record, RecoverError, Replica,
    protocol::acceptor::Acceptor as RealAcceptor,
};
use paxos_model::cluster::node::{
    invariant::{self, Node},
    message::Message as ModelMessage,
    rules::Rules,
    state::{Acceptor, Live, Role},
    unbounded::{Ballot, NodeId, Slot, Unbounded, Value},
    universe::SlotMap as _,
};
use paxos_recording::{Step, conversion::Converter, frame};
use paxos_validation::{
    comparison::compare,
    coverage::Kind,
    invariant::{self as messages, Fit, Letter},
    replica::{Expected, Limits, Replica as ModelReplica},
    said,
};

use crate::{
    case::Input,
    finding::{Checked, finding, said_finding},
    output::{in_runs, records_in_runs, same_records, same_requests, same_timers},
    panics::silently,
    table::{self, Division, State},
    values::{self, Named},
};

/// The class of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A correct cluster can give the node this input, as far as the invariants say.
    Sound,
    /// No correct cluster sends this message. The model says what happens.
    Unsound,
    /// The message contradicts a value that the node has.
    Contradictory,
}

/// The class and the kinds of transitions of a step without a finding.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The class of the input, if the step was compared with the model's.
    pub class: Option<Class>,
    /// The kinds of transitions.
    pub kinds: Vec<Kind>,
}

/// The outcome of a step of the replica under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The state after the step.
    pub state: State,
    /// The output.
    pub output: Output,
}

/// The production replica under test. A test puts a faulty one in its place.
pub trait Tested {
    /// Takes a step.
    fn step(&mut self, replica: &mut Replica, event: Event, output: &mut Output);

    /// Returns the replica that recovers from these records after a crash.
    ///
    /// # Errors
    /// Fails if the records cannot be the replica's own.
    fn recover(&self, config: Config, records: Vec<Record>) -> Result<Replica, RecoverError> {
        Replica::recover(config, records)
    }

    /// Removes and returns the messages of an output that may leave before its records are durable. The replica is that after
    /// the step.
    fn take_early(&self, _after: &Replica, output: &mut Output) -> Vec<Envelope> {
        output.take_early().collect()
    }
}

/// The production replica as it is.
#[derive(Clone, Copy, Debug)]
pub struct Production;

impl Tested for Production {
    fn step(&mut self, replica: &mut Replica, event: Event, output: &mut Output) {
        replica.step(event, output);
    }
}

/// Checks steps of one node of one cluster.
#[derive(Debug)]
pub struct Checker<T> {
    config: Arc<Config>,
    me: NodeId,
    rules: Rules<Unbounded>,
    limits: Arc<Limits>,
    members: Vec<NodeId>,
    converter: Converter,
    tested: T,
    /// The last state, and both sides in it. Many inputs are taken from one state.
    begun: Option<Begun>,
}

/// Both sides in one state.
#[derive(Debug)]
struct Begun {
    state: Arc<State>,
    replica: Replica,
    model: ModelReplica,
}

impl<T: Tested> Checker<T> {
    /// Returns the checker of this node.
    pub fn new(config: Arc<Config>, tested: T) -> Self {
        let (rules, limits) = table::rules(&config);
        let (me, members) = (said::node(config.id), limits.nodes.clone());
        let converter = Converter::new(true);
        Self { config, me, rules, limits, members, converter, tested, begun: None }
    }

    /// Returns the first conjunct of the invariant that a state breaks.
    pub fn broken(&self, live: &Live<Unbounded>) -> Option<&'static str> {
        let node = Node { me: self.me, limits: &self.rules.limits, live };
        invariant::broken(&node).map(|conjunct| conjunct.claim)
    }

    /// Takes the input in the state, with production replica and model. The state must be within the invariant.
    ///
    /// # Errors
    /// Returns the first claim that does not hold.
    pub fn check(&mut self, state: &Arc<State>, input: &Input) -> Checked<Shown> {
        match input {
            Input::Crash => self.crash(state),
            Input::Event(event) => self.event(state, event),
        }
    }

    /// Takes the step of the replica under test alone.
    ///
    /// # Errors
    /// Fails with the text of a panic, or with a part of the state that the model has no place for.
    pub fn outcome(&mut self, state: &State, event: Event) -> Result<Outcome, String> {
        self.outcome_after(Output::default(), state, event)
    }

    /// The same, of a replica whose logs are divided in this way.
    ///
    /// # Errors
    /// As for [`outcome`](Self::outcome).
    pub fn outcome_divided(
        &mut self,
        division: Division,
        state: &State,
        event: Event,
    ) -> Result<Outcome, String> {
        self.outcome_of(division, Output::default(), state, event)
    }

    /// The same, with the output of earlier steps. A step appends to it.
    ///
    /// # Errors
    /// As for [`outcome`](Self::outcome).
    pub fn outcome_after(
        &mut self,
        output: Output,
        state: &State,
        event: Event,
    ) -> Result<Outcome, String> {
        self.outcome_of(Division::Long, output, state, event)
    }

    fn outcome_of(
        &mut self,
        division: Division,
        mut output: Output,
        state: &State,
        event: Event,
    ) -> Result<Outcome, String> {
        let mut replica = table::real(&self.config, state, division);
        let tested = &mut self.tested;
        silently(|| tested.step(&mut replica, event, &mut output))?;
        let state = table::state(replica.parts()).map_err(|unmapped| unmapped.to_string())?;
        // Chosen values may be released in any batches.
        let released =
            output.held().chosen_slots().map(|(slot, value)| (slot, [value.clone()].into()));
        output.held_mut().chosen = released.collect();
        Ok(Outcome { state, output })
    }

    fn crash(&self, state: &State) -> Checked<Shown> {
        let replica = table::real(&self.config, state, Division::Long);
        let stored = replica.parts().acceptor.records();
        // A record that is found twice changes nothing the second time.
        let records = [&*stored, &*stored].concat();
        let config = Config::clone(&self.config);
        let recovered = match silently(|| self.tested.recover(config, records)) {
            Ok(Ok(recovered)) => recovered,
            Ok(Err(error)) => return said_finding("recovery", "recovers", error.to_string()),
            Err(panic) => return said_finding("recovery", "recovers", panic),
        };
        let acceptor = self.rules.recovers(self.me, &state.live.acceptor);
        let live = Live { acceptor, role: Role::Follower, ..Live::default() };
        self.same_state((&live, (&[], &[])), &recovered)?;
        self.refuses_damage(replica.parts().acceptor)?;
        Ok(Shown { class: Some(Class::Sound), kinds: vec![Kind::RestartClean] })
    }

    /// A node must not recover from records that contradict each other, or that no log can hold.
    fn refuses_damage(&self, acceptor: &RealAcceptor) -> Checked {
        let vote =
            |ballot, first, value| Record::Accepted { ballot, first, values: [value].into() };
        let contradiction = acceptor.votes.iter().next().map(|(slot, ballot, value)| {
            let other = match value {
                paxos::Value::Noop => paxos::Value::Command(values::real_command(0)),
                paxos::Value::Command(_) => paxos::Value::Noop,
            };
            vote(ballot, slot, other)
        });
        let beyond = acceptor.promised.map(|ballot| {
            let far = paxos::Slot(u64::MAX / 2);
            vote(ballot, far, paxos::Value::Noop)
        });
        for damage in contradiction.into_iter().chain(beyond) {
            let records = [acceptor.records(), vec![damage.clone()]].concat();
            let config = Config::clone(&self.config);
            let recovered = silently(|| self.tested.recover(config, records).is_ok());
            if recovered != Ok(false) {
                return finding("recovery from damaged records", "is refused", damage);
            }
        }
        Ok(())
    }

    /// Returns both sides in a state.
    fn begin(&mut self, state: &Arc<State>) -> &Begun {
        if self.begun.as_ref().is_none_or(|begun| !Arc::ptr_eq(&begun.state, state)) {
            let replica = table::real(&self.config, state, Division::Long);
            let (rules, limits) = (self.rules.clone(), self.limits.clone());
            assert_eq!(
                table::state(replica.parts()).as_ref(),
                Ok(&**state),
                "the table is the same in both directions"
            );
            let model = table::model(self.me, rules, limits, State::clone(state));
            self.begun = Some(Begun { state: state.clone(), replica, model });
        }
        self.begun.as_ref().expect("it was put there")
    }

    fn event(&mut self, state: &Arc<State>, event: &Event) -> Checked<Shown> {
        let Begun { replica, model, .. } = self.begin(state);
        let (mut replica, model) = (replica.clone(), model.clone());
        let mut output = Output::default();
        let (converter, tested) = (&mut self.converter, &mut self.tested);
        let taken = silently(|| {
            converter.step_by(&mut replica, event.clone(), &mut output, |replica, event, output| {
                tested.step(replica, event, output);
            })
        });
        let step = match taken {
            Ok(step) => step,
            Err(panic) => {
                let asked = self.converter.event(event);
                let class = self.class(&model, &asked);
                return if class == Class::Contradictory && panic.contains("two values chosen") {
                    Ok(Shown { class: Some(class), kinds: Vec::new() })
                } else {
                    said_finding("taking the step", "takes it", panic)
                };
            }
        };
        let class = self.class(&model, &step);
        let mut after = model;
        let expected = after.take(&step, &Named);
        if class == Class::Contradictory {
            if let Some(slot) = second_value(state, event, &expected) {
                let expected = format!("a panic, because of {slot:?}");
                return said_finding("stop at a second chosen value", expected, "no panic");
            }
            Self::no_more_than(state, &replica, &after)?;
            return Ok(Shown { class: Some(class), kinds: expected.kinds });
        }
        compare(&step, &expected, &after, &Named)
            .or_else(|it| said_finding(it.field, it.model, it.found))?;
        same_requests(event, &expected, &output)?;
        in_runs(&self.config, event, &output)?;
        let begun = self.begun.as_ref().expect("the step began there");
        let same = |model: &ModelReplica| {
            (model.live() == after.live()) && model.tokens() == after.tokens()
        };
        let moved = replica != begun.replica || !same(&begun.model);
        if moved {
            self.same_state((after.live(), after.tokens()), &replica)?;
        }
        if !output.records().is_empty() {
            let before = self.begin(state).replica.parts().acceptor.clone();
            same_records(before, &replica, output.records())?;
        }
        records_in_runs(&self.config, output.records())?;
        same_timers(&self.config, state, event, &expected, &after, &output)?;
        self.same_early(&state.live.acceptor, &replica, &output)?;
        if class == Class::Sound {
            if moved && let Some(claim) = self.broken(after.live()) {
                return said_finding(
                    "invariant of the state",
                    claim,
                    format!("{:?}", after.live()),
                );
            }
            self.sent_invariant(&step)?;
        }
        Ok(Shown { class: Some(class), kinds: expected.kinds })
    }

    fn class(&self, model: &ModelReplica, asked: &Step) -> Class {
        let (from, message) = match &asked.event {
            frame::Event::Message { from, message } => (from, message),
            frame::Event::VotesChosen { below }
                if second_vote(model.live(), 0..below.0, |_| true).is_some() =>
            {
                return Class::Contradictory;
            }
            _ => return Class::Sound,
        };
        let from = said::node(*from);
        let letter =
            Letter { members: &self.members, from, to: Some(self.me), message, step: asked };
        let fit = messages::fit(model, self.me, message, asked, &Named);
        let known = from != self.me && self.members.contains(&from);
        match fit {
            Fit::Contradicts(_) => Class::Contradictory,
            Fit::Fits if known && messages::broken(letter).is_none() => Class::Sound,
            Fit::Fits | Fit::AnswersNothing(_) => Class::Unsound,
        }
    }

    fn same_state(
        &self,
        (known, tokens): (&Live<Unbounded>, (&[u64], &[u64])),
        replica: &Replica,
    ) -> Checked {
        if replica.parts().config != &*self.config {
            return finding("configuration", &self.config, replica.parts().config);
        }
        let found = match table::state(replica.parts()) {
            Ok(found) => found,
            Err(unmapped) => return said_finding("state", "", unmapped.to_string()),
        };
        let live = &found.live;
        if live.acceptor != known.acceptor {
            return finding("acceptor", &known.acceptor, &live.acceptor);
        }
        if live != known {
            return finding("state", known, live);
        }
        let found = (&*found.asked, &*found.waiting);
        if found == tokens { Ok(()) } else { finding("reads that wait", tokens, found) }
    }

    /// Compares the messages that leave before the records of the step are durable: once if every earlier step is durable, and
    /// once if the promise is not.
    fn same_early(
        &self,
        durable: &Acceptor<Unbounded>,
        after: &Replica,
        output: &Output,
    ) -> Checked {
        let proposes = |envelope: &Envelope| matches!(envelope.message, Message::Accept { .. });
        let ballot = output.held().messages.iter().find_map(|envelope| match &envelope.message {
            Message::Accept { ballot, .. } => Some(*ballot),
            _ => None,
        });
        let Some(ballot) = ballot else { return Ok(()) };
        let ballot = said::ballot(ballot);
        for durable in [durable.promised, None] {
            let mut output = output.clone();
            if durable.is_none() {
                output.records_mut().insert(0, Record::Promised(table::real_ballot(ballot)));
            }
            let accept = ModelMessage::Accept { ballot, slot: Slot(0), value: Value::Noop };
            let leave = self.rules.leaves_early(durable, &accept);
            let expected: Vec<_> =
                output.held().messages.iter().filter(|it| leave && proposes(it)).cloned().collect();
            let early = self.tested.take_early(after, &mut output);
            if early != expected {
                return finding("messages that leave before the sync", expected, early);
            }
        }
        Ok(())
    }

    fn sent_invariant(&self, step: &Step) -> Checked {
        for (to, message) in &step.messages {
            let to = said::receiver(*to);
            let letter = Letter { members: &self.members, from: self.me, to, message, step };
            if let Some(conjunct) = messages::broken(letter) {
                return said_finding(
                    "invariant of messages",
                    conjunct.claim,
                    format!("{message:?}"),
                );
            }
        }
        Ok(())
    }

    /// Each part of the acceptor must be as before, or as the model has it.
    fn no_more_than(before: &State, replica: &Replica, model: &ModelReplica) -> Checked {
        let unmapped = |it: table::Unmapped| said_finding("state", "", it.to_string());
        let before = &before.live.acceptor;
        let found = table::model_acceptor(replica.parts().acceptor).or_else(unmapped)?;
        let model = model.acceptor();
        let votes = [&found.votes, &before.votes, &model.votes];
        let slots = votes.map(|votes| votes.filled().map(|(slot, _)| slot).collect::<Vec<_>>());
        let mut slots = slots.into_iter().flatten();
        let allowed = (found.promised == before.promised || found.promised == model.promised)
            && (found.trimmed == before.trimmed || found.trimmed == model.trimmed)
            && slots.all(|slot| {
                let vote = found.votes.at(slot);
                vote == before.votes.at(slot) || vote == model.votes.at(slot)
            });
        if allowed { Ok(()) } else { finding("acceptor after a contradiction", model, found) }
    }
}

/// Returns the first of these slots in which the node learns a second chosen value if its votes are for chosen values.
/// Only votes count to whose ballot `counts` agrees.
fn second_vote(
    live: &Live<Unbounded>,
    slots: Range<u64>,
    counts: impl Fn(Ballot) -> bool,
) -> Option<Slot> {
    let slots = slots.start.max(live.known_below().0)..slots.end;
    let mut votes = live.acceptor.votes.filled().filter(|(slot, _)| slots.contains(&slot.0));
    let second = votes.find(|(slot, vote)| {
        let vote = vote.as_ref().filter(|vote| counts(vote.ballot));
        vote.is_some_and(|vote| live.chosen.at(*slot).is_some_and(|known| known != vote.value))
    });
    second.map(|(slot, _)| slot)
}

/// Returns the slot in which an event makes the node learn a second chosen value.
fn second_value(state: &State, event: &Event, expected: &Expected) -> Option<Slot> {
    let State { live, .. } = state;
    let message = match event {
        Event::VotesChosen { below } => return second_vote(live, 0..below.0, |_| true),
        Event::Message { message, .. } => message,
        _ => return None,
    };
    let other = |slot: Slot, value: &Value| live.chosen.at(slot).is_some_and(|it| it != *value);
    match message {
        Message::Learned { first, values, .. }
            if !expected.kinds.contains(&Kind::LearnedTooFar) =>
        {
            let mut learned =
                values.with_slots(*first).map(|(slot, value)| (said::slot(slot), value));
            let second = learned.find(|(slot, value)| other(*slot, &values::model(value)));
            second.map(|(slot, _)| slot)
        }
        Message::Chosen { ballot, first, count } => {
            let ballot = said::ballot(*ballot);
            second_vote(live, first.0..first.plus(*count).0, |voted| voted == ballot)
        }
        _ => None,
    }
}
