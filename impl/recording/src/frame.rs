//! The content of a recording: one frame for each thing that a node does.
//!
//! The types repeat those of the crate `paxos`, so that the format on disk does not change when the replica does. The
//! encoding is that of postcard. A change of a type here is a new [`VERSION`](crate::files::VERSION).

use std::sync::Arc;

use bytes::Bytes;
use paxos::{Ballot, NodeId, Slot};
use serde::{Deserialize, Serialize};

use crate::digest::{AnswerId, Digest, MessageId, StateId, ValueId};

/// A frame, and its place in the recording of one start of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The number of frames before this one in the recording of the start.
    pub number: u64,
    /// The content.
    pub body: Body,
}

/// The content of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// The node starts. This is the first frame of each recording.
    Start(Box<Start>),
    /// The replica takes a step.
    Step(Box<Step>),
    /// The node begins to write the records of every step so far that are in no write.
    Write,
    /// The oldest write under way is durable.
    Durable,
    /// These messages leave.
    Left(Vec<Departure>),
    /// These values were applied to the state machine, in consecutive slots.
    Applied {
        /// The slot of the first value.
        first: Slot,
        /// One application for each slot.
        applications: Vec<Application>,
    },
    /// The leader is asked to confirm a batch of reads. The next step takes the token.
    Question {
        /// The token by which the replica confirms the batch.
        token: u64,
        /// The node whose clients read.
        asker: NodeId,
        /// The number of the batch at that node.
        batch: u64,
    },
    /// A leader has answered the question of this node.
    Answer {
        /// The node that answers.
        from: NodeId,
        /// The number of the batch.
        batch: u64,
        /// The batch must see every slot below this one.
        at: Slot,
    },
    /// Reads of this node's clients run on the state machine.
    Served {
        /// The reads must see every slot below this one.
        at: Slot,
        /// The first slot that is not applied to the machine.
        applied: Slot,
    },
    /// A snapshot is complete, and is about to replace the last one of this node. It contains the effect of every slot below.
    Saved {
        /// The end of the snapshot.
        below: Slot,
        /// The digest of the bytes of the snapshot.
        state: StateId,
        /// True if the snapshot is a peer's, and has replaced the state of this node.
        is_peers: bool,
    },
    /// The node stops by itself. A node that is killed records no end.
    End,
}

/// The start of a node: its configuration, and the state that it recovered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The node.
    pub node: NodeId,
    /// The number of times that the node has started on its store, including this time. The first is 1.
    pub incarnation: u64,
    /// A random number that this start drew.
    pub nonce: u64,
    /// The boot of the operating system, if the system numbers them. A recording loses frames only if the system stops.
    pub boot: Option<u128>,
    /// All nodes of the cluster.
    pub nodes: Vec<NodeId>,
    /// The number of promises that a candidate needs.
    pub phase1_quorum: u64,
    /// The number of votes that choose a value.
    pub phase2_quorum: u64,
    /// The number of slots in flight at most.
    pub in_flight_max: u64,
    /// The number of slots beyond the end of the log for which the replica takes values.
    pub slots_ahead_max: u64,
    /// The number of slots in a batch at most.
    pub batch_slots_max: u64,
    /// The promise that was recovered.
    pub promised: Option<Ballot>,
    /// The slots below this one are trimmed.
    pub trimmed: Slot,
    /// The votes that were recovered.
    pub votes: Vec<Report>,
    /// The end of the snapshot that was recovered, and the digest of its bytes.
    pub snapshot: Option<(Slot, StateId)>,
}

/// One step of the replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The event.
    pub event: Event,
    /// The batches of values in the event and in the output. Equal batches are listed once.
    pub batches: Vec<Arc<[Value]>>,
    /// The records, in their order.
    pub records: Vec<Record>,
    /// The messages, in their order.
    pub messages: Vec<(To, Message<BatchRef>)>,
    /// The chosen values, in the order of the log.
    pub chosen: Vec<Chosen>,
    /// The slots of the proposals that were taken, in the order of the proposals.
    pub taken: Vec<Run>,
    /// The proposals and reads that were refused, in their order.
    pub refused: Vec<Refused>,
    /// The reads that were confirmed: the token, and the slot below which the read must see every slot.
    pub reads: Vec<(u64, Slot)>,
    /// The peers whose snapshot is wanted.
    pub fetch: Vec<NodeId>,
}

impl Step {
    /// Returns a batch.
    ///
    /// # Panics
    /// Panics if the step has no such batch. The reader has checked that each reference has one.
    pub fn batch(&self, BatchRef(place): BatchRef) -> &Arc<[Value]> {
        &self.batches[place as usize]
    }

    /// Returns true if each reference to a batch has one.
    pub(crate) fn is_whole(&self) -> bool {
        let event = match &self.event {
            Event::Propose { batch } => Some(*batch),
            Event::Message { message, .. } => message.batch().copied(),
            Event::Read { .. }
            | Event::Snapshot { .. }
            | Event::VotesChosen { .. }
            | Event::Timer(_) => None,
        };
        let records = self.records.iter().filter_map(|record| match record {
            Record::Accepted { batch, .. } => Some(*batch),
            Record::Promised(_) | Record::Trimmed { .. } => None,
        });
        let messages = self.messages.iter().filter_map(|(_, message)| message.batch().copied());
        let chosen = self.chosen.iter().filter_map(|chosen| match chosen.values {
            ChosenValues::Listed(batch) => Some(batch),
            ChosenValues::Voted { .. } => None,
        });
        let mut all = event.into_iter().chain(records).chain(messages).chain(chosen);
        all.all(|BatchRef(place)| (place as usize) < self.batches.len())
    }
}

/// The place of a batch in [`Step::batches`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRef(pub u32);

/// An event of the replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A message arrived.
    Message {
        /// The sender.
        from: NodeId,
        /// The message.
        message: Message<BatchRef>,
    },
    /// Clients propose these commands, one for each slot.
    Propose {
        /// The commands.
        batch: BatchRef,
    },
    /// Clients ask to read.
    Read {
        /// The tokens of the reads.
        tokens: Vec<u64>,
    },
    /// The node has a durable snapshot of every slot below.
    Snapshot {
        /// The end of the snapshot.
        below: Slot,
    },
    /// The node has a durable note that each of its votes below a slot is for the chosen value.
    VotesChosen {
        /// The slot.
        below: Slot,
    },
    /// A timer fired.
    Timer(Timer),
}

/// A timer of the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Timer {
    /// The node begins a ballot.
    Campaign,
    /// A leader sends a heartbeat.
    Heartbeat,
    /// Messages without an answer are sent again.
    Resend,
}

/// The content of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Value {
    /// The value that fills a gap.
    Noop,
    /// The digest of a command.
    Digest(Digest),
    /// A command.
    Command(Bytes),
}

/// A vote that is reported or recovered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The slot.
    pub slot: Slot,
    /// The ballot of the vote.
    pub ballot: Ballot,
    /// The value.
    pub value: Value,
}

/// A record of the acceptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The acceptor promised this ballot.
    Promised(Ballot),
    /// The acceptor accepted values in consecutive slots.
    Accepted {
        /// The ballot of the votes.
        ballot: Ballot,
        /// The slot of the first value.
        first: Slot,
        /// The values.
        batch: BatchRef,
    },
    /// The slots below this one are trimmed.
    Trimmed {
        /// The first slot that is not trimmed.
        below: Slot,
    },
}

/// The receivers of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum To {
    /// All other nodes.
    Peers,
    /// One other node.
    Node(NodeId),
}

/// A message between replicas. `B` stands for the values of consecutive slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<B> {
    /// Phase 1a.
    Prepare {
        /// The ballot.
        ballot: Ballot,
        /// The first slot for which the sender asks for votes.
        first: Slot,
    },
    /// Phase 1b.
    Promise {
        /// The ballot.
        ballot: Ballot,
        /// The end of the sender's trimmed log.
        trimmed: Slot,
        /// The sender's votes.
        reports: Vec<Report>,
    },
    /// Phase 2a.
    Accept {
        /// The ballot.
        ballot: Ballot,
        /// The slot of the first value.
        first: Slot,
        /// The values.
        values: B,
    },
    /// Phase 2b.
    Accepted {
        /// The ballot.
        ballot: Ballot,
        /// The first slot.
        first: Slot,
        /// The number of slots.
        count: u64,
    },
    /// A refusal.
    Nack {
        /// The ballot that is refused.
        ballot: Ballot,
        /// The higher ballot that the sender has promised.
        promised: Ballot,
    },
    /// The values that the ballot proposed in these slots are chosen.
    Chosen {
        /// The ballot.
        ballot: Ballot,
        /// The first slot.
        first: Slot,
        /// The number of slots.
        count: u64,
    },
    /// The leader asks for a confirmation.
    Confirm {
        /// The ballot.
        ballot: Ballot,
        /// The round of reads.
        round: u64,
    },
    /// A confirmation.
    Confirmed {
        /// The ballot.
        ballot: Ballot,
        /// The round of reads.
        round: u64,
    },
    /// The leader is alive.
    Heartbeat {
        /// The ballot.
        ballot: Ballot,
        /// The slots below this one are chosen.
        chosen_below: Slot,
    },
    /// The sender asks for chosen values.
    Learn {
        /// The first slot that it asks for.
        from: Slot,
    },
    /// Chosen values.
    Learned {
        /// The slot of the first value.
        first: Slot,
        /// The values.
        values: B,
        /// True if the sender knew the value of the next slot as well.
        more: bool,
    },
    /// The sender has trimmed the slots below.
    Trimmed {
        /// The first slot that is not trimmed.
        below: Slot,
    },
}

impl<B> Message<B> {
    /// Returns the message with its batch replaced.
    pub fn map<C>(&self, batch: impl FnOnce(&B) -> C) -> Message<C> {
        match self {
            Self::Prepare { ballot, first } => Message::Prepare { ballot: *ballot, first: *first },
            Self::Promise { ballot, trimmed, reports } => {
                let reports = reports.clone();
                Message::Promise { ballot: *ballot, trimmed: *trimmed, reports }
            }
            Self::Accept { ballot, first, values } => {
                Message::Accept { ballot: *ballot, first: *first, values: batch(values) }
            }
            &Self::Accepted { ballot, first, count } => Message::Accepted { ballot, first, count },
            &Self::Nack { ballot, promised } => Message::Nack { ballot, promised },
            &Self::Chosen { ballot, first, count } => Message::Chosen { ballot, first, count },
            &Self::Confirm { ballot, round } => Message::Confirm { ballot, round },
            &Self::Confirmed { ballot, round } => Message::Confirmed { ballot, round },
            &Self::Heartbeat { ballot, chosen_below } => {
                Message::Heartbeat { ballot, chosen_below }
            }
            &Self::Learn { from } => Message::Learn { from },
            Self::Learned { first, values, more } => {
                Message::Learned { first: *first, values: batch(values), more: *more }
            }
            &Self::Trimmed { below } => Message::Trimmed { below },
        }
    }

    /// Returns the batch, if the message has one.
    pub fn batch(&self) -> Option<&B> {
        match self {
            Self::Accept { values, .. } | Self::Learned { values, .. } => Some(values),
            _ => None,
        }
    }
}

/// Values that the replica released to be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The slot of the first value.
    pub first: Slot,
    /// The values.
    pub values: ChosenValues,
}

/// The values of consecutive slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChosenValues {
    /// In each of these slots, the value of the replica's own last vote.
    Voted {
        /// The number of slots.
        count: u64,
    },
    /// These values.
    Listed(BatchRef),
}

/// Consecutive slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The first slot.
    pub first: Slot,
    /// The number of slots.
    pub count: u64,
}

/// Proposals or reads with one token that were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The token.
    pub token: u64,
    /// The number of requests with this token.
    pub count: u64,
    /// The reason.
    pub refusal: Refusal,
}

/// The reason for a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The node does not lead.
    NotLeader {
        /// The node that may lead.
        leader: Option<NodeId>,
    },
    /// No slot is left.
    Busy,
}

/// A message that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Departure {
    /// A message of the replica.
    Message {
        /// The receivers.
        to: To,
        /// The message.
        id: MessageId,
    },
    /// The answer to the question of a node about its reads.
    Answer {
        /// The node that asked.
        to: NodeId,
        /// The number of its batch.
        batch: u64,
        /// The batch must see every slot below this one.
        at: Slot,
    },
}

/// One value that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// The value.
    pub value: ValueId,
    /// The result of the state machine. The same on all nodes.
    pub answer: AnswerId,
}
