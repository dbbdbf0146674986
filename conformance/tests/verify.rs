//! `cargo verify` holds over a small table, and a table that is wrong is noticed.

use paxos_conformance::{
    spaces::{DEEP, DEFAULT, Space},
    verify::{KNOWN, Known, Link, verify},
};
use paxos_model::{cluster::Bounds, verdict::Verdict};

const SMALL: Space =
    Space { bounds: Bounds::of(3, 1, 2), shows: "a test", states: 5_624, transitions: 31_621 };

#[test]
fn a_small_table_holds_link_by_link() {
    let verification = verify(&[SMALL], &KNOWN[..2], 2);
    assert_eq!(verification.verdict, Verdict::Holds, "{verification}");
    let links: Vec<_> = verification.rows.iter().map(|row| row.link).collect();
    let expected = [Link::Specification, Link::Specification, Link::Model, Link::Lockstep];
    assert_eq!(links, expected);
    let [.., model, lockstep] = &verification.rows[..] else { unreachable!() };
    assert_eq!(model.report.states, lockstep.report.states, "as many pairs as states");
    assert_eq!(model.report.actions, lockstep.report.actions, "every transition of every kind");
    assert!(lockstep.tried > Some(0), "ignored inputs were tried");
}

/// Two spaces that differ only in what they leave out are not taken for each other.
#[test]
fn spaces_that_look_alike_are_told_apart() {
    let quiet = Bounds { chosen: false, ..Bounds::of(3, 1, 3) };
    let quiet = Space { bounds: quiet, shows: "a test", states: 30_058, transitions: 97_994 };
    let full =
        Space { bounds: Bounds::of(3, 1, 3), states: 113_504, transitions: 728_082, ..quiet };
    let verification = verify(&[quiet, full], &[], 2);
    assert_eq!(verification.verdict, Verdict::Holds, "{verification}");
}

#[test]
fn counts_that_differ_from_the_pinned_ones_are_a_failure() {
    let more_states = Space { states: 5_625, ..SMALL };
    let text = verify(&[more_states], &[], 1).to_string();
    assert!(text.contains("5624 states where 5625 are pinned"), "{text}");
    assert!(text.contains("verdict: violated"), "{text}");
    let fewer_transitions = Space { transitions: 1, ..SMALL };
    assert_eq!(verify(&[fewer_transitions], &[], 1).verdict, Verdict::Violated);
    let wrong_depth = Known { depth: 8, ..KNOWN[0] };
    assert_eq!(verify(&[], &[wrong_depth], 1).verdict, Verdict::Violated);
}

#[test]
fn nothing_run_is_nothing_shown() {
    assert!(matches!(verify(&[], &[], 1).verdict, Verdict::Inconclusive { .. }));
}

/// What the table must contain between its spaces.
#[test]
fn the_table_leaves_nothing_out_everywhere() {
    let has = |what: fn(&Bounds) -> bool| DEFAULT.iter().any(|space| what(&space.bounds));
    assert!(has(|b| b.nacks && b.chosen && b.crashes.is_none() && b.ballots >= 3));
    assert!(has(|b| b.unsynced == 1 && b.slots > 1));
    assert!(has(|b| b.unsynced == 2));
    assert!(has(|b| b.nodes == 3 && b.slots == 1 && b.ballots == 4));
    assert!(has(|b| b.nodes == 3 && b.slots == 2 && b.ballots == 3));
    assert!(has(|b| b.campaigners == 3 && b.ballots == 4));
    assert!(has(|b| b.nodes == 5));
    assert!(has(|b| (b.phase1_quorum, b.phase2_quorum) == (3, 1)));
    assert!(has(|b| (b.phase1_quorum, b.phase2_quorum) == (1, 3)));
    for space in DEFAULT.iter().chain(DEEP) {
        assert!(space.bounds.validate().is_ok());
        assert!(space.states > 0 && space.transitions > 0, "{} is not pinned", space.bounds);
    }
}
