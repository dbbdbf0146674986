//! The decisions of Paxos, one function for each, and in the function the mutants that get the decision wrong.
//!
//! The handlers ([`acceptor`](super::acceptor), [`proposer`](super::proposer), [`learner`](super::learner),
//! [`reader`](super::reader)) ask these functions and change the state of the node. Without a bug, each function is the
//! rule of the protocol.

use super::{
    message::Message,
    state::{Acceptor, Live, Vote},
    universe::{Limits as _, Set as _, SlotMap as _, Successor as _, Universe, end, map},
};
use crate::cluster::bugs::Bug;

/// The rules of a cluster, with at most one of them broken.
#[derive(Clone, Copy, Debug)]
pub struct Rules<U: Universe> {
    /// The limits of the cluster: its nodes, quorums, owners of ballots, slots, and rounds of reads.
    pub limits: U::Limits,
    /// The rule that is broken, if any.
    pub bug: Option<Bug>,
}

/// The votes of an acceptor, or reports of them, by slot.
pub(super) type Votes<U> = <U as Universe>::Log<Option<Vote<U>>>;

/// The answer of an acceptor to a Prepare message.
pub(super) enum Prepared {
    /// It promises the ballot.
    Promise,
    /// It sends a promise of the ballot, and its own promise stays as it is.
    Again,
    /// It has promised a higher ballot.
    Refuse,
    /// It does not answer, because it has voted in that ballot.
    Silence,
}

/// The answer of an acceptor to an Accept message.
pub(super) enum Proposed<U: Universe> {
    /// It votes for the value.
    Vote {
        /// Its promise after the vote.
        promised: Option<U::Ballot>,
    },
    /// It has promised a higher ballot.
    Refuse,
    /// It sends an Accepted message without a vote. Only a mutant does this.
    Claim,
    /// It does not answer, because the slot is trimmed.
    Silence,
}

impl<U: Universe> Rules<U> {
    fn broken(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Phase 1b. The acceptor promises a ballot above its promise, and refuses a ballot below. It answers the ballot that it
    /// has promised as long as its log has no vote in it.
    pub(super) fn prepare(&self, acceptor: &Acceptor<U>, ballot: U::Ballot) -> Prepared {
        match acceptor.promised {
            Some(promised) if ballot < promised => {
                if self.broken(Bug::PromisesBelowPromise) {
                    Prepared::Promise
                } else if self.broken(Bug::PromisesBelowKeptPromise) {
                    Prepared::Again
                } else {
                    Prepared::Refuse
                }
            }
            Some(promised) if ballot == promised => {
                let votes = acceptor.votes.filled().filter_map(|(_, vote)| vote);
                let voted = { votes }.any(|vote| vote.ballot == ballot);
                let silent = voted && !self.broken(Bug::PromisesAgain);
                if silent { Prepared::Silence } else { Prepared::Again }
            }
            _ => Prepared::Promise,
        }
    }

    /// Returns the votes after a promise: the same as before.
    pub(super) fn promise_keeps(&self, votes: &Votes<U>, ballot: U::Ballot) -> Votes<U> {
        if self.broken(Bug::PromiseClearsVotes) {
            return Votes::<U>::default();
        }
        if self.broken(Bug::OneBallotVariable) {
            return map(votes, |_, vote| Some(Vote { ballot, ..vote? }));
        }
        votes.clone()
    }

    /// Phase 1a. Returns the slot from which on a candidate asks for votes: the first that it does not know to be chosen.
    pub(super) fn asks_from(&self, live: &Live<U>) -> U::Slot {
        if self.broken(Bug::AsksBehindGap) {
            return end(&live.chosen).unwrap_or(live.acceptor.trimmed);
        }
        live.known_below()
    }

    /// Returns the reports of a promise: the last vote in each slot from `first` on. `before` is the ballot that the acceptor
    /// had promised before.
    pub(super) fn reports(
        &self,
        votes: &Votes<U>,
        before: Option<U::Ballot>,
        first: U::Slot,
    ) -> Votes<U> {
        if self.broken(Bug::ReportsNothing) {
            return Votes::<U>::default();
        }
        let mut reports = votes.clone();
        if self.broken(Bug::HidesOvertakenVotes) {
            reports = map(votes, |_, vote| vote.filter(|vote| Some(vote.ballot) >= before));
        }
        reports.forget(first);
        reports
    }

    /// Phase 2b. The acceptor refuses if it has promised a higher ballot. Otherwise it votes, and thereby promises the
    /// ballot. It does not vote in a trimmed slot, which has a chosen value.
    pub(super) fn accept(
        &self,
        acceptor: &Acceptor<U>,
        ballot: U::Ballot,
        slot: U::Slot,
    ) -> Proposed<U> {
        let promised = acceptor.promised;
        if Some(ballot) < promised {
            return if self.broken(Bug::AcceptsBelowPromise) {
                Proposed::Vote { promised }
            } else if self.broken(Bug::ClaimsVote) {
                Proposed::Claim
            } else {
                Proposed::Refuse
            };
        }
        if slot < acceptor.trimmed {
            return Proposed::Silence;
        }
        if self.broken(Bug::VotesOnlyOnce) && acceptor.votes.at(slot).is_some() {
            return Proposed::Silence;
        }
        let equal = Some(ballot) == promised;
        if self.broken(Bug::AcceptsOnlyPromised) && !equal
            || self.broken(Bug::AcceptsOnlyAbovePromise) && equal
        {
            return Proposed::Refuse;
        }
        let promises = !self.broken(Bug::AcceptDoesNotPromise);
        Proposed::Vote { promised: if promises { Some(ballot) } else { promised } }
    }

    /// Returns true if a promise of `ballot` counts for a candidate in the ballot `current`.
    pub(super) fn counts_promise(&self, ballot: U::Ballot, current: Option<U::Ballot>) -> bool {
        let old = self.broken(Bug::CountsOldPromise) && Some(ballot) < current;
        current == Some(ballot) || old
    }

    /// Returns true if a vote counts for a leader in the ballot `current`. `own` is the leader's own vote in the slot.
    pub(super) fn counts_vote(
        &self,
        vote: &Vote<U>,
        current: Option<U::Ballot>,
        own: Option<&Vote<U>>,
    ) -> bool {
        let same_value = own.is_some_and(|own| own.value == vote.value);
        current == Some(vote.ballot)
            || self.broken(Bug::AddsUpBallots)
            || (self.broken(Bug::MatchesByValue) && same_value)
    }

    /// Returns the nodes that promised, with one node added. Returns none if the node is among them already.
    pub(super) fn hear_promise(&self, heard: &U::NodeSet, from: U::NodeId) -> Option<U::NodeSet> {
        self.count(heard, from, self.broken(Bug::CountsPromiseTwice))
    }

    /// Returns the nodes that voted, with one node added. Returns none if the node is among them already.
    pub(super) fn hear_vote(&self, voters: &U::NodeSet, from: U::NodeId) -> Option<U::NodeSet> {
        self.count(voters, from, self.broken(Bug::CountsVoteTwice))
    }

    /// Returns the set with a node added, or none if the node is in it already. A mutant counts such a node `twice`: it adds
    /// another node in its place.
    fn count(&self, set: &U::NodeSet, from: U::NodeId, twice: bool) -> Option<U::NodeSet> {
        if !set.has(from) {
            return Some(set.with(from));
        }
        let missing = self.limits.nodes().find(|&node| !set.has(node));
        missing.filter(|_| twice).map(|node| set.with(node))
    }

    /// Phase 2a. Returns the report with the higher ballot.
    fn adopt(&self, known: Option<Vote<U>>, report: Option<Vote<U>>) -> Option<Vote<U>> {
        match (known, report) {
            (Some(known), Some(report)) => {
                let higher = report.ballot > known.ballot;
                let takes = higher != self.broken(Bug::AdoptsLowest);
                Some(if takes { report } else { known })
            }
            (known, report) => known.or(report),
        }
    }

    /// Returns the reports of several promises merged with those of one more promise, slot by slot.
    pub(super) fn merge(&self, known: &Votes<U>, reports: &Votes<U>) -> Votes<U> {
        let highest = |log: &Votes<U>| log.filled().filter_map(|(_, it)| Some(it?.ballot)).max();
        if self.broken(Bug::AdoptsWholeLog) {
            return if highest(reports) > highest(known) { reports } else { known }.clone();
        }
        let mut merged = known.clone();
        for (slot, report) in reports.filled() {
            merged.put(slot, self.adopt(known.at(slot), report));
        }
        merged
    }

    /// Returns the reports that a new leader uses: all of them.
    pub(super) fn believe(&self, reported: &Votes<U>, own: &Acceptor<U>) -> Votes<U> {
        if self.broken(Bug::IgnoresReports) {
            return Votes::<U>::default();
        }
        if self.broken(Bug::FillsGapUnasked) {
            let end = end(reported);
            let fills = |slot: U::Slot| Some(slot.next()) < end && own.votes.at(slot).is_none();
            return map(reported, |slot, report| report.filter(|_| !fills(slot)));
        }
        reported.clone()
    }

    /// Returns the end of the trimmed log that a promise reports: that of the acceptor.
    pub(super) fn says_trimmed(&self, trimmed: U::Slot) -> U::Slot {
        if self.broken(Bug::HidesTrimmed) { U::Slot::default() } else { trimmed }
    }

    /// Returns true if the promises of these nodes let a candidate lead.
    pub fn leads(&self, heard: &U::NodeSet) -> bool {
        heard.count() >= self.quorum(self.limits.phase1_quorum())
    }

    /// Returns true if a candidate knows all slots that its promises leave out as trimmed.
    pub(super) fn caught_up(&self, known_below: U::Slot, trimmed: U::Slot) -> bool {
        known_below >= trimmed || self.broken(Bug::LeadsBehind)
    }

    /// Returns true if a snapshot of a node may contain a slot: its value must be chosen. `own` is the node's vote there.
    pub fn snapshot_covers(&self, chosen: bool, own: Option<&Vote<U>>) -> bool {
        chosen || (self.broken(Bug::TrimsUnchosen) && own.is_some())
    }

    /// Returns true if the votes of these nodes choose a value.
    pub(super) fn chooses(&self, voters: &U::NodeSet) -> bool {
        voters.count() >= self.quorum(self.limits.phase2_quorum())
    }

    fn quorum(&self, size: usize) -> usize {
        if self.broken(Bug::HalfIsQuorum) { (self.limits.nodes().count() / 2).max(1) } else { size }
    }

    /// Returns the ballot in which a leader proposes: the one that it prepared.
    pub(super) fn proposal_ballot(
        &self,
        node: U::NodeId,
        prepared: U::Ballot,
    ) -> Option<U::Ballot> {
        if self.broken(Bug::ProposesUnprepared) {
            return self.limits.next_ballot(node, Some(prepared));
        }
        Some(prepared)
    }

    /// Returns the slot in which a leader proposes the next value of a client. It is the first slot after all slots in which
    /// the leader has voted, or whose chosen value it knows, or which it has trimmed.
    pub(super) fn free_slot(&self, live: &Live<U>) -> U::Slot {
        let voted = live.acceptor.votes.filled().next_back().map(|(slot, _)| slot);
        let known = live.chosen.filled().next_back().map(|(slot, _)| slot);
        let Some(last) = voted.max(known) else { return live.acceptor.trimmed };
        let again = self.broken(Bug::ChangesValue) && live.chosen.at(last).is_none();
        if again { last } else { last.next() }
    }

    /// Returns the end of the part of the log that a read must see. It is the barrier, or the end of the slots whose chosen
    /// value the leader knows if that is higher. Slots behind a gap count.
    pub(super) fn read_index(&self, live: &Live<U>, barrier: U::Slot) -> U::Slot {
        let known = end(&live.chosen).unwrap_or(live.acceptor.trimmed);
        match self.bug {
            Some(Bug::ReadsBelowBarrier) => known,
            Some(Bug::ReadsBelowGap) => live.known_below().max(barrier),
            _ => known.max(barrier),
        }
    }

    /// Returns true if the leader may answer a read whose round these nodes have confirmed.
    pub(super) fn confirms(&self, heard: &U::NodeSet) -> bool {
        heard.count() >= self.quorum(self.limits.phase2_quorum())
            || self.broken(Bug::ReadsUnconfirmed)
    }

    /// Returns true if a confirmation counts: it must be of the current round.
    pub(super) fn counts_confirmation(&self, round: U::ReadRound, current: U::ReadRound) -> bool {
        round == current || self.broken(Bug::CountsOldConfirmation)
    }

    /// Returns true if a message may leave its sender before the step is durable. `durable` is the sender's durable promise.
    ///
    /// Only an Accept message may leave early, and only if the promise of its ballot is durable. The leader then does not
    /// begin that ballot again after a crash. So it never proposes another value in the ballot, even if the crash makes it
    /// forget the proposal. The leader's own vote waits for the sync, because it counts for a quorum.
    pub fn leaves_early(&self, durable: Option<U::Ballot>, message: &Message<U>) -> bool {
        let ballot = message.ballot();
        let promised = durable >= Some(ballot) || self.broken(Bug::ProposesTooEarly);
        match message {
            _ if self.broken(Bug::RepliesBeforePersisting) => true,
            Message::Accept { .. } => promised,
            Message::Accepted { from, .. } if *from == self.limits.owner(ballot) => {
                promised && self.broken(Bug::CountsOwnVoteEarly)
            }
            _ => false,
        }
    }

    /// Returns the acceptor that a node reads from its disk after a crash: the durable one.
    pub fn recovers(&self, node: U::NodeId, durable: &Acceptor<U>) -> Acceptor<U> {
        if self.broken(Bug::UnreadableIsEmpty) {
            return Acceptor::default();
        }
        let own = durable.promised.is_some_and(|ballot| self.limits.owner(ballot) == node);
        if own && self.broken(Bug::ReusesBallot) {
            let voted = durable.votes.filled().filter_map(|(_, vote)| Some(vote?.ballot)).max();
            return Acceptor { promised: voted, ..durable.clone() };
        }
        durable.clone()
    }
}
