//! Sending messages again that may have been lost. Only progress depends on it (Paxos Made Simple, section 2.4).

use super::{Replica, log::joined, proposer::Role};
use crate::{
    event::Timer,
    message::Message,
    opaque::{OpaqueBallot, OpaqueValue},
    output::Output,
};

impl<B: OpaqueBallot, V: OpaqueValue> Replica<B, V> {
    /// Sends messages again to each peer that has not answered them. A candidate sends its Prepare message. A leader
    /// sends the Accept messages of the slots in flight, and the Confirm message of its round of reads.
    ///
    /// Invariant: a proposal that is sent again has the value of the leader's own vote, so it is the same proposal.
    /// See [one value per ballot](super::safety#one-value-per-ballot).
    pub(super) fn on_resend_due(&self, output: &mut Output<B, V>) {
        let Some(ballot) = self.acceptor.promised else { return };
        let peers = self.config.nodes.iter().copied().enumerate();
        let peers = peers.filter(|&(_, node)| node != self.config.id);
        match &self.role {
            Role::Follower => return,
            Role::Candidate(candidate) => {
                for (_, node) in peers.filter(|&(index, _)| !candidate.heard.contains(index)) {
                    output.effects.send(node, Message::Prepare { ballot, first: candidate.first });
                }
            }
            Role::Leader(leader) => {
                let reader = &leader.reader;
                for (index, node) in peers {
                    if reader.awaits(index) {
                        output.effects.send(node, Message::Confirm { ballot, round: reader.round });
                    }
                    let open = leader.tally.runs().filter(|(_, votes)| !votes.contains(index));
                    let most = self.config.batch_slots_max;
                    for slots in joined(open.map(|(slots, _)| slots)) {
                        for (first, values) in self.acceptor.votes.batches(slots, most) {
                            output.effects.send(node, Message::Accept { ballot, first, values });
                        }
                    }
                }
            }
        }
        output.effects.timers.push(Timer::Resend);
    }
}
