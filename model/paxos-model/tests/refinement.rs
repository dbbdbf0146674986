//! The models refine the proved texts: in every state, in states that cannot be reached, and on long walks through
//! spaces that are too large to explore. The tests also show that each kind of difference is noticed.

#[path = "support/mutants.rs"]
mod support;

use std::{
    hash::{BuildHasher as _, RandomState},
    io::{Write as _, stderr},
};

use expect_test::expect;
use paxos_model::{
    cluster::{Bounds as ClusterBounds, Bug},
    refinement::{
        cluster::{ClusterRefinement, FOLLOWS},
        synod::SynodRefinement,
    },
    specifications::shipped,
    synod::{Bounds, State, Synod, Value},
};
use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use state_explorer::{Engine, Explorable as _, Finding, Options, Report, explore};
use stateright::Model as _;
use verdict::Verdict;

fn synod(acceptors: u8, values: u8, ballots: u8, quorums: Option<(u8, u8)>) -> Synod {
    let (phase1_quorum, phase2_quorum) = quorums.unzip();
    let bounds = Bounds { acceptors, values, ballots, phase1_quorum, phase2_quorum };
    Synod::new(bounds).expect("the bounds are good")
}

fn counts(report: &Report) -> (usize, usize) {
    assert_eq!(report.verdict, Verdict::Holds, "{report}");
    (report.states, report.transitions)
}

fn depth_first() -> Options {
    Options { engine: Engine::Dfs, ..Options::default() }
}

/// Model and text have the same labelled successors in every reachable state. The counts are those of other tools.
#[test]
fn synod_is_its_text_wherever_it_gets() {
    let of = |ballots| {
        let refinement = SynodRefinement::new(synod(3, 2, ballots, None), shipped("synod"));
        counts(&explore(&refinement, &depth_first()))
    };
    assert_eq!(of(1), (73, 141));
    assert_eq!(of(2), (3921, 9442));
    assert_eq!(of(3), (185_369, 491_535));
}

#[test]
fn synod_with_two_kinds_of_quorums_is_the_flexible_text() {
    let of = |quorums| {
        let refinement = SynodRefinement::new(synod(3, 2, 2, Some(quorums)), shipped("flexible"));
        counts(&explore(&refinement, &depth_first()))
    };
    assert_eq!(of((3, 1)), (513, 1048));
    assert_eq!(of((1, 3)), (12_513, 35_092));
    // Majorities are a special case.
    assert_eq!(of((2, 2)), (3921, 9442));
}

#[test]
#[should_panic(expected = "it is not so that any two quorums share an acceptor")]
fn what_the_proof_takes_for_granted_must_be_so() {
    // The text has one kind of quorums, and some of these quorums do not intersect.
    let _ = SynodRefinement::new(synod(3, 2, 2, Some((1, 3))), shipped("synod"));
}

/// Returns a random set of messages in which votes are for proposals, and a ballot has at most one proposal.
fn random_state(synod: &Synod, random: &mut ChaCha8Rng) -> State {
    let bounds = synod.bounds();
    let density = random.random_range(0.1..0.9);
    let mut state = State::default();
    for b in synod.ballots() {
        if random.random_bool(density) {
            state = synod.with_prepare(state, b);
        }
        let proposed = random.random_bool(density);
        if proposed {
            let value = Value(random.random_range(0..bounds.values));
            state = synod.with_proposal(state, b, value);
        }
        for a in synod.acceptors() {
            if random.random_bool(density) {
                state = synod.with_promise(state, a, b);
            }
            if proposed && random.random_bool(density) {
                state = synod.with_vote(state, a, b);
            }
        }
    }
    state
}

fn seed() -> u64 {
    // The seed is random, unless the environment names one to repeat a run.
    let seed =
        std::env::var("PAXOS_SEED").ok().map(|seed| seed.parse().expect("a seed is a number"));
    seed.unwrap_or_else(|| RandomState::new().hash_one(0))
}

fn announce(what: &str, seed: u64) {
    writeln!(stderr(), "{what}: PAXOS_SEED={seed}").expect("it can be said");
}

/// Most of these states are not reachable. The test therefore also notices a rule that is right only in reachable states.
#[test]
fn synod_is_its_text_anywhere() {
    let seed = seed();
    announce("random states", seed);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let spaces = [(3, 2, 3), (3, 3, 4), (2, 2, 5), (4, 2, 3), (5, 2, 2)];
    let refinements = spaces.map(|(acceptors, values, ballots)| {
        let model = synod(acceptors, values, ballots, None);
        SynodRefinement::new(model, shipped("synod"))
    });
    let mut steps = 0;
    for number in 0..100_000 {
        let refinement = &refinements[number % refinements.len()];
        let state = random_state(refinement.model(), &mut random);
        if let Err(difference) = refinement.compare(state) {
            panic!("seed {seed}, state {number}: {difference}, in {}", refinement.render(&state));
        }
        let mut actions = Vec::new();
        refinement.actions(&state, &mut actions);
        steps += actions.len();
    }
    assert!(steps > 100_000, "only {steps} steps");
}

/// The comparison notices the text of another protocol. A rule that adopts the lowest report makes no difference in the states
/// that are reachable with two ballots. Random states show the difference at once.
#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
fn another_text_is_noticed() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut table = Vec::new();
    // A text that takes less for granted is not broken in a model, and the model has no crash.
    let comparable =
        |name: &str| !["quorums need not intersect", "crash forgets the promise"].contains(&name);
    for (name, text) in support::mutants().into_iter().filter(|(name, _)| comparable(name)) {
        let reached =
            explore(&SynodRefinement::new(synod(3, 2, 2, None), text.clone()), &Options::default());
        let reached = match &reached.properties[0].counterexample {
            None => "not reached at two ballots".to_owned(),
            Some(found) => format!("reached in {} steps", found.steps.len() - 1),
        };
        let refinement = SynodRefinement::new(synod(3, 2, 3, None), text);
        let first = (1..=10_000)
            .find(|_| refinement.compare(random_state(refinement.model(), &mut random)).is_err());
        let first = first.map_or("not in 10000 random states".to_owned(), |first| {
            assert!(first < 1000, "{name}: {first}");
            "in a random state".to_owned()
        });
        table.push(format!("{name}: {reached}, {first}"));
    }
    expect![[r#"
        any value may be proposed: reached in 8 steps, in a random state
        accept below the promise: reached in 6 steps, in a random state
        promise not kept: reached in 1 steps, in a random state
        ballot reused: reached in 4 steps, in a random state
        lowest reported ballot wins: not reached at two ballots, in a random state
        accepting does not raise the promise: reached in 4 steps, in a random state
        one vote is enough to learn: reached in 5 steps, in a random state
        a promise may be sent twice: reached in 5 steps, in a random state
        clients need not ask: not reached at two ballots, not in 10000 random states
    "#]]
    .assert_eq(&lines(&table));
}

fn cluster_spaces() -> Vec<ClusterBounds> {
    let quiet = |bounds| ClusterBounds { chosen: false, ..bounds };
    let flexible = |phase1_quorum, phase2_quorum| ClusterBounds {
        phase1_quorum,
        phase2_quorum,
        ..ClusterBounds::of(3, 1, 2)
    };
    vec![
        ClusterBounds::of(3, 1, 2),
        ClusterBounds { unsynced: 2, ..ClusterBounds::of(2, 1, 3) },
        ClusterBounds { unsynced: 1, ..ClusterBounds::of(2, 2, 2) },
        ClusterBounds::of(3, 2, 1),
        quiet(ClusterBounds::of(3, 1, 3)),
        ClusterBounds { unsynced: 1, ..flexible(3, 1) },
        ClusterBounds { unsynced: 1, ..flexible(1, 3) },
        ClusterBounds { snapshots: true, ..ClusterBounds::of(3, 1, 2) },
        ClusterBounds { snapshots: true, unsynced: 1, ..ClusterBounds::of(2, 2, 2) },
        ClusterBounds { reads: 1, ..ClusterBounds::of(2, 1, 3) },
    ]
}

/// Steps of the text explain every transition, and each action of the text explains a transition.
#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
fn cluster_follows_its_text() {
    let mut table = Vec::new();
    for bounds in cluster_spaces() {
        let refinement = ClusterRefinement::new(bounds).expect("the bounds are good");
        let report = explore(&refinement, &depth_first());
        let (states, transitions) = counts(&report);
        assert!(report.properties.iter().all(|it| it.finding != Finding::Never), "{report}");
        let explained: Vec<_> =
            refinement.explained().iter().map(|(name, count)| format!("{name} {count}")).collect();
        table.push(format!("{bounds}: {states}, {transitions}\n    {}", explained.join(", ")));
    }
    expect![[r#"
        3 nodes, 1 slots, 2 ballots, 2 campaigners: 11929, 62580
            prepare 242, promise 7896, withdraw 1640, lead 1040, propose 432, accept 7984, learn 2728
        2 nodes, 1 slots, 3 ballots, 2 campaigners, 2 unsynced: 4921, 15695
            prepare 458, promise 1157, withdraw 283, lead 221, propose 125, accept 1306, learn 636
        2 nodes, 2 slots, 2 ballots, 2 campaigners, 1 unsynced: 5759, 23756
            prepare 157, promise 449, withdraw 122, lead 74, propose 209, accept 3154, learn 1717
        3 nodes, 2 slots, 1 ballots, 2 campaigners: 5217, 37749
            prepare 1, promise 373, withdraw 0, lead 4, propose 112, accept 7456, learn 816
        3 nodes, 1 slots, 3 ballots, 2 campaigners: 70938, 211344
            prepare 2618, promise 48026, withdraw 10402, lead 8490, propose 6330, accept 58408, learn 22291
        3 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 3/1, 1 unsynced: 7281, 37295
            prepare 214, promise 2580, withdraw 259, lead 200, propose 72, accept 2956, learn 566
        3 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 1/3, 1 unsynced: 21678, 104755
            prepare 342, promise 6368, withdraw 1204, lead 342, propose 775, accept 12273, learn 2452
        3 nodes, 1 slots, 2 ballots, 2 campaigners, snapshots: 92569, 474066
            prepare 1258, promise 53954, withdraw 11292, lead 14952, propose 1360, accept 23920, learn 7464
        2 nodes, 2 slots, 2 ballots, 2 campaigners, 1 unsynced, snapshots: 51008, 247235
            prepare 586, promise 2768, withdraw 811, lead 1970, propose 945, accept 9762, learn 5439
        2 nodes, 1 slots, 3 ballots, 2 campaigners, 1 reads: 17692, 56372
            prepare 1066, promise 5222, withdraw 1406, lead 712, propose 511, accept 3744, learn 3233
    "#]].assert_eq(&lines(&table));
}

/// The bugs of the catalogue that the text does not allow, with the bounds, and the number of steps to the difference.
#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
fn bugs_do_not_follow_the_text() {
    let mut table = Vec::new();
    let quiet = |bounds| ClusterBounds { chosen: false, nacks: false, ..bounds };
    let spaces = [
        quiet(ClusterBounds { unsynced: 1, ..ClusterBounds::of(2, 1, 2) }),
        quiet(ClusterBounds::of(3, 1, 3)),
        quiet(ClusterBounds::of(2, 2, 2)),
        quiet(ClusterBounds { phase1_quorum: 3, phase2_quorum: 3, ..ClusterBounds::of(3, 1, 2) }),
        quiet(ClusterBounds {
            campaigners: 1,
            phase1_quorum: 1,
            phase2_quorum: 3,
            ..ClusterBounds::of(3, 1, 2)
        }),
        quiet(ClusterBounds { snapshots: true, ..ClusterBounds::of(3, 1, 2) }),
        quiet(ClusterBounds { unsynced: 2, phase1_quorum: 1, ..ClusterBounds::of(2, 1, 1) }),
    ];
    for &bug in Bug::ALL {
        let found = spaces.iter().find_map(|&bounds| {
            let refinement =
                ClusterRefinement::new(bounds).expect("the bounds are good").with_bug(bug);
            let report = explore(&refinement, &Options::default());
            let found = report.properties[0].counterexample.as_ref()?;
            let last = found.steps.last()?;
            let why = last.state.lines().last()?.to_owned();
            Some(format!("{bounds}, {} steps\n    {why}", found.steps.len() - 1))
        });
        let found = found.unwrap_or("follows it".to_owned());
        table.push(format!("{:2} {bug:?}: {found}", bug.number()));
    }
    expect![[r#"
         1 RepliesBeforePersisting: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 1 steps
            NOT EXPLAINED: it should now be so that n1 has promised b0 or more
         2 UnreadableIsEmpty: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 3 steps
            NOT EXPLAINED: it should now be so that n1 has promised b0 or more
         3 AcceptsBelowPromise: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 10 steps
            NOT EXPLAINED: the specification does not allow that n2 votes in s0 for v0 in b0
         4 PromisesBelowPromise: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 6 steps
            NOT EXPLAINED: the specification does not allow that n2 promises b0
         4 PromisesBelowKeptPromise: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 5 steps
            NOT EXPLAINED: the specification does not allow that n2 promises b0
         5 AcceptDoesNotPromise: 3 nodes, 1 slots, 3 ballots, 2 campaigners, 5 steps
            NOT EXPLAINED: it should now be so that n3 has promised b0 or more
         6 PromiseClearsVotes: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 10 steps
            NOT EXPLAINED: it should now be so that the promise of b1 by n2 reports in s0: v0 in b0
         7 OneBallotVariable: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 10 steps
            NOT EXPLAINED: it should now be so that the promise of b1 by n2 reports in s0: v0 in b0
         8 IgnoresReports: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 13 steps
            NOT EXPLAINED: the specification does not allow that v1 is proposed in s0, b1, on the promises of {n1, n2}
         9 AdoptsLowest: 3 nodes, 1 slots, 3 ballots, 2 campaigners, 12 steps
            NOT EXPLAINED: the specification does not allow that v0 is proposed in s0, b2, on the promises of {n1, n2}
        10 CountsOldPromise: 3 nodes, 1 slots, 3 ballots, 2 campaigners, 4 steps
            NOT EXPLAINED: n1 leads in b2 without a quorum
        11 CountsPromiseTwice: 3 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 3/3, 4 steps
            NOT EXPLAINED: b0 is led on the promises of {n1, n2}, which are no quorum
        12 CountsVoteTwice: 3 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 3/3, 9 steps
            NOT EXPLAINED: n1 believes that v0 is chosen in s0, which is not decided
        13 AddsUpBallots: 3 nodes, 1 slots, 2 ballots, 1 campaigners, quorums 1/3, 8 steps
            NOT EXPLAINED: n1 believes that v0 is chosen in s0, which is not decided
        14 MatchesByValue: 3 nodes, 1 slots, 2 ballots, 1 campaigners, quorums 1/3, 8 steps
            NOT EXPLAINED: n1 believes that v0 is chosen in s0, which is not decided
        15 ReusesBallot: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 3 steps
            NOT EXPLAINED: it should now be so that n1 has promised b0 or more
        16 ChangesValue: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 14 steps
            NOT EXPLAINED: the specification does not allow that v1 is proposed in s0, b1, on the promises of {n1, n2}
        17 HalfIsQuorum: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 2 steps
            NOT EXPLAINED: b0 is led on the promises of {n1}, which are no quorum
        18 ReportsNothing: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 10 steps
            NOT EXPLAINED: it should now be so that the promise of b1 by n2 reports in s0: v0 in b0
        18 HidesOvertakenVotes: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 12 steps
            NOT EXPLAINED: the specification does not allow that n1 promises b1
        18 HidesTrimmed: 3 nodes, 1 slots, 2 ballots, 2 campaigners, snapshots, 7 steps
            NOT EXPLAINED: the specification does not allow that n3 promises b0
        18 AsksBehindGap: follows it
        19 AcceptsOnlyPromised: follows it
        20 AcceptsOnlyAbovePromise: follows it
        21 PromisesAgain: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 9 steps
            NOT EXPLAINED: the specification does not allow that n2 promises b0
        22 ClaimsVote: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 9 steps
            NOT EXPLAINED: the specification does not allow that n2 votes in s0 for v0 in b0
        23 FillsGapUnasked: 2 nodes, 2 slots, 2 ballots, 2 campaigners, 7 steps
            NOT EXPLAINED: the specification does not allow that v2 is proposed in s0, b1, on the promises of {n1, n2}
        24 AdoptsWholeLog: 2 nodes, 2 slots, 2 ballots, 2 campaigners, 8 steps
            NOT EXPLAINED: the specification does not allow that v2 is proposed in s0, b1, on the promises of {n1, n2}
        25 TrimsUnchosen: 3 nodes, 1 slots, 2 ballots, 2 campaigners, snapshots, 5 steps
            NOT EXPLAINED: n1 has trimmed s0, in which nothing is decided
        25 LeadsBehind: 3 nodes, 1 slots, 2 ballots, 2 campaigners, snapshots, 10 steps
            NOT EXPLAINED: the specification does not allow that v1 is proposed in s0, b1, on the promises of {n1, n2}
        26 ReadsUnconfirmed: follows it
        26 ReadsBelowBarrier: follows it
        26 CountsOldConfirmation: follows it
        26 ReadsBelowGap: follows it
        28 ProposesUnprepared: 3 nodes, 1 slots, 3 ballots, 2 campaigners, 4 steps
            NOT EXPLAINED: b2 is led on the promises of {}, which are no quorum
        29 VotesOnlyOnce: follows it
        30 ProposesTooEarly: 2 nodes, 1 slots, 1 ballots, 2 campaigners, quorums 1/2, 2 unsynced, 2 steps
            NOT EXPLAINED: b0 is led on the promises of {}, which are no quorum
        31 CountsOwnVoteEarly: 2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 6 steps
            NOT EXPLAINED: it should now be so that n1 stores in s0: v0 in b0 as its last vote
    "#]].assert_eq(&lines(&table));
}

/// Walks through spaces that are too large to explore.
#[test]
fn cluster_follows_its_text_on_long_walks() {
    let seed = seed();
    announce("random walks", seed);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let large = |nodes, slots, ballots, campaigners| ClusterBounds {
        campaigners,
        unsynced: 2,
        values: 3,
        ..ClusterBounds::of(nodes, slots, ballots)
    };
    let mut taken = 0;
    let trimmed = ClusterBounds { snapshots: true, ..large(4, 3, 6, 3) };
    for bounds in [large(3, 3, 7, 3), large(5, 2, 7, 3), large(4, 3, 6, 2), trimmed] {
        let refinement = ClusterRefinement::new(bounds).expect("the bounds are good");
        for walk in 0..60 {
            let mut state = refinement.initial();
            for step in 0..200 {
                let mut actions = Vec::new();
                refinement.actions(&state, &mut actions);
                let next = (0..50).find_map(|_| {
                    let action = *actions.choose(&mut random)?;
                    // Crashes are always possible, and too many would leave no other steps.
                    let rare =
                        ClusterRefinement::KINDS[ClusterRefinement::kind(&action)] == "crash";
                    if rare && random.random_bool(0.9) {
                        return None;
                    }
                    refinement.successor(&state, action)
                });
                let Some(next) = next else { break };
                let follows = refinement.properties().iter().all(|property| {
                    property.name != FOLLOWS || (property.condition)(&refinement, &next)
                });
                assert!(follows, "seed {seed}, {bounds}, walk {walk}, step {step}: {next:?}");
                state = next;
                taken += 1;
            }
        }
    }
    assert!(taken > 5_000, "only {taken} steps");
}

fn lines(table: &[String]) -> String {
    table.iter().map(|line| line.clone() + "\n").collect()
}
