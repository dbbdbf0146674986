//! Packets: the messages of the protocol, and the questions and answers of the nodes around it.
//!
//! Any packet may be lost, repeated or delayed. That does not matter for safety. If the sender still needs the effect,
//! it sends the packet again.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use paxos::{
    message::{Message, Report},
    types::{Ballot, Slot, Value},
};

/// A packet from one node to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Packet {
    /// A message of the protocol.
    Message(Message),
    /// To the leader: commands of the sender's clients. There is no answer: the sender sends the commands again until
    /// it has applied them.
    Forward(Vec<Bytes>),
    /// To the leader: asks for the slot below which the sender must have applied every slot before its clients read.
    ReadIndex {
        /// The number of the question, which the answer repeats.
        id: u64,
    },
    /// The answer to `ReadIndex`, of a leader that a quorum has confirmed.
    ReadAt {
        /// The number of the question.
        id: u64,
        /// A state may be read once every slot below this one was applied to it.
        at: Slot,
    },
    /// The sender hears no leader, and asks whether the receiver hears one.
    PreVote,
    /// The answer to `PreVote`: the sender hears no leader either.
    PreVoteGranted,
    /// The answer to a heartbeat: the sender follows.
    Following,
    /// Asks for a part of the receiver's snapshot.
    Fetch {
        /// The end of the snapshot of which the sender has a part already, if it has one.
        below: Option<Slot>,
        /// The byte at which the part begins.
        offset: u64,
    },
    /// A part of a snapshot.
    Chunk {
        /// The end of the snapshot: it has the effect of every slot below.
        below: Slot,
        /// The bytes of the whole snapshot.
        length: u64,
        /// The byte at which the part begins.
        offset: u64,
        /// The bytes of the part.
        part: Bytes,
    },
    /// The sender leads, and asks the receiver to campaign at once, without a pre-vote.
    HandOver {
        /// The ballot in which the sender leads. The receiver campaigns only if this is the ballot that it has
        /// promised.
        ballot: Ballot,
    },
    /// A part of a Promise message that is too long for one packet.
    PromisePart {
        /// The ballot promised.
        ballot: Ballot,
        /// The sender has trimmed the slots below this one.
        trimmed: Slot,
        /// The number of reports in the parts before.
        offset: u64,
        /// The next reports.
        reports: Vec<Report>,
        /// True if further reports follow. The receiver then asks for them.
        more: bool,
    },
    /// To an acceptor: asks for a part of its promise. An acceptor that does not have this promise any more treats the
    /// question as the Prepare message of the ballot.
    PromiseFrom {
        /// The ballot promised.
        ballot: Ballot,
        /// The first slot that the sender did not know to be chosen when it began the ballot.
        first: Slot,
        /// The slot below which the acceptor had trimmed its log when it sent the first part.
        trimmed: Slot,
        /// The number of reports that the sender has.
        offset: u64,
    },
}

/// Returns about as many bytes as a value takes in a packet.
pub(crate) fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Noop => 1,
        Value::Command(bytes) => bytes.len() + 8,
    }
}

impl Packet {
    /// The names of all kinds of packets.
    pub const KINDS: &'static [&'static str] = &[
        "prepare",
        "promise",
        "accept",
        "accepted",
        "nack",
        "chosen",
        "confirm",
        "confirmed",
        "heartbeat",
        "learn",
        "learned",
        "trimmed",
        "forward",
        "read-index",
        "read-at",
        "pre_vote",
        "pre_vote_granted",
        "following",
        "fetch",
        "chunk",
        "hand_over",
        "promise-part",
        "promise-from",
    ];

    /// Returns the kind of the packet, as an index of [`Packet::KINDS`].
    pub fn kind(&self) -> usize {
        match self {
            Self::Message(message) => match message {
                Message::Prepare { .. } => 0,
                Message::Promise { .. } => 1,
                Message::Accept { .. } => 2,
                Message::Accepted { .. } => 3,
                Message::Nack { .. } => 4,
                Message::Chosen { .. } => 5,
                Message::Confirm { .. } => 6,
                Message::Confirmed { .. } => 7,
                Message::Heartbeat { .. } => 8,
                Message::Learn { .. } => 9,
                Message::Learned { .. } => 10,
                Message::Trimmed { .. } => 11,
            },
            Self::Forward(_) => 12,
            Self::ReadIndex { .. } => 13,
            Self::ReadAt { .. } => 14,
            Self::PreVote => 15,
            Self::PreVoteGranted => 16,
            Self::Following => 17,
            Self::Fetch { .. } => 18,
            Self::Chunk { .. } => 19,
            Self::HandOver { .. } => 20,
            Self::PromisePart { .. } => 21,
            Self::PromiseFrom { .. } => 22,
        }
    }
}
