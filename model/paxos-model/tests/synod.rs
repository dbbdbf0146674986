//! Compares the packed specification with known counts and with a naive version.
//!
//! The naive version below is a transcription of Lamport's `Paxos.tla` that shares nothing with the
//! packed one: messages carry their reports and values, acceptors have variables, and quorums are
//! enumerated.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::expect;
use itertools::Itertools as _;
use paxos_model::synod::{Acceptor, Action, Ballot, Bounds, State, Synod, Value};
use proptest::prelude::*;
use state_explorer::{Engine, Options, explore};
use stateright::Model as _;
use verdict::Verdict;

fn bounds(acceptors: u8, values: u8, ballots: u8) -> Bounds {
    Bounds { acceptors, values, ballots, phase1_quorum: None, phase2_quorum: None }
}

fn synod(acceptors: u8, values: u8, ballots: u8) -> Synod {
    Synod::new(bounds(acceptors, values, ballots)).expect("the bounds are good")
}

#[test]
fn counts_are_those_of_other_tools() {
    let known = [
        ((3, 2, 1), (73, 141, 9)),
        ((3, 2, 2), (3921, 9442, 17)),
        ((3, 2, 3), (185_369, 491_535, 25)),
    ];
    for ((acceptors, values, ballots), (states, transitions, depth)) in known {
        for engine in [Engine::Bfs, Engine::Dfs] {
            let options = Options { engine, ..Options::default() };
            let report = explore(&synod(acceptors, values, ballots), &options);
            assert_eq!(report.verdict, Verdict::Holds);
            assert_eq!(
                (report.states, report.transitions, report.depth),
                (states, transitions, Some(depth))
            );
            assert_eq!(report.warnings, [""; 0]);
        }
    }
}

/// Ballots and values. `None` stands for the -1 and the `None` of the specification.
type Vote = Option<(u8, u8)>;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Message {
    Prepare { ballot: u8 },
    Promise { acceptor: u8, ballot: u8, report: Vote },
    Propose { ballot: u8, value: u8 },
    Vote { acceptor: u8, ballot: u8, value: u8 },
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Naive {
    messages: BTreeSet<Message>,
    max_bal: BTreeMap<u8, u8>,
    max_vote: BTreeMap<u8, (u8, u8)>,
}

fn quorums(acceptors: u8, size: Option<u8>) -> impl Iterator<Item = Vec<u8>> {
    let least = usize::from(size.unwrap_or(acceptors / 2 + 1));
    (0..acceptors).powerset().filter(move |quorum| quorum.len() >= least)
}

impl Naive {
    fn allows(&self, quorum: &[u8], ballot: u8, value: u8) -> bool {
        let promises: Vec<(u8, Vote)> = self
            .messages
            .iter()
            .filter_map(|message| match *message {
                Message::Promise { acceptor, ballot: b, report } if b == ballot => {
                    quorum.contains(&acceptor).then_some((acceptor, report))
                }
                _ => None,
            })
            .collect();
        let votes: Vec<(u8, u8)> = promises.iter().filter_map(|(_, report)| *report).collect();
        quorum.iter().all(|a| promises.iter().any(|(acceptor, _)| acceptor == a))
            && (votes.is_empty()
                || votes.iter().any(|(b, v)| *v == value && votes.iter().all(|(c, _)| c <= b)))
    }

    fn steps(&self, bounds: Bounds) -> Vec<(Action, Self)> {
        let mut steps = Vec::new();
        for ballot in 0..bounds.ballots {
            let mut next = self.clone();
            next.messages.insert(Message::Prepare { ballot });
            steps.push((Action::Prepare(Ballot(ballot)), next));

            for value in 0..bounds.values {
                let proposed = |message: &Message| matches!(message, Message::Propose { ballot: b, .. } if *b == ballot);
                if !self.messages.iter().any(proposed)
                    && quorums(bounds.acceptors, bounds.phase1_quorum)
                        .any(|quorum| self.allows(&quorum, ballot, value))
                {
                    let mut next = self.clone();
                    next.messages.insert(Message::Propose { ballot, value });
                    steps.push((Action::Propose(Ballot(ballot), Value(value)), next));
                }
            }
        }
        for acceptor in 0..bounds.acceptors {
            let max_bal = self.max_bal.get(&acceptor).copied();
            for message in &self.messages {
                let mut next = self.clone();
                match *message {
                    Message::Prepare { ballot } if max_bal.is_none_or(|max| ballot > max) => {
                        let report = self.max_vote.get(&acceptor).copied();
                        next.messages.insert(Message::Promise { acceptor, ballot, report });
                        next.max_bal.insert(acceptor, ballot);
                        steps.push((Action::Promise(Acceptor(acceptor), Ballot(ballot)), next));
                    }
                    Message::Propose { ballot, value }
                        if max_bal.is_none_or(|max| ballot >= max) =>
                    {
                        next.messages.insert(Message::Vote { acceptor, ballot, value });
                        next.max_bal.insert(acceptor, ballot);
                        next.max_vote.insert(acceptor, (ballot, value));
                        steps.push((Action::Vote(Acceptor(acceptor), Ballot(ballot)), next));
                    }
                    _ => {}
                }
            }
        }
        steps.retain(|(_, next)| next != self);
        steps.sort();
        steps
    }

    fn chosen(&self, bounds: Bounds) -> BTreeSet<u8> {
        let voted = |acceptor, ballot, value| {
            self.messages.contains(&Message::Vote { acceptor, ballot, value })
        };
        (0..bounds.ballots)
            .cartesian_product(0..bounds.values)
            .filter(|(ballot, value)| {
                quorums(bounds.acceptors, bounds.phase2_quorum)
                    .any(|quorum| quorum.iter().all(|a| voted(*a, *ballot, *value)))
            })
            .map(|(_, value)| value)
            .collect()
    }
}

/// Asserts that all queries about a state have the same results in both versions.
fn assert_alike(synod: &Synod, packed: State, naive: &Naive) {
    let bounds = synod.bounds();
    for acceptor in 0..bounds.acceptors {
        let max_bal = synod.max_bal(packed, Acceptor(acceptor)).map(|b| b.0);
        assert_eq!(max_bal, naive.max_bal.get(&acceptor).copied());
        let last_vote = synod.last_vote(packed, Acceptor(acceptor)).map(|(b, v)| (b.0, v.0));
        assert_eq!(last_vote, naive.max_vote.get(&acceptor).copied());
    }
    let mut messages = BTreeSet::new();
    for b in synod.ballots() {
        let ballot = b.0;
        if synod.prepared(packed, b) {
            messages.insert(Message::Prepare { ballot });
        }
        for value in synod.proposals(packed, b).map(|v| v.0) {
            messages.insert(Message::Propose { ballot, value });
        }
        for a in synod.acceptors() {
            let acceptor = a.0;
            if synod.promised(packed, a, b) {
                let report = synod.report(packed, a, b).map(|(c, v)| (c.0, v.0));
                messages.insert(Message::Promise { acceptor, ballot, report });
            }
            if synod.voted(packed, a, b) {
                let value = synod.proposal(packed, b).expect("votes are for a proposal").0;
                messages.insert(Message::Vote { acceptor, ballot, value });
            }
        }
    }
    assert!(messages == naive.messages);
    assert_eq!(packed.messages() as usize, messages.len());
    let chosen: BTreeSet<u8> = synod.chosen(packed).map(|v| v.0).collect();
    assert_eq!(chosen, naive.chosen(bounds));
    assert_eq!(synod.agreement(packed), chosen.len() <= 1);
}

/// Returns the steps of a state. Asserts that both versions have the same steps.
fn steps(synod: &Synod, packed: State, naive: &Naive) -> Vec<(State, Naive)> {
    let mut listed = Vec::new();
    synod.actions(&packed, &mut listed);
    listed.sort();
    let expected = naive.steps(synod.bounds());
    assert_eq!(listed, expected.iter().map(|(action, _)| *action).collect_vec());
    let next = |(action, naive)| {
        let next = synod.step(packed, action).expect("it is listed");
        assert_eq!(synod.next_state(&packed, action), Some(next));
        assert_eq!(synod.step(next, action), None, "{action:?} changed nothing");
        (next, naive)
    };
    expected.into_iter().map(next).collect()
}

#[test]
fn every_state_and_step_of_two_ballots_is_the_naive_one() {
    let synod = synod(3, 2, 2);
    let mut seen = BTreeMap::from([(State::default(), Naive::default())]);
    let mut unexplored = vec![State::default()];
    let mut transitions = 0;
    while let Some(packed) = unexplored.pop() {
        let naive = seen[&packed].clone();
        assert_alike(&synod, packed, &naive);
        for (next, naive) in steps(&synod, packed, &naive) {
            transitions += 1;
            // Equal packed states are equal naive states: the packed state omits nothing.
            if let Some(known) = seen.get(&next) {
                assert!(*known == naive);
            } else {
                seen.insert(next, naive);
                unexplored.push(next);
            }
        }
    }
    // Different packed states are different naive states.
    assert_eq!(seen.values().collect::<BTreeSet<_>>().len(), seen.len());
    assert_eq!((seen.len(), transitions), (3921, 9442));
}

fn any_bounds() -> impl Strategy<Value = Bounds> {
    (1u8..=5, 1u8..=3, 1u8..=4)
        .prop_flat_map(|(acceptors, values, ballots)| {
            let sizes = (1..=acceptors)
                .prop_flat_map(move |phase1| (Just(phase1), acceptors + 1 - phase1..=acceptors));
            (Just((acceptors, values, ballots)), proptest::option::of(sizes))
        })
        .prop_map(|((acceptors, values, ballots), sizes)| Bounds {
            acceptors,
            values,
            ballots,
            phase1_quorum: sizes.map(|(phase1, _)| phase1),
            phase2_quorum: sizes.map(|(_, phase2)| phase2),
        })
}

proptest! {
    #[test]
    fn every_walk_is_a_naive_walk(
        bounds in any_bounds(),
        choices in proptest::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let synod = Synod::new(bounds).expect("the bounds are good");
        let (mut packed, mut naive) = (State::default(), Naive::default());
        assert_alike(&synod, packed, &naive);
        for choice in choices {
            let mut steps = steps(&synod, packed, &naive);
            if steps.is_empty() {
                break;
            }
            (packed, naive) = steps.swap_remove(choice.index(steps.len()));
            assert_alike(&synod, packed, &naive);
            prop_assert!(synod.agreement(packed) && synod.validity(packed));
            prop_assert!(synod.one_value_per_ballot(packed));
        }
    }

    /// The states include unreachable states, in which several values may be chosen.
    #[test]
    fn chosen_values_are_those_of_some_quorum(
        bounds in any_bounds(),
        proposals in proptest::collection::vec(any::<u8>(), 4),
        votes in proptest::collection::vec(any::<bool>(), 4 * 5),
    ) {
        let synod = Synod::new(bounds).expect("the bounds are good");
        let (mut packed, mut naive) = (State::default(), Naive::default());
        for ballot in 0..bounds.ballots {
            let value = proposals[usize::from(ballot)] % bounds.values;
            packed = synod.with_proposal(packed, Ballot(ballot), Value(value));
            for acceptor in 0..bounds.acceptors {
                if votes[usize::from(ballot) * 5 + usize::from(acceptor)] {
                    packed = synod.with_vote(packed, Acceptor(acceptor), Ballot(ballot));
                    naive.messages.insert(Message::Vote { acceptor, ballot, value });
                }
            }
        }
        let chosen: BTreeSet<u8> = synod.chosen(packed).map(|v| v.0).collect();
        prop_assert_eq!(&chosen, &naive.chosen(bounds));
        prop_assert_eq!(synod.agreement(packed), chosen.len() <= 1);
    }
}

#[test]
fn properties_can_fail() {
    let synod = synod(3, 2, 2);
    let (b0, b1, v0, v1) = (Ballot(0), Ballot(1), Value(0), Value(1));
    let vote = |state, b, acceptors: &[u8]| {
        acceptors.iter().fold(state, |state, a| synod.with_vote(state, Acceptor(*a), b))
    };

    let state = vote(synod.with_proposal(State::default(), b0, v0), b0, &[0, 1]);
    assert!(synod.agreement(state));
    let state = vote(synod.with_proposal(state, b1, v1), b1, &[1, 2]);
    assert!(!synod.agreement(state) && synod.validity(state));
    assert_eq!(synod.chosen(state).collect_vec(), [v0, v1]);

    let state = synod.with_proposal(synod.with_proposal(State::default(), b0, v0), b0, v1);
    assert!(!synod.one_value_per_ballot(state));
    assert_eq!(synod.proposals(state, b0).collect_vec(), [v0, v1]);
    assert_eq!(synod.proposal(state, b0), Some(v0));

    assert!(!synod.validity(vote(State::default(), b0, &[2])));
}

#[test]
fn quorum_sizes_are_used() {
    // All acceptors must promise and one vote chooses, or the reverse.
    for (phase1, phase2) in [(3, 1), (1, 3)] {
        let sizes =
            Bounds { phase1_quorum: Some(phase1), phase2_quorum: Some(phase2), ..bounds(3, 2, 2) };
        let synod = Synod::new(sizes).expect("these quorums meet");
        let report = explore(&synod, &Options::default());
        assert_eq!(report.verdict, Verdict::Holds);
        assert_eq!(report.warnings, [""; 0]);
        assert_ne!(report.states, 3921);
    }
}

#[test]
fn the_largest_states_have_room_for_every_message() {
    for (acceptors, values, ballots) in [(3, 2, 14), (1, 1, 32), (62, 3, 1), (1, 125, 1)] {
        let synod = synod(acceptors, values, ballots);
        let all = synod.ballots().fold(State::default(), |state, b| {
            let state = synod.with_prepare(state, b);
            let state = (0..values).fold(state, |s, v| synod.with_proposal(s, b, Value(v)));
            synod.acceptors().fold(state, |s, a| synod.with_vote(synod.with_promise(s, a, b), a, b))
        });
        let messages = u32::from(ballots) * (1 + 2 * u32::from(acceptors) + u32::from(values));
        assert_eq!(all.messages(), messages, "no two messages may share a bit");
        let last = Acceptor(acceptors - 1);
        assert_eq!(synod.max_bal(all, last), Some(Ballot(ballots - 1)));
        assert_eq!(synod.last_vote(all, last), Some((Ballot(ballots - 1), Value(0))));
        assert!(synod.chosen_in(all, Ballot(ballots - 1)));
        assert_eq!(synod.chosen(all).count(), usize::from(values));
    }
}

#[test]
fn what_is_out_of_bounds_is_not_enabled() {
    let synod = synod(3, 2, 2);
    let full = synod.ballots().fold(State::default(), |s, b| synod.with_prepare(s, b));
    for action in [
        Action::Prepare(Ballot(2)),
        Action::Promise(Acceptor(3), Ballot(0)),
        Action::Promise(Acceptor(0), Ballot(200)),
        Action::Propose(Ballot(0), Value(2)),
        Action::Propose(Ballot(0), Value(200)),
        Action::Vote(Acceptor(0), Ballot(2)),
    ] {
        assert_eq!(synod.step(full, action), None);
    }
}

#[test]
fn bad_bounds_say_what_would_be_good() {
    let refused = |bounds| Synod::new(bounds).expect_err("the bounds are bad").to_string();
    expect!["there must be at least one acceptor"].assert_eq(&refused(bounds(0, 2, 2)));
    expect!["there must be at least one ballot"].assert_eq(&refused(bounds(3, 2, 0)));
    expect!["3 acceptors, 2 values and 15 ballots make 135 possible messages, and a state holds 128; with so many acceptors and values, give at most 14 ballots"]
        .assert_eq(&refused(bounds(3, 2, 15)));
    expect!["255 acceptors, 2 values and 255 ballots make 130815 possible messages, and a state holds 128; give fewer acceptors or values: twice the number of acceptors and that of values together may be 127 at most"]
        .assert_eq(&refused(bounds(255, 2, 255)));
    expect!["a phase-2 quorum of 4 is not a quorum of 3 acceptors; give a size from 1 to 3"]
        .assert_eq(&refused(Bounds { phase2_quorum: Some(4), ..bounds(3, 2, 2) }));
    expect!["a phase-1 quorum of 0 is not a quorum of 3 acceptors; give a size from 1 to 3"]
        .assert_eq(&refused(Bounds { phase1_quorum: Some(0), ..bounds(3, 2, 2) }));
    expect!["a phase-1 quorum of 1 and a phase-2 quorum of 2 need not meet among 3 acceptors; the two sizes must add up to more than 3, so with a phase-1 quorum of 1 give a phase-2 quorum of at least 3"]
        .assert_eq(&refused(Bounds { phase1_quorum: Some(1), ..bounds(3, 2, 2) }));
}

/// The number of states is estimated from the same model with fewer ballots.
#[test]
fn a_guess_is_of_the_right_order() {
    let guess = |ballots| state_explorer::estimate(&synod(3, 2, ballots), &Options::default());
    let states = guess(4).expect("it is not small").states;
    assert!((4e6..16e6).contains(&states), "{states}");
    assert_eq!(guess(3), None);
    assert_eq!(guess(1), None);
}
