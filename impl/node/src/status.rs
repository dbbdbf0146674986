//! What a node says of itself, for people and for metrics.

use std::time::Duration;

use super::packet::Packet;
use paxos::types::{Ballot, NodeId, Slot};

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Waiting until all other nodes have met it for the first time.
    Forming,
    /// Following a leader, or waiting for one.
    Follower,
    /// Asking for promises.
    Candidate,
    /// Leading.
    Leader,
}

impl Role {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forming => "forming",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        }
    }
}

/// A node at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// Which.
    pub node: NodeId,
    /// What it is doing.
    pub role: Role,
    /// The highest ballot it has promised.
    pub promised: Option<Ballot>,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// Whom it has still to meet, while it is forming.
    pub missing: Vec<NodeId>,
    /// Every slot below is known to be chosen.
    pub chosen_below: Slot,
    /// The same as far as leaders have told it.
    pub chosen_elsewhere_below: Slot,
    /// Every slot below is applied.
    pub applied_below: Slot,
    /// Every slot below is forgotten, but for its effect.
    pub trimmed_below: Slot,
    /// The slot after the last one in which it has voted.
    pub log_end: Slot,
    /// Which slots its last snapshot holds: all below.
    pub snapshot_below: Option<Slot>,
    /// What its store takes, in bytes.
    pub disk_bytes: u64,
    /// The bytes of the machine's state, if it counts them ([`StateMachine::state_bytes`](crate::StateMachine::state_bytes)).
    pub state_bytes: u64,
    /// The slot at which the machine has panicked, if it has. The node then votes on, and applies and answers nothing
    /// from this slot on, until it is started with a machine that can apply it.
    pub halted: Option<Slot>,
    /// How many sessions are open, over the whole cluster.
    pub sessions: usize,
    /// Commands of its own clients that wait.
    pub waiting_proposals: usize,
    /// Reads of its own clients that wait.
    pub waiting_reads: usize,
    /// How long ago each peer was heard of.
    pub silences: Vec<(NodeId, Duration)>,
    /// What it has done since it was started.
    pub counts: Counts,
}

/// What a node has done since it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commands proposed as a leader.
    pub proposals: u64,
    /// In how many batches.
    pub batches: u64,
    /// Writes to the store that were waited for.
    pub syncs: u64,
    /// Slots applied.
    pub applied: u64,
    /// Campaigns begun.
    pub campaigns: u64,
    /// Snapshots taken.
    pub snapshots: u64,
    /// Snapshots of peers installed.
    pub installed: u64,
    /// Packets of peers refused because of a ballot or another number that no correct cluster reaches.
    pub implausible: u64,
    /// Packets sent, by [`Packet::kind`]; one to all peers counts once.
    pub sent: [u64; Packet::KINDS.len()],
    /// Packets received, by [`Packet::kind`].
    pub received: [u64; Packet::KINDS.len()],
}
