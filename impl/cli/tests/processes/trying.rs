//! A cluster that `paxos cluster` starts, on free ports.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{
        atomic::{AtomicU16, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use super::process::PATIENCE;

pub(crate) const PAXOS: &str = env!("CARGO_BIN_EXE_paxos");

/// A running `paxos cluster`, and the lines that it and its nodes have printed.
pub(crate) struct Trying {
    pub(crate) process: Child,
    pub(crate) lines: mpsc::Receiver<String>,
    pub(crate) pids: BTreeMap<u16, String>,
    client_port: u16,
}

impl Trying {
    /// Starts a cluster with its data in this directory.
    pub(crate) fn start(nodes: u16, data: &Path) -> Self {
        let count = nodes.to_string();
        Self::with(
            nodes,
            [
                "cluster".as_ref(),
                "--nodes".as_ref(),
                count.as_ref(),
                "--data".as_ref(),
                data.as_os_str(),
            ],
        )
    }

    /// Starts a cluster of this number of nodes with these arguments, on free ports.
    pub(crate) fn with<A: AsRef<OsStr>>(
        nodes: u16,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let (client_port, listen_port) = (free_ports(), free_ports());
        let mut command = Command::new(PAXOS);
        command.args(arguments);
        command.args(["--client-port", &client_port.to_string()]);
        command.args(["--listen-port", &listen_port.to_string()]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        read(process.stdout.take().unwrap(), sender.clone());
        read(process.stderr.take().unwrap(), sender);
        let mut cluster = Self { process, lines, pids: BTreeMap::new(), client_port };
        for node in 1..=nodes {
            let line = cluster.line(&format!("node {node}: process "));
            let pid = line.split_once("process ").and_then(|(_, rest)| rest.split_once(','));
            cluster.pids.insert(node, pid.expect("a number and a comma").0.to_owned());
        }
        cluster
    }

    /// Waits for a line with this beginning.
    pub(crate) fn line(&self, start: &str) -> String {
        self.find(start, |line| line.starts_with(start))
    }

    /// Waits for a line that contains this.
    pub(crate) fn line_with(&self, part: &str) -> String {
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

    pub(crate) fn port(&self, node: u16) -> String {
        (self.client_port + node).to_string()
    }

    pub(crate) fn redis(&self, node: u16, words: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port(node)]).args(words).output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
    }

    /// Runs `paxos status` of some nodes until its exit code is 0. Returns the lines.
    pub(crate) fn status(&self, nodes: &[u16]) -> Vec<String> {
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

impl Drop for Trying {
    fn drop(&mut self) {
        // On SIGTERM, `paxos cluster` also stops its nodes. After `kill -9` the nodes would keep running.
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

/// Returns a port that is followed by three free ports. These are below the ports that systems give to connections, and no two
/// tests of this process get the same ports. They are therefore still free when the cluster starts.
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

/// Returns true if `redis-cli` is installed. Otherwise prints that a part of the test is skipped.
pub(crate) fn has_redis_cli() -> bool {
    let found = Command::new("redis-cli").arg("--version").output().is_ok();
    if !found {
        println!("redis-cli is not installed: what needs it is not tried");
    }
    found
}
