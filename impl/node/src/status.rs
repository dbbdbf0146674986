//! The status of a node, for operators and for metrics.

use std::time::Duration;

use itertools::Itertools as _;

use super::packet::Packet;
use paxos::types::{Ballot, NodeId, Slot};

/// The part that a node plays in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The node waits until all other nodes have met it for the first time.
    Forming,
    /// The node follows a leader, or waits for one.
    Follower,
    /// The node has begun a ballot, and collects promises.
    Candidate,
    /// A quorum has promised the ballot of the node. The node proposes.
    Leader,
}

impl Role {
    /// Returns the name of the role, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forming => "forming",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        }
    }
}

/// Returns the sentence that the cluster is forming, with the nodes that are missing.
pub(super) fn forming(missing: &[NodeId]) -> String {
    let nodes = match missing {
        [node] => format!("node {node}"),
        [nodes @ .., last] => format!("nodes {} and {last}", nodes.iter().join(", ")),
        [] => "other nodes".to_owned(),
    };
    format!("the cluster is forming: waiting for {nodes}")
}

/// The status of a node at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// The node.
    pub node: NodeId,
    /// Its role.
    pub role: Role,
    /// The highest ballot that the node has promised.
    pub promised: Option<Ballot>,
    /// The leader, as far as the node knows.
    pub leader: Option<NodeId>,
    /// The peers that have not met the node yet, while the cluster is formed.
    pub missing: Vec<NodeId>,
    /// The node knows every slot below to be chosen.
    pub chosen_below: Slot,
    /// Every slot below is chosen, as far as leaders have reported.
    pub chosen_elsewhere_below: Slot,
    /// Every slot below is applied. While the snapshot of a peer is restored, the node applies nothing.
    pub applied_below: Slot,
    /// Every slot below is trimmed from the log.
    pub trimmed_below: Slot,
    /// The slot after the last one in which the node has voted.
    pub log_end: Slot,
    /// The last snapshot has the effect of every slot below.
    pub snapshot_below: Option<Slot>,
    /// True while the next snapshot is written, arrives from a peer, or is restored.
    pub snapshot_under_way: bool,
    /// The bytes of its store.
    pub disk_bytes: u64,
    /// The bytes of the machine's state; 0 if the machine does not count them
    /// ([`StateMachine::state_bytes`](crate::StateMachine::state_bytes)).
    pub state_bytes: u64,
    /// The slot at which the state machine has panicked. The node still votes, but from this slot on it applies and
    /// answers nothing, until it gets a peer's snapshot, or is started with a machine that can apply the slot.
    pub halted: Option<Slot>,
    /// The number of open sessions, over the whole cluster.
    pub sessions: usize,
    /// The number of pending commands of the node's own clients, and of sessions that are to be opened.
    pub waiting_proposals: usize,
    /// The number of pending reads of the node's own clients.
    pub waiting_reads: usize,
    /// The time for which each peer has been silent. A peer from which nothing has arrived yet is missing.
    pub silences: Vec<(NodeId, Duration)>,
    /// The numbers of events since the node has started.
    pub counts: Counts,
}

/// The numbers of events since the start of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commands proposed as a leader.
    pub proposals: u64,
    /// Batches of these commands.
    pub batches: u64,
    /// Writes and syncs of records.
    pub syncs: u64,
    /// Slots applied.
    pub applied: u64,
    /// Campaigns begun.
    pub campaigns: u64,
    /// Snapshots taken.
    pub snapshots: u64,
    /// Snapshots of peers installed.
    pub installed: u64,
    /// Packets of peers that were refused, because of a ballot or another number that no correct cluster reaches.
    pub implausible: u64,
    /// Packets sent, by [`Packet::kind`]. A packet to all peers counts once.
    pub sent: [u64; Packet::KINDS.len()],
    /// Packets received and not refused, by [`Packet::kind`].
    pub received: [u64; Packet::KINDS.len()],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_forming_names_the_missing_nodes() {
        for (missing, nodes) in
            [(&[2][..], "node 2"), (&[2, 3], "nodes 2 and 3"), (&[2, 3, 5], "nodes 2, 3 and 5")]
        {
            let missing: Vec<_> = missing.iter().copied().map(NodeId).collect();
            assert_eq!(forming(&missing), format!("the cluster is forming: waiting for {nodes}"));
        }
    }
}
