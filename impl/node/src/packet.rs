//! Packets: the messages of the protocol, and the questions and answers of the nodes around it.
//!
//! Any packet may be lost, repeated or delayed. That does not matter for safety. If the sender still needs the effect,
//! it sends the packet again.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use paxos::{
    message::Message,
    types::{Ballot, Slot},
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
        }
    }
}
