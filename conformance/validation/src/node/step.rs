//! The steps of a replica: the output of each is that of the model's replica.

use std::ops::Range;

use paxos_model::cluster::node::universe::SlotMap as _;
use paxos_recording::frame::{BatchRef, Event, Message, Record, Step};

use super::{Held, Pending, Produced, Running, Shared};
use crate::{
    claims::{Checked, FITS, MESSAGES, MODEL_STEP, SENT_BEFORE, STATE, TRIMS, contradicts},
    comparison::compare,
    coverage::Kind,
    history::History,
    invariant::{self, Fit, Letter},
    replica::{Change, Replica},
    said,
};

/// The least number of steps from one check of the state to the next.
const STEPS_BETWEEN_CHECKS: u64 = 64;

impl Running {
    /// Takes a step.
    pub(super) fn step(&mut self, step: &Step, shared: &mut Shared) -> Checked {
        if let Event::Message { from, message } = &step.event {
            received_values(step, message, &shared.history)?;
            // A replica ignores the messages of strangers.
            if shared.members.contains(from) {
                fits(&self.replica, step, message, &shared.history)?;
            }
        }
        if let Event::Snapshot { below } = step.event {
            let durable =
                self.snapshots.iter().flatten().map(|(below, _)| *below).max().unwrap_or_default();
            if below > durable {
                let facts = format!(
                    "it trims the slots below {below:?}; its snapshots have those below {durable:?}"
                );
                return contradicts(TRIMS, facts);
            }
        }
        let expected = self.replica.take(step, &shared.history);
        expected.kinds.iter().for_each(|&kind| shared.coverage.add(kind));
        self.steps += 1;
        if !self.writes.is_empty() {
            shared.coverage.add(Kind::StepDuringWrite);
        }
        let votes = compare(step, &expected, &self.replica, &shared.history)
            .or_else(|difference| contradicts(MODEL_STEP, difference.to_string()))?;
        self.satisfies_invariant(&expected.change)?;
        sent_invariant(&self.replica, step)?;
        for (slot, ballot) in &votes {
            if let Some(vote) = self.replica.acceptor().votes.at(*slot) {
                shared.history.proposes(*slot, *ballot, &vote.value)?;
            }
        }
        for (to, message) in &step.messages {
            let (id, message) = (step.id(message), step.measured(message));
            self.produced.push_back(Produced { to: *to, id, message, step: self.steps });
        }
        self.hold(step, expected.released.clone());
        for refused in &step.refused {
            self.tokens.remove(&refused.token);
        }
        if !expected.change.is_empty() {
            let promised = step.records.iter().find_map(|record| match record {
                Record::Promised(ballot) => Some(*ballot),
                _ => None,
            });
            let change = expected.change;
            self.pending.push_back(Pending { step: self.steps, promised, votes, change });
        }
        Ok(())
    }

    /// Keeps the effects of a step until its records are durable. `released` are the slots whose values it releases.
    fn hold(&mut self, step: &Step, released: Range<u64>) {
        let replica = &self.replica;
        let chosen =
            released.map(said::Slot).filter_map(|slot| Some((slot, replica.chosen(slot)?)));
        let chosen: Vec<_> = chosen.collect();
        let known_below = replica.known_below().0;
        let confirmed = step.reads.iter().filter_map(|(token, at)| {
            let (asker, batch) = self.tokens.remove(token)?;
            Some((asker, batch, *at))
        });
        let confirmed: Vec<_> = confirmed.collect();
        let known_before = self.held.back().map_or(self.released, |held| held.known_below);
        if !chosen.is_empty() || !confirmed.is_empty() || known_below > known_before {
            self.held.push_back(Held { step: self.steps, chosen, known_below, confirmed });
        }
    }

    /// Checks the invariant of the state after some of the steps.
    ///
    /// A check looks at each slot of the log that is not trimmed. So it is made once in as many steps as the log has slots.
    /// Then each step has a constant share of the cost, and the time of a validation stays linear in the length of the run. A
    /// check of a short log costs as much as ten steps, and so short logs are checked at most once in 64 steps. A check is also
    /// made after each step that changes the promise, because an election begins or ends there, and elections are rare.
    ///
    /// A state that breaks the invariant between two checks can be missed. The purpose is to show that the invariant is not too
    /// strong. Faults of a node contradict other claims.
    fn satisfies_invariant(&mut self, change: &Change) -> Checked {
        self.unchecked += 1;
        let trimmed = self.replica.acceptor().trimmed.0;
        let length = self.replica.log_end().0.saturating_sub(trimmed);
        if change.promised.is_none() && self.unchecked < length.max(STEPS_BETWEEN_CHECKS) {
            return Ok(());
        }
        self.unchecked = 0;
        state_invariant(&self.replica)
    }
}

/// Checks the invariant of the state of a replica.
pub(super) fn state_invariant(replica: &Replica) -> Checked {
    match replica.broken() {
        None => Ok(()),
        Some(conjunct) => contradicts(
            STATE,
            format!("this is broken: {}; {}", conjunct.claim, replica.describe()),
        ),
    }
}

/// Checks the invariant of each message that a step sends.
fn sent_invariant(replica: &Replica, step: &Step) -> Checked {
    let (members, from) = (replica.members(), replica.id());
    for (to, message) in &step.messages {
        let to = said::receiver(*to);
        if let Some(conjunct) = invariant::broken(Letter { members, from, to, message, step }) {
            let facts = format!("{message:?} is sent; this is broken: {}", conjunct.claim);
            return contradicts(MESSAGES, facts);
        }
    }
    Ok(())
}

/// Checks the relation of a received message to the replica, before the replica takes the message.
fn fits(replica: &Replica, step: &Step, message: &Message<BatchRef>, history: &History) -> Checked {
    let facts = match invariant::fit(replica, replica.id(), message, step, history) {
        Fit::Fits => return Ok(()),
        Fit::AnswersNothing(why) => format!("it answers nothing of the node: {why}"),
        Fit::Contradicts(invariant) => format!("this invariant is broken: {invariant}"),
    };
    contradicts(FITS, format!("{message:?} arrives; {facts}; {}", replica.describe()))
}

/// Compares the values of a received message with those that were proposed or chosen.
fn received_values(step: &Step, message: &Message<BatchRef>, history: &History) -> Checked {
    let mut wrong = None;
    said::parts(
        message,
        history,
        |batch| step.batch(*batch),
        |said| {
            let known = match &said {
                said::Said::Accept(ballot, slot, value) => {
                    history.has_proposed(*slot, *ballot, value)
                }
                said::Said::Learned(slot, value) => history.is_chosen(*slot, value),
                _ => true,
            };
            if !known {
                wrong.get_or_insert(said);
            }
        },
    );
    match wrong {
        None => Ok(()),
        Some(said) => {
            contradicts(SENT_BEFORE, format!("{said:?} arrives; its sender sent another value"))
        }
    }
}
