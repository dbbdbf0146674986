//! The proposer: it campaigns, leads, proposes values, and counts votes.
//!
//! The ballot of a candidate or leader is always the ballot that the node itself has promised.

use super::{
    message::Message,
    rules::{Rules, Votes},
    state::{Acceptor, Live, Reads, Role, Vote},
    step::Step,
    universe::{Limits as _, Set as _, SlotMap as _, Successor as _, Universe, end, slots},
};

impl<U: Universe> Rules<U> {
    /// Phase 1a: begins the lowest ballot of the node above its promise, and asks for the votes from the first slot on that the
    /// node does not know to be chosen. A leader begins no ballot.
    pub(super) fn on_campaign(&self, me: U::NodeId, step: &mut Step<U>) {
        let live = &mut step.live;
        if matches!(live.role, Role::Leader { .. }) {
            return;
        }
        let Some(ballot) = self.limits.next_ballot(me, live.acceptor.promised) else { return };
        let first = self.asks_from(live);
        let before = live.acceptor.promised.replace(ballot);
        live.acceptor.votes = self.promise_keeps(&live.acceptor.votes, ballot);
        let reports = self.reports(&live.acceptor.votes, before, first);
        let trimmed = self.says_trimmed(live.acceptor.trimmed);
        let heard = U::NodeSet::of(me);
        live.role = Role::Candidate { first, heard, reported: reports.clone(), trimmed };
        step.messages.push(Message::Prepare { ballot, first });
        step.messages.push(Message::Promise { ballot, from: me, trimmed, reports });
        self.lead_if_promised(me, step);
    }

    /// Counts a promise.
    pub(super) fn on_promise(
        &self,
        me: U::NodeId,
        (ballot, from): (U::Ballot, U::NodeId),
        trimmed: U::Slot,
        reports: &Votes<U>,
        step: &mut Step<U>,
    ) {
        let live = &mut step.live;
        if self.limits.owner(ballot) == me
            && self.counts_promise(ballot, live.acceptor.promised)
            && let Role::Candidate { first, heard, reported, trimmed: most } = &mut live.role
            && let Some(more) = self.hear_promise(heard, from)
        {
            *heard = more;
            *reported = self.merge(reported, reports);
            reported.forget(live.acceptor.trimmed.max(*first));
            *most = trimmed.max(*most);
            self.lead_if_promised(me, step);
        }
    }

    /// Makes a candidate the leader if a quorum has promised, and if the candidate knows the slots that the promises leave
    /// out as trimmed.
    ///
    /// The new leader proposes in all slots up to the last one with a report or a known value, except in slots that it has
    /// trimmed or whose chosen value it knows. It proposes the reported value of the highest ballot, or a no-op in a slot
    /// without a report.
    pub(super) fn lead_if_promised(&self, me: U::NodeId, step: &mut Step<U>) {
        let Role::Candidate { heard, reported, trimmed, .. } = &step.live.role else { return };
        if !self.leads(heard) || !self.caught_up(step.live.known_below(), *trimmed) {
            return;
        }
        let prepared = step.live.acceptor.promised.expect("a candidate has promised its ballot");
        let believed = self.believe(reported, &step.live.acceptor);
        let known = step.live.chosen.clone();
        let end = end(&believed).max(end(&known)).unwrap_or_default();
        let first = step.live.acceptor.trimmed;
        let barrier = if self.limits.has_reads() { first.max(end) } else { U::Slot::default() };
        let reads = Reads { barrier, ..Reads::default() };
        step.live.role = Role::Leader { votes: U::Log::default(), reads };
        for slot in slots(first, end).filter(|&slot| known.at(slot).is_none()) {
            let value = believed.at(slot).map_or_else(|| self.limits.noop(), |vote| vote.value);
            self.propose(me, prepared, slot, value, step);
        }
    }

    /// Phase 2a: proposes the values of a client's request in the next free slots. Proposes none of them if the log has no
    /// room for all.
    pub(super) fn on_propose(&self, me: U::NodeId, request: U::Request, step: &mut Step<U>) {
        if !matches!(step.live.role, Role::Leader { .. }) {
            return;
        }
        let mut slot = self.free_slot(&step.live);
        let mut asked = slot;
        for _ in request.clone() {
            if !self.limits.has_slot(asked) {
                return;
            }
            asked = asked.next();
        }
        let prepared = step.live.acceptor.promised.expect("a leader has promised its ballot");
        for value in request {
            self.propose(me, prepared, slot, value, step);
            slot = slot.next();
        }
    }

    /// Phase 2a: the leader votes for its own proposal, and asks the other nodes to vote for it.
    fn propose(
        &self,
        me: U::NodeId,
        prepared: U::Ballot,
        slot: U::Slot,
        value: U::Value,
        step: &mut Step<U>,
    ) {
        let Some(ballot) = self.proposal_ballot(me, prepared) else { return };
        let acceptor = &mut step.live.acceptor;
        acceptor.promised = acceptor.promised.max(Some(ballot));
        acceptor.votes.put(slot, Some(Vote { ballot, value: value.clone() }));
        step.messages.push(Message::Accept { ballot, slot, value: value.clone() });
        step.messages.push(Message::Accepted { ballot, slot, value, from: me });
        let Role::Leader { votes, .. } = &mut step.live.role else { unreachable!("only leaders") };
        votes.put(slot, U::NodeSet::of(me));
        self.choose_if_voted(slot, step);
    }

    /// Counts a vote.
    pub(super) fn on_accepted(
        &self,
        me: U::NodeId,
        slot: U::Slot,
        vote: &Vote<U>,
        from: U::NodeId,
        step: &mut Step<U>,
    ) {
        let Acceptor { promised, votes, .. } = &step.live.acceptor;
        let own = votes.at(slot);
        if self.limits.owner(vote.ballot) == me && self.counts_vote(vote, *promised, own.as_ref()) {
            self.count_vote(slot, from, step);
        }
    }

    fn count_vote(&self, slot: U::Slot, from: U::NodeId, step: &mut Step<U>) {
        let Role::Leader { votes, .. } = &mut step.live.role else { return };
        let voters = votes.at(slot);
        if voters == U::NodeSet::default() {
            return;
        }
        if let Some(more) = self.hear_vote(&voters, from) {
            votes.put(slot, more);
            self.choose_if_voted(slot, step);
        }
    }

    /// Learns and announces the value of a slot, once a quorum has voted for it in the leader's ballot.
    fn choose_if_voted(&self, slot: U::Slot, step: &mut Step<U>) {
        let Role::Leader { votes, .. } = &step.live.role else { return };
        if !self.chooses(&votes.at(slot)) {
            return;
        }
        let own = step.live.acceptor.votes.at(slot);
        let value = own.expect("a leader voted for what it proposed").value;
        step.live.learn(slot, value);
        step.announced.push(slot);
    }
}

/// Makes a candidate or leader whose ballot is refused a follower. The node promises the higher ballot, so that its own
/// next ballot is above that.
pub(super) fn on_nack<U: Universe>(ballot: U::Ballot, promised: U::Ballot, live: &mut Live<U>) {
    let active = !matches!(live.role, Role::Follower);
    if active && live.acceptor.promised == Some(ballot) && promised > ballot {
        live.acceptor.promised = Some(promised);
        live.role = Role::Follower;
    }
}
