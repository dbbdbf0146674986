//! The recording of a node: each thing that the node does, for a validator to read.
//!
//! A node that does not record has a recording that does nothing. The crate `paxos_recording` has the format.
//!
//! Invariant: the frames of all steps so far are handed to the operating system before a message leaves, and before
//! records are written to the store.

use std::io;

use paxos::{Envelope, Event, Output, Replica, Slot, To, Value};
use paxos_recording::{
    Body, Recorder, RecordingOptions, StartedFrom,
    frame::{Application, Departure},
    identity::{AnswerId, StateId, ValueId},
};

use crate::{
    error::NodeError,
    machine::Answer,
    packet::Packet,
    reads::{Asker, BatchId},
    session::Applied,
};
use paxos::types::NodeId;

/// The recording of one start, or none.
pub(super) struct Recording(Option<Active>);

struct Active {
    recorder: Recorder,
    /// The departures that are not yet in a frame.
    departures: Vec<Departure>,
    /// The slot of the first of the applications that are not yet in a frame.
    first: Slot,
    applications: Vec<Application>,
    /// The reads that were recorded last.
    served: Option<(Slot, Slot)>,
}

impl Recording {
    /// Begins the recording of a node that has recovered, if the options ask for one. `incarnation` is the number of the start,
    /// and `nonce` its random number. `snapshot` is the snapshot that was restored, with the digest of its bytes.
    ///
    /// # Errors
    /// The recording cannot be created, or the snapshot has no digest.
    pub(super) fn begin(
        options: Option<RecordingOptions>,
        (incarnation, nonce): (u64, u64),
        snapshot: Option<(Slot, io::Result<StateId>)>,
        replica: &Replica,
    ) -> Result<Self, NodeError> {
        let Some(options) = options else { return Ok(Self(None)) };
        let directory = options.directory().to_owned();
        let snapshot = snapshot.map(|(below, state)| Ok((below, state?))).transpose();
        let recorder = snapshot.and_then(|snapshot| {
            let from = StartedFrom { incarnation, nonce, snapshot };
            Recorder::create(options, from, replica.parts())
        });
        let recorder = recorder.map_err(|error| NodeError::Recording { directory, error })?;
        Ok(Self(Some(Active {
            recorder,
            departures: Vec::new(),
            first: Slot(0),
            applications: Vec::new(),
            served: None,
        })))
    }

    /// Lets the replica take a step.
    pub(super) fn step(&mut self, replica: &mut Replica, event: Event, output: &mut Output) {
        match &mut self.0 {
            Some(active) => active.recorder.step(replica, event, output),
            None => replica.step(event, output),
        }
    }

    /// Notes that these messages of the replica leave now.
    pub(super) fn messages_leave(&mut self, messages: &[Envelope]) {
        let Some(active) = &mut self.0 else { return };
        for Envelope { to, message } in messages {
            let departure = active.recorder.departure(*to, message);
            active.departures.push(departure);
        }
        self.flush();
    }

    /// Notes that these packets leave now.
    pub(super) fn packets_leave(&mut self, packets: &[(To, Packet)]) {
        let Some(active) = &mut self.0 else { return };
        for (to, packet) in packets {
            if let (&To::Node(to), &Packet::ReadAt { id: batch, at }) = (to, packet) {
                active.departures.push(Departure::Answer { to, batch, at });
            }
        }
        if !packets.is_empty() {
            self.flush();
        }
    }

    /// Notes that the records of all steps so far are written to the store now.
    pub(super) fn write(&mut self) {
        if let Some(active) = &mut self.0 {
            active.recorder.write();
        }
        self.flush();
    }

    /// Notes that the oldest write under way is durable.
    pub(super) fn durable(&mut self) {
        if let Some(active) = &mut self.0 {
            active.recorder.durable();
        }
    }

    /// Notes that a value was applied.
    pub(super) fn applied<A: Answer>(&mut self, slot: Slot, value: &Value, result: &Applied<A>) {
        let Some(active) = &mut self.0 else { return };
        if active.first.plus(active.applications.len() as u64) != slot {
            active.push_applications();
            active.first = slot;
        }
        let (value, answer) = (ValueId::of(value), id(result));
        active.applications.push(Application { value, answer });
    }

    /// Notes that the replica, which leads, is asked to confirm a batch of reads.
    pub(super) fn asked(&mut self, me: NodeId, asker: Asker, token: u64) {
        let (asker, BatchId(batch)) = match asker {
            Asker::Own(batch) => (me, batch),
            Asker::Peer(peer, batch) => (peer, batch),
        };
        self.push(&Body::Question { token, asker, batch });
    }

    /// Notes that a leader has answered a question about reads.
    pub(super) fn answered(&mut self, from: NodeId, BatchId(batch): BatchId, at: Slot) {
        self.push(&Body::Answer { from, batch, at });
    }

    /// Notes that a read runs which must see every slot below `at`.
    pub(super) fn served(&mut self, at: Slot, applied: Slot) {
        let Some(active) = &mut self.0 else { return };
        if active.served != Some((at, applied)) {
            active.served = Some((at, applied));
            self.push(&Body::Served { at, applied });
        }
    }

    /// Notes that a snapshot is complete, and is about to become this node's. Gives up the recording if the snapshot has no
    /// digest.
    pub(super) fn saved(&mut self, below: Slot, state: io::Result<StateId>, is_peers: bool) {
        match state {
            Ok(state) => {
                self.push(&Body::Saved { below, state, is_peers });
                self.flush();
            }
            Err(error) => self.give_up(&error),
        }
    }

    /// Notes that the node stops by itself.
    pub(super) fn end(&mut self) {
        self.push(&Body::End);
        self.flush();
        self.0 = None;
    }

    fn push(&mut self, body: &Body) {
        if let Some(active) = &mut self.0 {
            active.push_applications();
            active.recorder.push(body);
        }
    }

    /// Hands all frames to the operating system. Gives up the recording if that fails: a node does not stop because its
    /// recording does.
    pub(super) fn flush(&mut self) {
        let Some(active) = &mut self.0 else { return };
        active.push_applications();
        if !active.departures.is_empty() {
            active.recorder.push(&Body::Left(std::mem::take(&mut active.departures)));
        }
        if let Err(error) = active.recorder.flush() {
            self.give_up(&error);
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        if let Some(active) = self.0.take() {
            tracing::error!(%error, "the recording cannot be written, and is given up");
            active.recorder.give_up();
        }
    }
}

impl Active {
    fn push_applications(&mut self) {
        if !self.applications.is_empty() {
            let applications = std::mem::take(&mut self.applications);
            self.recorder.push(&Body::Applied { first: self.first, applications });
        }
    }
}

/// Returns the digest of the result of a value.
fn id<A: Answer>(applied: &Applied<A>) -> AnswerId {
    match applied {
        Applied::Answered { answer, .. } => AnswerId::of(&answer.to_bytes()),
        Applied::Opened { session, .. } => AnswerId::of(&session.slot.0.to_le_bytes()),
        Applied::Forgotten { .. } => AnswerId::of(b"forgotten"),
        Applied::Expired { .. } => AnswerId::of(b"expired"),
        Applied::Nothing => AnswerId::of(b"nothing"),
    }
}
