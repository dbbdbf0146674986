//! The invariant of one node: what holds in every state that a node reaches, however large the cluster is.
//!
//! Each conjunct speaks of one node alone. Some follow from an invariant of `multipaxos.epr`, and [`Conjunct::from`] names it.
//! The others say how a node keeps its own books. `conformance` takes every input in every state that satisfies the
//! conjuncts, and so shows that they are inductive. It also checks that no state of an explored cluster or of a recorded run
//! breaks one, so that they are not too strong.
//!
//! No conjunct follows from the others. One further claim does: the barrier of a leader is not above the end of its log. The
//! slot at the end would be below the barrier, and neither proposed nor known to be chosen.
//!
//! The conjuncts do not say everything about reachable states. Two nodes can each satisfy them and contradict each other.

use super::{
    rules::Votes,
    state::{Live, Reads, Role, Round, Vote},
    universe::{Limits as _, Set as _, SlotMap, Universe, slots},
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
pub fn conjuncts<U: Universe>() -> [Conjunct<U>; 12] {
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
            "no trimmed slot has a vote, a known value or a report",
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
            "a candidate asks for the votes in each slot that it does not know to be chosen, and keeps no other reports",
            "local: it does not forget what it knows while it campaigns",
            |node| {
                node.candidate().is_none_or(|it| {
                    let mut reports = filled::<U>(it.reported);
                    it.first <= node.live.known_below() && reports.all(|(slot, _)| slot >= it.first)
                })
            },
        ),
        conjunct(
            "a candidate's votes and reports are below its ballot",
            "reports-are-true",
            |node| {
                let votes = node.candidate().is_some().then(|| node.votes());
                let mut all = votes.into_iter().flatten().chain(node.reports());
                all.all(|(_, vote)| Some(vote.ballot) < node.promised())
            },
        ),
        conjunct(
            "a candidate's reports include its own votes in the slots that it asks for, or higher ones",
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
    first: U::Slot,
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
            Role::Candidate { first, heard, reported, trimmed } => {
                Some(Campaign { first: *first, heard, reported, trimmed: *trimmed })
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
}

fn reports_own_votes<U: Universe>(node: &Node<'_, U>) -> bool {
    let Some(Campaign { first, reported, .. }) = node.candidate() else { return true };
    node.votes().filter(|(slot, _)| *slot >= first).all(|(slot, own)| {
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
            let sees = barrier <= index && *index <= node.live.log_end();
            begun && sees && node.below_quorum(heard)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::node::{
        state::Acceptor,
        unbounded::{Ballot, Log, Membership, NodeId, NodeSet, ReadRound, Slot, Unbounded, Value},
    };

    type State = Live<Unbounded>;
    type Start = fn() -> State;
    type Change = fn(&mut State);

    const ME: NodeId = NodeId(1);
    const OTHER: NodeId = NodeId(2);
    const LOW: Ballot = Ballot { round: 1, owner: ME };
    const HIGH: Ballot = Ballot { round: 2, owner: ME };

    fn vote(ballot: Ballot) -> Vote<Unbounded> {
        Vote { ballot, value: Value::Noop }
    }

    fn set(nodes: &[NodeId]) -> NodeSet {
        nodes.iter().fold(NodeSet::default(), |set, node| set.with(*node))
    }

    /// Returns a node that has promised `HIGH`, and has voted for `LOW` in slot 1. It has trimmed slot 0.
    fn follower() -> State {
        let mut votes = Log::default();
        votes.put(Slot(1), Some(vote(LOW)));
        let acceptor = Acceptor { promised: Some(HIGH), votes, trimmed: Slot(1) };
        Live { acceptor, ..Live::default() }
    }

    /// Returns the same node as a candidate that reports its vote.
    fn candidate() -> State {
        let follower = follower();
        let reported = follower.acceptor.votes.clone();
        let role =
            Role::Candidate { first: Slot(1), heard: set(&[ME]), reported, trimmed: Slot(0) };
        Live { role, ..follower }
    }

    /// Returns the same node as a leader that has proposed in slot 1, and confirms a read.
    fn leader() -> State {
        let mut leader = follower();
        leader.acceptor.votes.put(Slot(1), Some(vote(HIGH)));
        let mut votes = Log::default();
        votes.put(Slot(1), set(&[ME]));
        let under_way = Some(Round { heard: set(&[ME]), index: Slot(2) });
        let reads = Reads { barrier: Slot(2), rounds: ReadRound(1), under_way, waits: true };
        leader.role = Role::Leader { votes, reads };
        leader
    }

    fn reports(state: &mut State) -> (&mut NodeSet, &mut Log<Option<Vote<Unbounded>>>) {
        let Role::Candidate { heard, reported, .. } = &mut state.role else { unreachable!() };
        (heard, reported)
    }

    fn asks_from(state: &mut State, slot: Slot) {
        let Role::Candidate { first, .. } = &mut state.role else { unreachable!() };
        *first = slot;
    }

    fn counts(state: &mut State) -> (&mut Log<NodeSet>, &mut Reads<Unbounded>) {
        let Role::Leader { votes, reads } = &mut state.role else { unreachable!() };
        (votes, reads)
    }

    fn round(state: &mut State) -> &mut Round<Unbounded> {
        counts(state).1.under_way.as_mut().expect("a round is under way")
    }

    /// Returns the claims that a state breaks.
    fn all_broken(live: &State) -> Vec<&'static str> {
        let limits = Membership::new((1..=3).map(NodeId), 2, 2).expect("quorums intersect");
        let node = Node { me: ME, limits: &limits, live };
        let broken = conjuncts().into_iter().filter(|conjunct| !(conjunct.holds)(&node));
        let broken: Vec<_> = broken.map(|conjunct| conjunct.claim).collect();
        assert_eq!(super::broken(&node).map(|it| it.claim), broken.first().copied());
        broken
    }

    /// The changes of a state, in the order of the conjuncts. Each breaks one conjunct, and no other.
    #[test]
    fn each_conjunct_can_fail_alone() {
        let changes: [(Start, &[Change]); 12] = [
            (follower, &[|it| it.acceptor.promised = None]),
            (
                follower,
                &[
                    |it| it.acceptor.trimmed = Slot(2),
                    |it| it.chosen.put(Slot(0), Some(Value::Noop)),
                ],
            ),
            (candidate, &[|it| it.acceptor.promised = Some(Ballot { round: 2, owner: OTHER })]),
            (candidate, &[|it| *reports(it).0 = NodeSet::default()]),
            (
                candidate,
                &[
                    |it| {
                        asks_from(it, Slot(2));
                        reports(it).1.forget(Slot(2));
                    },
                    |it| {
                        it.chosen.put(Slot(1), Some(Value::Noop));
                        asks_from(it, Slot(2));
                    },
                ],
            ),
            (candidate, &[|it| reports(it).1.put(Slot(2), Some(vote(HIGH)))]),
            (
                candidate,
                &[
                    |it| *reports(it).1 = Log::default(),
                    |it| {
                        let value = Value::Command([1].into());
                        it.acceptor.votes.put(Slot(1), Some(Vote { ballot: LOW, value }));
                    },
                ],
            ),
            (candidate, &[|it| *reports(it).0 = set(&[ME, OTHER])]),
            (
                leader,
                &[
                    |it| *counts(it).0 = Log::default(),
                    |it| counts(it).0.put(Slot(2), set(&[ME])),
                    |it| it.chosen.put(Slot(1), Some(Value::Noop)),
                ],
            ),
            (
                leader,
                &[
                    |it| counts(it).0.put(Slot(1), set(&[OTHER])),
                    |it| counts(it).0.put(Slot(1), set(&[ME, OTHER])),
                ],
            ),
            (
                leader,
                &[|it| {
                    it.acceptor.votes.put(Slot(1), Some(vote(LOW)));
                    *counts(it).0 = Log::default();
                }],
            ),
            (
                leader,
                &[
                    |it| counts(it).1.rounds = ReadRound(0),
                    |it| counts(it).1.under_way = None,
                    |it| round(it).heard = set(&[OTHER]),
                    |it| round(it).heard = set(&[ME, OTHER]),
                    |it| round(it).index = Slot(1),
                    |it| round(it).index = Slot(3),
                ],
            ),
        ];
        for state in [follower, candidate, leader] {
            assert_eq!(all_broken(&state()), Vec::<&str>::new());
        }
        for (conjunct, (state, changes)) in conjuncts::<Unbounded>().iter().zip(changes) {
            for change in changes {
                let mut state = state();
                change(&mut state);
                assert_eq!(all_broken(&state), [conjunct.claim], "{state:?}");
            }
        }
    }
}
