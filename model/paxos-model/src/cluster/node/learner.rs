//! The learner: it stores the values that are known to be chosen, and trims the log behind a snapshot.
//!
//! # Trimming
//!
//! A node that has a durable snapshot of all slots below an end drops its votes below that end, and the values that it knew
//! to be chosen there. It stores the end. The node may have taken the snapshot, or may have got it from another node. The
//! protocol treats both alike, so there is one input for both.
//!
//! The model allows a snapshot as soon as each slot in it has a chosen value. In a cluster with reads, a node must also have
//! known these values. In an implementation, a node takes a snapshot only of values that it itself knows to be chosen. So the
//! model allows every snapshot of an implementation, and more.
//!
//! Safety does not need the dropped votes. It needs votes only in slots in which a node may still propose a value:
//! - A node does not vote in a trimmed slot, and its promises report nothing there. Each promise reports the end of the
//!   trimmed part. Each slot below the end has a chosen value.
//! - A candidate takes the highest end that its promises report. It leads only once it knows the chosen value of each slot
//!   below this end, or has trimmed the slot. So it proposes nothing there. In all other slots its promises report the same
//!   votes as without trimming.
//!
//! Without one of these rules, users can see a value that is replaced later. Mutant 18c hides the end of the trimmed part.
//! Mutant 25 takes a snapshot of a slot without a chosen value. Mutant 25b leads without the trimmed slots.
//!
//! If a Prepare message arrives twice, a node may answer with two promises. If the node has trimmed in between, the second
//! promise reports fewer slots. In the slots that both report, they report the same votes.
//!
//! A node that has voted in a ballot does not answer the Prepare message of that ballot. But once it has trimmed all its
//! votes of that ballot, it no longer sees that it voted, and answers. Such a promise is *late*: the owner of the ballot
//! leads already, or has left the ballot for good.

use super::{
    rules::Rules,
    state::{Live, Role},
    step::Step,
    universe::{SlotMap as _, Universe},
};

impl<U: Universe> Rules<U> {
    /// Learns that a value is chosen. A candidate that waited only for this value becomes the leader.
    pub(super) fn on_chosen(
        &self,
        me: U::NodeId,
        slot: U::Slot,
        value: U::Value,
        step: &mut Step<U>,
    ) {
        step.live.learn(slot, value);
        self.lead_if_promised(me, step);
    }

    /// Drops everything below the end of a snapshot. A candidate that waited only for these slots becomes the leader.
    pub(super) fn on_snapshot(&self, me: U::NodeId, below: U::Slot, step: &mut Step<U>) {
        let live = &mut step.live;
        if below <= live.acceptor.trimmed {
            return;
        }
        live.acceptor.trimmed = below;
        live.acceptor.votes.forget(below);
        live.chosen.forget(below);
        match &mut live.role {
            Role::Follower => {}
            Role::Candidate { reported, .. } => reported.forget(below),
            Role::Leader { votes, .. } => votes.forget(below),
        }
        self.lead_if_promised(me, step);
    }
}

impl<U: Universe> Live<U> {
    /// Stores a chosen value, unless the slot is trimmed or its value is known. A leader then counts no more votes there.
    pub(super) fn learn(&mut self, slot: U::Slot, value: U::Value) {
        if slot < self.acceptor.trimmed || self.chosen.at(slot).is_some() {
            return;
        }
        self.chosen.put(slot, Some(value));
        if let Role::Leader { votes, .. } = &mut self.role {
            votes.put(slot, U::NodeSet::default());
        }
    }
}
