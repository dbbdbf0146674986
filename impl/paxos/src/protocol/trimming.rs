//! Trimming: a replica drops the votes and values that a durable snapshot replaces (Paxos Made Moderately Complex,
//! "Garbage Collection").
//!
//! The snapshot may be this node's own or a peer's. The replica does the same in both cases.

use super::{Replica, proposer::Role};
use crate::{
    opaque::{OpaqueBallot, OpaqueValue},
    output::Output,
    types::{NodeId, Slot},
};

impl<B: OpaqueBallot, V: OpaqueValue> Replica<B, V> {
    /// Drops the votes and values below `below`, because a durable snapshot has their effect. The snapshot may fill a
    /// gap in the known values. So known values after the gap may be released, and a candidate that waited for these
    /// slots may lead.
    ///
    /// Invariant: every trimmed slot is chosen and its effect is durable here ([trimming](super::safety#trimming)).
    pub(super) fn on_snapshot(&mut self, below: Slot, output: &mut Output<B, V>) {
        if below <= self.acceptor.trimmed {
            return; // The log is trimmed up to there already.
        }
        self.acceptor.trim(below, &mut output.records);
        self.learner.trim(below, &mut output.effects.chosen);
        self.advance();
        if let Role::Candidate(candidate) = &mut self.role {
            candidate.reported.trim(below);
        }
        self.lead_if_promised(output);
    }

    /// Asks the driver for the snapshot of peer `from`, if that peer has trimmed slots that this node does not know to
    /// be chosen.
    pub(super) fn on_trimmed(&self, from: NodeId, below: Slot, output: &mut Output<B, V>) {
        if below > self.learner.below {
            output.effects.fetch.push(from);
        }
    }
}
