//! What nodes send each other: the protocol's messages, and what their drivers have to say beside.
//!
//! Only [`Packet::Message`] has to do with safety. The rest is about who asks whom, and when: any of
//! it may be lost, and is then sent again or given up by whoever waits for it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use paxos::{message::Message, types::Slot};

/// One packet from one node to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Packet {
    /// A message of the protocol.
    Message(Message),
    /// To the leader: clients of the sender ask for these commands. Not answered: the sender sees them
    /// applied, or asks again.
    Forward(Vec<Bytes>),
    /// To the leader: from which slot on may clients of the sender read?
    ReadIndex {
        /// Comes back in the answer.
        id: u64,
    },
    /// The answer of a leader that a quorum has confirmed.
    ReadAt {
        /// As it was asked.
        id: u64,
        /// To be answered by a state to which every slot below this one was applied.
        at: Slot,
    },
    /// The sender has not heard of a leader for some time: has the receiver?
    PreVote,
    /// It has not, either.
    PreVoteGranted,
    /// The answer to a heartbeat: the sender follows.
    Following,
    /// Asks for a part of the receiver's snapshot.
    Fetch {
        /// The snapshot of which the sender has a part already, if it has one.
        below: Option<Slot>,
        /// The byte at which the part begins.
        offset: u64,
    },
    /// A part of a snapshot.
    Chunk {
        /// Which snapshot: that of all slots below.
        below: Slot,
        /// How many bytes it has.
        length: u64,
        /// The byte at which the part begins.
        offset: u64,
        /// The part.
        part: Bytes,
    },
}

impl Packet {
    /// All names of packets, for counting them.
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
    ];

    /// What kind it is, as an index of [`Packet::KINDS`].
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
        }
    }
}
