//! Learning what is chosen, and keeping each other informed. Nothing here votes or promises.

use super::{Replica, proposer::Role};
use crate::{
    event::{Output, Timer},
    message::Message,
    types::{Ballot, Batch, NodeId, Slot},
};

impl Replica {
    pub(super) fn on_chosen(
        &mut self,
        ballot: Ballot,
        first: Slot,
        count: u64,
        output: &mut Output,
    ) {
        let end = first.plus(count).min(self.acceptor.votes.end());
        for slot in (first.max(self.learner.below).0..end.0).map(Slot) {
            // In one ballot only one value is proposed: whoever voted in it knows the value.
            if let Some(vote) = self.acceptor.votes.get(slot)
                && vote.ballot == ballot
            {
                self.learner.learn(slot, &vote.value, &mut output.chosen);
                Self::close(&mut self.role, slot);
            }
        }
        self.advance();
        self.lead_if_promised(output);
    }

    pub(super) fn on_learned(
        &mut self,
        from: NodeId,
        first: Slot,
        values: &Batch,
        output: &mut Output,
    ) {
        if first.plus(values.len() as u64) > self.slot_limit() {
            return; // Beyond what can be held.
        }
        for (slot, value) in (first.0..).map(Slot).zip(values.iter()) {
            self.learner.learn(slot, value, &mut output.chosen);
            Self::close(&mut self.role, slot);
        }
        self.advance();
        self.lead_if_promised(output);
        if values.len() as u64 >= self.config.batch_slots_max {
            // A full batch: there is more to be had.
            output.send(from, Message::Learn { from: self.learner.below });
        }
    }

    pub(super) fn on_learn(&self, from: NodeId, first: Slot, output: &mut Output) {
        let below = self.acceptor.trimmed;
        if first < below {
            return output.send(from, Message::Trimmed { below });
        }
        let known = (first.0..self.learner.chosen.end().0).map(Slot);
        let known = known.map_while(|slot| self.learner.chosen.get(slot).cloned());
        let values: Batch = known.take(self.config.batch_slots_max as usize).collect();
        if !values.is_empty() {
            output.send(from, Message::Learned { first, values });
        }
    }

    pub(super) fn on_heartbeat(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        chosen_below: Slot,
        output: &mut Output,
    ) {
        if ballot.node != from {
            return; // Only its owner leads in a ballot.
        }
        if let Some(promised) = self.acceptor.promised
            && ballot < promised
        {
            output.send(from, Message::Nack { ballot, promised });
            return;
        }
        output.timers.push(Timer::Campaign);
        if chosen_below > self.learner.below {
            output.send(from, Message::Learn { from: self.learner.below });
        }
    }

    pub(super) fn on_heartbeat_due(&self, output: &mut Output) {
        let (Role::Leader(_), Some(ballot)) = (&self.role, self.acceptor.promised) else { return };
        output.broadcast(Message::Heartbeat { ballot, chosen_below: self.learner.below });
        output.timers.push(Timer::Heartbeat);
    }

    fn close(role: &mut Role, slot: Slot) {
        if let Role::Leader(leader) = role {
            leader.close(slot);
        }
    }

    pub(super) fn advance(&mut self) {
        if let Role::Leader(leader) = &mut self.role {
            leader.advance(self.learner.below);
        }
    }
}
