//! What one node does with one input. All roles are in every node.
//!
//! A node campaigns or leads in the ballot that it has itself promised, or not at all.

use smallvec::SmallVec;

use super::{
    rules::{Prepared, Proposed, Rules},
    state::{
        Acceptor, Ballot, Live, Log, Message, NodeId, NodeSet, Reads, Role, SLOTS_MAX, Slot, Value,
        Vote,
    },
    step::{Input, Step},
    types::forget,
};

impl Rules {
    /// The step of node `me` on an input.
    pub fn step(&self, me: NodeId, live: &Live, input: Input) -> Step {
        let mut step = Step {
            live: *live,
            messages: SmallVec::new(),
            nack: None,
            announced: SmallVec::new(),
            answer: None,
        };
        match input {
            Input::Campaign => self.on_campaign(me, &mut step),
            Input::Propose { count } => self.on_propose(me, count, &mut step),
            Input::Message(Message::Prepare { ballot }) => self.on_prepare(me, ballot, &mut step),
            Input::Message(Message::Promise { ballot, from, trimmed, reports }) => {
                self.on_promise(me, (ballot, from), trimmed, reports, &mut step);
            }
            Input::Message(Message::Accept { ballot, slot, value }) => {
                self.on_accept(me, ballot, slot, value, &mut step);
            }
            Input::Message(Message::Accepted { ballot, slot, value, from }) => {
                self.on_accepted(me, (ballot, slot, value), from, &mut step);
            }
            Input::Message(Message::Confirm { ballot, round }) => {
                self.on_confirm(me, ballot, round, &mut step);
            }
            Input::Message(Message::Confirmed { ballot, round, from }) => {
                self.on_confirmed(me, (ballot, round), from, &mut step);
            }
            Input::Read => self.on_read(me, &mut step),
            Input::Nack { ballot, promised } => on_nack(ballot, promised, &mut step.live),
            Input::Chosen { slot, value } => self.on_chosen(me, slot, value, &mut step),
            Input::Snapshot { below } => self.on_snapshot(me, below, &mut step),
        }
        step
    }

    /// Begins the next ballot of its own above everything it has promised.
    fn on_campaign(&self, me: NodeId, step: &mut Step) {
        let live = &mut step.live;
        if matches!(live.role, Role::Leader { .. }) {
            return;
        }
        let Some(ballot) = self.bounds.next_ballot(me, live.acceptor.promised) else { return };
        let before = live.acceptor.promised.replace(ballot);
        live.acceptor.votes = self.promise_keeps(live.acceptor.votes, ballot);
        let reports = self.reports(live.acceptor.votes, before);
        let trimmed = self.says_trimmed(live.acceptor.trimmed);
        live.role = Role::Candidate { heard: NodeSet::of(me), reported: reports, trimmed };
        step.messages.push(Message::Prepare { ballot });
        step.messages.push(Message::Promise { ballot, from: me, trimmed, reports });
        self.lead_if_promised(me, step);
    }

    fn on_prepare(&self, me: NodeId, ballot: Ballot, step: &mut Step) {
        if self.bounds.owner(ballot) == me {
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
                live.acceptor.votes = self.promise_keeps(live.acceptor.votes, ballot);
                live.role = Role::Follower;
            }
        }
        let reports = self.reports(live.acceptor.votes, before);
        let trimmed = self.says_trimmed(live.acceptor.trimmed);
        step.messages.push(Message::Promise { ballot, from: me, trimmed, reports });
    }

    fn on_promise(
        &self,
        me: NodeId,
        (ballot, from): (Ballot, NodeId),
        trimmed: Slot,
        reports: Log<Option<Vote>>,
        step: &mut Step,
    ) {
        let live = &mut step.live;
        if self.bounds.owner(ballot) == me
            && self.counts_promise(ballot, live.acceptor.promised)
            && let Role::Candidate { heard, reported, trimmed: most } = &mut live.role
            && let Some(more) = self.hear_promise(*heard, from)
        {
            *heard = more;
            *reported = self.merge(*reported, reports);
            forget(reported, live.acceptor.trimmed);
            *most = trimmed.max(*most);
            self.lead_if_promised(me, step);
        }
    }

    /// With a quorum of promises, and what they leave out known: proposes in every slot the reported value of
    /// the highest ballot, and a no-op where nothing was reported below a slot that is in use.
    pub(super) fn lead_if_promised(&self, me: NodeId, step: &mut Step) {
        let Role::Candidate { heard, reported, trimmed } = step.live.role else { return };
        if !self.leads(heard) || !self.caught_up(step.live.known_below(), trimmed) {
            return;
        }
        let prepared = step.live.acceptor.promised.expect("a candidate has promised its ballot");
        let believed = self.believe(reported, &step.live.acceptor);
        let known = step.live.chosen;
        let used = |slot: &usize| believed[*slot].is_some() || known[*slot].is_some();
        let end = (0..SLOTS_MAX).rfind(used).map_or(0, |last| last + 1);
        let first = usize::from(step.live.acceptor.trimmed.0);
        let barrier = if self.bounds.reads > 0 { Slot(first.max(end) as u8) } else { Slot(0) };
        let reads = Reads { barrier, ..Reads::default() };
        step.live.role = Role::Leader { votes: Log::default(), reads };
        for slot in (first..end).filter(|&slot| known[slot].is_none()) {
            let value = believed[slot].map_or(self.bounds.noop(), |vote| vote.value);
            self.propose(me, prepared, Slot(slot as u8), value, step);
        }
    }

    fn on_propose(&self, me: NodeId, count: u8, step: &mut Step) {
        if !matches!(step.live.role, Role::Leader { .. }) {
            return;
        }
        let first = self.free_slot(&step.live);
        if first + count > self.bounds.slots {
            return;
        }
        let prepared = step.live.acceptor.promised.expect("a leader has promised its ballot");
        for slot in (first..first + count).map(Slot) {
            self.propose(me, prepared, slot, self.bounds.client_value(prepared), step);
        }
    }

    /// Phase 2a: the leader votes for its own proposal and asks the others to.
    fn propose(&self, me: NodeId, prepared: Ballot, slot: Slot, value: Value, step: &mut Step) {
        let Some(ballot) = self.proposal_ballot(me, prepared) else { return };
        let acceptor = &mut step.live.acceptor;
        acceptor.promised = acceptor.promised.max(Some(ballot));
        acceptor.votes[usize::from(slot.0)] = Some(Vote { ballot, value });
        step.messages.push(Message::Accept { ballot, slot, value });
        step.messages.push(Message::Accepted { ballot, slot, value, from: me });
        let Role::Leader { votes, .. } = &mut step.live.role else { unreachable!("only leaders") };
        votes[usize::from(slot.0)] = NodeSet::of(me);
        self.choose_if_voted(slot, step);
    }

    fn on_accept(&self, me: NodeId, ballot: Ballot, slot: Slot, value: Value, step: &mut Step) {
        if self.bounds.owner(ballot) == me {
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
                live.acceptor.votes[usize::from(slot.0)] = Some(Vote { ballot, value });
            }
        }
        step.messages.push(Message::Accepted { ballot, slot, value, from: me });
    }

    fn on_accepted(
        &self,
        me: NodeId,
        (ballot, slot, value): (Ballot, Slot, Value),
        from: NodeId,
        step: &mut Step,
    ) {
        let Acceptor { promised, votes, .. } = step.live.acceptor;
        let own = votes[usize::from(slot.0)];
        if self.bounds.owner(ballot) == me
            && self.counts_vote(Vote { ballot, value }, promised, own)
        {
            self.count_vote(slot, from, step);
        }
    }

    fn count_vote(&self, slot: Slot, from: NodeId, step: &mut Step) {
        let Role::Leader { votes, .. } = &mut step.live.role else { return };
        let voters = &mut votes[usize::from(slot.0)];
        if voters.is_empty() {
            return;
        }
        if let Some(more) = self.hear_vote(*voters, from) {
            *voters = more;
            self.choose_if_voted(slot, step);
        }
    }

    /// A value is chosen once a quorum has voted for it in one ballot.
    fn choose_if_voted(&self, slot: Slot, step: &mut Step) {
        let Role::Leader { votes, .. } = &step.live.role else { return };
        if !self.chooses(votes[usize::from(slot.0)]) {
            return;
        }
        let own = step.live.acceptor.votes[usize::from(slot.0)];
        let value = own.expect("a leader voted for what it proposed").value;
        learn(&mut step.live, slot, value);
        step.announced.push(slot);
    }

    fn on_chosen(&self, me: NodeId, slot: Slot, value: Value, step: &mut Step) {
        learn(&mut step.live, slot, value);
        self.lead_if_promised(me, step);
    }
}

/// A ballot that was refused is over; the higher one is promised, so that the next is above it.
fn on_nack(ballot: Ballot, promised: Ballot, live: &mut Live) {
    let active = !matches!(live.role, Role::Follower);
    if active && live.acceptor.promised == Some(ballot) && promised > ballot {
        live.acceptor.promised = Some(promised);
        live.role = Role::Follower;
    }
}

/// What is trimmed is known already, though no longer by its value.
fn learn(live: &mut Live, slot: Slot, value: Value) {
    if slot < live.acceptor.trimmed {
        return;
    }
    let known = &mut live.chosen[usize::from(slot.0)];
    if known.is_none() {
        *known = Some(value);
        if let Role::Leader { votes, .. } = &mut live.role {
            votes[usize::from(slot.0)] = NodeSet::default();
        }
    }
}
