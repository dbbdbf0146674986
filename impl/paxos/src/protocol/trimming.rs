//! Forgetting what is decided and has had its effect.
//!
//! A snapshot may be a node's own or a peer's: what it says is the same, and so is what follows.

use super::{Replica, proposer::Role};
use crate::{
    event::Output,
    types::{NodeId, Slot},
};

impl Replica {
    /// A durable snapshot holds what the slots below `below` led to: their votes and values go.
    pub(super) fn on_snapshot(&mut self, below: Slot, output: &mut Output) {
        if below <= self.acceptor.trimmed {
            return; // An older one.
        }
        self.acceptor.trim(below, &mut output.records);
        self.learner.trim(below, &mut output.chosen);
        self.advance();
        if let Role::Candidate(candidate) = &mut self.role {
            candidate.reported.trim(below);
        }
        self.lead_if_promised(output);
    }

    /// A peer no longer has the slots that this node would have to learn: its snapshot does.
    pub(super) fn on_trimmed(&self, from: NodeId, below: Slot, output: &mut Output) {
        if below > self.learner.below {
            output.fetch.push(from);
        }
    }
}
