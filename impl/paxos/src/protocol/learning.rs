//! Learning: a leader announces chosen values, and a node that missed some asks for them (Paxos Made Simple,
//! section 2.3).
//!
//! A chosen value never changes. So these messages may be late or repeated, and any node that knows a value may send
//! it.

use super::{Replica, proposer::Role};
use crate::{
    event::{Output, Timer},
    message::Message,
    opaque::{OpaqueBallot, OpaqueValue},
    types::{Batch, NodeId, Slot},
};

impl<B: OpaqueBallot, V: OpaqueValue> Replica<B, V> {
    /// Learns the values of those slots in which this node's vote is in `ballot`. The node asks for the values of the
    /// other slots after the next heartbeat.
    ///
    /// Invariant: the node's own vote has the chosen value, because one ballot proposes only one value in a slot.
    /// See [one value per ballot](super::safety#one-value-per-ballot). A vote in another ballot may be for another
    /// value.
    pub(super) fn on_chosen(
        &mut self,
        ballot: B,
        first: Slot,
        count: u64,
        output: &mut Output<B, V>,
    ) {
        let end = first.plus(count).min(self.acceptor.votes.end());
        for slot in (first.max(self.learner.below).0..end.0).map(Slot) {
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

    /// Learns chosen values from another node, and asks that node for more if the batch is full. A candidate that
    /// waited for these values may then lead.
    pub(super) fn on_learned(
        &mut self,
        from: NodeId,
        first: Slot,
        values: &Batch<V>,
        output: &mut Output<B, V>,
    ) {
        if first.plus(values.len() as u64) > self.slot_limit() {
            return; // The slots are too far ahead.
        }
        for (slot, value) in (first.0..).map(Slot).zip(values.iter()) {
            self.learner.learn(slot, value, &mut output.chosen);
            Self::close(&mut self.role, slot);
        }
        self.advance();
        self.lead_if_promised(output);
        if values.len() as u64 >= self.config.batch_slots_max {
            output.send(from, Message::Learn { from: self.learner.below });
        }
    }

    /// Sends the chosen values from slot `first` on, up to the first that this node does not know and at most one
    /// batch. If `first` is trimmed, sends a Trimmed message instead: the other node then needs a snapshot.
    pub(super) fn on_learn(&self, from: NodeId, first: Slot, output: &mut Output<B, V>) {
        let below = self.acceptor.trimmed;
        if first < below {
            return output.send(from, Message::Trimmed { below });
        }
        let known = (first.0..self.learner.chosen.end().0).map(Slot);
        let known = known.map_while(|slot| self.learner.chosen.get(slot).cloned());
        let values: Batch<V> = known.take(self.config.batch_slots_max as usize).collect();
        if !values.is_empty() {
            output.send(from, Message::Learned { first, values });
        }
    }

    /// Arms the campaign timer again, because a leader is alive. Asks the leader for chosen values that this node
    /// lacks. Refuses a ballot below the promise, so that the sender stops leading.
    pub(super) fn on_heartbeat(
        &mut self,
        from: NodeId,
        ballot: B,
        chosen_below: Slot,
        output: &mut Output<B, V>,
    ) {
        if ballot.owner() != from {
            return; // Only the owner of a ballot leads in it.
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

    /// Sends a heartbeat with the end of the known chosen prefix, if this node leads.
    pub(super) fn on_heartbeat_due(&self, output: &mut Output<B, V>) {
        let (Role::Leader(_), Some(ballot)) = (&self.role, self.acceptor.promised) else { return };
        output.broadcast(Message::Heartbeat { ballot, chosen_below: self.learner.below });
        output.timers.push(Timer::Heartbeat);
    }

    /// Stops counting votes for a slot, if this node leads.
    fn close(role: &mut Role<B, V>, slot: Slot) {
        if let Role::Leader(leader) = role {
            leader.close(slot);
        }
    }

    /// If this node leads, drops the votes in the slots below the first that is not known to be chosen.
    pub(super) fn advance(&mut self) {
        if let Role::Leader(leader) = &mut self.role {
            leader.advance(self.learner.below);
        }
    }
}
