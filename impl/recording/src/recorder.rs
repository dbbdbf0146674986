//! The writer of a recording.
//!
//! A node calls the [`Recorder`] in the order in which things happen. The frames gather in memory until
//! [`Recorder::flush`] hands them to the operating system. A node flushes before anything leaves it and before it writes to
//! its store.

use std::{fs, io, sync::Arc};

use itertools::Itertools as _;
use paxos::{Batch, Output, Replica, Slot, protocol::Parts};

use crate::{
    files::StartId,
    frame::{
        BatchRef, Body, Chosen, ChosenValues, Departure, Event, Message, Record, Refusal, Refused,
        Report, Run, Start, Step, Timer, To, Value,
    },
    identity::{Digest, MessageId, StateId, of_batch},
    options::RecordingOptions,
    writer::FrameWriter,
};

/// The facts about a start that the replica does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartedFrom {
    /// The number of times that the node has started on its store, including this time.
    pub incarnation: u64,
    /// A random number that this start drew.
    pub nonce: u64,
    /// The end of the snapshot that was recovered, and the digest of its bytes.
    pub snapshot: Option<(Slot, StateId)>,
}

/// Writes the recording of one start of a node.
#[derive(Debug)]
pub struct Recorder {
    options: RecordingOptions,
    writer: FrameWriter,
    /// The batch that was converted last. The record, the message and the departure of a proposal share one batch.
    last: Option<(Batch, Arc<[Value]>)>,
}

impl Recorder {
    /// Begins the recording of a node that has recovered. Creates the directory if it does not exist.
    ///
    /// # Errors
    /// The directory or the file cannot be created. A file of the same start exists already.
    pub fn create(
        options: RecordingOptions,
        from: StartedFrom,
        replica: Parts<'_>,
    ) -> io::Result<Self> {
        let StartedFrom { incarnation, nonce, snapshot } = from;
        let Parts { config, acceptor, .. } = replica;
        let start = StartId { node: config.id, incarnation, nonce };
        let writer = FrameWriter::create(options.clone(), start)?;
        let mut recorder = Self { options, writer, last: None };
        let values = recorder.options.values;
        let votes = acceptor.votes.iter().map(|(slot, vote)| Report {
            slot,
            ballot: vote.ballot,
            value: value(&vote.value, values),
        });
        recorder.push(&Body::Start(Box::new(Start {
            node: config.id,
            incarnation,
            nonce,
            boot: boot(),
            nodes: config.nodes.clone(),
            phase1_quorum: config.phase1_quorum as u64,
            phase2_quorum: config.phase2_quorum as u64,
            in_flight_max: config.in_flight_max,
            slots_ahead_max: config.slots_ahead_max,
            batch_slots_max: config.batch_slots_max,
            promised: acceptor.promised,
            trimmed: acceptor.trimmed,
            votes: votes.collect(),
            snapshot,
        })));
        recorder.flush()?;
        Ok(recorder)
    }

    /// Lets the replica take a step, and records it. Appends the output of the step to `output`, as the replica does.
    pub fn step(&mut self, replica: &mut Replica, event: paxos::Event, output: &mut Output) {
        let mut batches = Batches { recorder: self, listed: Vec::new() };
        let event_recorded = batches.event(&event);
        let before = Before::of(output);
        replica.step(event, output);
        let step = before.step(event_recorded, output, replica, batches);
        self.push(&Body::Step(Box::new(step)));
    }

    /// Notes that the records of all steps so far are durable.
    pub fn durable(&mut self) {
        self.push(&Body::Durable);
    }

    /// Notes anything else that the node does.
    pub fn push(&mut self, body: &Body) {
        self.writer.push(body);
    }

    /// Returns the departure of a message.
    pub fn departure(&mut self, to: paxos::To, sent: &paxos::Message) -> Departure {
        let message = message(sent, self.options.values, |batch| of_batch(&self.convert(batch)));
        Departure::Message { to: receivers(to), id: MessageId::of(message) }
    }

    /// Hands all frames so far to the operating system.
    ///
    /// # Errors
    /// The file cannot be written. The caller must [give it up](Self::give_up).
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// Gives up the recording, so that a reader learns that the node records no more.
    pub fn give_up(self) {
        self.writer.give_up();
    }

    /// Ends the recording: the node stops by itself.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn end(mut self) -> io::Result<()> {
        self.push(&Body::End);
        self.flush()
    }

    /// Returns the values of a batch as they are recorded.
    fn convert(&mut self, batch: &Batch) -> Arc<[Value]> {
        if let Some((last, converted)) = &self.last
            && Arc::ptr_eq(last, batch)
        {
            return converted.clone();
        }
        let converted: Arc<[Value]> =
            batch.iter().map(|one| value(one, self.options.values)).collect();
        self.last = Some((batch.clone(), converted.clone()));
        converted
    }
}

/// The batches of a step, while the step is converted.
struct Batches<'a> {
    recorder: &'a mut Recorder,
    listed: Vec<Arc<[Value]>>,
}

impl Batches<'_> {
    fn add(&mut self, batch: &Batch) -> BatchRef {
        let converted = self.recorder.convert(batch);
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
        message(sent, self.recorder.options.values, |batch| self.add(batch))
    }

    fn event(&mut self, event: &paxos::Event) -> Event {
        match event {
            paxos::Event::Message { from, message } => {
                Event::Message { from: *from, message: self.message(message) }
            }
            paxos::Event::Propose(proposals) => {
                let values = self.recorder.options.values;
                let commands = proposals.iter().map(|it| command(&it.command, values)).collect();
                Event::Propose { batch: self.list(commands) }
            }
            paxos::Event::Read(tokens) => {
                Event::Read { tokens: tokens.iter().map(|token| token.0).collect() }
            }
            paxos::Event::Snapshot { below } => Event::Snapshot { below: *below },
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
        let Output { records, messages, chosen, taken, refused, reads, fetch, timers: _ } = output;
        Self {
            records: records.len(),
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
        let records = output.records[self.records..].iter().map(|record| match record {
            paxos::Record::Promised(ballot) => Record::Promised(*ballot),
            paxos::Record::Accepted { ballot, first, values } => {
                Record::Accepted { ballot: *ballot, first: *first, batch: batches.add(values) }
            }
            paxos::Record::Trimmed { below } => Record::Trimmed { below: *below },
        });
        let records = records.collect();
        let messages = output.messages[self.messages..].iter();
        let messages =
            messages.map(|sent| (receivers(sent.to), batches.message(&sent.message))).collect();
        let chosen = chosen(&output.chosen[self.chosen..], replica, &mut batches);
        let taken = output.taken[self.taken..].iter().map(|taken| taken.slot);
        Step {
            event,
            records,
            messages,
            chosen,
            taken: runs(taken),
            refused: refused(&output.refused[self.refused..]),
            reads: output.reads[self.reads..].iter().map(|read| (read.token.0, read.at)).collect(),
            fetch: output.fetch[self.fetch..].to_vec(),
            batches: batches.listed,
        }
    }
}

/// Returns the chosen values in runs. Most are the values of the replica's own votes, which are not listed again.
fn chosen(
    chosen: &[(Slot, paxos::Value)],
    replica: &Replica,
    batches: &mut Batches<'_>,
) -> Vec<Chosen> {
    let votes = &replica.parts().acceptor.votes;
    let voted =
        |slot: Slot, value: &paxos::Value| votes.get(slot).is_some_and(|vote| vote.value == *value);
    let mut runs: Vec<(bool, Slot, Vec<Value>, u64)> = Vec::new();
    for (slot, chosen) in chosen {
        let voted = voted(*slot, chosen);
        let listed = || value(chosen, batches.recorder.options.values);
        match runs.last_mut() {
            Some((like, first, values, count)) if *like == voted && first.plus(*count) == *slot => {
                *count += 1;
                if !voted {
                    values.push(listed());
                }
            }
            _ => {
                let values = if voted { Vec::new() } else { vec![listed()] };
                runs.push((voted, *slot, values, 1));
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

fn receivers(to: paxos::To) -> To {
    match to {
        paxos::To::Peers => To::Peers,
        paxos::To::Node(node) => To::Node(node),
    }
}

fn command(command: &bytes::Bytes, values: bool) -> Value {
    if values { Value::Command(command.clone()) } else { Value::Digest(Digest::of(command)) }
}

fn value(value: &paxos::Value, values: bool) -> Value {
    match value {
        paxos::Value::Noop => Value::Noop,
        paxos::Value::Command(bytes) => command(bytes, values),
    }
}

/// Returns a message as it is recorded. `values` is true if commands are recorded.
fn message<B>(sent: &paxos::Message, values: bool, batch: impl FnOnce(&Batch) -> B) -> Message<B> {
    use paxos::Message as Sent;
    match sent {
        &Sent::Prepare { ballot } => Message::Prepare { ballot },
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
        Sent::Learned { first, values } => {
            Message::Learned { first: *first, values: batch(values) }
        }
        &Sent::Trimmed { below } => Message::Trimmed { below },
    }
}

/// Returns the boot of the operating system, if the system numbers them.
fn boot() -> Option<u128> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    u128::from_str_radix(&text.trim().replace('-', ""), 16).ok()
}
