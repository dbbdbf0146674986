//! Reads without an entry in the log.
//!
//! A read has to see every value that was known to be chosen when the client asked. A leader whose ballot is not the
//! highest may know less. So it begins a round: it asks all nodes to confirm that they have promised no ballot above
//! its own. Once a quorum of phase 2 has confirmed, it answers from everything below the *index* of the round.
//!
//! Claim: the index is above every slot that was known to be chosen when the round began. Let a slot be one of those.
//! - If it was chosen in an earlier ballot, the promises on which this ballot is led reported it, or left it out as
//!   trimmed. So it lies below the *barrier*, which is the end of the log when the leader began to lead.
//! - If it was chosen in this ballot, this leader knew it first. So it lies below the end of what the leader knows.
//!   There may be gaps below it that another node knows, so the index counts the slots behind a gap as well.
//! - If it was chosen in a later ballot, a quorum of phase 1 has promised that ballot. One node of that quorum is among
//!   those that confirm, and it would refuse.
//!
//! Without the confirmation, the barrier or the slots behind a gap a read can miss a value (mutants 26 to 26d). The
//! rounds of a ballot are numbered, so that a confirmation of one is not taken for one of another.
//!
//! In the model the reads of a round are one read, and at most one waits for the next round.

use super::{
    message::Message,
    rules::Rules,
    state::{Reads, Role, Round},
    step::{Answer, Step},
    universe::{Limits as _, NodeSet as _, Successor as _, Universe},
};

impl<U: Universe> Rules<U> {
    /// A client asks for a read. The read joins those that wait. A round begins, unless one is under way.
    pub(super) fn on_read(&self, me: U::NodeId, step: &mut Step<U>) {
        let Role::Leader { reads, .. } = &mut step.live.role else { return };
        if !self.takes_read(reads) {
            return;
        }
        reads.waits = true;
        self.begin_round(me, step);
    }

    /// Returns true if a leader with these reads can take one more.
    pub fn takes_read(&self, reads: &Reads<U>) -> bool {
        !reads.waits && self.limits.has_read_round(reads.rounds.next())
    }

    fn begin_round(&self, me: U::NodeId, step: &mut Step<U>) {
        let Role::Leader { reads, .. } = &step.live.role else { return };
        if reads.under_way.is_some() || !reads.waits {
            return;
        }
        let index = self.read_index(&step.live, reads.barrier);
        let (barrier, rounds) = (reads.barrier, reads.rounds.next());
        let under_way = Some(Round { heard: U::NodeSet::of(me), index });
        let Role::Leader { reads, .. } = &mut step.live.role else { return };
        *reads = Reads { barrier, rounds, under_way, waits: false };
        let ballot = step.live.acceptor.promised.expect("a leader has promised its ballot");
        step.messages.push(Message::Confirm { ballot, round: rounds });
        self.answer_if_confirmed(me, step);
    }

    /// Counts a confirmation.
    pub(super) fn on_confirmed(
        &self,
        me: U::NodeId,
        (ballot, round): (U::Ballot, U::ReadRound),
        from: U::NodeId,
        step: &mut Step<U>,
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

    /// Answers the read once a quorum has confirmed its round, and begins the next round if a read waits for it.
    fn answer_if_confirmed(&self, me: U::NodeId, step: &mut Step<U>) {
        let Role::Leader { reads, .. } = &mut step.live.role else { return };
        if let Some(Round { index, .. }) =
            reads.under_way.take_if(|under_way| self.confirms(&under_way.heard))
        {
            step.answer = Some(Answer { round: reads.rounds, index });
            self.begin_round(me, step);
        }
    }
}
