//! All engines agree on counts, verdicts and the length of counterexamples, with and without symmetry, on any number
//! of threads.

use std::num::NonZeroUsize;

use itertools::iproduct;
use paxos_model::{
    cluster::{AGREEMENT, Bounds, Bug, Cluster},
    synod::{self, Synod},
};
use state_explorer::{
    Engine, Explorable, Options, Report, explore, explore_and_keep,
    packing::{Key, Packer, Unpacker, WORDS_MAX},
};
use verdict::Verdict;

fn synod(acceptors: u8, values: u8, ballots: u8) -> Synod {
    let bounds =
        synod::Bounds { acceptors, values, ballots, phase1_quorum: None, phase2_quorum: None };
    Synod::new(bounds).expect("the bounds are good")
}

fn cluster(bounds: Bounds) -> Cluster {
    Cluster::new(bounds).expect("the bounds are good")
}

/// Small spaces that differ in their features.
fn clusters() -> Vec<Bounds> {
    let base = Bounds::of(3, 1, 2);
    let quiet = Bounds { nacks: false, chosen: false, crashes: Some(0), ..base };
    vec![
        base,
        Bounds { crashes: Some(1), ..base },
        Bounds { unsynced: 1, crashes: Some(1), ..quiet },
        Bounds { unsynced: 2, ballots: 1, ..base },
        Bounds { slots: 2, campaigners: 1, ..quiet },
        Bounds { ballots: 3, phase1_quorum: 3, phase2_quorum: 1, ..quiet },
        Bounds { campaigners: 1, ..Bounds { crashes: Some(1), ..Bounds::of(4, 1, 2) } },
        Bounds { snapshots: true, unsynced: 1, ..quiet },
        Bounds { reads: 2, ballots: 1, unsynced: 1, ..base },
        Bounds { reads: 1, snapshots: true, ..Bounds::of(2, 2, 2) },
        Bounds { chosen: true, ..Bounds { ballots: 1, nodes: 5, ..Bounds::of(5, 1, 1) } },
    ]
}

fn with(engine: Engine, threads: usize, symmetry: bool) -> Options {
    let threads = NonZeroUsize::new(threads).expect("positive");
    Options { engine, threads, symmetry, ..Options::default() }
}

/// The results that must be equal for all engines.
fn counts(report: &Report) -> impl PartialEq + std::fmt::Debug + use<> {
    assert_eq!(report.verdict, Verdict::Holds, "{report}");
    let findings: Vec<_> = report.properties.iter().map(|it| (it.name, it.finding)).collect();
    let actions: Vec<_> = report.actions.clone().into_iter().collect();
    (report.states, report.transitions, findings, actions, report.symmetry.clone())
}

fn assert_alike<M: Explorable>(model: &M) {
    for symmetry in [false, true] {
        if symmetry && model.symmetry().is_none() {
            continue;
        }
        let bfs = explore(model, &with(Engine::Bfs, 1, symmetry));
        for (engine, threads) in [
            (Engine::Bfs, 2),
            (Engine::Dfs, 1),
            (Engine::Timely, 1),
            (Engine::Timely, 2),
            (Engine::Timely, 3),
        ] {
            let report = explore(model, &with(engine, threads, symmetry));
            assert_eq!(counts(&report), counts(&bfs), "{engine:?}, {threads}: {}", model.title());
            if engine == Engine::Timely {
                assert_eq!(report.depth, bfs.depth);
                assert_eq!(report.expected_missed.to_bits(), 0);
            } else {
                assert!(report.expected_missed > 0.0);
            }
        }
    }
}

#[test]
fn engines_agree_on_synod() {
    for (acceptors, values, ballots) in [(3, 2, 1), (3, 2, 2), (3, 2, 3), (2, 3, 3), (5, 1, 1)] {
        assert_alike(&synod(acceptors, values, ballots));
    }
}

#[test]
fn engines_agree_on_clusters() {
    for bounds in clusters() {
        assert_alike(&cluster(bounds).checked());
    }
}

/// The published counts of states up to symmetry, and the sum of the orbits.
#[test]
fn orbits_add_up() {
    for (ballots, both, acceptors, all) in
        [(1, 15, 25, 73), (2, 443, 857, 3_921), (3, 17_153, 34_113, 185_369)]
    {
        let model = synod(3, 2, ballots);
        for (model, expected) in [(model.clone(), both), (model.with_distinct_values(), acceptors)]
        {
            let report = explore(&model, &with(Engine::Timely, 1, true));
            assert_eq!(report.states, expected);
            assert_eq!(report.symmetry.expect("it was used").orbits, all);
        }
    }
    for bounds in clusters() {
        let (all, some) = (Engine::Dfs, Engine::Dfs);
        let all = explore(&cluster(bounds).checked(), &with(all, 1, false));
        let some = explore(&cluster(bounds).checked(), &with(some, 1, true));
        assert_eq!(some.symmetry.expect("it was used").orbits, all.states as u64, "{bounds}");
        // Only nodes that do not campaign can be renamed, and it takes two of them.
        assert_eq!(some.states < all.states, bounds.nodes > bounds.campaigners + 1, "{bounds}");
    }
}

/// Renames acceptors and values by going through all permutations, message by message.
fn least_name(synod: &Synod, state: synod::State) -> (String, usize) {
    use itertools::Itertools as _;
    let permutations =
        iproduct!((0..3_u8).permutations(3).collect_vec(), (0..2_u8).permutations(2).collect_vec());
    let renamed = permutations.map(|(acceptors, values)| {
        let mut renamed = synod::State::default();
        for b in synod.ballots() {
            if synod.prepared(state, b) {
                renamed = synod.with_prepare(renamed, b);
            }
            for v in synod.proposals(state, b) {
                let v = synod::Value(values[usize::from(v.0)]);
                renamed = synod.with_proposal(renamed, b, v);
            }
            for a in synod.acceptors() {
                let name = synod::Acceptor(acceptors[usize::from(a.0)]);
                if synod.promised(state, a, b) {
                    renamed = synod.with_promise(renamed, name, b);
                }
                if synod.voted(state, a, b) {
                    renamed = synod.with_vote(renamed, name, b);
                }
            }
        }
        format!("{renamed:?}")
    });
    let all = renamed.sorted().dedup().collect_vec();
    (all[0].clone(), all.len())
}

/// A representative is its own representative. It is also the representative of every state that results from it by renaming.
#[test]
fn a_wrong_representative_would_be_noticed() {
    let synod = synod(3, 2, 2);
    let symmetry = synod.symmetry().expect("acceptors and values can be renamed");
    let mut representatives = std::collections::BTreeMap::new();
    for state in states(&synod) {
        let (name, orbit) = least_name(&synod, state);
        let canonical = symmetry.canonical(state);
        assert_eq!(*representatives.entry(name).or_insert(canonical), canonical);
        assert_eq!(symmetry.orbit(&state), orbit as u64);
    }
    assert_eq!(representatives.len(), 443);
}

/// Returns all reachable states, found by a simple loop.
fn states<M: Explorable>(model: &M) -> Vec<M::State> {
    let mut states = model.init_states();
    let mut known: std::collections::HashSet<_> = states.iter().cloned().collect();
    let mut at = 0;
    while let Some(state) = states.get(at).cloned() {
        at += 1;
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        for next in actions.into_iter().filter_map(|action| model.next_state(&state, action)) {
            if known.insert(next.clone()) {
                states.push(next);
            }
        }
    }
    states
}

fn assert_packs<M: Explorable>(model: &M) -> usize {
    let packing = model.packing().expect("this model packs");
    let states = states(model);
    let mut keys = std::collections::HashSet::new();
    for state in &states {
        let mut packer = Packer::default();
        packing.pack(state, &mut packer);
        let key: Key<WORDS_MAX> = packer.finish().expect("it fits");
        assert_eq!(packing.unpack(&mut Unpacker::new(&key)), *state);
        keys.insert(key);
    }
    assert_eq!(keys.len(), states.len());
    states.len()
}

#[test]
fn what_is_packed_is_unpacked() {
    let mut packed = assert_packs(&synod(3, 2, 2)) + assert_packs(&synod(4, 5, 1));
    for bounds in clusters() {
        packed += assert_packs(&cluster(bounds).checked());
    }
    // States with a fault, of every kind that fits.
    for (bug, bounds) in [
        (Bug::HalfIsQuorum, Bounds::of(3, 1, 2)),
        (Bug::AdoptsWholeLog, Bounds { crashes: Some(0), ..Bounds::of(2, 2, 2) }),
        (Bug::AcceptDoesNotPromise, Bounds { nacks: false, ..Bounds::of(3, 1, 2) }),
    ] {
        packed += assert_packs(&cluster(bounds).with_bug(bug).checked());
    }
    assert!(packed > 50_000, "{packed}");
}

#[test]
fn counterexamples_are_equally_short() {
    let space = |ballots| {
        let base = Bounds::of(3, 1, ballots);
        Bounds { crashes: Some(0), nacks: false, chosen: false, ..base }
    };
    for (bug, bounds, steps) in [
        (Bug::AcceptsBelowPromise, space(2), 10),
        (Bug::IgnoresReports, space(2), 10),
        (Bug::HalfIsQuorum, space(2), 6),
        (Bug::AdoptsLowest, space(3), 14),
    ] {
        let alone = cluster(bounds).with_bug(bug).with_only(&[AGREEMENT]).checked();
        for (engine, threads) in
            [(Engine::Bfs, 1), (Engine::Dfs, 1), (Engine::Timely, 1), (Engine::Timely, 2)]
        {
            let options = with(engine, threads, false);
            let found = explore_and_keep(&alone, &options);
            assert_eq!(found.report.verdict, Verdict::Violated, "{bug:?} {engine:?}");
            assert_eq!(found.behaviours[AGREEMENT].steps().len(), steps, "{bug:?} {engine:?}");
            let property = &found.report.properties[0];
            assert!(property.counterexample.as_ref().expect("it is violated").shortest);
            // The counterexample of a property has the same length whether the search checks all properties or this one.
            let all = cluster(bounds).with_bug(bug).checked();
            for property in explore(&all, &options).properties {
                let Some(found) = property.counterexample else { continue };
                let alone = explore(&all.only(property.name), &with(Engine::Bfs, 1, false));
                let alone = alone.properties[0].counterexample.as_ref().expect("it fails alone");
                assert_eq!(found.steps.len(), alone.steps.len(), "{bug:?} {}", property.name);
            }
        }
    }
}

/// The counterexample ends in the same state for any number of workers.
#[test]
fn a_counterexample_does_not_depend_on_the_number_of_workers() {
    let bounds = Bounds { crashes: Some(0), ..Bounds::of(3, 1, 2) };
    let broken = cluster(bounds).with_bug(Bug::IgnoresReports).checked();
    let found = |threads| {
        let found = explore_and_keep(&broken, &with(Engine::Timely, threads, false));
        found.behaviours.values().map(|it| it.last().clone()).collect::<Vec<_>>()
    };
    assert!(!found(1).is_empty());
    assert!((2..4).all(|threads| found(threads) == found(1)));
}

#[test]
fn symmetric_counterexamples_are_behaviours_of_the_model() {
    // Two values are never chosen, so this property of a correct model fails in a known state.
    let synod = synod(3, 2, 2);
    for engine in [Engine::Bfs, Engine::Dfs, Engine::Timely] {
        let show = Some("a value is chosen".to_owned());
        let found = explore_and_keep(&synod, &Options { show, ..with(engine, 1, true) });
        let chosen = &found.behaviours["a value is chosen"];
        assert!(synod.chosen(*chosen.last()).next().is_some());
        assert_eq!(chosen.steps().len(), chosen.last().messages() as usize);
    }
}

#[test]
fn limits_are_told_with_how_far_it_came() {
    let synod = synod(3, 2, 3);
    let options = |engine| Options { engine, ..Options::default() };
    let mut limited = std::collections::BTreeMap::new();
    for engine in [Engine::Bfs, Engine::Timely] {
        for deepest in [1, 2, 10, 24] {
            let report = explore(
                &synod,
                &Options { max_depth: NonZeroUsize::new(deepest), ..options(engine) },
            );
            let so_far = (report.states, report.transitions, report.depth);
            assert_eq!(*limited.entry(deepest).or_insert(so_far), so_far, "{engine:?}");
            assert_eq!(report.depth, Some(deepest));
            let Verdict::Inconclusive { why } = &report.verdict else { panic!("{report}") };
            assert!(why.contains(&format!("the depth limit of {deepest} was reached")), "{why}");
            assert!(!report.complete);
        }
        // A limit beyond the depth of the space has no effect.
        let whole = Options { max_depth: NonZeroUsize::new(25), ..options(engine) };
        assert_eq!(explore(&synod, &whole).verdict, Verdict::Holds);
    }
    for engine in [Engine::Bfs, Engine::Dfs, Engine::Timely] {
        let report = explore(&synod, &Options { max_memory_bytes: Some(1), ..options(engine) });
        let Verdict::Inconclusive { why } = &report.verdict else { panic!("{report}") };
        assert!(why.contains("the memory limit of 0 MB was reached"), "{why}");
        let called_off = options(engine);
        called_off.interrupt.request();
        let report = explore(&synod, &called_off);
        let Verdict::Inconclusive { why } = &report.verdict else { panic!("{report}") };
        assert!(why.contains("a signal came"), "{why}");
    }
}
