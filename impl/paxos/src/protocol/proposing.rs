//! Phase 2: the leader proposes, acceptors vote, and the leader counts the votes.

use super::{Replica, node_set::NodeSet, proposer::Role};
use crate::{
    batch::Batch,
    event::{Proposal, Refusal, Refused, Taken},
    message::Message,
    opaque::{OpaqueBallot, OpaqueValue},
    output::Output,
    types::{NodeId, Slot},
};

impl<B: OpaqueBallot, V: OpaqueValue> Replica<B, V> {
    /// Proposes the commands of clients in the next free slots. Refuses all commands if this node does not lead. Refuses
    /// the commands for which `in_flight_max` leaves no slot.
    ///
    /// Papers: Paxos Made Simple, section 3; Paxos Made Moderately Complex, `propose`.
    ///
    /// Invariant: a free slot is above every slot that was reported to this leader, and above every slot in which it
    /// has proposed. So no lower ballot has a chosen value in the free slot, and this ballot has no other proposal
    /// there.
    pub(super) fn on_propose(&mut self, proposals: Vec<Proposal>, output: &mut Output<B, V>) {
        let next = self.log_end();
        let mut proposals = proposals.into_iter();
        let Role::Leader(leader) = &self.role else {
            return self.refuse(proposals.map(|it| (it.token, Some(it.command))), output);
        };
        let limit = leader.tally.first().plus(self.config.in_flight_max);
        let free = usize::try_from(limit.0.saturating_sub(next.0)).unwrap_or(usize::MAX);
        let slots = (next.0..).map(Slot);
        let values = slots.zip(proposals.by_ref().take(free)).map(|(slot, proposal)| {
            output.effects.taken.push(Taken { token: proposal.token, slot });
            V::command(proposal.command)
        });
        let values: Batch<V> = values.collect();
        let refusal = Refusal::Busy;
        output.effects.refused.extend(proposals.map(|Proposal { token, command }| Refused {
            token,
            command: Some(command),
            refusal,
        }));
        if !values.is_empty() {
            self.propose(next, values, output);
        }
    }

    /// Phase 2a: votes for the leader's own proposal and asks the peers to vote. The caller must pass free slots or
    /// [adopted](super::safety#adopted-values) values.
    ///
    /// Papers: Paxos Made Simple, section 2.2, phase 2a; Paxos Made Moderately Complex, a commander for each slot.
    ///
    /// Invariant: the ballot is the node's own, and a quorum has promised it. The Accept message may leave before
    /// the record of the leader's vote is durable. See [early Accepts](super::safety#early-accepts).
    pub(super) fn propose(&mut self, first: Slot, values: Batch<V>, output: &mut Output<B, V>) {
        let ballot = self.acceptor.promised.expect("a leader has promised its own ballot");
        let count = values.len() as u64;
        let own = self.acceptor.accept(ballot, first, &values, &mut output.records);
        assert!(own.is_ok(), "a leader leads in the ballot it has promised");
        output.effects.broadcast(Message::Accept { ballot, first, values });
        let own_vote = NodeSet::of(self.own_index());
        let Role::Leader(leader) = &mut self.role else { unreachable!("only leaders propose") };
        leader.tally.set(first.0..first.0 + count, own_vote);
        if self.config.phase2_quorum == 1 {
            self.count_votes(self.own_index(), ballot, first, count, output);
        }
    }

    /// Phase 2b: votes for the proposed values, or refuses.
    ///
    /// A vote promises its ballot, so the node becomes a follower. If some slots are trimmed, the node does not vote
    /// in these, and tells the leader that they are trimmed.
    ///
    /// Papers: Paxos Made Simple, section 2.2, phase 2b; Paxos Made Moderately Complex, `p2b`.
    ///
    /// Invariant: the acceptor votes in no ballot below its promise. See [the shared
    /// promise](super::safety#the-shared-promise).
    pub(super) fn on_accept(
        &mut self,
        from: NodeId,
        ballot: B,
        first: Slot,
        values: &Batch<V>,
        output: &mut Output<B, V>,
    ) {
        let beyond = first.plus(values.len() as u64) > self.slot_limit();
        if ballot.owner() != from || values.is_empty() || beyond {
            return; // The sender does not own the ballot, there is no value, or the slots are too far ahead.
        }
        let votes = match self.acceptor.accept(ballot, first, values, &mut output.records) {
            Ok(votes) => votes,
            Err(promised) => return output.effects.send(from, Message::Nack { ballot, promised }),
        };
        if !votes.is_empty() {
            self.follow(output);
            let count = votes.end - votes.start;
            output
                .effects
                .send(from, Message::Accepted { ballot, first: Slot(votes.start), count });
        }
        if first.0 < votes.start {
            output.effects.send(from, Message::Trimmed { below: self.acceptor.trimmed });
        }
    }

    /// Counts a node's votes, if they are in the leader's ballot.
    ///
    /// Papers: Paxos Made Simple, section 2.3, where the leader is the "distinguished learner".
    pub(super) fn on_accepted(
        &mut self,
        index: usize,
        ballot: B,
        first: Slot,
        count: u64,
        output: &mut Output<B, V>,
    ) {
        if self.acceptor.promised != Some(ballot) {
            return; // Votes of different ballots are never added up.
        }
        self.count_votes(index, ballot, first, count, output);
    }

    /// Adds one node's vote to each of these slots that is in flight. The leader learns each value that now has a
    /// quorum of votes. It announces the values with one Chosen message for each range of consecutive slots.
    ///
    /// Invariant: each node counts once in each slot ([counted votes](super::safety#counted-votes)).
    fn count_votes(
        &mut self,
        index: usize,
        ballot: B,
        first: Slot,
        count: u64,
        output: &mut Output<B, V>,
    ) {
        let Role::Leader(leader) = &mut self.role else { return };
        let slots = first.0..first.plus(count).0;
        leader.tally.add(slots, index, self.config.phase2_quorum, |chosen| {
            for piece in self.acceptor.votes.pieces(chosen.clone()) {
                let (_, values) = piece.values.expect("a leader voted for what it proposed");
                self.learner.learn(Slot(piece.slots.start), &values, &mut output.effects.chosen);
            }
            let count = chosen.end - chosen.start;
            output.effects.broadcast(Message::Chosen { ballot, first: Slot(chosen.start), count });
        });
        leader.tally.advance(self.learner.below);
    }
}
