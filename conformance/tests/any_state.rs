//! The check of every step from any state finds mutants of the replica. Each other mutant has a reason to survive.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use expect_test::expect;
use paxos_conformance::mutants::{
    catalogue::{self, Seen},
    outcomes::{Check, Joined, Outcomes, OutcomesError},
    report::Mutants,
};
use paxos_model::cluster::Bug;
use paxos_steps::spaces::{QUICK, Space};
use verdict::{Interrupt, Verdict, layout::laid_out};

/// A run of cargo-mutants with an outcome of each kind, cut down to what is read.
const OUTCOMES: &str = r#"{"outcomes": [
    {"scenario": "Baseline", "summary": "Success"},
    {"scenario": {"Mutant": {"name": "a.rs:7:9: replace < with > in f", "file": "a.rs",
        "span": {"start": {"line": 7, "column": 9}}}}, "summary": "CaughtMutant"},
    {"scenario": {"Mutant": {"name": "a.rs:20:9: replace || with && in g", "file": "a.rs",
        "span": {"start": {"line": 20, "column": 9}}}}, "summary": "MissedMutant"},
    {"scenario": {"Mutant": {"name": "a.rs:9:30: replace || with && in g", "file": "a.rs",
        "span": {"start": {"line": 9, "column": 30}}}}, "summary": "MissedMutant"},
    {"scenario": {"Mutant": {"name": "a.rs:40:1: replace h with ()", "file": "a.rs",
        "span": {"start": {"line": 40, "column": 1}}}}, "summary": "Timeout"},
    {"scenario": {"Mutant": {"name": "b.rs:1:1: replace i -> u8 with 0", "file": "b.rs",
        "span": {"start": {"line": 1, "column": 1}}}}, "summary": "Unviable"}
]}"#;

const LISTED: &str = r#"
[[survivor]]
file = "a.rs"
mutant = "replace || with && in g"
nth = 2
reason = "Both sides are equal."

[[survivor]]
file = "a.rs"
mutant = "replace < with > in f"
reason = "It was thought to be equivalent."
"#;

fn parsed(text: &str) -> Result<Outcomes, OutcomesError> {
    Outcomes::parse([(Path::new("outcomes.json"), text)])
}

#[test]
fn a_survivor_needs_a_reason_and_a_reason_a_survivor() {
    let joined = Joined::new(parsed(OUTCOMES).unwrap(), LISTED).unwrap();
    assert!(!joined.explained());
    let mutants = Mutants::new(&[], &[], Some(joined), &Interrupt::default());
    assert_eq!(mutants.verdict, Verdict::Violated);
    expect![[r"
        5 mutants by cargo-mutants: 1 killed, 1 timed out, 1 do not compile, 2 survive

        a.rs: replace || with && in g
            NO REASON IS GIVEN

        a.rs: replace || with && in g (2)
            Both sides are equal.

        a.rs: replace < with > in f
            HAS A REASON TO SURVIVE, AND DOES NOT

        verdict: violated
    "]]
    .assert_eq(&laid_out(&mutants, false, 100));
}

#[test]
fn a_later_run_counts() {
    let later = OUTCOMES.replace("MissedMutant", "CaughtMutant");
    let files = [("first.json", OUTCOMES), ("second.json", &later)];
    let outcomes = Outcomes::parse(files.map(|(path, text)| (Path::new(path), text))).unwrap();
    let joined = Joined::new(outcomes, "").unwrap();
    assert!(joined.explained());
    assert_eq!((joined.mutants(), joined.killed, joined.timed_out, joined.unviable), (5, 3, 1, 1));
}

#[test]
fn what_cannot_be_used_is_refused() {
    let fails = OUTCOMES.replace("\"Success\"", "\"Failure\"");
    let untested = OUTCOMES.replace("MissedMutant", "Success");
    for (text, expected) in [
        ("{}", "outcomes.json is no outcomes.json of cargo-mutants: missing field `outcomes`"),
        (&fails, "outcomes.json: the tests fail without a mutation"),
        (&untested, "outcomes.json: a.rs:20:9: replace || with && in g was not tested"),
    ] {
        let error = parsed(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let twice = format!("{LISTED}\n{LISTED}");
    let empty = LISTED.replace("Both sides are equal.", " ");
    for listed in [&*twice, &empty] {
        let error = Joined::new(Outcomes::default(), listed).unwrap_err().to_string();
        assert_eq!(
            error,
            "the list of survivors: a.rs: replace || with && in g (2) needs one reason"
        );
    }
}

#[test]
fn the_lists_of_survivors_can_be_read() {
    for check in [Check::Steps, Check::Lockstep] {
        let joined = Joined::new(Outcomes::default(), check.survivors()).unwrap();
        assert!(!joined.stale.is_empty(), "{check:?}");
        for key in &joined.stale {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&key.file);
            assert!(fs::exists(&file).unwrap(), "{key}: no such file");
        }
    }
}

/// The reasons of one check do not excuse the survivors of the other.
#[test]
fn each_check_has_its_own_list() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("outcomes.json");
    fs::write(&file, OUTCOMES).unwrap();
    let file = file.to_str().unwrap();
    let output = run(&["mutants", "--outcomes", file, "--test", "lockstep", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["catalogue"], serde_json::json!([]));
    let joined = Joined::new(parsed(OUTCOMES).unwrap(), Check::Lockstep.survivors()).unwrap();
    assert_eq!(printed["outcomes"], serde_json::to_value(joined).unwrap());
    // Without outcomes there is nothing to join.
    assert_eq!(run(&["mutants", "--test", "lockstep"]).status.code(), Some(2));
}

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_paxos-conformance")).args(args).output().unwrap()
}

#[test]
fn the_command_refuses_what_cannot_be_used() {
    for (file, expected) in [
        ("/nowhere/outcomes.json", "error: /nowhere/outcomes.json cannot be read: "),
        (
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
            "is no outcomes.json of cargo-mutants",
        ),
    ] {
        let output = run(&["mutants", "--outcomes", file]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

/// The spaces that are small enough for a test.
fn small() -> Vec<Space> {
    QUICK.iter().filter(|space| space.cost() <= 12_000).copied().collect()
}

/// The bugs that the small spaces show, each with the first space and the part that differs.
#[test]
fn small_spaces_show_most_bugs() {
    let interrupt = Interrupt::default();
    let rows = Bug::ALL.iter().map(|&bug| {
        let row = catalogue::find(bug, &small(), &interrupt);
        let seen = match &row.seen {
            Seen::By { space, counterexample } => format!("{space}: {}", counterexample.differs),
            _ => "no small space".to_owned(),
        };
        format!("{:<4} {}\n", row.label, seen)
    });
    expect![[r"
        1    a node alone: records
        2    a node alone: acceptor
        3    no small space
        4    no small space
        4b   no small space
        5    a node alone: messages
        6    a promise reports the vote of each slot, each in a ballot of its own: messages
        7    a vote in any slot silences the answer to its Prepare message: messages
        8    no small space
        9    no small space
        10   no small space
        11   no small space
        12   no small space
        13   no small space
        14   no small space
        15   a node alone: acceptor
        16   proposals fill the window, and no more: messages
        17   unanswered proposals are sent again in runs: messages
        18   a vote in any slot silences the answer to its Prepare message: messages
        18b  a vote in any slot silences the answer to its Prepare message: messages
        18c  a vote in any slot silences the answer to its Prepare message: messages
        18d  a node alone: messages
        19   no small space
        20   no small space
        21   a vote in any slot silences the answer to its Prepare message: messages
        22   no small space
        23   no small space
        24   no small space
        25   no small space
        25b  no small space
        26   no small space
        26b  no small space
        26c  no small space
        26d  no small space
        28   a node alone: messages
        29   no small space
        30   a node alone: messages that leave before the sync
        31   a node alone: messages that leave before the sync
    "]]
    .assert_eq(&rows.collect::<String>());
}

#[test]
fn a_bug_without_a_space_needs_a_reason() {
    let with = |bugs: &[Bug]| Mutants::new(bugs, &[], None, &Interrupt::default()).verdict;
    assert_eq!(with(&[Bug::MatchesByValue]), Verdict::Holds, "it has a reason");
    assert_eq!(with(&[Bug::AcceptsBelowPromise]), Verdict::Violated);
}
