//! The output of a step, compared with that of the model's replica.

use paxos_model::cluster::node::universe::SlotMap as _;
use paxos_recording::frame::{ChosenValues, Record, Refused, Step};
use thiserror::Error;

use crate::{
    replica::{Expected, Replica},
    said::{self, Ballot, Sent, Slot, Values},
};

/// The votes that a step adds: the slot and the ballot of each, sorted.
pub type NewVotes = Vec<(Slot, Ballot)>;

/// A part of the output that is not what the model's replica puts out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field} differ; model: {model}; recorded: {found}")]
pub struct Difference {
    /// The part.
    pub field: &'static str,
    /// The model's version of the part.
    pub model: String,
    /// The version that was found.
    pub found: String,
}

/// Compares the output of a step with what was expected. `replica` is the model's replica after the step. Returns the votes
/// that the step adds.
///
/// # Errors
/// Returns the first difference.
pub fn compare(
    step: &Step,
    expected: &Expected,
    replica: &Replica,
    values: &impl Values,
) -> Result<NewVotes, Difference> {
    Comparison { step, expected, replica, values }.compare()
}

struct Comparison<'a, V> {
    step: &'a Step,
    expected: &'a Expected,
    replica: &'a Replica,
    values: &'a V,
}

impl<V: Values> Comparison<'_, V> {
    /// Compares the whole output. Returns the new votes.
    fn compare(&self) -> Result<NewVotes, Difference> {
        let Self { step, expected, values, .. } = self;
        let mut sent = Sent::new();
        for (to, message) in &step.messages {
            let to = said::receiver(*to);
            said::parts(message, *values, |batch| step.batch(*batch), |it| sent.push((to, it)));
        }
        said::sort(&mut sent);
        if sent != expected.sent {
            let model = expected.sent.iter().find(|it| !sent.contains(it));
            let found = sent.iter().find(|it| !expected.sent.contains(it));
            return differ("messages", describe_sent(model), describe_sent(found));
        }
        let votes = self.compare_records()?;
        self.compare_chosen()?;
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

    fn compare_records(&self) -> Result<NewVotes, Difference> {
        let Self { step, expected, .. } = self;
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
                        let value = self.values.value(slot, value);
                        let vote = acceptor.votes.at(slot);
                        if vote.is_none_or(|vote| vote.ballot != ballot || vote.value != value) {
                            let found = format!("a vote in {slot:?} in ballot {ballot:?}");
                            return differ("records", "no such vote", found);
                        }
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

    fn compare_chosen(&self) -> Result<(), Difference> {
        let Self { step, expected, .. } = self;
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
                    Some(values) => Some(self.values.value(slot, &values[number as usize])),
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

fn differ<T>(
    field: &'static str,
    model: impl Into<String>,
    found: impl Into<String>,
) -> Result<T, Difference> {
    Err(Difference { field, model: model.into(), found: found.into() })
}
