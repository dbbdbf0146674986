//! The example of the README: start a cluster, write, kill the leader, read.
//!
//! It needs `redis-cli`. Without it, the test prints that and tries nothing.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read},
    net::TcpListener,
    process::{Child, Command, Output, Stdio},
    sync::{
        atomic::{AtomicU16, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

const PAXOS: &str = env!("CARGO_BIN_EXE_paxos");
/// The time after which a wait fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running `paxos cluster`, and the lines that it and its nodes have printed.
struct Cluster {
    process: Child,
    lines: mpsc::Receiver<String>,
    pids: BTreeMap<u16, String>,
    client_port: u16,
}

impl Cluster {
    fn start(data: &std::path::Path) -> Self {
        let (client_port, listen_port) = (free_ports(), free_ports());
        let mut command = Command::new(PAXOS);
        command.args(["cluster", "--nodes", "3", "--data"]).arg(data);
        command.args(["--client-port", &client_port.to_string()]);
        command.args(["--listen-port", &listen_port.to_string()]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        read(process.stdout.take().unwrap(), sender.clone());
        read(process.stderr.take().unwrap(), sender);
        let mut cluster = Self { process, lines, pids: BTreeMap::new(), client_port };
        for node in 1..=3 {
            let line = cluster.line(&format!("node {node}: process "));
            let pid = line.split_once("process ").and_then(|(_, rest)| rest.split_once(','));
            cluster.pids.insert(node, pid.expect("a number and a comma").0.to_owned());
        }
        cluster
    }

    /// Waits for a line that begins like this.
    fn line(&self, start: &str) -> String {
        self.find(start, |line| line.starts_with(start))
    }

    /// Waits for a line that contains this.
    fn line_with(&self, part: &str) -> String {
        self.find(part, |line| line.contains(part))
    }

    fn find(&self, wanted: &str, is_it: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no line has `{wanted}`"));
            if is_it(&line) {
                return line;
            }
        }
    }

    fn port(&self, node: u16) -> String {
        (self.client_port + node).to_string()
    }

    fn redis(&self, node: u16, words: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port(node)]).args(words).output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
    }

    /// Runs `paxos status` of some nodes until its exit code is 0. Returns the lines.
    fn status(&self, nodes: &[u16]) -> Vec<String> {
        let addresses = nodes.iter().map(|&node| format!("127.0.0.1:{}", self.port(node)));
        let addresses: Vec<_> = addresses.collect();
        let until = Instant::now() + PATIENCE;
        loop {
            let Output { status, stdout, .. } =
                Command::new(PAXOS).arg("status").args(&addresses).output().unwrap();
            let text = String::from_utf8(stdout).unwrap();
            if status.code() == Some(0) {
                return text.lines().map(str::to_owned).collect();
            }
            assert!(Instant::now() < until, "{text}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SIGTERM lets it stop its nodes as well. After `kill -9` they would go on.
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = Command::new("kill").arg(self.process.id().to_string()).status();
            let _ = self.process.wait();
        }
    }
}

/// Sends the lines of a stream to a channel, until the stream ends.
fn read(stream: impl Read + Send + 'static, sender: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = sender.send(line); // The test may be over.
        }
    });
}

/// Returns a port that is followed by three free ports. They are below those that systems give to connections, and no two
/// tests of this process get the same, so that they are still free when the cluster starts.
fn free_ports() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let own = std::process::id() as u16 % 3000 * 4;
    loop {
        let first = 20_000 + (own + TRIED.fetch_add(4, Ordering::Relaxed)) % 12_000;
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (1..=3).all(|node| free(first + node)) {
            return first;
        }
    }
}

#[test]
fn a_cluster_survives_its_leader() {
    if Command::new("redis-cli").arg("--version").output().is_err() {
        println!("redis-cli is not installed: nothing was tried");
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(&data.path().join("with a space"));
    let all = [1, 2, 3];
    cluster.status(&all);
    assert_eq!(cluster.redis(1, &["set", "greeting", "hello"]), "OK");

    let status = cluster.status(&all);
    let leader = status[1].split_whitespace().nth(3).expect("a column for the leader");
    let leader: u16 = leader.parse().expect("the number of a node");
    let killed = Command::new("kill").args(["-9", &cluster.pids[&leader]]).status().unwrap();
    assert!(killed.success());
    let rest: Vec<_> = all.into_iter().filter(|&node| node != leader).collect();
    for &node in &rest {
        assert_eq!(cluster.redis(node, &["get", "greeting"]), "hello", "node {node}");
    }
    assert_eq!(cluster.redis(rest[0], &["set", "greeting", "hello again"]), "OK");
    cluster.status(&rest);

    // The printed command starts the node again.
    cluster.line(&format!("node {leader} has ended"));
    let again = cluster.line("  ");
    let again = format!("exec {}", again.trim());
    let mut node = Command::new("sh").args(["-c", &again]).stderr(Stdio::null()).spawn().unwrap();
    cluster.status(&all);
    assert_eq!(cluster.redis(leader, &["get", "greeting"]), "hello again");
    node.kill().unwrap();
    node.wait().unwrap();
}

/// In a terminal, Ctrl-C reaches the nodes as well, and they may end first.
#[test]
fn a_cluster_that_is_interrupted_with_its_nodes_ends_in_order() {
    let data = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(data.path());
    cluster.status(&[1, 2, 3]);
    let own = cluster.process.id().to_string();
    let told = Command::new("kill").arg("-INT").args(cluster.pids.values()).arg(own).status();
    assert!(told.unwrap().success());
    assert_eq!(cluster.process.wait().unwrap().code(), Some(0));
    assert!(!cluster.lines.iter().any(|line| line.contains("has ended")));
}

/// SIGTERM reaches only the cluster's own process, which has to pass it on.
#[test]
fn a_cluster_that_is_terminated_terminates_its_nodes() {
    let data = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(data.path());
    cluster.status(&[1, 2, 3]);
    let told = Command::new("kill").arg(cluster.process.id().to_string()).status().unwrap();
    assert!(told.success());
    assert_eq!(cluster.process.wait().unwrap().code(), Some(0));
    let stopping = cluster.lines.iter().filter(|line| line.contains("stopping"));
    assert_eq!(stopping.count(), 3, "each node logs that it stops");
}

/// A paused node does not end on SIGTERM. After a second signal the cluster does not wait for it.
#[test]
fn a_cluster_that_is_terminated_twice_kills_its_nodes() {
    let data = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(data.path());
    let kill = |signal: &str, id: &str| {
        assert!(Command::new("kill").args([signal, id]).status().unwrap().success());
    };
    kill("-STOP", &cluster.pids[&1]);
    let own = cluster.process.id().to_string();
    kill("-TERM", &own);
    // A node that is not paused has its signal, so the first signal has arrived.
    cluster.line_with("stopping");
    assert!(matches!(cluster.process.try_wait(), Ok(None)), "it waits for the node");
    kill("-TERM", &own);
    assert_eq!(cluster.process.wait().unwrap().code(), Some(0));
    cluster.line("node 1 has not ended, and is killed after a second signal");
    let node = Command::new("kill").args(["-0", &cluster.pids[&1]]).stderr(Stdio::null()).status();
    assert!(!node.unwrap().success(), "the node is still there");
}
