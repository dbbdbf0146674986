//! Known bugs of drivers, stores and services are found by validation.
//!
//! Each test runs the same cluster, with one bug in node 2, and expects the claim that the bug contradicts. The numbers are those of
//! the catalogue of known bugs. The last test runs the cluster without a bug.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    mem,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use paxos::{Ballot, Config, Message, NodeId, Record, Slot, To, Value};
use paxos_node::{
    ClientHandle, Fault, Frozen, Options, Packet, RestoreError, StateMachine, Transport,
    turn::ManualNode,
};
use paxos_recording::RecordingOptions;
use paxos_store::{Memory, MemorySnapshot, MemoryStore, Storage, StorageError, StoreId};
use paxos_validation::{
    claims::{
        AFTER_RECORDS, AGREEMENT, DETERMINISM, DURABLE, QUORUM, READS, RECORDED, SENT_BEFORE,
        SNAPSHOTS, TRIMS,
    },
    order::{Halt, Validator},
    report::Report,
    watcher::Watcher,
};
use verdict::Verdict;

/// A bug of node 2.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bug {
    driver: Option<Fault>,
    store: Option<StoreBug>,
    /// The machine counts the calls of its process and not the commands of the log (48).
    counts_calls: bool,
    /// A frame of another cluster is delivered (45).
    foreign_frame: bool,
    /// No bug: the node leads although it lacks some slots.
    leads_behind: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum StoreBug {
    /// Recovery drops the last whole write (41).
    DropsLast,
    /// Recovery takes a torn write as whole, and reads another record than was written (41).
    TakesTorn,
    /// Writes are acknowledged and lost, as after a failed sync that is tried again (42).
    LosesWrites,
    /// The log is trimmed before the snapshot that replaces it is durable (43).
    TrimsFirst,
}

/// Answers each command with the number of commands.
#[derive(Default)]
struct Counter {
    count: u64,
    calls: u64,
    counts_calls: bool,
}

impl StateMachine for Counter {
    type Answer = Bytes;

    fn apply(&mut self, _: &[u8]) -> Bytes {
        (self.count, self.calls) = (self.count + 1, self.calls + 1);
        let answer = if self.counts_calls { self.calls } else { self.count };
        Bytes::copy_from_slice(&answer.to_le_bytes())
    }

    fn snapshot(&self) -> Frozen {
        let count = self.count;
        Box::new(move |file| file.write_all(&count.to_le_bytes()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        let mut bytes = [0; 8];
        snapshot.read_exact(&mut bytes)?;
        self.count = u64::from_le_bytes(bytes);
        Ok(())
    }
}

/// A store in memory with a bug.
struct Store {
    inner: MemoryStore,
    bug: Option<StoreBug>,
    /// The writes since the store was made, shared by all starts.
    written: Arc<Mutex<Vec<Vec<Record>>>>,
    /// True if the next write does not end.
    tears: Arc<Mutex<bool>>,
}

impl Store {
    fn new(id: u64, bug: Option<StoreBug>) -> Self {
        let inner = MemoryStore::new(StoreId(id.into()));
        Self { inner, bug, written: Arc::default(), tears: Arc::default() }
    }

    fn reopen(&self) -> Self {
        let (written, tears) = (self.written.clone(), self.tears.clone());
        Self { inner: self.inner.reopen(), bug: self.bug, written, tears }
    }
}

impl Storage for Store {
    type SnapshotFile = MemorySnapshot;

    fn recover(&mut self) -> Result<Vec<Record>, StorageError> {
        let written = self.written.lock().expect("no test panics with the lock");
        let kept = match self.bug {
            Some(StoreBug::DropsLast) => &written[..written.len().saturating_sub(1)],
            Some(StoreBug::LosesWrites) => &written[..written.len().min(3)],
            _ => &written[..],
        };
        let mut memory = Memory::default();
        kept.iter().try_for_each(|records| memory.append(records))?;
        Ok(memory.records())
    }

    fn persist(&mut self, records: &[Record]) -> Result<(), StorageError> {
        let mut written = self.written.lock().expect("no test panics with the lock");
        if mem::take(&mut *self.tears.lock().expect("no test panics with the lock")) {
            let ballot = Ballot::new(50, NodeId(2)).expect("not zero");
            written.push(vec![Record::Promised(ballot)]);
            return Err(StorageError::io("write")(io::Error::other("the process is killed")));
        }
        written.push(records.to_vec());
        Ok(())
    }

    fn snapshot(&self) -> Option<(Slot, MemorySnapshot)> {
        self.inner.snapshot().filter(|_| self.bug != Some(StoreBug::TrimsFirst))
    }

    fn begin_snapshot(&mut self) -> Result<MemorySnapshot, StorageError> {
        self.inner.begin_snapshot()
    }

    fn adopt_snapshot(&mut self, below: Slot, file: MemorySnapshot) -> Result<(), StorageError> {
        self.inner.adopt_snapshot(below, file)
    }

    fn note(&mut self, name: &str, value: &[u8]) -> Result<(), StorageError> {
        self.inner.note(name, value)
    }

    fn persist_and_note(
        &mut self,
        records: &[Record],
        name: &str,
        value: &[u8],
    ) -> Result<(), StorageError> {
        self.persist(records)?;
        self.inner.note(name, value)
    }

    fn noted(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        self.inner.noted(name)
    }

    fn id(&self) -> StoreId {
        self.inner.id()
    }

    fn disk_bytes(&self) -> u64 {
        self.inner.disk_bytes()
    }
}

/// A packet, its sender, and its targets.
type Sent = (NodeId, To, Packet);

/// The packets that leave a node in a turn.
struct Link {
    from: NodeId,
    sent: Vec<Sent>,
}

impl Transport for Link {
    fn send(&mut self, to: To, packet: Packet) {
        self.sent.push((self.from, to, packet));
    }
}

struct Node {
    store: Store,
    clients: ClientHandle<Counter>,
    running: ManualNode<Counter, Store>,
    since: Duration,
}

type Call = Pin<Box<dyn Future<Output = ()>>>;

struct Cluster<'a> {
    directory: &'a Path,
    bug: Bug,
    nodes: BTreeMap<NodeId, Node>,
    sent: Vec<Sent>,
    now: Duration,
    calls: Vec<Call>,
    watch: Watch,
}

/// A watcher beside the cluster, and what it has seen.
struct Watch {
    watcher: Watcher,
    /// The first moment at which the recordings contradict a claim.
    violated: Option<Duration>,
    /// The moment of the alarm, and the claim.
    alarm: Option<(Duration, &'static str)>,
}

impl Watch {
    fn look(&mut self, directory: &Path, now: Duration) {
        if self.alarm.is_some() {
            return;
        }
        match self.watcher.look() {
            Ok(()) => {}
            Err(Halt::Violated(violation)) => {
                self.alarm = Some((now, violation.contradiction.claim));
            }
            Err(Halt::Unreadable(error)) => panic!("{error}"),
        }
        if self.violated.is_none() {
            let report = Validator::new(directory).finish(|_| ()).expect("it can be read");
            self.violated = report.violation.map(|_| now);
        }
    }
}

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
/// The node with the bug.
const BUGGY: NodeId = NodeId(2);
const TICK: Duration = Duration::from_millis(5);
/// The time between two looks of the watcher.
const LOOK: Duration = Duration::from_millis(50);

impl<'a> Cluster<'a> {
    fn new(directory: &'a Path, bug: Bug) -> Self {
        let (nodes, sent, now, calls) = (BTreeMap::new(), Vec::new(), Duration::ZERO, Vec::new());
        let watcher = Watcher::new(directory);
        let watch = Watch { watcher, violated: None, alarm: None };
        let mut cluster = Self { directory, bug, nodes, sent, now, calls, watch };
        for id in NODES {
            let bug = bug.store.filter(|_| id == BUGGY);
            cluster.start(id, Store::new(id.0.into(), bug));
        }
        cluster
    }

    fn start(&mut self, id: NodeId, store: Store) {
        // Node 2 leads: it is the first to campaign.
        let election = if id == BUGGY { 100 } else { 1000 };
        let mut options = Options::builder()
            .election_timeout(Duration::from_millis(election))
            .heartbeat(Duration::from_millis(20))
            .resend(Duration::from_millis(40))
            .batch_wait(Duration::ZERO)
            .snapshot_slots(10)
            // Each vote that a promise reports has a part of its own.
            .promise_part_bytes(1)
            // The buggy node applies one entry in a turn, so that it falls behind.
            .turn_max(if id == BUGGY { Duration::ZERO } else { Duration::MAX })
            .recording(RecordingOptions::new(self.directory));
        if let Some(fault) = self.bug.driver.filter(|_| id == BUGGY) {
            options = options.fault(fault);
        }
        let counts_calls = self.bug.counts_calls && id == BUGGY;
        let machine = Counter { counts_calls, ..Counter::default() };
        let options = options.build().expect("options with which a node can work");
        let (config, kept) = (Config::new(id, NODES), store.reopen());
        let (clients, running) = match ManualNode::recover(config, options, machine, store) {
            Ok(started) => started,
            // The node cannot use its snapshot, and stays down.
            Err(_) if self.bug.driver == Some(Fault::NamesTooMuch) => return,
            Err(error) => panic!("node {id} does not start: {error}"),
        };
        let node = Node { store: kept, clients, running, since: self.now };
        self.nodes.insert(id, node);
    }

    /// Kills a node, and starts it again.
    fn restart(&mut self, id: NodeId) {
        let Node { store, .. } = self.nodes.remove(&id).expect("it runs");
        self.start(id, store);
    }

    /// Lets time pass. A node whose store has failed is started again.
    fn run(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.now += TICK;
            for (from, to, packet) in mem::take(&mut self.sent) {
                for (&id, node) in &mut self.nodes {
                    if id != from && (to == To::Peers || to == To::Node(id)) {
                        node.running.deliver(from, packet.clone());
                    }
                }
            }
            let mut failed = Vec::new();
            for (&id, node) in &mut self.nodes {
                let mut link = Link { from: id, sent: Vec::new() };
                let time = self.now.saturating_sub(node.since);
                let turn = node.running.turn(time, &mut link);
                let turn = turn.and_then(|_| node.running.sync(time, &mut link));
                let turn = turn.and_then(|()| node.running.write_snapshot());
                self.sent.extend(link.sent);
                failed.extend(turn.is_err().then_some(id));
            }
            for id in failed {
                self.restart(id);
            }
            let mut context = Context::from_waker(Waker::noop());
            self.calls.retain_mut(|call| call.as_mut().poll(&mut context).is_pending());
            if self.now.as_millis().is_multiple_of(LOOK.as_millis()) {
                self.watch.look(self.directory, self.now);
            }
        }
    }

    fn propose(&mut self, id: NodeId, count: usize) {
        for _ in 0..count {
            let Some(node) = self.nodes.get(&id) else { return };
            let clients = node.clients.clone();
            self.calls.push(Box::pin(async move {
                // A client may get an error when its node is killed.
                drop(clients.propose("command").await);
            }));
            self.run(4);
        }
    }

    /// Asks a node for some commands, and lets no time pass.
    fn propose_at_once(&mut self, id: NodeId, count: usize) {
        let Some(node) = self.nodes.get(&id) else { return };
        for _ in 0..count {
            let clients = node.clients.clone();
            self.calls.push(Box::pin(async move {
                drop(clients.propose("command").await);
            }));
        }
    }

    /// Asks a node for a command, which no other node hears of, and stops the node. The others go on without it. Then the node
    /// starts again.
    fn propose_alone(&mut self, id: NodeId) {
        let clients = self.nodes[&id].clients.clone();
        self.calls.push(Box::pin(async move {
            drop(clients.propose("lost").await);
        }));
        for _ in 0..4 {
            self.run(1);
            self.sent.clear();
        }
        let Node { store, .. } = self.nodes.remove(&id).expect("it runs");
        self.run(500);
        self.propose(NodeId(1), 2);
        self.start(id, store);
    }

    /// Stops a node while the others go on. Then all nodes start again, and this one leads, although it lacks some slots.
    fn let_it_lead_behind(&mut self, id: NodeId) {
        let Node { store, .. } = self.nodes.remove(&id).expect("it runs");
        self.run(500);
        self.propose(NodeId(1), 6);
        for other in NODES.into_iter().filter(|&other| other != id) {
            self.restart(other);
        }
        self.start(id, store);
    }

    fn read(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else { return };
        let clients = node.clients.clone();
        self.calls.push(Box::pin(async move {
            drop(clients.read(|counter| counter.count).await);
        }));
    }
}

/// Runs a cluster with a bug in node 2, watches it, and validates its recordings.
fn run(bug: Bug) -> (Watch, Report) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cluster = Cluster::new(directory.path(), bug);
    cluster.run(200);
    cluster.propose(BUGGY, 4);
    cluster.propose(NodeId(1), 4);
    cluster.read(BUGGY);
    cluster.read(NodeId(1));
    cluster.propose(BUGGY, 1);
    cluster.read(NodeId(3));
    if bug.foreign_frame {
        let ballot = Ballot::new(9, NodeId(1)).expect("not zero");
        let values = [Value::Command("foreign".into())].into();
        let message = Message::Accept { ballot, first: Slot(40), values };
        let node = cluster.nodes.get_mut(&BUGGY).expect("it runs");
        node.running.deliver(NodeId(1), Packet::Message(message));
    }
    cluster.propose(NodeId(3), 20);
    // The node applies one entry in a turn, and confirms reads before it has applied all of these.
    cluster.propose_at_once(NodeId(3), 30);
    for _ in 0..20 {
        cluster.read(BUGGY);
        cluster.run(1);
    }
    if bug.store == Some(StoreBug::TakesTorn) {
        *cluster.nodes[&BUGGY].store.tears.lock().expect("no panic") = true;
        cluster.propose(NodeId(1), 1);
    }
    cluster.run(50);
    if bug.driver == Some(Fault::NotesTooMuch) {
        cluster.propose_alone(BUGGY);
    } else if bug.leads_behind {
        cluster.let_it_lead_behind(BUGGY);
    } else {
        cluster.restart(BUGGY);
    }
    cluster.run(200);
    cluster.propose(NodeId(1), 5);
    cluster.run(100);
    let Cluster { watch, nodes, .. } = cluster;
    drop(nodes);
    let report = Validator::new(directory.path()).finish(|_| ());
    (watch, report.expect("the directory can be read"))
}

#[track_caller]
fn is_found(bug: Bug, claims: &[&str]) {
    let (watch, report) = run(bug);
    let claim = report.violation.as_ref().map(|it| it.contradiction.claim);
    assert!(claim.is_some_and(|claim| claims.contains(&claim)), "{bug:?}: {report}");
    // A watcher needs a second look for a message that was not sent.
    let (alarm, claim) = watch.alarm.unwrap_or_else(|| panic!("{bug:?}: no alarm"));
    assert!(claims.contains(&claim), "{bug:?}: {claim}");
    let violated = watch.violated.unwrap_or(alarm);
    assert!(alarm <= violated + 2 * LOOK, "{bug:?}: {alarm:?} is late: {violated:?}");
}

fn driver(fault: Fault) -> Bug {
    Bug { driver: Some(fault), ..Bug::default() }
}

fn store(bug: StoreBug) -> Bug {
    Bug { store: Some(bug), ..Bug::default() }
}

#[test]
fn bug_40_sends_before_the_sync() {
    is_found(driver(Fault::SendsBeforeSync), &[AFTER_RECORDS]);
}

#[test]
fn bug_41_recovery_drops_the_last_write() {
    is_found(store(StoreBug::DropsLast), &[DURABLE]);
}

#[test]
fn bug_41_recovery_takes_a_torn_write_as_whole() {
    is_found(store(StoreBug::TakesTorn), &[RECORDED]);
}

#[test]
fn bug_42_a_failed_sync_is_believed() {
    is_found(store(StoreBug::LosesWrites), &[DURABLE]);
}

#[test]
fn bug_43_the_log_is_trimmed_before_the_snapshot_is_durable() {
    is_found(store(StoreBug::TrimsFirst), &[DURABLE, TRIMS]);
}

#[test]
fn bug_44_a_snapshot_names_more_than_is_applied() {
    is_found(driver(Fault::NamesTooMuch), &[SNAPSHOTS]);
}

#[test]
fn bug_45_a_frame_of_another_cluster_is_taken() {
    is_found(Bug { foreign_frame: true, ..Bug::default() }, &[SENT_BEFORE]);
}

#[test]
fn bug_47_a_snapshot_does_not_carry_the_client_table() {
    is_found(driver(Fault::ForgetsClients), &[DETERMINISM]);
}

#[test]
fn bug_48_applying_is_not_deterministic() {
    is_found(Bug { counts_calls: true, ..Bug::default() }, &[DETERMINISM]);
}

#[test]
fn bug_50_a_read_runs_too_early() {
    is_found(driver(Fault::ReadsTooEarly), &[READS]);
}

#[test]
fn bug_52_every_vote_is_noted_as_chosen() {
    is_found(driver(Fault::NotesTooMuch), &[QUORUM, AGREEMENT]);
}

#[test]
fn bug_53_a_part_of_a_promise_is_taken_for_the_whole() {
    is_found(Bug { leads_behind: true, ..driver(Fault::ForgetsMore) }, &[SENT_BEFORE]);
}

#[test]
fn without_a_bug_the_same_runs_hold() {
    for leads_behind in [false, true] {
        let (watch, report) = run(Bug { leads_behind, ..Bug::default() });
        assert_eq!(watch.alarm, None);
        assert_eq!(report.verdict, Verdict::Holds, "{report}");
    }
}
