//! Spin, on a model of its own, counts what we count, and notices a proposer that ignores reports.
//!
//! Spin is a program of others, and not needed for anything else: where it is not installed, this says
//! so on standard error, past the capture of the test runner, and nothing is claimed.

use std::{
    io::{Write as _, stderr},
    time::Duration,
};

use paxos_benches::spin::{Pan, Report, SpinError, Variant};

/// Ballots, states and transitions, as in the tests of `paxos-model`.
const KNOWN: [(u8, u64, u64); 3] = [(1, 73, 141), (2, 3_921, 9_442), (3, 185_369, 491_535)];

/// What Spin says, if it is there.
fn spin(ballots: u8, variant: Variant) -> Option<Report> {
    match Pan::build(ballots, variant) {
        Ok(pan) => Some(pan.run(Duration::from_mins(1)).expect("pan runs")),
        Err(missing @ SpinError::Missing(_)) => {
            writeln!(stderr(), "not compared with spin: {missing}").expect("it can be said");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn spin_counts_the_same_states_and_transitions() {
    for (ballots, states, transitions) in KNOWN {
        let Some(report) = spin(ballots, Variant::Correct) else { return };
        assert_eq!((report.states, report.transitions), (states, transitions), "{ballots} ballots");
        assert!(report.complete);
        assert_eq!(report.violated, None);
    }
    writeln!(stderr(), "compared with spin: the same counts up to {} ballots", KNOWN.len())
        .expect("it can be said");
}

#[test]
fn spin_notices_a_proposer_that_ignores_reports() {
    let Some(report) = spin(1, Variant::Bug) else { return };
    assert_eq!(report.violated, None, "one ballot has nothing to report");
    let Some(report) = spin(2, Variant::Bug) else { return };
    let violated = report.violated.expect("two values are chosen");
    assert!(violated.contains("voted0"), "{violated}");
}
