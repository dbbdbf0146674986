//! A signal ends every command at once. A command with results prints its report, and any other command dies of the signal. A
//! second signal ends the process without help from the command.
#![cfg(unix)]

#[path = "support/signals.rs"]
mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpStream,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{mask, until_signals_are_caught};

const SIGNALS: [(&str, i32); 2] = [("INT", 2), ("TERM", 15)];

/// Starts the command, with its own search path if one is given.
fn begin(arguments: &str, path: Option<&Path>) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paxos-model"));
    if let Some(path) = path {
        command.env("PATH", format!("{}:/usr/bin:/bin", path.display()));
    }
    command.args(arguments.split_whitespace()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command runs")
}

/// Returns true if this process, and therefore each process that it starts, ignores a signal. A shell makes a process that it
/// runs in the background ignore SIGINT.
fn is_ignored(signal: i32) -> bool {
    mask("self", "SigIgn:").is_some_and(|ignored| ignored >> (signal - 1) & 1 == 1)
}

fn kill(id: u32, signal: &str) {
    let kill = Command::new("kill").args([format!("-{signal}"), id.to_string()]).status();
    assert!(kill.expect("there is kill").success());
}

/// Waits for the end. The limit is far above the usual time, and below the time that a command has for its report.
fn ended(mut child: Child) -> Output {
    let until = Instant::now() + Duration::from_secs(4);
    while child.try_wait().expect("it can be waited for").is_none() {
        if Instant::now() > until {
            child.kill().expect("it can be killed");
            panic!("it did not end: {:?}", child.wait_with_output());
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("it has ended")
}

fn why(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("one object of JSON");
    assert_eq!(report["verdict"], "inconclusive");
    report["why"].as_str().expect("a reason").to_owned()
}

#[test]
fn the_explorer_dies_of_the_first_signal() {
    for (name, signal) in SIGNALS.into_iter().filter(|(_, signal)| !is_ignored(*signal)) {
        let mut child = begin("explore synod --ballots 2 --port 0", None);
        let mut said = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        while !said.next().expect("it says where it is").expect("UTF-8").contains("http://") {}
        kill(child.id(), name);
        assert_eq!(ended(child).status.signal(), Some(signal));
    }
}

#[test]
fn a_search_reports_how_far_it_came() {
    for engine in ["bfs", "dfs", "timely"] {
        let arguments = "check synod --ballots 5 --max-states 1000000000 --json --quiet --engine";
        let child = begin(&format!("{arguments} {engine}"), None);
        until_signals_are_caught(&child);
        kill(child.id(), "TERM");
        let why = why(&ended(child));
        assert!(why.starts_with("a signal came, after ") && why.contains(" states"), "{why}");
    }
}

#[test]
fn the_catalogue_reports_what_it_has() {
    let child = begin("mutants --quiet --json", None);
    until_signals_are_caught(&child);
    kill(child.id(), "INT");
    assert!(why(&ended(child)).starts_with("a signal came, after "));
}

/// A specification that keeps the built-in prover busy for a long time.
const SLOW: &str = "(specification slow \"slow\") (declare-sort s \"s\") (declare-relation R (s) \"R {0}\")
    (action go ((x s)) \"go {x}\" (set (R x) true))
    (safety few \"few\" (forall ((a s) (b s) (c s) (d s) (e s) (f s) (g s) (h s) (i s) (j s))
        (not (and (R a) (distinct a b) (distinct a c) (distinct b c) (distinct a d) (distinct b d)
            (distinct c d) (distinct a e) (distinct b e) (distinct c e) (distinct d e) (distinct a f)
            (distinct b f) (distinct c f) (distinct d f) (distinct e f) (distinct a g) (distinct b g)
            (distinct c g) (distinct d g) (distinct e g) (distinct f g) (distinct a h) (distinct b h)
            (distinct c h) (distinct d h) (distinct e h) (distinct f h) (distinct g h) (distinct a i)
            (distinct b i) (distinct c i) (distinct d i) (distinct e i) (distinct f i) (distinct g i)
            (distinct h i) (distinct a j) (distinct b j) (distinct c j) (distinct d j) (distinct e j)
            (distinct f j) (distinct g j) (distinct h j) (distinct i j)))))";

#[test]
fn a_proof_is_called_off() {
    let place = tempfile::tempdir().expect("there is room");
    let file = place.path().join("slow.epr");
    fs::write(&file, SLOW).expect("there is room");
    let child = begin(&format!("prove {} --timeout 600 --quiet --json", file.display()), None);
    until_signals_are_caught(&child);
    kill(child.id(), "TERM");
    let output = ended(child);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("a signal came"));
}

/// A solver that never answers, and writes its process id to a file.
fn solver(place: &Path) {
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && exec echo version 1.2\necho $$ > {0}/new\nmv {0}/new {0}/pid\n\
         exec sleep 1000\n",
        place.display()
    );
    for name in ["z3", "cvc5"] {
        let file = place.join(name);
        fs::write(&file, &script).expect("there is room");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
}

#[test]
fn no_solver_is_left_behind() {
    for (prover, signal) in [("z3", "TERM"), ("cvc5", "INT")] {
        let place = tempfile::tempdir().expect("there is room");
        solver(place.path());
        let arguments = format!("prove --prover {prover} --quiet --json");
        let mut child = begin(&arguments, Some(place.path()));
        let file = place.path().join("pid");
        while !file.exists() {
            assert_eq!(child.try_wait().expect("it can be waited for"), None, "it ended");
            thread::sleep(Duration::from_millis(5));
        }
        let pid = fs::read_to_string(file).expect("it is there");
        kill(child.id(), signal);
        let output = ended(child);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("could not be asked: a signal came")
        );
        let alive = Command::new("kill").args(["-0", pid.trim()]).stderr(Stdio::null()).status();
        assert!(!alive.expect("there is kill").success(), "the solver still runs");
    }
}

/// A process that waits for the handshake of another process does not react to a first signal for a while. The test cannot
/// see when that wait begins, so it tries with longer and longer pauses.
#[test]
fn a_second_signal_ends_what_is_busy() {
    let mut pause = Duration::from_millis(50);
    loop {
        let status = ended_while_it_waits(pause);
        if status.signal() == Some(15) {
            return;
        }
        assert_eq!(status.code(), Some(3), "the first signal came before the wait: {status}");
        pause *= 2;
        assert!(pause < Duration::from_mins(1), "the first signal has ended it each time");
    }
}

/// Sends signals to a process, beginning this long after another process has connected to it. Returns how it ends.
fn ended_while_it_waits(pause: Duration) -> ExitStatus {
    let place = tempfile::tempdir().expect("there is room");
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let own = free.expect("a port is free");
    let hosts = place.path().join("hosts");
    fs::write(&hosts, format!("{own}\n127.0.0.1:1\n")).expect("there is room");
    let hosts = hosts.display();
    let arguments = format!("check synod --engine timely --quiet --hosts {hosts} --process 0");
    let mut child = begin(&arguments, None);
    let _silent = loop {
        match TcpStream::connect(own) {
            Ok(stream) => break stream,
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
        assert_eq!(child.try_wait().expect("it can be waited for"), None, "it ended");
    };
    until_signals_are_caught(&child);
    thread::sleep(pause);
    // Two signals that wait to be handled count as one. So the test sends until the process ends.
    let until = Instant::now() + Duration::from_secs(4);
    while child.try_wait().expect("it can be waited for").is_none() {
        assert!(Instant::now() < until, "it does not end");
        kill(child.id(), "TERM");
        thread::sleep(Duration::from_millis(20));
    }
    ended(child).status
}
