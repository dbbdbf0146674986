//! Learning: a leader announces chosen values, and a node that missed some asks for them (Paxos Made Simple,
//! section 2.3).
//!
//! A chosen value never changes. So these messages may be late or repeated, and any node that knows a value may send
//! it.

use std::ops::Range;

use super::{Replica, node_set::NodeSet, proposer::Role};
use crate::{
    batch::Batch,
    event::Timer,
    message::Message,
    opaque::{OpaqueBallot, OpaqueValue},
    output::Output,
    types::{NodeId, Slot},
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
        self.learn_votes(first..first.plus(count), |voted| voted == ballot, output);
    }

    /// Learns the values of this node's votes in all slots below `below`, because a note of the driver says that they are
    /// chosen. See [recovery](super::safety#recovery).
    pub(super) fn on_votes_chosen(&mut self, below: Slot, output: &mut Output<B, V>) {
        self.learn_votes(Slot(0)..below, |_| true, output);
    }

    /// Learns that this node's votes in these slots are for chosen values, if `counts` agrees to their ballot. A candidate
    /// that waited for these values may then lead.
    fn learn_votes(
        &mut self,
        slots: Range<Slot>,
        counts: impl Fn(B) -> bool,
        output: &mut Output<B, V>,
    ) {
        let end = slots.end.min(self.acceptor.votes.end());
        for piece in self.acceptor.votes.pieces(slots.start.max(self.learner.below).0..end.0) {
            if let Some((voted, values)) = piece.values
                && counts(voted)
            {
                self.learner.learn(Slot(piece.slots.start), &values, &mut output.effects.chosen);
                Self::close(&mut self.role, piece.slots);
            }
        }
        self.advance();
        self.lead_if_promised(output);
    }

    /// Learns chosen values from another node, and asks that node for more if it has more. A candidate that waited for
    /// these values may then lead.
    pub(super) fn on_learned(
        &mut self,
        from: NodeId,
        first: Slot,
        values: &Batch<V>,
        more: bool,
        output: &mut Output<B, V>,
    ) {
        if first.plus(values.len() as u64) > self.slot_limit() {
            return; // The slots are too far ahead.
        }
        self.learner.learn(first, values, &mut output.effects.chosen);
        Self::close(&mut self.role, first.range(values.len()));
        self.advance();
        self.lead_if_promised(output);
        if more {
            output.effects.send(from, Message::Learn { from: self.learner.below });
        }
    }

    /// Sends the chosen values from slot `first` on, up to the first that this node does not know and at most one
    /// batch. If `first` is trimmed, sends a Trimmed message instead: the other node then needs a snapshot.
    pub(super) fn on_learn(&self, from: NodeId, first: Slot, output: &mut Output<B, V>) {
        let below = self.acceptor.trimmed;
        if first < below {
            return output.effects.send(from, Message::Trimmed { below });
        }
        let end = first.plus(self.config.batch_slots_max).min(self.learner.chosen.end());
        let mut known = self.learner.chosen.batches(first.0..end.0, u64::MAX);
        if let Some((start, values)) = known.next()
            && start == first
        {
            let more = self.learner.value(first.plus(values.len() as u64)).is_some();
            output.effects.send(from, Message::Learned { first, values, more });
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
            output.effects.send(from, Message::Nack { ballot, promised });
            return;
        }
        output.effects.timers.push(Timer::Campaign);
        if chosen_below > self.learner.below {
            output.effects.send(from, Message::Learn { from: self.learner.below });
        }
    }

    /// Sends a heartbeat with the end of the known chosen prefix, if this node leads.
    pub(super) fn on_heartbeat_due(&self, output: &mut Output<B, V>) {
        let (Role::Leader(_), Some(ballot)) = (&self.role, self.acceptor.promised) else { return };
        output.effects.broadcast(Message::Heartbeat { ballot, chosen_below: self.learner.below });
        output.effects.timers.push(Timer::Heartbeat);
    }

    /// Stops counting votes for these slots, if this node leads, because their values are known to be chosen.
    fn close(role: &mut Role<B, V>, slots: Range<u64>) {
        if let Role::Leader(leader) = role {
            leader.tally.set(slots, NodeSet::default());
        }
    }

    /// If this node leads, drops the votes in the slots below the first that is not known to be chosen.
    pub(super) fn advance(&mut self) {
        if let Role::Leader(leader) = &mut self.role {
            leader.tally.advance(self.learner.below);
        }
    }
}
