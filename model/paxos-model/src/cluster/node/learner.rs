//! The learner: it knows which values are chosen, and trims the log behind a snapshot.
//!
//! # Trimming
//!
//! A node that has a durable snapshot of everything below a slot drops its votes below that slot, and the values that
//! it knew to be chosen there. It stores where the trimmed part of its log ends. The snapshot may be its own or that
//! of another node: the protocol treats both alike, so there is one input for both. The model lets a snapshot reach a
//! node as soon as everything in it is chosen. In an implementation a node has to know that, so the model allows more.
//!
//! Safety does not need the dropped votes, because it asks for votes only where something may still be proposed:
//! - A node no longer votes in a trimmed slot, and its promises report nothing there. They say where the trimmed part
//!   ends, and everything below that is chosen.
//! - A candidate that hears such promises leads only once it knows what is chosen below the highest of these ends. So
//!   it proposes nothing there. In all other slots the promises are as complete as ever.
//!
//! Two values can be chosen without these rules. Mutant 18c hides the end of the trimmed part, 25 takes a snapshot of a slot
//! that is not chosen, and 25b leads without the trimmed slots.
//!
//! A Prepare message that arrives twice may be answered twice. If the node has trimmed in between, the second promise
//! reports less; both agree on what they report. A node that has trimmed all slots in which it voted in a ballot
//! answers the Prepare message of that ballot, because it no longer sees that it voted. Such a promise is *late*: the
//! owner of the ballot leads already, or has left the ballot for good.

use super::{
    rules::Rules,
    state::{Live, Role},
    step::Step,
    universe::{SlotMap as _, Universe},
};

impl<U: Universe> Rules<U> {
    /// Learns that a value is chosen. A candidate may have waited for that.
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

    /// Trims the log to the end of a snapshot. A candidate may have waited for that.
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
    /// Learns that a value is chosen. A trimmed slot is known already, though no longer by its value.
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
