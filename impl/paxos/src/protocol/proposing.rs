//! Phase 2: getting values chosen.

use super::{Replica, node_set::NodeSet, proposer::Role};
use crate::{
    event::{Output, Proposal, Refusal, Refused, Taken},
    message::{Envelope, Message, To},
    types::{Ballot, Batch, NodeId, Slot, Value},
};

impl Replica {
    pub(super) fn on_propose(&mut self, proposals: Vec<Proposal>, output: &mut Output) {
        let next = self.log_end();
        let Role::Leader(leader) = &self.role else {
            return self.refuse(proposals.into_iter().map(|proposal| proposal.token), output);
        };
        let room = leader.first.plus(self.config.in_flight_max).0.saturating_sub(next.0);
        let taken = proposals.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let mut proposals = proposals.into_iter();
        let mut values = Vec::with_capacity(taken);
        for (slot, proposal) in (next.0..).map(Slot).zip(proposals.by_ref().take(taken)) {
            output.taken.push(Taken { token: proposal.token, slot });
            values.push(Value::Command(proposal.command));
        }
        let refusal = Refusal::Busy;
        output.refused.extend(proposals.map(|p| Refused { token: p.token, refusal }));
        if !values.is_empty() {
            self.propose(next, values.into(), output);
        }
    }

    /// Phase 2a: the leader votes for its own proposal and asks the others to.
    pub(super) fn propose(&mut self, first: Slot, values: Batch, output: &mut Output) {
        let ballot = self.acceptor.promised.expect("a leader has promised its own ballot");
        let count = values.len() as u64;
        let own = self.acceptor.accept(ballot, first, &values, &mut output.records);
        assert!(own.is_ok(), "a leader leads in the ballot it has promised");
        output.broadcast(Message::Accept { ballot, first, values });
        let me = NodeSet::of(self.me());
        let Role::Leader(leader) = &mut self.role else { unreachable!("only leaders propose") };
        for slot in (first.0..first.0 + count).map(Slot) {
            leader.open(slot, me);
        }
        if self.config.phase2_quorum == 1 {
            self.count_votes(self.me(), ballot, first, count, output);
        }
    }

    pub(super) fn on_accept(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        first: Slot,
        values: &Batch,
        output: &mut Output,
    ) {
        let beyond = first.plus(values.len() as u64) > self.slot_limit();
        if ballot.node != from || values.is_empty() || beyond {
            return; // Not from the owner, about nothing, or beyond what can be held.
        }
        let votes = match self.acceptor.accept(ballot, first, values, &mut output.records) {
            Ok(votes) => votes,
            Err(promised) => return output.send(from, Message::Nack { ballot, promised }),
        };
        if !votes.is_empty() {
            self.follow(output);
            let count = votes.end - votes.start;
            output.send(from, Message::Accepted { ballot, first: Slot(votes.start), count });
        }
        if first.0 < votes.start {
            output.send(from, Message::Trimmed { below: self.acceptor.trimmed });
        }
    }

    pub(super) fn on_accepted(
        &mut self,
        index: usize,
        ballot: Ballot,
        first: Slot,
        count: u64,
        output: &mut Output,
    ) {
        if self.acceptor.promised != Some(ballot) {
            return; // Votes of another ballot do not add up with those of this one.
        }
        self.count_votes(index, ballot, first, count, output);
    }

    /// A value is chosen once a quorum has voted for it in one ballot.
    fn count_votes(
        &mut self,
        index: usize,
        ballot: Ballot,
        first: Slot,
        count: u64,
        output: &mut Output,
    ) {
        let Role::Leader(leader) = &mut self.role else { return };
        let open = leader.first.max(first).0..leader.first.plus(leader.votes.len() as u64).0;
        let end = open.end.min(first.plus(count).0);
        let mut run: Option<(Slot, u64)> = None;
        let mut announce = |run: Option<(Slot, u64)>| {
            if let Some((first, count)) = run {
                let message = Message::Chosen { ballot, first, count };
                output.messages.push(Envelope { to: To::Peers, message });
            }
        };
        for slot in (open.start..end).map(Slot) {
            let Some(votes) = leader.votes(slot) else { continue };
            votes.insert(index);
            if votes.len() < self.config.phase2_quorum {
                continue;
            }
            *votes = NodeSet::default();
            let vote = self.acceptor.votes.get(slot).expect("a leader voted for what it proposed");
            self.learner.learn(slot, &vote.value, &mut output.chosen);
            run = match run {
                Some((first, count)) if first.plus(count) == slot => Some((first, count + 1)),
                other => {
                    announce(other);
                    Some((slot, 1))
                }
            };
        }
        announce(run);
        leader.advance(self.learner.below);
    }
}
