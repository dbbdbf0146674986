//! A cluster of processes, on ports that the system chooses, with data directories that are removed after the test.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    clients::{Connection, Reply},
    process::{Ended, Process, eventually},
    proxy::{Direction, Network},
};

/// A cluster, some of whose nodes may not run.
pub(crate) struct Cluster {
    pub(crate) network: Network,
    pub(crate) addresses: Addresses,
    nodes: BTreeMap<u32, Node>,
    /// A shell script that runs before a node starts, to set limits of the process.
    pub(crate) before: &'static str,
    _directory: TempDir,
}

/// The addresses for clients of the nodes that run.
pub(crate) type Addresses = Arc<Mutex<BTreeMap<u32, SocketAddr>>>;

struct Node {
    arguments: Vec<String>,
    data: PathBuf,
    process: Option<Process>,
    paused: bool,
}

impl Cluster {
    /// Returns a new cluster, whose nodes have not been started. `flags` returns the additional flags of a node.
    pub(crate) fn new(nodes: u32, seed: u64, flags: impl Fn(u32) -> Vec<String>) -> Self {
        let network = Network::new(nodes, seed);
        let addresses: BTreeMap<_, _> =
            network.directions().map(|direction| (direction, network.address(direction))).collect();
        let listen = |_| "127.0.0.1:0".to_owned();
        Self::with_links(nodes, seed, network, listen, |direction| addresses[&direction], flags)
    }

    /// Returns a new cluster without proxies. `address` returns the address at which the first node of a direction connects to
    /// the second.
    pub(crate) fn without_proxies(
        nodes: u32,
        seed: u64,
        listen: impl Fn(u32) -> String,
        address: impl Fn(Direction) -> SocketAddr,
        flags: impl Fn(u32) -> Vec<String>,
    ) -> Self {
        Self::with_links(nodes, seed, Network::new(0, seed), listen, address, flags)
    }

    fn with_links(
        nodes: u32,
        seed: u64,
        network: Network,
        listen: impl Fn(u32) -> String,
        address: impl Fn(Direction) -> SocketAddr,
        flags: impl Fn(u32) -> Vec<String>,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let node = |id: u32| {
            let data = directory.path().join(format!("node-{id}"));
            let mut arguments =
                ["serve", "--log", "json", "--client", "127.0.0.1:0"].map(str::to_owned).to_vec();
            arguments.extend(["--listen".to_owned(), listen(id)]);
            arguments.extend(["--id".to_owned(), id.to_string()]);
            arguments.extend(["--seed".to_owned(), seed.to_string()]);
            arguments.extend(["--data".to_owned(), data.display().to_string()]);
            for peer in (1..=nodes).filter(|&peer| peer != id) {
                let address = address((id, peer));
                arguments.extend(["--peer".to_owned(), format!("{peer}={address}")]);
            }
            arguments.extend(flags(id));
            Node { arguments, data, process: None, paused: false }
        };
        let nodes = (1..=nodes).map(|id| (id, node(id))).collect();
        Self {
            network,
            addresses: Addresses::default(),
            nodes,
            before: "true",
            _directory: directory,
        }
    }

    /// Returns a new cluster whose nodes have met and elected a leader.
    pub(crate) fn formed(nodes: u32, seed: u64, flags: impl Fn(u32) -> Vec<String>) -> Self {
        let mut cluster = Self::new(nodes, seed, flags);
        cluster.form();
        cluster
    }

    /// Starts all nodes, and waits until they have met and elected a leader.
    pub(crate) fn form(&mut self) {
        self.start_all();
        let takes_part = |id| self.info(id).is_some_and(|info| info["paxos_role"] != "forming");
        eventually("all have met", || self.ids().all(takes_part));
        self.wait_for_leader();
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> + use<> {
        1..=self.nodes.len() as u32
    }

    pub(crate) fn data(&self, id: u32) -> &PathBuf {
        &self.nodes[&id].data
    }

    pub(crate) fn process(&self, id: u32) -> &Process {
        self.nodes[&id].process.as_ref().expect("it was started")
    }

    pub(crate) fn client_address(&self, id: u32) -> SocketAddr {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)[&id]
    }

    /// Returns the address at which a node listens for peers.
    pub(crate) fn peer_address(&self, id: u32) -> SocketAddr {
        self.announced(id, "listen")
    }

    pub(crate) fn is_up(&self, id: u32) -> bool {
        let node = &self.nodes[&id];
        node.process.is_some() && !node.paused
    }

    /// Starts a node and waits until it serves.
    pub(crate) fn start(&mut self, id: u32) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        node.process = Some(Process::start_after(self.before, &node.arguments));
        self.network.lead_to(id, self.announced(id, "listen"));
        let client = self.announced(id, "client");
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).insert(id, client);
    }

    /// Starts a node with other flags than the last time, without waiting for anything.
    pub(crate) fn start_with(&mut self, id: u32, flags: &[&str]) -> Process {
        Process::start(
            self.nodes[&id].arguments.iter().map(String::as_str).chain(flags.iter().copied()),
        )
    }

    /// Starts another node like this one, with its data elsewhere.
    pub(crate) fn start_copy(&self, id: u32, data: &Path) -> Process {
        let own = self.data(id).display().to_string();
        let word =
            |word: &String| if *word == own { data.display().to_string() } else { word.clone() };
        Process::start(self.nodes[&id].arguments.iter().map(word))
    }

    /// Waits until a node has ended by itself.
    pub(crate) fn ended(&mut self, id: u32) -> Ended {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        node.process.take().expect("it was started").wait()
    }

    /// Removes the last flags of a node for later starts.
    pub(crate) fn forget(&mut self, id: u32, flags: &[&str]) {
        let arguments = &mut self.nodes.get_mut(&id).expect("a node of the cluster").arguments;
        let kept = arguments.len() - flags.len();
        assert_eq!(arguments.split_off(kept), flags, "they were its last");
    }

    /// Starts all that do not run.
    pub(crate) fn start_all(&mut self) {
        for id in self.ids() {
            if self.nodes[&id].process.is_none() {
                self.start(id);
            }
        }
    }

    /// Returns the address at which a node serves metrics.
    pub(crate) fn metrics_address(&self, id: u32) -> String {
        self.logged(id, "serving metrics", "address").to_string()
    }

    /// Returns an address that a node has logged when it began to serve.
    fn announced(&self, id: u32, name: &str) -> SocketAddr {
        self.logged(id, "serving", name)
    }

    fn logged(&self, id: u32, message: &str, name: &str) -> SocketAddr {
        let process = self.process(id);
        let line = process.line(&format!("\"{message}\""));
        let line = line.unwrap_or_else(|| panic!("node {id} does not serve:\n{}", process.log()));
        let line: Value = serde_json::from_str(&line).expect("a line of JSON");
        let address = line["fields"][name].as_str().and_then(|address| address.parse().ok());
        address.expect("an address")
    }

    /// Kills a node, without a chance to clean up.
    pub(crate) fn kill(&mut self, id: u32) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        node.paused = false;
        node.process = None;
    }

    /// Stops a node with SIGTERM, and waits until it has ended.
    pub(crate) fn stop(&mut self, id: u32) -> Ended {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        let process = node.process.take().expect("it was started");
        process.signal(Signal::TERM);
        process.wait()
    }

    pub(crate) fn pause(&mut self, id: u32) {
        self.signal(id, Signal::STOP, true);
    }

    pub(crate) fn resume(&mut self, id: u32) {
        self.signal(id, Signal::CONT, false);
    }

    fn signal(&mut self, id: u32, signal: Signal, paused: bool) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        if let Some(process) = &node.process {
            process.signal(signal);
            node.paused = paused;
        }
    }

    /// Restores all links and starts all nodes.
    pub(crate) fn heal(&mut self) {
        self.network.heal();
        self.ids().for_each(|id| self.resume(id));
        self.start_all();
    }

    /// Returns true if no node has ended by itself.
    pub(crate) fn all_run(&mut self) -> bool {
        self.nodes
            .values_mut()
            .filter_map(|node| node.process.as_mut())
            .all(|node| !node.has_ended())
    }

    /// Asserts that no node has ended by itself. Such an end is a bug, whatever the faults were.
    pub(crate) fn assert_no_node_has_ended(&mut self) {
        for (id, node) in &mut self.nodes {
            if let Some(process) = &mut node.process {
                assert!(!process.has_ended(), "node {id} has ended:\n{}", process.log());
            }
        }
    }

    pub(crate) fn connect(&self, id: u32) -> Option<Connection> {
        Connection::open(self.client_address(id)).ok()
    }

    /// Returns the fields of a node's `INFO`, if the node answers.
    pub(crate) fn info(&self, id: u32) -> Option<BTreeMap<String, String>> {
        let Ok(Reply::Bulk(text)) = self.connect(id)?.ask(&["INFO"]) else { return None };
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        Some(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Returns a running node that says that it leads.
    pub(crate) fn leader(&self) -> Option<u32> {
        let running = self.ids().filter(|&id| self.is_up(id));
        let leads = |&id: &u32| self.info(id).is_some_and(|info| info["paxos_role"] == "leader");
        running.into_iter().find(leads)
    }

    pub(crate) fn wait_for_leader(&self) {
        eventually("a node leads", || self.leader().is_some());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            for (id, node) in &self.nodes {
                let log =
                    node.process.as_ref().map_or_else(|| "it is down".to_owned(), Process::log);
                let lines: Vec<_> = log.lines().collect();
                let last = lines[lines.len().saturating_sub(20)..].join("\n");
                eprintln!("the log of node {id} ends so:\n{last}");
            }
        }
    }
}
