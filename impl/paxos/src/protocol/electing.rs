//! Phase 1: becoming the leader.

use itertools::Itertools;

use super::{
    Replica,
    acceptor::Answer,
    log::runs,
    proposer::{Candidate, Leader, Role},
};
use crate::{
    event::{Output, Timer},
    message::{Message, Report},
    types::{Ballot, NodeId, Slot, Value},
};

impl Replica {
    /// Begins the next ballot of its own above everything it has promised, in a durable record
    /// before anybody hears of it: so no ballot is begun twice, across crashes either.
    pub(super) fn on_campaign(&mut self, output: &mut Output) {
        if matches!(self.role, Role::Leader(_)) {
            return; // It leads already.
        }
        let Some(ballot) = Ballot::next(self.config.id, self.acceptor.promised) else {
            return; // Rounds are used up; another node may still lead.
        };
        self.acceptor.promise(ballot, &mut output.records);
        let mut candidate = Candidate::new(self.acceptor.trimmed);
        candidate.hear(self.me(), self.acceptor.trimmed, self.acceptor.reports());
        self.role = Role::Candidate(candidate);
        output.broadcast(Message::Prepare { ballot });
        output.timers.extend([Timer::Campaign, Timer::Resend]);
        self.lead_if_promised(output);
    }

    pub(super) fn on_prepare(&mut self, from: NodeId, ballot: Ballot, output: &mut Output) {
        if ballot.node != from {
            return; // Only its owner prepares a ballot.
        }
        match self.acceptor.prepare(ballot, &mut output.records) {
            Answer::Refuse(promised) => output.send(from, Message::Nack { ballot, promised }),
            Answer::Silence => {}
            Answer::Promise(reports) => {
                self.follow(output);
                let trimmed = self.acceptor.trimmed;
                output.send(from, Message::Promise { ballot, trimmed, reports });
            }
        }
    }

    pub(super) fn on_promise(
        &mut self,
        from: NodeId,
        index: usize,
        ballot: Ballot,
        trimmed: Slot,
        reports: Vec<Report>,
        output: &mut Output,
    ) {
        if self.acceptor.promised != Some(ballot) {
            return; // A promise for a ballot that is over says nothing about the present one.
        }
        let limit = self.slot_limit();
        let Role::Candidate(candidate) = &mut self.role else {
            return; // A quorum was enough; this one is late.
        };
        if candidate.heard.contains(index) {
            return; // Heard already.
        }
        if reports.iter().any(|report| report.slot >= limit) {
            // Beyond what can be held: as if it were lost. This node is far behind, and asks.
            output.send(from, Message::Learn { from: self.learner.below });
            return;
        }
        candidate.hear(index, trimmed, reports);
        self.on_trimmed(from, trimmed, output);
        self.lead_if_promised(output);
    }

    /// With a quorum of promises, proposes what earlier leaders may have got chosen: in every slot
    /// the reported value of the highest ballot, and a no-op where nothing was reported below a slot
    /// that is in use (Paxos Made Simple, section 3).
    ///
    /// What somebody has trimmed is chosen, but not reported: until this node has its effect, it can
    /// neither propose there nor tell what comes after, and does not lead.
    pub(super) fn lead_if_promised(&mut self, output: &mut Output) {
        let Role::Candidate(candidate) = &self.role else { return };
        if candidate.heard.len() < self.config.phase1_quorum
            || candidate.trimmed > self.learner.below
        {
            return;
        }
        let end = candidate.reported.end().max(self.learner.chosen.end());
        let adopted = (self.learner.below.0..end.0)
            .map(Slot)
            .filter(|&slot| !self.learner.knows(slot))
            .map(|slot| {
                let reported = candidate.reported.get(slot);
                (slot, reported.map_or(Value::Noop, |vote| vote.value.clone()))
            })
            .collect_vec();
        self.role = Role::Leader(Leader::new(self.learner.below, end));
        for (first, values) in runs(adopted, self.config.batch_slots_max) {
            self.propose(first, values, output);
        }
        output.timers.extend([Timer::Heartbeat, Timer::Resend]);
    }

    /// Somebody has promised a higher ballot: this one is over. The refused owner promises the higher
    /// ballot itself, so that its next one is above it at once.
    pub(super) fn on_nack(&mut self, ballot: Ballot, promised: Ballot, output: &mut Output) {
        let current = self.acceptor.promised == Some(ballot);
        if !current || matches!(self.role, Role::Follower) || promised <= ballot {
            return; // It refuses what is over anyway.
        }
        if self.config.index(promised.node).is_none() {
            return; // A ballot of nobody.
        }
        self.acceptor.promise(promised, &mut output.records);
        self.follow(output);
    }
}
