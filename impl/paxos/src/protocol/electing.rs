//! Phase 1: a node begins a ballot, collects promises, and becomes the leader.

use itertools::Itertools as _;

use super::{
    Replica,
    acceptor::PrepareReply,
    log::batches,
    proposer::{Candidate, Leader, Role},
};
use crate::{
    event::Timer,
    message::{Message, Report},
    opaque::{OpaqueBallot, OpaqueValue},
    output::Output,
    types::{NodeId, Slot},
};

impl<B: OpaqueBallot, V: OpaqueValue> Replica<B, V> {
    /// Phase 1a: begins the node's least ballot above its promise, promises it, and asks all peers for promises. The
    /// promises report votes from the first slot that this node does not know to be chosen. Does nothing if the node
    /// leads.
    ///
    /// Papers: Paxos Made Simple, section 2.2, phase 1a; Paxos Made Moderately Complex, a scout.
    ///
    /// Invariant: the node begins no ballot twice, not even after a crash, because the record of its own promise is
    /// durable before the Prepare message leaves. See [one value per ballot](super::safety#one-value-per-ballot).
    pub(super) fn on_campaign(&mut self, output: &mut Output<B, V>) {
        if matches!(self.role, Role::Leader(_)) {
            return;
        }
        let Some(ballot) = B::next(self.config.id, self.acceptor.promised) else {
            return; // The rounds are used up. A node with a higher id may still have a ballot in the last round.
        };
        self.acceptor.promise(ballot, &mut output.records);
        let first = self.learner.below;
        let mut candidate = Candidate::new(first);
        candidate.hear(self.own_index(), self.acceptor.trimmed, self.acceptor.reports(first));
        self.role = Role::Candidate(candidate);
        output.effects.broadcast(Message::Prepare { ballot, first });
        output.effects.timers.extend([Timer::Campaign, Timer::Resend]);
        self.lead_if_promised(output);
    }

    /// Phase 1b: promises the ballot and reports all votes from slot `first` on, or refuses.
    ///
    /// Papers: Paxos Made Simple, section 2.2, phase 1b; Paxos Made Moderately Complex, `p1b`.
    ///
    /// Invariant: the promised ballot only rises. A Promise message reports the last vote of every slot from `first` on,
    /// or says that the slot is trimmed. See [the shared promise](super::safety#the-shared-promise) and [reports from
    /// the first unknown slot](super::safety#reports-from-the-first-unknown-slot).
    pub(super) fn on_prepare(
        &mut self,
        from: NodeId,
        ballot: B,
        first: Slot,
        output: &mut Output<B, V>,
    ) {
        if ballot.owner() != from {
            return; // Only the owner of a ballot prepares it.
        }
        match self.acceptor.prepare(ballot, first, &mut output.records) {
            PrepareReply::Nack(promised) => {
                output.effects.send(from, Message::Nack { ballot, promised });
            }
            PrepareReply::Ignore => {}
            PrepareReply::Promise(reports) => {
                self.follow(output);
                let trimmed = self.acceptor.trimmed;
                output.effects.send(from, Message::Promise { ballot, trimmed, reports });
            }
        }
    }

    /// Counts a promise for the node's present ballot, and leads once it can.
    ///
    /// Papers: Paxos Made Simple, section 2.2, phase 2a: "a response to its prepare requests (numbered n) from a
    /// majority".
    ///
    /// Invariant: each node counts once, and only with a promise for this very ballot. A promise for an earlier
    /// ballot does not bind its sender in this one. See [adopted values](super::safety#adopted-values).
    pub(super) fn on_promise(
        &mut self,
        from: NodeId,
        index: usize,
        ballot: B,
        trimmed: Slot,
        reports: Vec<Report<B, V>>,
        output: &mut Output<B, V>,
    ) {
        if self.acceptor.promised != Some(ballot) {
            return; // The ballot is not the present one.
        }
        let limit = self.slot_limit();
        let Role::Candidate(candidate) = &mut self.role else {
            return; // The node leads already.
        };
        if candidate.heard.contains(index) {
            return; // The promise arrived twice.
        }
        if reports.iter().any(|report| report.slot >= limit) {
            // The reports do not fit into the log, because this node is far behind. The node treats the promise as
            // lost, and asks for chosen values first.
            output.effects.send(from, Message::Learn { from: self.learner.below });
            return;
        }
        candidate.hear(index, trimmed, reports);
        self.on_trimmed(from, trimmed, output);
        self.lead_if_promised(output);
    }

    /// Phase 2a of the slots in use: becomes the leader if a quorum has promised, and if this node knows every slot
    /// that its quorum has trimmed. A trimmed slot is chosen but not reported, so the node must first learn it, from
    /// messages or by a snapshot.
    ///
    /// The new leader proposes in each slot before the end of the log that it does not know to be chosen. It proposes
    /// the reported value, which an earlier leader may have got chosen, or a no-op if no value is reported.
    ///
    /// Papers: Paxos Made Simple, section 3; The Part-Time Parliament, section 3.1; Paxos Made Moderately Complex,
    /// `adopted`.
    ///
    /// Invariant: if values are reported in a slot, the leader proposes the one of the highest ballot. See
    /// [adopted values](super::safety#adopted-values) and [trimming](super::safety#trimming).
    pub(super) fn lead_if_promised(&mut self, output: &mut Output<B, V>) {
        let Role::Candidate(candidate) = &self.role else { return };
        if candidate.heard.len() < self.config.phase1_quorum
            || candidate.trimmed > self.learner.below
        {
            return;
        }
        let end = candidate.reported.end().max(self.learner.chosen.end());
        let unknown = self.learner.unknown(end).flatten().map(Slot);
        let adopted = unknown.map(|slot| {
            let reported = candidate.reported.get(slot);
            (slot, (), reported.map_or_else(V::noop, |(_, value)| value.clone()))
        });
        let adopted = batches(adopted, self.config.batch_slots_max).collect_vec();
        self.role = Role::Leader(Leader::new(self.learner.below, end));
        for (first, (), values) in adopted {
            self.propose(first, values, output);
        }
        output.effects.timers.extend([Timer::Heartbeat, Timer::Resend]);
    }

    /// Abandons the present ballot, because an acceptor has promised a higher one.
    ///
    /// The node promises the higher ballot itself, so that its own next ballot is above that one. A higher promise is
    /// always safe ([the shared promise](super::safety#the-shared-promise)).
    ///
    /// Papers: Paxos Made Simple, end of section 2.2: the proposer "should then abandon its proposal"; Paxos Made
    /// Moderately Complex, `preempted`.
    pub(super) fn on_nack(&mut self, ballot: B, promised: B, output: &mut Output<B, V>) {
        let current = self.acceptor.promised == Some(ballot);
        if !current || matches!(self.role, Role::Follower) || promised <= ballot {
            return; // The refused ballot is abandoned already, or the message makes no sense.
        }
        if self.config.index(promised.owner()).is_none() {
            return; // No member owns that ballot, so recovery would refuse its record.
        }
        self.acceptor.promise(promised, &mut output.records);
        self.follow(output);
    }
}
