//! Reads that need no entry in the log: a leader asks whether it still leads, and then answers from what it has.
//!
//! A read has to see whatever anybody knew to be chosen when it was asked. A leader whose ballot is not the
//! last may know less. So it begins a round: it asks everybody to confirm that they have promised no more than
//! its ballot. Once a quorum of phase 2 has, it answers, from all that lies below the round's *index*.
//!
//! Why that is enough. Let a slot be known to be chosen when the round began.
//! - If it was chosen in an earlier ballot, the promises on which this ballot is led reported it, or left it out
//!   as trimmed: it is below the *barrier*, where the log ended when the leader began.
//! - If it was chosen in this ballot, this leader knew it first, and it is below the end of what it knows. (That
//!   there may be gaps below makes no difference: another node need not have them.)
//! - If it was chosen in a later ballot, that ballot is led on a quorum of promises, of whom one is among those
//!   who confirm: it would refuse.
//!
//! To confirm is to promise nothing, and nothing is stored. The rounds of a ballot are counted, so that what
//! confirms one is not taken for another's.
//!
//! In the model the reads of a round are one read, and at most one waits for the next round. What is known to
//! whom is a [`Witness`], which no node sees.

use stateright::Property;

use super::{
    Action, Cluster,
    bounds::Bounds,
    rules::Rules,
    state::{Ballot, Live, Message, NodeId, NodeSet, Reads, Role, Round, Slot, State, Witness},
    step::{Answer, Step},
};

/// The property that reads see all that was known.
pub const READS: &str = "a read sees what was known before it";

impl Rules {
    /// A client asks for a read. It joins those that wait; if nothing is under way, a round begins.
    pub(super) fn on_read(&self, me: NodeId, step: &mut Step) {
        let Role::Leader { reads, .. } = &mut step.live.role else { return };
        if !self.has_room(*reads) {
            return;
        }
        reads.waits = true;
        self.begin_round(me, step);
    }

    /// Whether the bounds allow one more read.
    fn has_room(&self, reads: Reads) -> bool {
        !reads.waits && reads.rounds < self.bounds.reads
    }

    fn begin_round(&self, me: NodeId, step: &mut Step) {
        let known = step.live;
        let Role::Leader { reads, .. } = &mut step.live.role else { return };
        if reads.under_way.is_some() || !reads.waits {
            return;
        }
        let index = self.read_index(&known, reads.barrier);
        let heard = NodeSet::of(me);
        let (barrier, rounds) = (reads.barrier, reads.rounds + 1);
        *reads = Reads { barrier, rounds, under_way: Some(Round { heard, index }), waits: false };
        let ballot = known.acceptor.promised.expect("a leader has promised its ballot");
        step.messages.push(Message::Confirm { ballot, round: rounds });
        self.answer_if_confirmed(me, step);
    }

    /// Says that nothing above the ballot is promised, if that is so.
    pub(super) fn on_confirm(&self, me: NodeId, ballot: Ballot, round: u8, step: &mut Step) {
        if self.bounds.owner(ballot) == me {
            return;
        }
        if step.live.acceptor.promised > Some(ballot) {
            return step.refuse(ballot);
        }
        step.messages.push(Message::Confirmed { ballot, round, from: me });
    }

    pub(super) fn on_confirmed(
        &self,
        me: NodeId,
        (ballot, round): (Ballot, u8),
        from: NodeId,
        step: &mut Step,
    ) {
        let current = step.live.acceptor.promised == Some(ballot);
        if let Role::Leader { reads, .. } = &mut step.live.role
            && let Some(under_way) = &mut reads.under_way
            && current
            && self.counts_confirmation(round, reads.rounds)
        {
            under_way.heard = under_way.heard.with(from);
            self.answer_if_confirmed(me, step);
        }
    }

    /// With a quorum that confirmed, the read is answered, and the next round begins if one waits for it.
    fn answer_if_confirmed(&self, me: NodeId, step: &mut Step) {
        let Role::Leader { reads, .. } = &mut step.live.role else { return };
        if let Some(Round { index, .. }) =
            reads.under_way.take_if(|under_way| self.confirms(under_way.heard))
        {
            step.answer = Some(Answer { round: reads.rounds, index });
            self.begin_round(me, step);
        }
    }
}

impl Witness {
    /// How much of the log is known, without a gap.
    fn known_below(&self) -> Slot {
        Slot(self.known.iter().take_while(|known| **known).count() as u8)
    }
}

impl Live {
    /// Its rounds, if it leads.
    fn reads(&self) -> Option<Reads> {
        match self.role {
            Role::Leader { reads, .. } => Some(reads),
            Role::Follower | Role::Candidate { .. } => None,
        }
    }
}

impl Cluster {
    /// A read at a node, as long as the bounds have room for it, or the node does not lead.
    pub(super) fn offer_read(&self, state: &State, node: NodeId, offer: impl FnOnce(Action)) {
        let leads = state.node(node).live.reads();
        if self.rules.bounds.reads > 0 && leads.is_none_or(|reads| self.rules.has_room(reads)) {
            offer(Action::Read(node));
        }
    }

    /// Whether somebody can tell others that a slot is chosen. Where there are no reads it makes no difference
    /// that they may hear of it before anybody knows.
    pub(super) fn can_be_told(&self, state: &State, slot: Slot) -> bool {
        self.rules.bounds.reads == 0 || state.witness.known[usize::from(slot.0)]
    }

    /// What is to be remembered of a step of a node, which led to `next`.
    pub(super) fn witness(
        &self,
        before: &State,
        id: NodeId,
        answer: Option<Answer>,
        next: &mut State,
    ) {
        if self.rules.bounds.reads == 0 {
            return;
        }
        let (was, is) = (before.node(id).live, next.node(id).live);
        let rounds = |live: &Live| live.reads().map_or(0, |reads| reads.rounds);
        let known = before.witness.known_below();
        // What waits has been asked before the round began, so that to judge it by that is to ask for more.
        let must_see = |round| match round {
            round if round > rounds(&was) => known,
            _ => before.witness.must_see[usize::from(id.0)],
        };
        let witness = &mut next.witness;
        if let Some(Answer { round, index }) = answer {
            witness.stale |= index < must_see(round);
        }
        let under_way = is.reads().filter(|reads| reads.under_way.is_some());
        witness.must_see[usize::from(id.0)] =
            under_way.map_or(Slot(0), |reads| must_see(reads.rounds));
        // What follows from steps that are not synced nobody has been told.
        if next.nodes[usize::from(id.0)].unsynced.is_empty() {
            for (known, value) in witness.known.iter_mut().zip(is.chosen) {
                *known |= value.is_some();
            }
        }
    }
}

/// What must hold, and happen, where there are reads.
pub(super) fn properties(bounds: &Bounds) -> Vec<Property<Cluster>> {
    let mut all = vec![
        Property::always(READS, |_, s: &State| !s.witness.stale),
        Property::sometimes("a read is answered", |_, s: &State| {
            let mut leaders = s.nodes.iter().filter_map(|node| node.live.reads());
            leaders.any(|reads| reads.rounds > u8::from(reads.under_way.is_some()))
        }),
    ];
    // Where a single vote chooses, no round is ever under way.
    if bounds.phase2_quorum == 1 {
        return all;
    }
    if bounds.reads > 1 {
        all.push(Property::sometimes("a read waits for the next round", |_, s: &State| {
            s.nodes.iter().filter_map(|node| node.live.reads()).any(|reads| reads.waits)
        }));
    }
    if bounds.ballots > 1 && (bounds.campaigners > 1 || bounds.crashes != Some(0)) {
        all.push(Property::sometimes("a read waits for what was reported", |_, s: &State| {
            under_way(s).any(|(node, round)| round.index > s.node(node).live.known_below())
        }));
    }
    // It takes quorums that do without the leader that was overtaken.
    let without = bounds.phase1_quorum.max(bounds.phase2_quorum) < bounds.nodes;
    if bounds.ballots > 1 && bounds.campaigners > 1 && without {
        all.push(Property::sometimes("a leader that was overtaken is asked", |_, s: &State| {
            under_way(s).any(|(node, round)| round.index < s.witness.must_see[usize::from(node.0)])
        }));
    }
    all
}

fn under_way(state: &State) -> impl Iterator<Item = (NodeId, Round)> + '_ {
    let nodes = (0..).map(NodeId).zip(&state.nodes);
    nodes.filter_map(|(id, node)| Some((id, node.live.reads()?.under_way?)))
}
