//! The rules of Paxos, one function each, and beside each the ways in which people got it wrong.
//!
//! Everything that decides whether the protocol is safe stands here; [`super::node`] only moves data
//! between these answers. A rule without a bug is the rule.

use super::{
    bounds::Bounds,
    bugs::Bug,
    state::{Acceptor, Ballot, Live, Log, Message, NodeId, NodeSet, SLOTS_MAX, Slot, Vote},
};

/// The rules within some bounds, with at most one of them broken.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Quorums, owners and values.
    pub bounds: Bounds,
    /// The rule that is broken, if any.
    pub bug: Option<Bug>,
}

/// What an acceptor does with a Prepare.
pub enum Prepared {
    /// It promises.
    Promise,
    /// It sends the promise it already gave again.
    Again,
    /// It has promised more.
    Refuse,
    /// It voted in that ballot already.
    Silence,
}

/// What an acceptor does with a proposal.
pub enum Proposed {
    /// It votes for it.
    Vote {
        /// What it has promised from then on.
        promised: Option<Ballot>,
    },
    /// It has promised more.
    Refuse,
    /// It says that it voted, and did not. No rule does this.
    Claim,
    /// It says nothing: the slot is trimmed.
    Silence,
}

impl Rules {
    fn broken(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Phase 1b: a ballot above the promise is promised, an equal one answered again until a vote was
    /// cast in it, a lower one refused.
    pub fn prepare(&self, acceptor: &Acceptor, ballot: Ballot) -> Prepared {
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
                let voted = acceptor.votes.iter().flatten().any(|vote| vote.ballot == ballot);
                let silent = voted && !self.broken(Bug::PromisesAgain);
                if silent { Prepared::Silence } else { Prepared::Again }
            }
            _ => Prepared::Promise,
        }
    }

    /// What becomes of the votes when a ballot is promised: nothing.
    pub fn promise_keeps(&self, votes: Log<Option<Vote>>, ballot: Ballot) -> Log<Option<Vote>> {
        if self.broken(Bug::PromiseClearsVotes) {
            return Log::default();
        }
        if self.broken(Bug::OneBallotVariable) {
            return votes.map(|vote| Some(Vote { ballot, ..vote? }));
        }
        votes
    }

    /// What a promise reports: the last vote in each slot. `before` is what was promised before it.
    pub fn reports(&self, votes: Log<Option<Vote>>, before: Option<Ballot>) -> Log<Option<Vote>> {
        if self.broken(Bug::ReportsNothing) {
            return Log::default();
        }
        let hides = self.broken(Bug::HidesOvertakenVotes);
        votes.map(|vote| vote.filter(|vote| !(hides && Some(vote.ballot) < before)))
    }

    /// Phase 2b: vote unless a higher ballot was promised, and promise the ballot of the vote. What is trimmed
    /// is chosen, and takes no more votes.
    pub fn accept(&self, acceptor: &Acceptor, ballot: Ballot, slot: Slot) -> Proposed {
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
        if self.broken(Bug::VotesOnlyOnce) && acceptor.votes[usize::from(slot.0)].is_some() {
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

    /// Whether a promise for `ballot` counts for a candidate in `current`.
    pub fn counts_promise(&self, ballot: Ballot, current: Option<Ballot>) -> bool {
        let old = self.broken(Bug::CountsOldPromise) && Some(ballot) < current;
        current == Some(ballot) || old
    }

    /// Whether a vote counts for a leader in `current`, which itself voted as `own` says.
    pub fn counts_vote(&self, vote: Vote, current: Option<Ballot>, own: Option<Vote>) -> bool {
        let same_value = own.is_some_and(|own| own.value == vote.value);
        current == Some(vote.ballot)
            || self.broken(Bug::AddsUpBallots)
            || (self.broken(Bug::MatchesByValue) && same_value)
    }

    /// Who is heard after one more promise; `None` if nothing changes.
    pub fn hear_promise(&self, heard: NodeSet, from: NodeId) -> Option<NodeSet> {
        self.count(heard, from, self.broken(Bug::CountsPromiseTwice))
    }

    /// Who has voted after one more vote; `None` if nothing changes.
    pub fn hear_vote(&self, voters: NodeSet, from: NodeId) -> Option<NodeSet> {
        self.count(voters, from, self.broken(Bug::CountsVoteTwice))
    }

    /// A node counts once. (Counted twice, it takes the place of one that is missing.)
    fn count(&self, set: NodeSet, from: NodeId, twice: bool) -> Option<NodeSet> {
        if !set.has(from) {
            return Some(set.with(from));
        }
        let missing = (0..self.bounds.nodes).map(NodeId).find(|&node| !set.has(node));
        missing.filter(|_| twice).map(|node| set.with(node))
    }

    /// Phase 2a: of two reports, the one of the higher ballot counts.
    pub fn adopt(&self, known: Option<Vote>, report: Option<Vote>) -> Option<Vote> {
        match (known, report) {
            (Some(known), Some(report)) => {
                let higher = report.ballot > known.ballot;
                let takes = higher != self.broken(Bug::AdoptsLowest);
                Some(if takes { report } else { known })
            }
            _ => known.or(report),
        }
    }

    /// What a candidate knows after one more promise: of each slot the report that counts.
    pub fn merge(&self, known: Log<Option<Vote>>, reports: Log<Option<Vote>>) -> Log<Option<Vote>> {
        let highest = |log: &Log<Option<Vote>>| log.iter().flatten().map(|vote| vote.ballot).max();
        if self.broken(Bug::AdoptsWholeLog) {
            return if highest(&reports) > highest(&known) { reports } else { known };
        }
        std::array::from_fn(|slot| self.adopt(known[slot], reports[slot]))
    }

    /// What a new leader believes of the reports it got: all of it.
    pub fn believe(&self, reported: Log<Option<Vote>>, own: &Acceptor) -> Log<Option<Vote>> {
        let end = reported.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        std::array::from_fn(|slot| {
            if self.broken(Bug::IgnoresReports) {
                return None;
            }
            let gap = self.broken(Bug::FillsGapUnasked) && slot + 1 < end;
            reported[slot].filter(|_| !(gap && own.votes[slot].is_none()))
        })
    }

    /// What a promise says to be trimmed: what is.
    pub fn says_trimmed(&self, trimmed: Slot) -> Slot {
        if self.broken(Bug::HidesTrimmed) { Slot(0) } else { trimmed }
    }

    /// Whether the promises heard let a candidate lead.
    pub fn leads(&self, heard: NodeSet) -> bool {
        heard.len() >= self.quorum(self.bounds.phase1_quorum)
    }

    /// Whether a candidate has caught up: it knows all that is chosen in the slots of which somebody it heard
    /// reports nothing, because they are trimmed.
    pub fn caught_up(&self, known_below: Slot, trimmed: Slot) -> bool {
        known_below >= trimmed || self.broken(Bug::LeadsBehind)
    }

    /// Whether an entry may go into a snapshot of a node that itself voted as `own` says: once it is chosen.
    pub fn snapshot_covers(&self, chosen: bool, own: Option<Vote>) -> bool {
        chosen || (self.broken(Bug::TrimsUnchosen) && own.is_some())
    }

    /// Whether the votes heard choose a value.
    pub fn chooses(&self, voters: NodeSet) -> bool {
        voters.len() >= self.quorum(self.bounds.phase2_quorum)
    }

    fn quorum(&self, size: u8) -> u8 {
        if self.broken(Bug::HalfIsQuorum) { (self.bounds.nodes / 2).max(1) } else { size }
    }

    /// The ballot under which a leader proposes: the one it prepared.
    pub fn proposal_ballot(&self, node: NodeId, prepared: Ballot) -> Option<Ballot> {
        if self.broken(Bug::ProposesUnprepared) {
            return self.bounds.next_ballot(node, Some(prepared));
        }
        Some(prepared)
    }

    /// Where a leader puts what its client asks for: in the slot after the last one that it has voted in,
    /// knows to be chosen or has trimmed.
    pub fn free_slot(&self, live: &Live) -> u8 {
        let used =
            |slot: &usize| live.acceptor.votes[*slot].is_some() || live.chosen[*slot].is_some();
        let Some(last) = (0..SLOTS_MAX).rfind(used) else {
            return live.acceptor.trimmed.0;
        };
        let again = self.broken(Bug::ChangesValue) && live.chosen[last].is_none();
        last as u8 + u8::from(!again)
    }

    /// Below which slot a read has to see everything: what the leader knows to be chosen, with or without gaps,
    /// and what it found when it began.
    pub fn read_index(&self, live: &Live, barrier: Slot) -> Slot {
        let last = live.chosen.iter().rposition(Option::is_some);
        let known = last.map_or(live.acceptor.trimmed, |last| Slot(last as u8 + 1));
        match self.bug {
            Some(Bug::ReadsBelowBarrier) => known,
            Some(Bug::ReadsBelowGap) => live.known_below().max(barrier),
            _ => known.max(barrier),
        }
    }

    /// Whether those who confirmed a round let its read be answered.
    pub fn confirms(&self, heard: NodeSet) -> bool {
        heard.len() >= self.quorum(self.bounds.phase2_quorum) || self.broken(Bug::ReadsUnconfirmed)
    }

    /// Whether what confirms a round counts in the current one: if it is that one.
    pub fn counts_confirmation(&self, round: u8, current: u8) -> bool {
        round == current || self.broken(Bug::CountsOldConfirmation)
    }

    /// Whether a message leaves before its step is synced, at a node with this durable promise: a proposal does
    /// if its ballot is promised there, and nothing else.
    ///
    /// A ballot is not begun again once its promise is durable, so that it never proposes anything else, even
    /// if a crash makes its owner forget the proposal. The owner's own vote is another matter: it counts for a
    /// quorum, and waits.
    pub fn leaves_early(&self, durable: Option<Ballot>, message: Message) -> bool {
        let ballot = message.ballot();
        let promised = durable >= Some(ballot) || self.broken(Bug::ProposesTooEarly);
        match message {
            _ if self.broken(Bug::RepliesBeforePersisting) => true,
            Message::Accept { .. } => promised,
            Message::Accepted { from, .. } if from == self.bounds.owner(ballot) => {
                promised && self.broken(Bug::CountsOwnVoteEarly)
            }
            _ => false,
        }
    }

    /// What a node finds on its disk after a crash: what it synced.
    pub fn recovers(&self, node: NodeId, durable: Acceptor) -> Acceptor {
        if self.broken(Bug::UnreadableIsEmpty) {
            return Acceptor::default();
        }
        let own = durable.promised.is_some_and(|ballot| self.bounds.owner(ballot) == node);
        if own && self.broken(Bug::ReusesBallot) {
            let voted = durable.votes.iter().flatten().map(|vote| vote.ballot).max();
            return Acceptor { promised: voted, ..durable };
        }
        durable
    }
}
