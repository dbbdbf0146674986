//! The event log: the changes that a node reports to its operator.

use std::any::Any;

use itertools::Itertools as _;

use super::status::Role;
use paxos::types::{Ballot, NodeId, Slot};

/// The state that was logged last.
#[derive(Debug)]
pub(super) struct EventLog {
    node: NodeId,
    role: Option<Role>,
    leader: Option<NodeId>,
    peers_snapshot: PeersSnapshot,
}

/// The snapshot of a peer that a node fetches or restores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PeersSnapshot {
    /// There is none, or its first part has not come yet.
    #[default]
    None,
    /// Parts arrive of a snapshot that has the effect of every slot below `below`, and has this many bytes.
    Arrives { from: NodeId, below: Slot, bytes: u64 },
    /// The whole snapshot is restored.
    IsRestored,
}

impl EventLog {
    pub(super) fn new(node: NodeId) -> Self {
        Self { node, role: None, leader: None, peers_snapshot: PeersSnapshot::None }
    }

    /// Logs a change of the role or of the leader. `missing` are the peers that have not met this node yet, `ballot` is
    /// the promised ballot, and `leader` is the node to send requests to.
    pub(super) fn log_changes(
        &mut self,
        role: Role,
        missing: &[NodeId],
        ballot: Option<Ballot>,
        leader: Option<NodeId>,
    ) {
        let node = self.node.0;
        // The ballot is formatted only if it is logged, because most turns change nothing.
        let ballot = ballot.as_ref().map(tracing::field::display);
        let before = self.role.replace(role);
        if before != Some(role) {
            match (role, before) {
                (Role::Forming, _) => {
                    let missing = missing.iter().join(",");
                    tracing::info!(node, missing, "waits until it has met the others");
                }
                (Role::Follower, Some(Role::Forming)) => {
                    tracing::info!(node, "has met all the others");
                }
                (Role::Follower, Some(Role::Leader)) => {
                    tracing::info!(node, ballot, "leads no more");
                }
                (Role::Follower, _) => {}
                (Role::Candidate, _) => tracing::info!(node, ballot, "asks for promises"),
                (Role::Leader, _) => tracing::info!(node, ballot, "leads"),
            }
        }
        match (std::mem::replace(&mut self.leader, leader), leader) {
            (before, Some(leader)) if before != Some(leader) && leader != self.node => {
                tracing::info!(node, leader = leader.0, "follows");
            }
            (Some(before), None) if before == self.node && role == Role::Leader => {
                tracing::warn!(node, "leads, but does not hear of enough others");
            }
            (Some(before), None) => tracing::info!(node, leader = before.0, "hears of no leader"),
            _ => {}
        }
    }

    /// Logs that a node begins to fetch or to restore the snapshot of a peer.
    pub(super) fn log_peers_snapshot(&mut self, now: PeersSnapshot) {
        let node = self.node.0;
        match (std::mem::replace(&mut self.peers_snapshot, now), now) {
            (before, now) if before == now => {}
            (_, PeersSnapshot::Arrives { from, below, bytes }) => {
                tracing::info!(node, from = from.0, below = below.0, bytes, "fetches a snapshot");
            }
            (_, PeersSnapshot::IsRestored) => tracing::info!(node, "restores the snapshot"),
            (_, PeersSnapshot::None) => {}
        }
    }

    /// Logs that the state machine has panicked while it applied a slot.
    pub(super) fn log_panic(&self, slot: Slot, panic: &(dyn Any + Send)) {
        let words = panic.downcast_ref::<&str>().copied();
        let reason = words.or(panic.downcast_ref::<String>().map(String::as_str));
        tracing::error!(
            node = self.node.0,
            slot = slot.0,
            reason = reason.unwrap_or("unknown"),
            "the state machine has panicked: this node votes on, and applies and answers nothing from this slot on. \
             Start it with a version whose state machine can apply the slot"
        );
    }

    /// Logs that a snapshot was taken, or that a peer's snapshot was installed.
    pub(super) fn log_snapshot(&self, below: Slot, bytes: u64, installed: bool) {
        tracing::info!(node = self.node.0, below = below.0, bytes, installed, "has a new snapshot");
    }
}
