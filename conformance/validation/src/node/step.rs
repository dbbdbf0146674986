//! The steps of a replica: the output of each is that of the model's replica.

use paxos_model::cluster::node::universe::SlotMap as _;
use paxos_recording::frame::{BatchRef, ChosenValues, Event, Message, Record, Refused, Step};

use super::{Pending, Produced, Running, Shared};
use crate::{
    claims::{Checked, MODEL_STEP, SENT_BEFORE, TRIMS, contradicts},
    history::History,
    replica::Expected,
    said::{self, Ballot, Sent},
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
        let votes = self.compare(step, &expected, &mut shared.history)?;
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

    /// Compares the output of a step with that of the model. Returns the new votes.
    fn compare(
        &self,
        step: &Step,
        expected: &Expected,
        history: &mut History,
    ) -> Checked<Vec<(said::Slot, Ballot)>> {
        let mut sent = Sent::new();
        for (to, message) in &step.messages {
            let to = said::receiver(*to);
            said::parts(message, &*history, |batch| step.batch(*batch), |it| sent.push((to, it)));
        }
        said::sort(&mut sent);
        if sent != expected.sent {
            let model = expected.sent.iter().find(|it| !sent.contains(it));
            let found = sent.iter().find(|it| !expected.sent.contains(it));
            return differ("messages", describe_sent(model), describe_sent(found));
        }
        let votes = self.compare_records(step, expected, history)?;
        self.compare_chosen(step, expected, history)?;
        let taken: Vec<_> =
            step.taken.iter().map(|run| run.first.0..run.first.0 + run.count).collect();
        if !expected.taken.iter().eq(&taken) {
            return differ(
                "slots of proposals",
                format!("{:?}", expected.taken),
                format!("{taken:?}"),
            );
        }
        let reads: Vec<_> =
            step.reads.iter().map(|(token, at)| (*token, said::slot(*at))).collect();
        if reads != expected.reads {
            return differ(
                "confirmed reads",
                format!("{:?}", expected.reads),
                format!("{reads:?}"),
            );
        }
        let refused: u64 = step.refused.iter().map(|refused| refused.count).sum();
        let reads = expected.refused_reads.as_ref().map_or(0, |(tokens, _)| tokens.len() as u64);
        let wanted = expected.refused_proposals.map_or(0, |(count, _)| count) + reads;
        let reasons = expected.refused_proposals.iter().map(|(_, refusal)| refusal);
        let mut reasons = reasons.chain(expected.refused_reads.iter().map(|(_, refusal)| refusal));
        let wrong = step
            .refused
            .iter()
            .find(|Refused { refusal, .. }| !reasons.clone().any(|it| it == refusal));
        if refused != wanted || wrong.is_some() {
            let model = format!("{wanted} refused: {:?}", reasons.next());
            return differ("refused requests", model, format!("{:?}", step.refused));
        }
        let fetch: Vec<_> = step.fetch.iter().map(|&id| said::node(id)).collect();
        if fetch != expected.fetch {
            return differ(
                "wanted snapshots",
                format!("{:?}", expected.fetch),
                format!("{fetch:?}"),
            );
        }
        Ok(votes)
    }

    fn compare_records(
        &self,
        step: &Step,
        expected: &Expected,
        history: &mut History,
    ) -> Checked<Vec<(said::Slot, Ballot)>> {
        let acceptor = self.replica.acceptor();
        let (mut votes, mut promised, mut trimmed) = (Vec::new(), None, None);
        for record in &step.records {
            match record {
                Record::Promised(ballot) if promised.is_none() => {
                    promised = Some(said::ballot(*ballot));
                }
                Record::Trimmed { below } if trimmed.is_none() => {
                    trimmed = Some(said::slot(*below));
                }
                Record::Promised(_) | Record::Trimmed { .. } => {
                    return differ("records", "no two of a kind", format!("{record:?}"));
                }
                Record::Accepted { ballot, first, batch } => {
                    let ballot = said::ballot(*ballot);
                    for (slot, value) in (first.0..).map(said::Slot).zip(step.batch(*batch).iter())
                    {
                        let value = said::Values::value(history, slot, value);
                        let vote = acceptor.votes.at(slot);
                        if vote.is_none_or(|vote| vote.ballot != ballot || vote.value != value) {
                            let found = format!("a vote in {slot:?} in ballot {ballot:?}");
                            return differ("records", "no such vote", found);
                        }
                        history.proposes(slot, ballot, &value)?;
                        votes.push((slot, ballot));
                    }
                }
            }
        }
        votes.sort_unstable();
        let mut new: Vec<_> = expected.change.votes.iter().map(|(slot, _)| *slot).collect();
        new.sort_unstable();
        if !votes.iter().map(|(slot, _)| *slot).eq(new.iter().copied()) {
            let found =
                format!("votes in {:?}", votes.iter().map(|(slot, _)| slot).collect::<Vec<_>>());
            return differ("records", format!("votes in {new:?}"), found);
        }
        let raised = expected.change.promised.is_some();
        let by_vote = votes.iter().any(|(_, ballot)| Some(*ballot) == acceptor.promised);
        let fits = match promised {
            Some(ballot) => raised && Some(ballot) == acceptor.promised,
            None => !raised || by_vote,
        };
        if !fits {
            let model = format!("the promise {:?}", acceptor.promised);
            return differ("records", model, format!("{promised:?}"));
        }
        let end = expected.change.trimmed.map(|_| acceptor.trimmed);
        if trimmed != end {
            return differ("records", format!("trimmed below {end:?}"), format!("{trimmed:?}"));
        }
        Ok(votes)
    }

    fn compare_chosen(&self, step: &Step, expected: &Expected, history: &History) -> Checked {
        let mut slots = expected.released.clone().map(said::Slot);
        for chosen in &step.chosen {
            let listed = match chosen.values {
                ChosenValues::Listed(batch) => Some(step.batch(batch)),
                ChosenValues::Voted { .. } => None,
            };
            let count = match chosen.values {
                ChosenValues::Voted { count } => count,
                ChosenValues::Listed(_) => listed.map_or(0, |values| values.len() as u64),
            };
            for number in 0..count {
                let slot = said::slot(chosen.first.plus(number));
                let value = match listed {
                    Some(values) => {
                        Some(said::Values::value(history, slot, &values[number as usize]))
                    }
                    None => self.replica.acceptor().votes.at(slot).map(|vote| vote.value),
                };
                let next = slots.next();
                if next != Some(slot) || value != self.replica.chosen(slot) {
                    let model = format!("{next:?}");
                    return differ("values to apply", model, format!("a value in {slot:?}"));
                }
            }
        }
        match slots.next() {
            None => Ok(()),
            Some(slot) => differ("values to apply", format!("the value of {slot:?}"), "none"),
        }
    }
}

fn describe_sent(sent: Option<&(Option<said::NodeId>, said::Said)>) -> String {
    match sent {
        None => "no such message".to_owned(),
        Some((None, said)) => format!("{said:?} to all"),
        Some((Some(to), said)) => format!("{said:?} to {to:?}"),
    }
}

fn differ<T>(field: &str, model: impl AsRef<str>, recorded: impl AsRef<str>) -> Checked<T> {
    let (model, recorded) = (model.as_ref(), recorded.as_ref());
    contradicts(MODEL_STEP, format!("{field} differ; model: {model}; recorded: {recorded}"))
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
