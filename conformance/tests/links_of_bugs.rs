//! The table of known bugs in `docs/checking.md` names the links that have caught each.

use std::{collections::BTreeSet, path::Path, process::Command};

use paxos_conformance::{
    mutants::catalogue::unseen,
    trace::{
        replay::{ReplayFailure, replay_on_mutants},
        scenarios::SCENARIOS,
    },
};
use paxos_model::cluster::{BEYOND, Bug};

const CHECKING: &str = include_str!("../../docs/checking.md");

/// Returns the rows of the table: the number of the bug, and whether each column has a mark.
fn rows() -> Vec<(u8, Vec<bool>)> {
    let lines = CHECKING.lines().skip_while(|line| !line.starts_with("| # | bug |")).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let number = cells[0].parse().expect("a number");
        (number, cells[2..].iter().map(|cell| *cell == "x").collect())
    });
    rows.collect()
}

/// The numbers of the bugs with a mark in a column.
fn marked(column: usize) -> BTreeSet<u8> {
    rows().into_iter().filter(|(_, marks)| marks[column]).map(|(number, _)| number).collect()
}

#[test]
fn the_table_has_each_bug() {
    let known = Bug::ALL.iter().map(|bug| bug.number());
    let known: BTreeSet<_> = known.chain(BEYOND.iter().map(|bug| bug.number)).collect();
    let listed: Vec<_> = rows().into_iter().map(|(number, _)| number).collect();
    assert_eq!(listed, known.into_iter().collect::<Vec<_>>());
    for (number, marks) in rows() {
        assert!(marks.contains(&true), "nothing catches {number}");
    }
}

/// The tests `bugs` and `mutants` have a row for each bug of the model.
#[test]
fn model_and_lockstep_catch_what_the_model_has() {
    let numbers: BTreeSet<_> = Bug::ALL.iter().map(|bug| bug.number()).collect();
    assert_eq!(marked(1), numbers);
    assert_eq!(marked(2), numbers);
}

/// The command `mutants` fails if a bug without a reason has no space that shows it. The tests of the check have the numbers of
/// the bugs that the model does not have in their names.
#[test]
fn steps_catch_what_has_no_excuse_and_what_their_tests_inject() {
    let tested = include_str!("../steps/tests/faults.rs");
    let excused: BTreeSet<_> =
        Bug::ALL.iter().filter(|bug| unseen(**bug).is_some()).map(|bug| bug.number()).collect();
    let found = Bug::ALL.iter().map(|bug| bug.number()).filter(|it| !excused.contains(it));
    let beyond = BEYOND.iter().map(|bug| bug.number);
    let injected = beyond.filter(|number| tested.contains(&format!("fn bug_{number}_")));
    assert_eq!(marked(3), found.chain(injected).collect());
}

/// A scenario notices each bug that is put around the replicas. One variant of a bug stands for all.
#[test]
fn replay_catches_what_a_scenario_shows() {
    let traces: Vec<_> = SCENARIOS.iter().map(|it| it.trace().expect("it can happen")).collect();
    let differs = |bug: &&Bug| {
        traces.iter().any(|trace| {
            matches!(replay_on_mutants(trace, **bug), Err(ReplayFailure::Diverged { .. }))
        })
    };
    let caught = Bug::ALL.iter().filter(differs).map(|bug| bug.number());
    assert_eq!(marked(4), caught.collect());
}

/// The test `recorded_mutants` has a row for each bug of the model. Each test of an injected fault has the number of the bug in its
/// name or its comment.
#[test]
fn validation_and_simulation_catch_what_their_tests_inject() {
    let of_the_model: BTreeSet<_> = Bug::ALL.iter().map(|bug| bug.number()).collect();
    assert!(marked(5).is_superset(&of_the_model));
    let validated = include_str!("../validation/tests/faults.rs");
    let simulated = include_str!("../../impl/simulator/tests/nodes/faults.rs");
    for number in marked(5).difference(&of_the_model) {
        assert!(validated.contains(&format!("fn bug_{number}_")), "{number}");
    }
    for number in marked(6) {
        assert!(simulated.contains(&format!("/// Bug {number} of the catalogue")), "{number}");
    }
}

/// The gallery says which of its bugs the judge finds. `paxos-subject` tests that.
#[test]
fn the_judge_catches_what_the_gallery_has() {
    let gallery = Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters/python/gallery.py");
    let Ok(output) = Command::new("python3").arg(gallery).arg("--list").output() else {
        println!("python3 is missing, so nothing was tried");
        return;
    };
    let list = String::from_utf8(output.stdout).expect("text");
    let caught = list.lines().filter_map(|line| {
        let fields: Vec<_> = line.split('\t').collect();
        if fields[2] == "pass" { None } else { fields[1].parse().ok() }
    });
    assert_eq!(marked(7), caught.collect::<BTreeSet<u8>>());
}
