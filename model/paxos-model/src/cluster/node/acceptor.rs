//! The acceptor: it promises ballots, votes for values, and confirms that it has promised no higher ballot.

use super::{
    message::Message,
    rules::{Prepared, Proposed, Rules},
    state::{Role, Vote},
    step::Step,
    universe::{Limits as _, SlotMap as _, Universe},
};

impl<U: Universe> Rules<U> {
    /// Phase 1b: answers a Prepare message. A node that promises another node's ballot stops campaigning or leading.
    pub(super) fn on_prepare(
        &self,
        me: U::NodeId,
        ballot: U::Ballot,
        first: U::Slot,
        step: &mut Step<U>,
    ) {
        if self.limits.owner(ballot) == me {
            return;
        }
        let live = &mut step.live;
        let before = live.acceptor.promised;
        match self.prepare(&live.acceptor, ballot) {
            Prepared::Silence => return,
            Prepared::Refuse => return step.refuse(ballot),
            Prepared::Again => {}
            Prepared::Promise => {
                live.acceptor.promised = Some(ballot);
                live.acceptor.votes = self.promise_keeps(&live.acceptor.votes, ballot);
                live.role = Role::Follower;
            }
        }
        let reports = self.reports(&live.acceptor.votes, before, first);
        let trimmed = self.says_trimmed(live.acceptor.trimmed);
        step.messages.push(Message::Promise { ballot, from: me, trimmed, reports });
    }

    /// Phase 2b: answers an Accept message.
    pub(super) fn on_accept(
        &self,
        me: U::NodeId,
        ballot: U::Ballot,
        slot: U::Slot,
        value: U::Value,
        step: &mut Step<U>,
    ) {
        if self.limits.owner(ballot) == me {
            return;
        }
        let live = &mut step.live;
        match self.accept(&live.acceptor, ballot, slot) {
            Proposed::Silence => return,
            Proposed::Refuse => return step.refuse(ballot),
            Proposed::Claim => {}
            Proposed::Vote { promised } => {
                if promised > live.acceptor.promised {
                    live.role = Role::Follower;
                }
                live.acceptor.promised = promised;
                live.acceptor.votes.put(slot, Some(Vote { ballot, value: value.clone() }));
            }
        }
        step.messages.push(Message::Accepted { ballot, slot, value, from: me });
    }

    /// Answers a Confirm message: confirms that the node has promised no higher ballot, or else refuses. Changes no state.
    pub(super) fn on_confirm(
        &self,
        me: U::NodeId,
        ballot: U::Ballot,
        round: U::ReadRound,
        step: &mut Step<U>,
    ) {
        if self.limits.owner(ballot) == me {
            return;
        }
        if step.live.acceptor.promised > Some(ballot) {
            return step.refuse(ballot);
        }
        step.messages.push(Message::Confirmed { ballot, round, from: me });
    }
}
