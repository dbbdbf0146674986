//! The steps of a replica: the output of each is that of the model's replica.

use paxos_model::cluster::node::universe::SlotMap as _;
use paxos_recording::frame::{BatchRef, Event, Message, Record, Step};

use super::{Pending, Produced, Running, Shared};
use crate::{
    claims::{Checked, MODEL_STEP, SENT_BEFORE, TRIMS, contradicts},
    comparison::compare,
    history::History,
    said,
};

impl Running {
    /// Takes a step.
    pub(super) fn step(&mut self, step: &Step, shared: &mut Shared) -> Checked {
        if let Event::Message { message, .. } = &step.event {
            received_values(step, message, &shared.history)?;
        }
        if let Event::Snapshot { below } = step.event {
            let durable = self.snapshots.iter().map(|(below, _)| *below).max().unwrap_or_default();
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
        let votes = compare(step, &expected, &self.replica, &shared.history)
            .or_else(|difference| contradicts(MODEL_STEP, difference.to_string()))?;
        for (slot, ballot) in &votes {
            if let Some(vote) = self.replica.acceptor().votes.at(*slot) {
                shared.history.proposes(*slot, *ballot, &vote.value)?;
            }
        }
        for (to, message) in &step.messages {
            let (id, message) = (step.id(message), step.measured(message));
            self.produced.push_back(Produced { to: *to, id, message, step: self.steps });
        }
        let slots = expected.released.clone().map(said::Slot);
        let replica = &self.replica;
        self.claimed.extend(slots.filter_map(|slot| Some((slot, replica.chosen(slot)?))));
        for (token, at) in &step.reads {
            if let Some((asker, batch)) = self.tokens.remove(token) {
                self.confirmed.push((asker, batch, *at));
            }
        }
        for refused in &step.refused {
            self.tokens.remove(&refused.token);
        }
        if !expected.change.is_empty() {
            let promised = step.records.iter().find_map(|record| match record {
                Record::Promised(ballot) => Some(*ballot),
                _ => None,
            });
            let change = expected.change;
            self.pending.push(Pending { step: self.steps, promised, votes, change });
        }
        Ok(())
    }
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
