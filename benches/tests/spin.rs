//! Spin, on its own model, counts the same states as `paxos-model`, and finds a proposer that ignores reports.
//!
//! Nothing else needs Spin. If it is not installed, these tests pass with a note on standard error, which bypasses
//! the capture of the test runner.

use std::{
    io::{Write as _, stderr},
    time::Duration,
};

use paxos_benches::spin::{Pan, Report, SpinError, Variant};

/// Ballots, states and transitions, as in the tests of `paxos-model`.
const KNOWN: [(u8, u64, u64); 3] = [(1, 73, 141), (2, 3_921, 9_442), (3, 185_369, 491_535)];

/// Returns the report of Spin, if it is installed.
fn spin(ballots: u8, variant: Variant) -> Option<Report> {
    match Pan::build(ballots, variant) {
        Ok(pan) => Some(pan.run(Duration::from_mins(1)).expect("pan runs")),
        Err(missing @ SpinError::Missing(_)) => {
            writeln!(stderr(), "not compared with spin: {missing}")
                .expect("standard error is open");
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
        .expect("standard error is open");
}

#[test]
fn spin_finds_a_proposer_that_ignores_reports() {
    let Some(report) = spin(1, Variant::Bug) else { return };
    assert_eq!(report.violated, None, "one ballot has nothing to report");
    let Some(report) = spin(2, Variant::Bug) else { return };
    let violated = report.violated.expect("two values are chosen");
    assert!(violated.contains("voted0"), "{violated}");
}
