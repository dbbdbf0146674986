//! The command line: verdicts, exit codes, and what is said about bad input.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_paxos-conformance")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The report and the complaints of a run.
fn text_of(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
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
fn standard_input_is_replayed() {
    let replay = |text: &[u8]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_paxos-conformance"))
            .args(["replay", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), text_of(&output))
    };
    let kept = include_bytes!("../traces/happy-path.itf.json");
    let (code, said) = replay(kept);
    assert_eq!((code, said.starts_with("holds: 1 traces, 8 steps")), (Some(0), true), "{said}");
    let marked = [&b"\xEF\xBB\xBF"[..], kept].concat();
    assert_eq!(replay(&marked).0, Some(0));
    let (code, said) = replay(&kept[..kept.len() / 2]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.starts_with("error: standard input: it is no ITF"), "{said}");
    let bare: Vec<&str> = str::from_utf8(kept).unwrap().lines().collect();
    let bare: Vec<&str> = bare.into_iter().filter(|line| !line.contains("\"action\":")).collect();
    let (code, said) = replay(bare.join("\n").replacen("\"action\",", "", 1).as_bytes());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.starts_with("standard input: state 1 does not say what led to it"), "{said}");
}

#[test]
fn the_kept_traces_replay() {
    let output = run(&["replay", concat!(env!("CARGO_MANIFEST_DIR"), "/traces")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("holds: 23 traces"), "{}", text(&output.stdout));
}
