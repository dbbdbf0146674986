//! Reads without an entry in the log.
//!
//! A read must see every value that was known to be chosen when the client asked. A leader whose ballot is no longer the
//! highest may not know all of them. So a leader begins a round: it asks all nodes to confirm that they have promised no
//! ballot above its own. Once a quorum of phase 2 has confirmed, the leader answers the read from all slots below the
//! *index* of the round.
//!
//! Claim: if a quorum confirms a round, its index is above every slot that was known to be chosen when the round began. Let
//! S be such a slot.
//! - If the value of S was chosen in an earlier ballot, the leader's quorum of promises reported it, or left S out as
//!   trimmed. So S lies below the *barrier*, which is the end of the log when the leader began to lead.
//! - If the value of S was chosen in the leader's ballot, the leader was the first to know it. So S lies below the end of the
//!   slots that the leader knows. The leader may not know each slot below S, so the index also counts the slots behind a gap.
//! - If the value of S was chosen in a later ballot, a quorum of phase 1 had promised that ballot. Each quorum of phase 2
//!   contains a node of that quorum, and this node refuses to confirm. So no quorum confirms the round.
//!
//! The rounds of a ballot are numbered, so that a confirmation counts only for its own round.
//!
//! Each part is needed: without it a read can miss a value. Mutant 26 lacks the confirmation, 26b the barrier, 26c the
//! numbers, and 26d the slots behind a gap.
//!
//! In the model a round serves one read, and at most one more read waits for the next round.

use super::{
    message::Message,
    rules::Rules,
    state::{Reads, Role, Round},
    step::{Answer, Step},
    universe::{Limits as _, Set as _, Successor as _, Universe},
};

impl<U: Universe> Rules<U> {
    /// Takes the read of a client, if the node leads and has room for the read. Its round begins at once, or after the round
    /// that is under way.
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

    /// Answers the read if a quorum has confirmed its round. Then begins the next round if a read waits for it.
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
