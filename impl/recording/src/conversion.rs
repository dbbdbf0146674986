//! A step of a replica in the terms of a recording.
//!
//! Nothing is written here. A check can so compare steps that no node has recorded.

use std::sync::Arc;

use itertools::Itertools as _;
use paxos::{Batch, Effects, Output, Replica, Slot};

use crate::{
    frame::{
        BatchRef, Chosen, ChosenValues, Event, Message, Record, Refusal, Refused, Report, Run,
        Step, Timer, To, Value,
    },
    identity::Digest,
};

/// Converts the steps of a replica.
#[derive(Debug)]
pub struct Converter {
    values: bool,
    /// The batch that was converted last. The record, the message and the departure of a proposal share one batch.
    last: Option<(Batch, Arc<[Value]>)>,
}

impl Converter {
    /// Returns a converter. If `values` is true it keeps the commands, and otherwise their digests.
    pub fn new(values: bool) -> Self {
        Self { values, last: None }
    }

    /// Lets the replica take a step, and returns the step. Appends the output of the step to `output`, as the replica
    /// does.
    pub fn step(
        &mut self,
        replica: &mut Replica,
        event: paxos::Event,
        output: &mut Output,
    ) -> Step {
        self.step_by(replica, event, output, Replica::step)
    }

    /// Does the same with another function in place of [`Replica::step`]. A test so records the steps of a faulty replica.
    pub fn step_by(
        &mut self,
        replica: &mut Replica,
        event: paxos::Event,
        output: &mut Output,
        take: impl FnOnce(&mut Replica, paxos::Event, &mut Output),
    ) -> Step {
        let mut batches = Batches { converter: self, listed: Vec::new() };
        let event_recorded = batches.event(&event);
        output.settle();
        let before = Before::of(output);
        take(replica, event, output);
        before.step(event_recorded, output, replica, batches)
    }

    /// Returns a step that has this event and no output.
    pub fn event(&mut self, event: &paxos::Event) -> Step {
        let mut batches = Batches { converter: self, listed: Vec::new() };
        let event = batches.event(event);
        Step {
            event,
            batches: batches.listed,
            records: Vec::new(),
            messages: Vec::new(),
            chosen: Vec::new(),
            taken: Vec::new(),
            refused: Vec::new(),
            reads: Vec::new(),
            fetch: Vec::new(),
        }
    }

    /// True if commands are kept.
    pub(crate) fn keeps_values(&self) -> bool {
        self.values
    }

    /// Returns the values of a batch as they are recorded.
    pub(crate) fn batch(&mut self, batch: &Batch) -> Arc<[Value]> {
        if let Some((last, converted)) = &self.last
            && last.is_same(batch)
        {
            return converted.clone();
        }
        let converted: Arc<[Value]> = batch.iter().map(|one| value(one, self.values)).collect();
        self.last = Some((batch.clone(), converted.clone()));
        converted
    }
}

/// The batches of a step, while the step is converted.
struct Batches<'a> {
    converter: &'a mut Converter,
    listed: Vec<Arc<[Value]>>,
}

impl Batches<'_> {
    fn add(&mut self, batch: &Batch) -> BatchRef {
        let converted = self.converter.batch(batch);
        self.list(converted)
    }

    fn list(&mut self, batch: Arc<[Value]>) -> BatchRef {
        let known = self.listed.iter().position(|listed| *listed == batch);
        let place = known.unwrap_or_else(|| {
            self.listed.push(batch);
            self.listed.len() - 1
        });
        BatchRef(place as u32)
    }

    fn message(&mut self, sent: &paxos::Message) -> Message<BatchRef> {
        message(sent, self.converter.values, |batch| self.add(batch))
    }

    fn event(&mut self, event: &paxos::Event) -> Event {
        match event {
            paxos::Event::Message { from, message } => {
                Event::Message { from: *from, message: self.message(message) }
            }
            paxos::Event::Propose(proposals) => {
                let values = self.converter.values;
                let commands = proposals.iter().map(|it| command(&it.command, values)).collect();
                Event::Propose { batch: self.list(commands) }
            }
            paxos::Event::Read(tokens) => {
                Event::Read { tokens: tokens.iter().map(|token| token.0).collect() }
            }
            paxos::Event::Snapshot { below } => Event::Snapshot { below: *below },
            paxos::Event::VotesChosen { below } => Event::VotesChosen { below: *below },
            paxos::Event::Timer(timer) => Event::Timer(match timer {
                paxos::Timer::Campaign => Timer::Campaign,
                paxos::Timer::Heartbeat => Timer::Heartbeat,
                paxos::Timer::Resend => Timer::Resend,
            }),
        }
    }
}

/// The lengths of the parts of an output before a step. The step appends to each part.
struct Before {
    records: usize,
    messages: usize,
    chosen: usize,
    taken: usize,
    refused: usize,
    reads: usize,
    fetch: usize,
}

impl Before {
    fn of(output: &Output) -> Self {
        // Timers are not recorded, because safety does not depend on them.
        let Effects { messages, chosen, taken, refused, reads, fetch, timers: _ } = output.held();
        Self {
            records: output.records().len(),
            messages: messages.len(),
            chosen: chosen.len(),
            taken: taken.len(),
            refused: refused.len(),
            reads: reads.len(),
            fetch: fetch.len(),
        }
    }

    /// Returns the step that has appended to the output.
    fn step(
        self,
        event: Event,
        output: &Output,
        replica: &Replica,
        mut batches: Batches<'_>,
    ) -> Step {
        let records = output.records()[self.records..].iter().map(|record| match record {
            paxos::Record::Promised(ballot) => Record::Promised(*ballot),
            paxos::Record::Accepted { ballot, first, values } => {
                Record::Accepted { ballot: *ballot, first: *first, batch: batches.add(values) }
            }
            paxos::Record::Trimmed { below } => Record::Trimmed { below: *below },
        });
        let records = records.collect();
        let messages = output.held().messages[self.messages..].iter();
        let messages =
            messages.map(|sent| (receivers(sent.to), batches.message(&sent.message))).collect();
        let released = output.held().chosen[self.chosen..].iter();
        let released = released.flat_map(|(first, values)| values.with_slots(*first));
        let chosen = chosen(released, replica, &mut batches);
        let taken = output.held().taken[self.taken..].iter().map(|taken| taken.slot);
        Step {
            event,
            records,
            messages,
            chosen,
            taken: runs(taken),
            refused: refused(&output.held().refused[self.refused..]),
            reads: output.held().reads[self.reads..]
                .iter()
                .map(|read| (read.token.0, read.at))
                .collect(),
            fetch: output.held().fetch[self.fetch..].to_vec(),
            batches: batches.listed,
        }
    }
}

/// Returns the chosen values in runs. Most are the values of the replica's own votes, which are not listed again.
fn chosen<'a>(
    chosen: impl Iterator<Item = (Slot, &'a paxos::Value)>,
    replica: &Replica,
    batches: &mut Batches<'_>,
) -> Vec<Chosen> {
    let votes = &replica.parts().acceptor.votes;
    let voted =
        |slot: Slot, value: &paxos::Value| votes.get(slot).is_some_and(|(_, voted)| voted == value);
    let mut runs: Vec<(bool, Slot, Vec<Value>, u64)> = Vec::new();
    for (slot, chosen) in chosen {
        let voted = voted(slot, chosen);
        let listed = || value(chosen, batches.converter.values);
        match runs.last_mut() {
            Some((like, first, values, count)) if *like == voted && first.plus(*count) == slot => {
                *count += 1;
                if !voted {
                    values.push(listed());
                }
            }
            _ => {
                let values = if voted { Vec::new() } else { vec![listed()] };
                runs.push((voted, slot, values, 1));
            }
        }
    }
    let run = |(voted, first, values, count): (bool, Slot, Vec<Value>, u64)| Chosen {
        first,
        values: if voted {
            ChosenValues::Voted { count }
        } else {
            ChosenValues::Listed(batches.list(values.into()))
        },
    };
    runs.into_iter().map(run).collect()
}

fn runs(slots: impl Iterator<Item = Slot>) -> Vec<Run> {
    let runs = slots.map(|first| Run { first, count: 1 });
    let runs = runs.coalesce(|one, next| {
        let follows = one.first.plus(one.count) == next.first;
        if follows { Ok(Run { count: one.count + 1, ..one }) } else { Err((one, next)) }
    });
    runs.collect()
}

fn refused(refused: &[paxos::Refused]) -> Vec<Refused> {
    let refused = refused.iter().map(|refused| Refused {
        token: refused.token.0,
        count: 1,
        refusal: match refused.refusal {
            paxos::Refusal::NotLeader { leader } => Refusal::NotLeader { leader },
            paxos::Refusal::Busy => Refusal::Busy,
        },
    });
    let alike = |one: Refused, next: Refused| {
        if (one.token, one.refusal) == (next.token, next.refusal) {
            Ok(Refused { count: one.count + 1, ..one })
        } else {
            Err((one, next))
        }
    };
    refused.coalesce(alike).collect()
}

pub(crate) fn receivers(to: paxos::To) -> To {
    match to {
        paxos::To::Peers => To::Peers,
        paxos::To::Node(node) => To::Node(node),
    }
}

fn command(command: &bytes::Bytes, values: bool) -> Value {
    if values { Value::Command(command.clone()) } else { Value::Digest(Digest::of(command)) }
}

pub(crate) fn value(value: &paxos::Value, values: bool) -> Value {
    match value {
        paxos::Value::Noop => Value::Noop,
        paxos::Value::Command(bytes) => command(bytes, values),
    }
}

/// Returns a message as it is recorded. `values` is true if commands are recorded.
pub(crate) fn message<B>(
    sent: &paxos::Message,
    values: bool,
    batch: impl FnOnce(&Batch) -> B,
) -> Message<B> {
    use paxos::Message as Sent;
    match sent {
        &Sent::Prepare { ballot, first } => Message::Prepare { ballot, first },
        Sent::Promise { ballot, trimmed, reports } => {
            let report = |report: &paxos::Report| Report {
                slot: report.slot,
                ballot: report.ballot,
                value: value(&report.value, values),
            };
            let reports = reports.iter().map(report).collect();
            Message::Promise { ballot: *ballot, trimmed: *trimmed, reports }
        }
        Sent::Accept { ballot, first, values } => {
            Message::Accept { ballot: *ballot, first: *first, values: batch(values) }
        }
        &Sent::Accepted { ballot, first, count } => Message::Accepted { ballot, first, count },
        &Sent::Nack { ballot, promised } => Message::Nack { ballot, promised },
        &Sent::Chosen { ballot, first, count } => Message::Chosen { ballot, first, count },
        &Sent::Confirm { ballot, round } => Message::Confirm { ballot, round },
        &Sent::Confirmed { ballot, round } => Message::Confirmed { ballot, round },
        &Sent::Heartbeat { ballot, chosen_below } => Message::Heartbeat { ballot, chosen_below },
        &Sent::Learn { from } => Message::Learn { from },
        Sent::Learned { first, values, more } => {
            Message::Learned { first: *first, values: batch(values), more: *more }
        }
        &Sent::Trimmed { below } => Message::Trimmed { below },
    }
}
