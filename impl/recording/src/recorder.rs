//! The writer of a recording.
//!
//! A node calls the [`Recorder`] in the order in which things happen. The frames gather in memory until
//! [`Recorder::flush`] hands them to the operating system. A node flushes before anything leaves it and before it writes to
//! its store.

use std::{fs, io};

use paxos::{Output, Replica, Slot, protocol::Parts};

use crate::{
    conversion::{Converter, message, receivers, value},
    files::StartId,
    frame::{Body, Departure, Report, Start},
    identity::{MessageId, StateId, of_batch},
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
    writer: FrameWriter,
    converter: Converter,
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
        let values = options.values;
        let writer = FrameWriter::create(options, start)?;
        let mut recorder = Self { writer, converter: Converter::new(values) };
        let votes = acceptor.votes.iter().map(|(slot, ballot, voted)| Report {
            slot,
            ballot,
            value: value(voted, values),
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
        let step = self.converter.step(replica, event, output);
        self.push(&Body::Step(Box::new(step)));
    }

    /// Notes that the node begins to write the records of all steps so far that are in no write.
    pub fn write(&mut self) {
        self.push(&Body::Write);
    }

    /// Notes that the oldest write under way is durable.
    pub fn durable(&mut self) {
        self.push(&Body::Durable);
    }

    /// Notes anything else that the node does.
    pub fn push(&mut self, body: &Body) {
        self.writer.push(body);
    }

    /// Returns the departure of a message.
    pub fn departure(&mut self, to: paxos::To, sent: &paxos::Message) -> Departure {
        let values = self.converter.keeps_values();
        let message = message(sent, values, |batch| of_batch(&self.converter.batch(batch)));
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
}

/// Returns the boot of the operating system, if the system numbers them.
fn boot() -> Option<u128> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    u128::from_str_radix(&text.trim().replace('-', ""), 16).ok()
}
