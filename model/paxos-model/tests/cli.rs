//! The command `paxos-model`: its output and its exit codes.

use std::process::{Command, Output};

use serde_json::Value;
use verdict::layout::WIDTH;

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
fn no_line_is_wider_than_a_page() {
    let trace = "../../conformance/traces/each-slot-adopts-its-own-highest-vote.itf.json";
    for arguments in [
        "check synod --ballots 2",
        "check synod --ballots 2 --verbose",
        "check cluster --ballots 2 --slots 2 --crashes 0 --no-nack --no-chosen --verbose",
        "check cluster --nodes 2 --phase2-quorum 1 --ballots 2 --bug 8",
        "prove",
        "prove --verbose",
        "mutants --show 24",
        "mutants --show 24 --verbose",
        &format!("trace {trace}"),
        &format!("trace {trace} --bug 24"),
    ] {
        let output = paxos_model(arguments);
        assert!(output.stdout.len() > 200, "{arguments}: {}", stderr(&output));
        let wide = stdout(&output).lines().find(|line| line.chars().count() > WIDTH);
        assert_eq!(wide, None, "{arguments}");
    }
}

/// The clients' values are v0 and v1. The text has the same words as the picture.
#[test]
fn the_way_to_a_filled_gap_names_the_no_op() {
    let bounds = "--slots 2 --ballots 2 --crashes 0 --no-nack --no-chosen";
    let arguments = ["check", "cluster", "--show", "a gap is filled with a no-op"];
    let arguments = arguments.into_iter().chain(bounds.split_whitespace());
    let command = Command::new(env!("CARGO_BIN_EXE_paxos-model")).args(arguments).output();
    let output = command.expect("the binary was built for this test");
    let (_, way) = stdout(&output).split_once("is seen after").expect("the way to it");
    for said in ["voted s0=b1:noop", "sent: Accept b1 s0=noop", "sent: Accepted b1 s0=noop from n2"]
    {
        assert!(way.contains(said), "{said} is not in\n{way}");
    }
    assert!(!way.contains("v2"), "{way}");
    // The bug fills a gap with a no-op where the specification does not allow it.
    let output = paxos_model("mutants --show 23 --quiet");
    let fault = "FAULT: in s0, n2: may not propose noop in b1";
    assert!(stdout(&output).contains(fault), "{}", stdout(&output));
}

#[test]
fn details_are_printed_if_asked_for() {
    for (arguments, detail) in [
        ("check synod --ballots 2", "action       "),
        ("prove synod", "milliseconds"),
        ("check cluster --nodes 2 --ballots 1", "action       crash"),
    ] {
        let verbose = paxos_model(&format!("{arguments} --verbose"));
        assert!(stdout(&verbose).contains(detail), "{}", stdout(&verbose));
        assert!(!stdout(&paxos_model(arguments)).contains(detail), "{arguments}");
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
        ("--acceptors 0", "0 is not in 1..=63"),
        ("--acceptors 1000", "1000 is not in 1..=63"),
        ("--values 126", "126 is not in 1..=125"),
        ("--ballots=-1", "-1 is not in 1..=32"),
        (
            "--acceptors 63",
            "twice the number of acceptors and that of values together may be 127 at most",
        ),
        ("--ballots 15", "give at most 14 ballots"),
        ("--phase1-quorum 1", "give a phase-2 quorum of at least 3"),
        ("--ballots many", "invalid value 'many' for '--ballots"),
        ("--timeout=-1", "give a number of seconds from 0 to 18446744073709551615"),
        ("--threads 0", "give a number from 1 to 256"),
        ("--max-depth 0", "give a number from 1 to 18446744073709551615"),
        ("--max-states many", "give a number from 0 to 18446744073709551615"),
        ("--max-memory 99999999999999999", "give a number of megabytes from 0 to 18446744073709"),
        ("--hosts x --process=-1", "give the number of a line of --hosts, counted from 0"),
        ("--engine magic", "[possible values: bfs, dfs, timely]"),
    ] {
        let output = paxos_model(&format!("check synod {arguments}"));
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(stderr(&output).contains(complaint), "{}", stderr(&output));
        assert!(stdout(&output).is_empty());
    }
}

/// The error for each bound names the accepted range, and both ends of the range are accepted.
#[test]
fn bounds_of_a_cluster_name_their_ranges() {
    for (bound, least, most) in [
        ("nodes", 1, 5),
        ("slots", 1, 3),
        ("ballots", 1, 7),
        ("campaigners", 1, 5),
        ("values", 1, 4),
        ("phase1-quorum", 1, 5),
        ("phase2-quorum", 1, 5),
        ("crashes", 0, 255),
        ("unsynced", 0, 3),
        ("reads", 0, 3),
    ] {
        for bad in [1000, i64::from(least) - 1, i64::from(most) + 1] {
            let output = paxos_model(&format!("check cluster --{bound}={bad}"));
            assert_eq!(output.status.code(), Some(2), "{bound} {bad}");
            let range = format!("{bad} is not in {least}..={most}");
            assert!(stderr(&output).contains(&range), "{}", stderr(&output));
        }
        for good in [least, most] {
            let quorums = "--phase1-quorum 5 --phase2-quorum 5";
            let quorums = if bound.contains("quorum") || bound == "nodes" { "" } else { quorums };
            let nodes = if bound == "nodes" { "" } else { "--nodes 5" };
            let other = match bound {
                "phase1-quorum" => "--phase2-quorum 5",
                "phase2-quorum" => "--phase1-quorum 5",
                _ => "",
            };
            let output = paxos_model(&format!(
                "check cluster {nodes} {quorums} {other} --{bound} {good} --max-states 1 --quiet"
            ));
            assert_ne!(output.status.code(), Some(2), "{bound} {good}: {}", stderr(&output));
        }
    }
}

/// No search begins if its outputs cannot be written, and no file is changed.
#[test]
fn outputs_are_tried_before_anything_runs() {
    let folder = Folder::new("outputs");
    let file = folder.write("file", "kept");
    let trace = "../../conformance/traces/happy-path.itf.json";
    let large = "check synod --ballots 6 --max-states 1000000000 --quiet";
    for (command, option) in [
        (large, "--svg"),
        (large, "--mermaid"),
        (large, "--itf"),
        ("mutants --show 16", "--svg"),
        ("mutants --show 16", "--mermaid"),
        ("mutants --show 16", "--itf"),
    ] {
        for bad in ["/nowhere/x", "/proc/x", &folder.0.display().to_string()] {
            let output = paxos_model(&format!("{command} {option} {bad}"));
            assert_eq!(output.status.code(), Some(2), "{command} {option} {bad}");
            let said = format!("{option} {bad} cannot be written: ");
            assert!(stderr(&output).contains(&said), "{}", stderr(&output));
        }
    }
    for option in ["--svg", "--mermaid"] {
        let output = paxos_model(&format!("trace {trace} {option} /nowhere/x"));
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(&format!("{option} /nowhere/x cannot be written: ")));
    }
    for command in
        [&format!("{large} --engine timely --checkpoint"), "prove --certificates", "prove --smtlib"]
    {
        for bad in [&file, "/proc/x"] {
            let output = paxos_model(&format!("{command} {bad}"));
            assert_eq!(output.status.code(), Some(2), "{command} {bad}");
            assert!(stderr(&output).contains(&format!("{bad} cannot be written to: ")));
        }
    }
    // A path that is tried and then not written is unchanged.
    let new = folder.0.join("new.svg").display().to_string();
    for search in
        ["check synod --ballots 1", "check synod --ballots 5 --max-states 1000", "trace nothing"]
    {
        for path in [&file, &new] {
            let output = paxos_model(&format!("{search} --svg {path}"));
            assert_eq!(output.status.code(), Some(2), "{search}: {}", stderr(&output));
        }
        assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "kept");
        assert!(!std::path::Path::new(&new).exists(), "{search}");
    }
    let output = paxos_model(&format!("check synod --svg {new} --itf {new}"));
    assert!(stderr(&output).contains("--svg and --itf both name "), "{}", stderr(&output));
    // A counterexample replaces the file.
    let output = paxos_model(&format!("check cluster --bug 8 --ballots 2 --quiet --svg {file}"));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(std::fs::read_to_string(&file).expect("it is there").starts_with("<svg"));
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

#[test]
fn the_specifications_are_proved() {
    let output = paxos_model("prove --json");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: Value = serde_json::from_str(stdout(&output)).expect("one object of JSON");
    assert_eq!(report["verdict"], "holds");
    let specifications = report["specifications"].as_array().expect("a list");
    let names: Vec<_> = specifications.iter().map(|it| &it["specification"]).collect();
    assert_eq!(names, ["synod", "multipaxos", "flexible"]);
    for specification in specifications {
        let obligations = specification["obligations"].as_array().expect("a list");
        assert!(obligations.len() > 90);
        assert!(obligations.iter().all(|it| it["verdict"] == "holds"), "{specification}");
    }

    let output = paxos_model("prove flexible");
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("92 of 92 obligations hold, decided by built-in"));
    assert!(stdout(&output).contains("verdict: holds"));
    assert!(!stdout(&output).contains("multipaxos"));
}

/// A folder that is removed at the end of the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("the target folder is writable");
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let file = self.0.join(name);
        std::fs::write(&file, text).expect("the folder is writable");
        file.to_str().expect("it is text").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const SYNOD: &str = include_str!("../../specs/synod.epr");

#[test]
fn an_edited_guard_is_refuted_with_a_counterexample() {
    let folder = Folder::new("edited");
    let file = folder.write("mine.epr", &SYNOD.replace("  (require (not (left a b)))\n", ""));
    let output = paxos_model(&format!("prove {file}"));
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    for line in [
        "fails: accept/votes-are-stored, accept/reports-are-complete, accept/nothing-else-below",
        "step    a1 votes for v1 in b1",
        "verdict: violated",
    ] {
        assert!(text.lines().any(|printed| printed == line), "{text}");
    }
    let output = paxos_model(&format!("prove {file} --json"));
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_str(stdout(&output)).expect("one object of JSON");
    let obligations = report["specifications"][0]["obligations"].as_array().expect("a list");
    let failed: Vec<_> = obligations.iter().filter(|it| it["verdict"] == "violated").collect();
    assert_eq!(failed.len(), 3);
    assert!(failed.iter().all(|it| it["counterexample"]["step"].is_string()));
}

#[test]
fn what_is_no_specification_is_unusable() {
    let folder = Folder::new("unusable");
    let typo =
        folder.write("typo.epr", &SYNOD.replace("(require (prepare b))", "(require (prepared b))"));
    for (arguments, complaint) in [
        (typo, "typo.epr:71:13"),
        ("no-such-file".to_owned(), "give a file, or one of synod, multipaxos, flexible"),
        ("synod --prover magic".to_owned(), "[possible values: builtin, z3, cvc5]"),
        ("synod --timeout soon".to_owned(), "give a number of seconds"),
        (format!("synod --smtlib {}", folder.write("file", "")), "cannot be written to: "),
    ] {
        let output = paxos_model(&format!("prove {arguments}"));
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(stderr(&output).contains(complaint), "{}", stderr(&output));
        assert!(stdout(&output).is_empty());
    }
}

#[test]
fn a_missing_solver_is_unusable_and_no_time_is_inconclusive() {
    let output = Command::new(env!("CARGO_BIN_EXE_paxos-model"))
        .args(["prove", "synod", "--prover", "z3"])
        .env("PATH", "")
        .output()
        .expect("the binary was built for this test");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("z3 is not on the PATH"), "{}", stderr(&output));

    let output = paxos_model("prove synod --timeout 0 --json");
    assert_eq!(output.status.code(), Some(3));
    let report: Value = serde_json::from_str(stdout(&output)).expect("one object of JSON");
    assert_eq!(report["verdict"], "inconclusive");
}

#[test]
fn obligations_and_certificates_are_written() {
    let folder = Folder::new("smtlib");
    let at = folder.0.display();
    let output = paxos_model(&format!("prove synod --smtlib {at} --certificates {at}"));
    assert_eq!(output.status.code(), Some(0));
    let files: Vec<_> = std::fs::read_dir(folder.0.join("synod")).expect("it is there").collect();
    assert_eq!(files.len(), 3 * 92);
    let file = folder.0.join("synod/058-propose-nothing-else-below.smt2");
    let script = std::fs::read_to_string(file).expect("it is there");
    assert!(script.contains("(declare-sort s0 0) ; acceptor"), "{script}");
    assert!(script.ends_with("(check-sat)\n"), "{script}");
}
