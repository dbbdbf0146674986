//! A search with too little memory is inconclusive. Its report names the reason and the progress.
#![cfg(target_os = "linux")]

use std::process::{Command, Output};

/// Runs the command with a limit on its address space, in KiB.
fn limited(kib: u32, arguments: &str) -> Output {
    let script = format!("ulimit -v {kib}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_paxos-model")]);
    command.args(arguments.split_whitespace()).output().expect("there is a shell")
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("it is text")
}

const LITTLE: u32 = 293_000;

#[test]
fn a_search_ends_before_the_memory_does() {
    for search in [
        "synod --ballots 5 --engine bfs",
        "synod --ballots 5 --engine bfs --threads 2",
        "synod --ballots 5 --engine dfs",
        "synod --ballots 5 --engine timely --threads 2",
        "cluster --ballots 4 --slots 2 --engine bfs",
        "cluster --ballots 4 --slots 2 --engine timely",
    ] {
        let output = limited(LITTLE, &format!("check {search} --max-states 1000000000 --quiet"));
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(3), "{search}: {said}{}", text(&output.stderr));
        let why =
            "inconclusive: too little memory is left: the address space of a process is limited to";
        // The verdict is wrapped.
        let verdict = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(verdict.contains(why), "{said}");
        let after =
            verdict.split_once(" (RLIMIT_AS), after ").map(|(_, rest)| rest.split_once(' '));
        let counted = after.flatten().is_some_and(|(_, rest)| rest.starts_with("states"));
        assert!(counted, "{said}");
        assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    }
}

/// A search that fits into the limit is complete.
#[test]
fn what_fits_is_explored_to_its_end() {
    for engine in ["bfs", "dfs", "timely"] {
        let output = limited(LITTLE, &format!("check synod --quiet --engine {engine}"));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
        assert!(text(&output.stdout).contains("states       185,369"));
    }
    let output = limited(LITTLE, "prove --quiet");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

/// The stacks of the threads take all of the memory. On a busy machine, a thread may then get no memory before the last thread
/// is started. The command then ends for that reason.
#[test]
fn threads_that_cannot_be_started_are_inconclusive() {
    for engine in ["bfs", "dfs", "timely"] {
        let output =
            limited(LITTLE, &format!("check synod --quiet --threads 250 --engine {engine}"));
        let said = [text(&output.stdout), text(&output.stderr)].concat();
        assert_eq!(output.status.code(), Some(3), "{engine}: {said}");
        let threads = said.contains("inconclusive: 250 threads could not be started (")
            && said.contains("give fewer --threads, or more memory");
        assert!(threads || said.contains("memory allocation of "), "{engine}: {said}");
    }
}

/// With hardly more memory than the program itself takes, every run is inconclusive, and no run is killed.
#[test]
fn hardly_any_memory_is_inconclusive() {
    for (kib, arguments) in [
        (200_000, "check synod --ballots 4 --quiet --max-states 1000000000"),
        (200_000, "mutants --quiet"),
        (60_000, "mutants --quiet"),
    ] {
        let output = limited(kib, arguments);
        let said = [text(&output.stdout), text(&output.stderr)].concat();
        assert_eq!(output.status.code(), Some(3), "{arguments}: {said}");
        assert!(said.contains("memory"), "{arguments}: {said}");
    }
}

/// A proof that takes longer than a moment also checks the available memory.
#[test]
fn a_proof_ends_before_the_memory_does() {
    let many: Vec<_> = (1..=12).map(|n| format!("(x{n} s)")).collect();
    let pairs = (1..=12).flat_map(|n| (1..n).map(move |m| format!("(distinct x{n} x{m})")));
    let distinct: Vec<_> = pairs.collect();
    let slow = format!(
        "(specification slow \"slow\") (declare-sort s \"s\") (declare-relation R (s) \"R {{0}}\")
         (action go ((x s)) \"go {{x}}\" (set (R x) true))
         (safety few \"few\" (forall ({}) (not (and (R x1) {}))))",
        many.join(" "),
        distinct.join(" ")
    );
    let place = tempfile::tempdir().expect("there is room");
    let file = place.path().join("slow.epr");
    std::fs::write(&file, slow).expect("there is room");
    let output = limited(60_000, &format!("prove {} --quiet --timeout 600", file.display()));
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("too little memory is left: the address space"), "{said}");
}
