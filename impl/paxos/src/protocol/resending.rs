//! Sending again what may have been lost.

use super::{Replica, log::runs, proposer::Role};
use crate::{
    event::{Output, Timer},
    message::Message,
};

impl Replica {
    /// Sends again what may have been lost: a candidate its Prepare, a leader its open proposals and
    /// the round that confirms its reads, to those who have not answered.
    pub(super) fn on_resend_due(&self, output: &mut Output) {
        let Some(ballot) = self.acceptor.promised else { return };
        let peers = self.config.nodes.iter().copied().enumerate();
        let peers = peers.filter(|&(_, node)| node != self.config.id);
        match &self.role {
            Role::Follower => return,
            Role::Candidate(candidate) => {
                for (_, node) in peers.filter(|&(index, _)| !candidate.heard.contains(index)) {
                    output.send(node, Message::Prepare { ballot });
                }
            }
            Role::Leader(leader) => {
                let reader = &leader.reader;
                for (index, node) in peers {
                    if reader.awaits(index) {
                        output.send(node, Message::Confirm { ballot, round: reader.round });
                    }
                    let open = leader.open_slots().filter(|(_, votes)| !votes.contains(index));
                    let open = open.filter_map(|(slot, _)| {
                        Some((slot, self.acceptor.votes.get(slot)?.value.clone()))
                    });
                    for (first, values) in runs(open, self.config.batch_slots_max) {
                        output.send(node, Message::Accept { ballot, first, values });
                    }
                }
            }
        }
        output.timers.push(Timer::Resend);
    }
}
