//! Small clusters, explored to the last state. The tests pin exact counts, check all properties, and show that none
//! is vacuous.

use paxos_model::cluster::{Bounds, BoundsError, Cluster};
use state_explorer::{Expectation, Finding, Options, explore};
use verdict::Verdict;

fn quiet(bounds: Bounds) -> Bounds {
    Bounds { chosen: false, ..bounds }
}

fn snapshots(bounds: Bounds) -> Bounds {
    Bounds { snapshots: true, ..bounds }
}

/// Bounds, and the numbers of states and transitions and the depth of their spaces.
fn spaces() -> Vec<(Bounds, usize, usize, usize)> {
    let flexible = |phase1_quorum, phase2_quorum| Bounds {
        phase1_quorum,
        phase2_quorum,
        ..Bounds::of(3, 1, 3)
    };
    vec![
        (Bounds::of(3, 1, 1), 162, 688, 12),
        (Bounds::of(3, 1, 2), 6_756, 37_367, 18),
        (Bounds::of(3, 1, 3), 162_522, 1_007_278, 24),
        (quiet(Bounds::of(3, 1, 3)), 31_696, 102_057, 22),
        (quiet(Bounds { nacks: false, ..Bounds::of(3, 1, 3) }), 25_663, 77_292, 22),
        (quiet(Bounds { unsynced: 1, ..Bounds::of(3, 1, 3) }), 334_637, 1_281_259, 40),
        (Bounds { unsynced: 2, ..Bounds::of(3, 1, 2) }, 45_185, 265_508, 30),
        (flexible(3, 1), 28_282, 153_081, 28),
        (flexible(1, 3), 140_093, 796_234, 21),
        (snapshots(Bounds::of(2, 1, 2)), 459, 1_528, 14),
        (snapshots(Bounds::of(3, 1, 2)), 50_175, 275_156, 20),
        (snapshots(Bounds::of(3, 2, 1)), 56_328, 467_333, 21),
        (snapshots(Bounds { unsynced: 1, ..Bounds::of(3, 1, 2) }), 371_814, 2_232_149, 35),
        (Bounds { reads: 1, ..Bounds::of(3, 1, 2) }, 200_917, 1_353_565, 24),
        (quiet(Bounds { reads: 1, ..Bounds::of(3, 1, 2) }), 64_580, 302_799, 23),
        (Bounds { reads: 1, ..Bounds::of(3, 2, 1) }, 25_233, 180_638, 22),
    ]
}

#[test]
fn every_state_is_safe_and_the_counts_are_exact() {
    for (bounds, states, transitions, depth) in spaces() {
        let report = explore(&Cluster::new(bounds).unwrap().checked(), &Options::default());
        assert_eq!(report.verdict, Verdict::Holds, "{bounds}\n{report}");
        assert!(report.complete, "{bounds}");
        let counts = (report.states, report.transitions, report.depth);
        assert_eq!(counts, (states, transitions, Some(depth)), "{bounds}");
        let taken: u64 = report.actions.values().sum();
        assert_eq!(taken, transitions as u64, "every transition is of some kind: {bounds}");
        for property in &report.properties {
            let expected = match property.expectation {
                Expectation::Sometimes => Finding::Seen,
                Expectation::Always | Expectation::Eventually => Finding::Holds,
            };
            assert_eq!(property.finding, expected, "{} in {bounds}", property.name);
        }
    }
}

/// An `always` property may hold vacuously, so each has a `sometimes` property beside it.
#[test]
fn there_are_as_many_witnesses_as_claims() {
    let report =
        explore(&Cluster::new(Bounds::of(3, 1, 2)).unwrap().checked(), &Options::default());
    let count = |expectation| {
        report.properties.iter().filter(|property| property.expectation == expectation).count()
    };
    assert!(count(Expectation::Sometimes) >= count(Expectation::Always));
    assert_eq!(count(Expectation::Always), 7);
}

#[test]
fn bounds_that_do_not_fit_are_refused_with_what_would() {
    let refused = |bounds: Bounds| match Cluster::new(bounds) {
        Ok(_) => panic!("{bounds:?} is taken"),
        Err(error) => error,
    };
    let usual = Bounds::of(3, 1, 3);
    let cases = [
        (Bounds { nodes: 9, ..usual }, "nodes is 9; it must be 1 to 5"),
        (Bounds { slots: 0, ..usual }, "slots is 0; it must be 1 to 3"),
        (Bounds { ballots: 8, ..usual }, "ballots is 8; it must be 1 to 7"),
        (Bounds { values: 0, ..usual }, "values is 0; it must be 1 to 4"),
        (Bounds { campaigners: 4, ..usual }, "campaigners is 4; it must be 1 to 3"),
        (Bounds { unsynced: 4, ..usual }, "unsynced is 4; it must be 0 to 3"),
        (Bounds { reads: 4, ..usual }, "reads is 4; it must be 0 to 3"),
        (Bounds { phase1_quorum: 4, ..usual }, "phase1-quorum is 4; it must be 1 to 3"),
    ];
    for (bounds, message) in cases {
        assert_eq!(refused(bounds).to_string(), message);
    }
    let apart = Bounds { phase1_quorum: 1, ..usual };
    assert!(matches!(refused(apart), BoundsError::QuorumsDoNotIntersect { .. }));
}
