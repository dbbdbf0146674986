//! The command `paxos-model` as its users meet it: what it prints, where, and how it exits.

use std::process::{Command, Output};

use serde_json::Value;

fn paxos_model(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_paxos-model"))
        .args(arguments.split_whitespace())
        .output()
        .expect("the binary was built for this test")
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).expect("reports are text")
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).expect("complaints are text")
}

#[test]
fn json_is_one_object_with_the_known_numbers() {
    for engine in ["bfs", "dfs"] {
        let output = paxos_model(&format!(
            "check synod --acceptors 3 --values 2 --ballots 3 --engine {engine} --json"
        ));
        assert_eq!(output.status.code(), Some(0));
        let report: Value = serde_json::from_str(stdout(&output)).expect("one object of JSON");
        assert_eq!(report["verdict"], "holds");
        assert_eq!(report["complete"], true);
        assert_eq!(report["states"], 185_369);
        assert_eq!(report["transitions"], 491_535);
        assert_eq!(report["depth"], 25);
        assert!(report["seconds"].as_f64().expect("a number") > 0.0);
        assert_eq!(report["properties"][0]["name"], "agreement");
        assert_eq!(report["properties"][0]["finding"], "holds");
        let actions = report["actions"].as_object().expect("counts by kind");
        assert_eq!(actions.len(), 4);
        assert_eq!(actions.values().filter_map(Value::as_u64).sum::<u64>(), 491_535);
    }
}

#[test]
fn people_get_a_table() {
    let output = paxos_model("check synod --ballots 2");
    assert_eq!(output.status.code(), Some(0));
    for line in [
        "synod: 3 acceptors, 2 values, 2 ballots, quorums of 2 and 2",
        "verdict      holds",
        "states       3,921",
        "transitions  9,442",
        "depth        17",
        "always       agreement                                holds",
        "sometimes    a value of an earlier ballot is adopted  seen",
    ] {
        assert!(stdout(&output).lines().any(|printed| printed == line), "{}", stdout(&output));
    }
}

#[test]
fn more_threads_find_the_same_states() {
    let output = paxos_model("check synod --ballots 2 --threads 2 --json");
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_str(stdout(&output)).expect("one object of JSON");
    assert_eq!((&report["states"], &report["transitions"]), (&3921.into(), &9442.into()));
    assert_eq!(report["depth"], Value::Null);
}

#[test]
fn bad_bounds_are_unusable_and_say_why() {
    for (arguments, complaint) in [
        ("--acceptors 0", "there must be at least one acceptor"),
        ("--ballots 15", "give at most 14 ballots"),
        ("--phase1-quorum 1", "give a phase-2 quorum of at least 3"),
        ("--ballots many", "invalid value 'many' for '--ballots"),
        ("--timeout=-1", "negative"),
        ("--threads 0", "--threads"),
        ("--engine magic", "[possible values: bfs, dfs]"),
    ] {
        let output = paxos_model(&format!("check synod {arguments}"));
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(stderr(&output).contains(complaint), "{}", stderr(&output));
        assert!(stdout(&output).is_empty());
    }
}

#[test]
fn limits_are_inconclusive() {
    for (limit, why) in [
        ("--max-states 1000", "the limit of 1000 states was reached"),
        ("--timeout 0.05", "the time limit of 50ms was reached"),
    ] {
        let output = paxos_model(&format!("check synod --ballots 5 {limit} --json"));
        assert_eq!(output.status.code(), Some(3));
        let report: Value = serde_json::from_str(stdout(&output)).expect("one object of JSON");
        assert_eq!(report["verdict"], "inconclusive");
        assert!(report["why"].as_str().expect("a reason").starts_with(why), "{report}");
        assert_eq!(report["complete"], false);
        assert_eq!(report["properties"][0]["finding"], "undecided");
    }
}
