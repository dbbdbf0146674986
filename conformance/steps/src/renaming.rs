//! Renamings: other ballots in the same order with the same owners, and other values for the same ones.
//!
//! A step must commute with each renaming. The types of the protocol leave it no other choice, because a handler sees ballots
//! and values only through a few operations. Here the claim is tested on production replicas with the ballots and values of
//! production: the renamed input in the renamed state has the renamed outcome. So an enumeration of orders stands for all
//! ballots.
//!
//! The renamed replica also has its logs divided into single slots, where the other one has runs that are as long as
//! possible. So the claim includes that the division into runs has no effect.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use paxos::{
    Ballot, Batch, Effects, Envelope, Event, Message, Output, Proposal, Record, Refused, Report,
    Value,
};
use paxos_model::cluster::node::{
    state::{Acceptor, Live, Role, Vote},
    unbounded::{Log, Unbounded, Value as ModelValue},
    universe::SlotMap as _,
};
use paxos_validation::said;

use crate::{
    case::{Case, Input},
    check::{Checker, Outcome, Shown, Tested},
    choices::Choices,
    finding::{Checked, finding},
    table::{self, Division, State},
};

/// A renaming of ballots and values.
#[derive(Clone, Debug, Default)]
pub struct Renaming {
    ballots: BTreeMap<Ballot, Ballot>,
    /// True if commands get other bytes.
    commands: bool,
}

impl Renaming {
    /// Returns the renaming to the lowest rounds that keep the order and the owners of the ballots of a case. Ballots with
    /// rising owners share a round.
    pub fn lowest(case: &Case) -> Self {
        Self::by(case, false, || 0)
    }

    /// Returns a random renaming of the ballots of a case, and of its commands.
    pub fn random(case: &Case, choices: &mut impl Choices) -> Self {
        // No gap, a small one, or a large one. A wide one leaves room for few more.
        const GAPS: [u64; 5] = [0, 0, 1, 7, 1 << 50];
        Self::by(case, true, || choices.of(&GAPS))
    }

    fn by(case: &Case, commands: bool, mut gap: impl FnMut() -> u64) -> Self {
        let mut ballots = BTreeMap::new();
        let mut last = None;
        for ballot in case.start.chain.ballots().map(table::real_ballot) {
            let least = Ballot::next(ballot.node, last).expect("there are rounds left");
            let round = least.round.get().saturating_add(gap());
            let renamed = Ballot::new(round, ballot.node).expect("rounds begin at 1");
            ballots.insert(ballot, renamed);
            last = Some(renamed);
        }
        // The ballot that the node would begin next becomes the next one, too.
        let (me, promised) = (case.start.me, case.start.promised().map(table::real_ballot));
        let next = |promised| Ballot::next(table::real_node(me), promised);
        let renamed = promised.map(|promised| ballots[&promised]);
        if let (Some(before), Some(after)) = (next(promised), next(renamed)) {
            ballots.entry(before).or_insert(after);
        }
        Self { ballots, commands }
    }

    /// Returns the renamed ballot.
    pub fn ballot(&self, ballot: Ballot) -> Ballot {
        self.ballots.get(&ballot).copied().unwrap_or(ballot)
    }

    fn command(&self, command: &Bytes) -> Bytes {
        if !self.commands {
            return command.clone();
        }
        // Longer than before, and in another order.
        let reversed = command.iter().rev().chain(command.iter()).copied();
        reversed.chain(std::iter::repeat_n(0, command.len() * 3)).collect()
    }

    fn value(&self, value: &Value) -> Value {
        match value {
            Value::Noop => Value::Noop,
            Value::Command(command) => Value::Command(self.command(command)),
        }
    }

    fn model_value(&self, value: &ModelValue) -> ModelValue {
        match value {
            ModelValue::Noop => ModelValue::Noop,
            ModelValue::Command(bytes) => {
                let renamed = self.command(&Bytes::copy_from_slice(bytes));
                ModelValue::Command(Arc::from(&renamed[..]))
            }
        }
    }

    fn vote(&self, vote: &Vote<Unbounded>) -> Vote<Unbounded> {
        let ballot = said::ballot(self.ballot(table::real_ballot(vote.ballot)));
        Vote { ballot, value: self.model_value(&vote.value) }
    }

    fn votes(&self, votes: &Log<Option<Vote<Unbounded>>>) -> Log<Option<Vote<Unbounded>>> {
        let mut renamed = Log::default();
        votes.filled().for_each(|(slot, vote)| renamed.put(slot, vote.map(|it| self.vote(&it))));
        renamed
    }

    /// Returns the renamed state.
    pub fn state(&self, state: &State) -> State {
        let State { live: Live { acceptor, role, chosen }, asked, waiting } = state;
        let Acceptor { promised, votes, trimmed } = acceptor;
        let promised = promised.map(|it| said::ballot(self.ballot(table::real_ballot(it))));
        let acceptor = Acceptor { promised, votes: self.votes(votes), trimmed: *trimmed };
        let role = match role {
            Role::Candidate { first, heard, reported, trimmed } => Role::Candidate {
                first: *first,
                heard: heard.clone(),
                reported: self.votes(reported),
                trimmed: *trimmed,
            },
            role => role.clone(),
        };
        let mut known = Log::default();
        for (slot, value) in chosen.filled() {
            known.put(slot, value.map(|value| self.model_value(&value)));
        }
        let live = Live { acceptor, role, chosen: known };
        State { live, asked: asked.clone(), waiting: waiting.clone() }
    }

    fn message(&self, message: &Message) -> Message {
        let values = |values: &paxos::Batch| values.iter().map(|it| self.value(it)).collect();
        match message.clone() {
            Message::Prepare { ballot, first } => {
                Message::Prepare { ballot: self.ballot(ballot), first }
            }
            Message::Promise { ballot, trimmed, reports } => {
                let report = |Report { slot, ballot, value }| Report {
                    slot,
                    ballot: self.ballot(ballot),
                    value: self.value(&value),
                };
                let reports = reports.into_iter().map(report).collect();
                Message::Promise { ballot: self.ballot(ballot), trimmed, reports }
            }
            Message::Accept { ballot, first, values: batch } => {
                Message::Accept { ballot: self.ballot(ballot), first, values: values(&batch) }
            }
            Message::Accepted { ballot, first, count } => {
                Message::Accepted { ballot: self.ballot(ballot), first, count }
            }
            Message::Nack { ballot, promised } => {
                Message::Nack { ballot: self.ballot(ballot), promised: self.ballot(promised) }
            }
            Message::Chosen { ballot, first, count } => {
                Message::Chosen { ballot: self.ballot(ballot), first, count }
            }
            Message::Confirm { ballot, round } => {
                Message::Confirm { ballot: self.ballot(ballot), round }
            }
            Message::Confirmed { ballot, round } => {
                Message::Confirmed { ballot: self.ballot(ballot), round }
            }
            Message::Heartbeat { ballot, chosen_below } => {
                Message::Heartbeat { ballot: self.ballot(ballot), chosen_below }
            }
            Message::Learned { first, values: batch, more } => {
                Message::Learned { first, values: values(&batch), more }
            }
            message @ (Message::Learn { .. } | Message::Trimmed { .. }) => message,
        }
    }

    /// Returns the renamed event.
    pub fn event(&self, event: &Event) -> Event {
        match event {
            Event::Message { from, message } => {
                Event::Message { from: *from, message: self.message(message) }
            }
            Event::Propose(proposals) => {
                let proposal = |it: &Proposal| Proposal {
                    token: it.token,
                    command: self.command(&it.command),
                };
                Event::Propose(proposals.iter().map(proposal).collect())
            }
            event => event.clone(),
        }
    }

    fn output(&self, output: &Output) -> Output {
        let values = |values: &Batch| values.iter().map(|it| self.value(it)).collect();
        let record = |record: &Record| match record {
            Record::Promised(ballot) => Record::Promised(self.ballot(*ballot)),
            Record::Accepted { ballot, first, values: batch } => Record::Accepted {
                ballot: self.ballot(*ballot),
                first: *first,
                values: values(batch),
            },
            Record::Trimmed { below } => Record::Trimmed { below: *below },
        };
        let envelope = |it: &Envelope| Envelope { to: it.to, message: self.message(&it.message) };
        let held = output.held();
        let refused = held.refused.iter().map(|it| Refused {
            command: it.command.as_ref().map(|command| self.command(command)),
            ..it.clone()
        });
        let effects = Effects {
            refused: refused.collect(),
            messages: held.messages.iter().map(envelope).collect(),
            chosen: held.chosen.iter().map(|(slot, it)| (*slot, values(it))).collect(),
            ..held.clone()
        };
        Output::of(output.records().iter().map(record).collect(), effects)
    }
}

/// Checks that the step of a case commutes with a random renaming. Returns none if the case has nothing to rename, or no room.
///
/// # Errors
/// Fails if the outcomes differ.
pub(crate) fn commutes<T: Tested>(
    checker: &mut Checker<T>,
    case: &Case,
    choices: &mut impl Choices,
) -> Checked<Option<Shown>> {
    let Input::Event(event) = &case.input else { return Ok(None) };
    // A renaming leaves more rounds than there were.
    let next = |it| Ballot::next(table::real_node(case.start.me), Some(table::real_ballot(it)));
    if case.start.promised().is_some_and(|promised| next(promised).is_none()) {
        return Ok(None);
    }
    let renaming = Renaming::random(case, choices);
    let state = &case.start.state;
    let before = checker.outcome(state, event.clone());
    let divided = Division::Single;
    let renamed = checker.outcome_divided(divided, &renaming.state(state), renaming.event(event));
    let expected = match before {
        Ok(Outcome { state, output }) => {
            Ok(Outcome { state: renaming.state(&state), output: renaming.output(&output) })
        }
        // The text of a panic names values.
        Err(_) if renamed.is_err() => return Ok(Some(Shown::default())),
        Err(panic) => Err(panic),
    };
    if expected == renamed {
        return Ok(Some(Shown::default()));
    }
    finding("step with other ballots, values and runs", &expected, &renamed)
}
