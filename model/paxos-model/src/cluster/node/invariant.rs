//! The invariant of one node: what holds in every state that a node reaches, however large the cluster is.
//!
//! Each conjunct speaks of one node alone. Some follow from an invariant of `multipaxos.epr`, and [`Conjunct::from`] names it.
//! The others say how a node keeps its own books. `conformance` takes every input in every state that satisfies the
//! conjuncts, and so shows that they are inductive. It also checks that no state of an explored cluster or of a recorded run
//! breaks one, so that they are not too strong.
//!
//! The conjuncts do not say everything about reachable states. Two nodes can each satisfy them and contradict each other.

use super::{
    rules::Votes,
    state::{Live, Reads, Role, Round, Vote},
    universe::{Limits as _, Set as _, SlotMap, Universe, end, slots},
};

/// A node: its name, the limits of its cluster, and its state.
#[derive(Debug)]
pub struct Node<'a, U: Universe> {
    /// The name.
    pub me: U::NodeId,
    /// The limits of the cluster.
    pub limits: &'a U::Limits,
    /// The state.
    pub live: &'a Live<U>,
}

/// One part of the invariant.
#[derive(Clone, Copy, Debug)]
pub struct Conjunct<U: Universe> {
    /// The claim, in words.
    pub claim: &'static str,
    /// The invariant of `multipaxos.epr` that gives the claim, or why the claim is about one node alone.
    pub from: &'static str,
    /// Returns true if the claim holds.
    pub holds: fn(&Node<'_, U>) -> bool,
}

/// Returns the conjuncts of the invariant.
pub fn conjuncts<U: Universe>() -> [Conjunct<U>; 13] {
    const fn conjunct<U: Universe>(
        claim: &'static str,
        from: &'static str,
        holds: fn(&Node<'_, U>) -> bool,
    ) -> Conjunct<U> {
        Conjunct { claim, from, holds }
    }
    [
        conjunct(
            "no vote is in a ballot above the promise",
            "votes-bind, stored-is-voted",
            |node| node.votes().all(|(_, vote)| Some(vote.ballot) <= node.promised()),
        ),
        conjunct(
            "no trimmed slot has a vote, a known value, a report or a count of votes",
            "local: trimming removes them, and no handler puts anything below",
            trimmed_is_empty,
        ),
        conjunct(
            "a candidate or leader has promised a ballot of its own",
            "local: a promise of another node's ballot makes the node a follower",
            |node| match node.live.role {
                Role::Follower => true,
                _ => node.promised().is_some_and(|it| node.limits.owner(it) == node.me),
            },
        ),
        conjunct(
            "a candidate has heard itself",
            "local: it counts its own promise when it begins",
            |node| node.candidate().is_none_or(|it| it.heard.has(node.me)),
        ),
        conjunct(
            "a candidate has not voted in its ballot",
            "votes-follow-proposals: nobody has proposed in that ballot yet",
            |node| {
                node.candidate().is_none()
                    || node.votes().all(|(_, vote)| Some(vote.ballot) < node.promised())
            },
        ),
        conjunct("a candidate's reports are below its ballot", "reports-are-true", |node| {
            node.reports().all(|(_, vote)| Some(vote.ballot) < node.promised())
        }),
        conjunct(
            "a candidate's reports include its own votes, or higher ones",
            "reports-are-complete",
            reports_own_votes,
        ),
        conjunct(
            "a candidate waits for promises, or for slots that are trimmed elsewhere",
            "local: it leads in the step in which it waits for nothing more",
            |node| {
                node.candidate().is_none_or(|it| {
                    it.heard.count() < node.limits.phase1_quorum()
                        || node.live.known_below() < it.trimmed
                })
            },
        ),
        conjunct(
            "a leader counts votes in a slot if its vote there is in its ballot and the value is not known",
            "local: it counts from its own vote until it knows the value",
            counts_open_slots,
        ),
        conjunct(
            "a leader's counts include itself, and are below a quorum",
            "local: the vote that completes a quorum ends the count",
            |node| node.counts().all(|(_, voters)| node.below_quorum(&voters)),
        ),
        conjunct(
            "a leader has proposed in each slot below the barrier that it does not know to be chosen",
            "local: it proposes in all of them when it begins to lead",
            proposed_below_barrier,
        ),
        conjunct(
            "the barrier is not above the end of the log",
            "local: it was the end of the log when the node began to lead, and logs only grow",
            |node| node.reads().is_none_or(|reads| reads.barrier <= node.log_end()),
        ),
        conjunct(
            "a round of reads has begun, is confirmed by less than a quorum, and sees the barrier and no slot beyond the log; \
             a read waits only for such a round",
            "local: the confirmation that completes a quorum ends the round",
            round_is_open,
        ),
    ]
}

/// Returns the first conjunct that a node breaks.
pub fn broken<U: Universe>(node: &Node<'_, U>) -> Option<Conjunct<U>> {
    conjuncts().into_iter().find(|conjunct| !(conjunct.holds)(node))
}

/// The state of a candidate.
struct Campaign<'a, U: Universe> {
    heard: &'a U::NodeSet,
    reported: &'a Votes<U>,
    trimmed: U::Slot,
}

impl<U: Universe> Node<'_, U> {
    fn promised(&self) -> Option<U::Ballot> {
        self.live.acceptor.promised
    }

    fn votes(&self) -> impl Iterator<Item = (U::Slot, Vote<U>)> {
        filled(&self.live.acceptor.votes)
    }

    fn candidate(&self) -> Option<Campaign<'_, U>> {
        match &self.live.role {
            Role::Candidate { heard, reported, trimmed } => {
                Some(Campaign { heard, reported, trimmed: *trimmed })
            }
            Role::Follower | Role::Leader { .. } => None,
        }
    }

    fn reports(&self) -> impl Iterator<Item = (U::Slot, Vote<U>)> {
        self.candidate().into_iter().flat_map(|it| filled(it.reported))
    }

    fn counts(&self) -> impl Iterator<Item = (U::Slot, U::NodeSet)> {
        let votes = match &self.live.role {
            Role::Leader { votes, .. } => Some(votes),
            Role::Follower | Role::Candidate { .. } => None,
        };
        votes.into_iter().flat_map(SlotMap::filled)
    }

    fn reads(&self) -> Option<&Reads<U>> {
        self.live.reads()
    }

    /// Returns the slot after the last one that has a vote, or a known value, or is trimmed.
    fn log_end(&self) -> U::Slot {
        let (votes, chosen) = (end(&self.live.acceptor.votes), end(&self.live.chosen));
        votes.max(chosen).unwrap_or_default().max(self.live.acceptor.trimmed)
    }

    fn below_quorum(&self, set: &U::NodeSet) -> bool {
        set.has(self.me) && set.count() < self.limits.phase2_quorum()
    }
}

fn filled<U: Universe>(log: &U::Log<Option<Vote<U>>>) -> impl Iterator<Item = (U::Slot, Vote<U>)> {
    log.filled().filter_map(|(slot, vote)| Some((slot, vote?)))
}

fn trimmed_is_empty<U: Universe>(node: &Node<'_, U>) -> bool {
    let trimmed = node.live.acceptor.trimmed;
    node.votes().all(|(slot, _)| slot >= trimmed)
        && node.live.chosen.filled().all(|(slot, _)| slot >= trimmed)
        && node.reports().all(|(slot, _)| slot >= trimmed)
        && node.counts().all(|(slot, _)| slot >= trimmed)
}

fn reports_own_votes<U: Universe>(node: &Node<'_, U>) -> bool {
    let Some(Campaign { reported, .. }) = node.candidate() else { return true };
    node.votes().all(|(slot, own)| {
        reported.at(slot).is_some_and(|report| {
            report.ballot > own.ballot || report == own // one ballot has one value
        })
    })
}

fn counts_open_slots<U: Universe>(node: &Node<'_, U>) -> bool {
    let Role::Leader { votes, .. } = &node.live.role else { return true };
    let proposed = |slot: U::Slot| {
        let vote = node.live.acceptor.votes.at(slot);
        vote.map(|vote| vote.ballot) == node.promised()
    };
    let open = |slot: U::Slot| proposed(slot) && node.live.chosen.at(slot).is_none();
    node.counts().all(|(slot, _)| open(slot))
        && node.votes().all(|(slot, _)| !open(slot) || votes.at(slot) != U::NodeSet::default())
}

fn proposed_below_barrier<U: Universe>(node: &Node<'_, U>) -> bool {
    let Some(reads) = node.reads() else { return true };
    slots(node.live.acceptor.trimmed, reads.barrier).all(|slot| {
        let vote = node.live.acceptor.votes.at(slot);
        let proposed = vote.map(|vote| vote.ballot) == node.promised();
        proposed || node.live.chosen.at(slot).is_some()
    })
}

fn round_is_open<U: Universe>(node: &Node<'_, U>) -> bool {
    let Some(Reads { barrier, rounds, under_way, waits }) = node.reads() else { return true };
    match under_way {
        None => !waits,
        Some(Round { heard, index }) => {
            let begun = *rounds > U::ReadRound::default();
            let sees = barrier <= index && *index <= node.log_end();
            begun && sees && node.below_quorum(heard)
        }
    }
}
