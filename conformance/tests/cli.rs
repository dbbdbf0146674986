//! The command line: verdicts, exit codes, and what is said about bad input.

use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_paxos-conformance")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn lockstep_prints_one_json_object() {
    let output = run(&["lockstep", "--ballots", "2", "--json", "--quiet"]);
    assert_eq!(output.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "holds");
    assert_eq!((&report["states"], &report["transitions"]), (&5_624.into(), &31_621.into()));
    assert_eq!(report["depth"], 18);
}

#[test]
fn a_limit_makes_it_inconclusive() {
    let output = run(&["lockstep", "--ballots", "4", "--max-states", "1000", "--quiet"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
}

#[test]
fn bad_input_is_refused_with_what_would_be_accepted() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let cases: &[(&[&str], &str)] = &[
        (&["lockstep", "--nodes", "9"], "nodes is 9; it must be 1 to 5"),
        (&["lockstep", "--phase1-quorum", "1"], "their sum must be at least 4"),
        (&["lockstep", "--engine", "timely"], "use --engine bfs or dfs"),
        (&["lockstep", "--engine", "dfs", "--max-depth", "3"], "use --engine bfs or timely"),
        (&["verify", "--json", "/nowhere/report.json"], "cannot write /nowhere/report.json"),
        (&["verify", "--quick", "--deep"], "cannot be used with"),
        (&["replay", "/nowhere/trace.itf.json"], "/nowhere/trace.itf.json"),
        (&["replay", folder], folder),
        (&["replay"], "required"),
        (&["traces", "--out", "/tmp", "--slots", "7"], "slots is 7; it must be 1 to 3"),
    ];
    for (args, expected) in cases {
        let output = run(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(expected), "{args:?}: {said}");
    }
}

#[test]
fn the_kept_traces_replay() {
    let output = run(&["replay", concat!(env!("CARGO_MANIFEST_DIR"), "/traces")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("holds: 23 traces"), "{}", text(&output.stdout));
}
