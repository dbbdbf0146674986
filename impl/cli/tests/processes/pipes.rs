//! Output whose reader is gone, as in `paxos cluster | head -1`: no command panics, and no process is left behind.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, pipe},
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    clients::{Connection, Reply},
    cluster::Cluster,
    process::eventually,
    storm::seed,
};

/// Returns a pipe whose reader is gone.
fn closed() -> Stdio {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

fn paxos(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paxos"));
    command.args(words).stdin(Stdio::null());
    command
}

/// A child that is killed at the end of its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the process has ended, and returns its exit code. A signal that ended it has none.
fn ended(process: &mut Killed) -> Option<i32> {
    let mut code = None;
    eventually("the process ends", || {
        code = process.0.try_wait().expect("a child can be asked");
        code.is_some()
    });
    code.and_then(|status| status.code())
}

#[test]
fn a_command_ends_as_usual_if_its_reader_is_gone() {
    let mut cluster = Cluster::formed(3, seed(), |_| Vec::new());
    let asked = cluster.client_address(1).to_string();
    cluster.stop(3);
    let data = cluster.data(3).display().to_string();
    let cases: &[(&[&str], i32)] = &[
        (&["--help"], 0),
        (&["serve", "--help"], 0),
        (&["--colour"], 2),
        (&["vote", "A=1", "B=2"], 0),
        (&["vote", "A=1", "B=2", "--json"], 0),
        (&["vote", "A=1", "--diagram", "/nowhere/at/all.svg"], 2),
        (&["log", &data], 0),
        (&["log", "/nowhere/at/all"], 2),
        (&["status", &asked], 0),
        (&["status", "--json", &asked], 0),
        (&["serve", "--id", "1"], 2),
    ];
    for (words, code) in cases {
        let mut command = paxos(words);
        let mut process =
            Killed(command.stdout(closed()).stderr(closed()).spawn().expect("it runs"));
        assert_eq!(ended(&mut process), Some(*code), "{words:?} with both outputs closed");
        let output =
            paxos(words).stdout(closed()).stderr(Stdio::piped()).output().expect("it runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{words:?}: {complaint}");
        assert_eq!(complaint.is_empty(), *code == 0, "{words:?}: {complaint}");
    }
}

/// Starts a cluster whose standard output is a pipe, and reads the first line of it.
fn cluster(data: &str, stderr: Stdio) -> (Killed, BufReader<ChildStdout>, String) {
    // A node whose port is taken ends at once. The test works as long as one of the three nodes runs.
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let first = 8_000 + (std::process::id() + TRIED.fetch_add(1, Ordering::Relaxed)) % 1_000 * 8;
    let [client, listen] = [first, first + 4].map(|port| port.to_string());
    let words = ["cluster", "--data", data, "--client-port", &client, "--listen-port", &listen];
    let mut child = paxos(&words).stdout(Stdio::piped()).stderr(stderr).spawn().expect("it runs");
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let child = Killed(child);
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    (child, output, line)
}

/// Waits until no node of a cluster of three runs: the log of a node that runs cannot be read.
fn assert_no_node_runs(data: &str) {
    for id in 1..=3 {
        let data = format!("{data}/node-{id}");
        if fs::exists(&data).expect("a path") {
            let log = paxos(&["log", &data]).output().expect("it runs");
            let complaint = String::from_utf8_lossy(&log.stderr);
            assert!(!complaint.contains("is in use"), "node {id} is left behind: {complaint}");
        }
    }
}

/// `paxos cluster | head -1`
#[test]
fn a_cluster_stops_its_nodes_if_its_reader_is_gone() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().display().to_string();
    let (mut child, output, line) = cluster(&data, Stdio::piped());
    assert!(line.starts_with("node 1: process "), "{line}");
    let mut log = child.0.stderr.take().expect("piped");
    drop(output);
    assert_eq!(ended(&mut child), Some(0));
    let mut text = String::new();
    log.read_to_string(&mut text).expect("text");
    assert!(!text.contains("panicked"), "{text}");
    assert_no_node_runs(&data);
}

/// `paxos cluster 2>&1 | head -1`, and the same if only the log has no reader.
#[test]
fn a_cluster_stops_its_nodes_if_the_reader_of_its_log_is_gone() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().display().to_string();
    let (mut child, mut output, line) = cluster(&data, closed());
    assert!(line.starts_with("node 1: process "), "{line}");
    assert_eq!(ended(&mut child), Some(0));
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("text");
    assert!(!rest.contains("panicked"), "{rest}");
    assert_no_node_runs(&data);
}

/// A node without a reader of its log keeps serving.
#[test]
fn a_node_serves_without_a_reader_of_its_log() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().display().to_string();
    let address = "127.0.0.1:0";
    let words = ["serve", "--id", "1", "--data", &data, "--listen", address, "--client", address];
    let mut command = paxos(&words);
    command.args(["--log", "json", "--log-level", "debug"]);
    let child = command.stdout(closed()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut child = Killed(child);
    let mut log = BufReader::new(child.0.stderr.take().expect("piped")).lines().map(Result::unwrap);
    let line = log.find(|line| line.contains("\"serving\"")).expect("it serves");
    drop(log);
    let line: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
    let address = line["fields"]["client"].as_str().and_then(|address| address.parse().ok());
    let address = address.expect("an address");
    eventually("it answers", || {
        assert!(child.0.try_wait().expect("a child").is_none(), "it has ended");
        let reply =
            Connection::open(address).and_then(|mut node| node.ask(&["SET", "key", "value"]));
        matches!(reply, Ok(Reply::Simple(_)))
    });
    kill_process(Pid::from_child(&child.0), Signal::TERM).expect("it runs");
    assert_eq!(ended(&mut child), Some(0));
}
