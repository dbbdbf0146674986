//! Whole nodes in virtual time, with a state machine of the user.
//!
//! ```
//! use std::io::Read;
//!
//! use bytes::Bytes;
//! use paxos_node::{Frozen, RestoreError, StateMachine};
//! use paxos_simulator::nodes::Simulation;
//!
//! /// Adds up the lengths of all commands.
//! #[derive(Default)]
//! struct Sum(u64);
//!
//! impl StateMachine for Sum {
//!     type Answer = Bytes;
//!
//!     fn apply(&mut self, command: &[u8]) -> Bytes {
//!         self.0 += command.len() as u64;
//!         Bytes::copy_from_slice(&self.0.to_le_bytes())
//!     }
//!     fn snapshot(&self) -> Frozen {
//!         let sum = self.0;
//!         Box::new(move |file| file.write_all(&sum.to_le_bytes()))
//!     }
//!     fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
//!         let mut bytes = [0; 8];
//!         snapshot.read_exact(&mut bytes)?;
//!         self.0 = u64::from_le_bytes(bytes);
//!         Ok(())
//!     }
//! }
//!
//! for seed in 0..3 {
//!     let mut simulation = Simulation::new(seed, 3, Sum::default);
//!     simulation.network.link.loss = 0.05;
//!     simulation.network.link.duplication = 0.05;
//!     simulation.storm(50, |number| vec![0; number as usize % 10]);
//!     simulation.settle();
//!     assert!(simulation.counts.answers > 0);
//! }
//! ```
//!
//! A [`Simulation`] checks during the whole run:
//!
//! - A message leaves a node only when the records on which it depends are durable there.
//! - All nodes apply the same commands in the same order, with the same answers. No command is applied more often than
//!   clients have asked for it.
//! - Commands and reads are linearizable. Each comes after all commands whose effect a client had seen, in an answer
//!   or in a read, when it was asked for.
//!
//! [`Simulation::settle`] also checks that in the end no request waits, and that the state of every node is the one to
//! which the history leads.
//!
//! A simulation does not check the sockets of a transport, the disk of an operating system, or a state machine that
//! reads a clock. The same seed leads to the same run. (Only the identity that a node draws for each start differs, and
//! nothing depends on it.)

mod call;
mod clients;
mod history;
mod outbox;
mod storm;

use std::{collections::BTreeMap, fmt, ops::RangeInclusive, time::Duration};

use paxos::{Config, Message, NodeId, To};
use paxos_node::{
    ClientHandle, NodeError, Options, OptionsBuilder, Packet, Role, StateMachine, Status,
    TransferError, turn::ManualNode, wire,
};
use paxos_store::StoreId;
use rand::{RngExt as _, SeedableRng as _};

pub use self::call::Call;
use self::{
    clients::Clients,
    history::{Observed, Shared},
    outbox::Outbox,
};
use crate::{
    disk::{Disk, FaultyStore},
    network::{Link, Network, Random},
    schedule::Schedule,
};

/// The delays of a calm network, in microseconds.
const DELAY: RangeInclusive<u64> = 100..=3_000;
/// The longest time that a sync takes when the disk stalls by chance, in microseconds.
const STALL_MAX: u64 = 600_000;
/// The longest time that a snapshot takes, in microseconds.
const SNAPSHOT_MAX: u64 = 50_000;

/// A cluster of nodes, their network and their clients. A tick is a microsecond.
pub struct Simulation<M: StateMachine> {
    /// The network. Its faults can be changed at any time.
    pub network: Network,
    /// The probability that a sync takes long. The node goes on during the sync, and releases nothing that depends on it.
    pub stall: f64,
    /// The number of events of each kind so far.
    pub counts: Counts,
    seed: u64,
    random: Random,
    options: Options,
    machine: Box<dyn Fn() -> M>,
    schedule: Schedule<Plan>,
    nodes: BTreeMap<NodeId, Node<M>>,
    history: Shared,
    clients: Clients<M::Answer>,
}

/// The number of events of each kind in a simulation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commands that clients have asked for.
    pub proposals: u64,
    /// Commands that were answered.
    pub answers: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Frames that arrived damaged.
    pub damaged: u64,
    /// Nodes that were started again.
    pub restarts: u64,
    /// Syncs that took long.
    pub stalls: u64,
    /// Nodes that ended because their disk failed.
    pub failures: u64,
    /// Chosen values that nodes sent to nodes that had asked for them.
    pub learned: u64,
    /// Ballots that candidates have begun.
    pub ballots: u64,
    /// Values in the Accept messages of leaders, repeated ones included.
    pub proposed: u64,
    /// Votes in the Promise messages of acceptors, and in their parts.
    pub reported: u64,
    /// Parts of Promise messages that are too long for one packet.
    pub promise_parts: u64,
    /// Bytes of snapshots that nodes sent to their peers.
    pub snapshot_bytes: u64,
    /// Accept messages that left a leader since its last sync, if its disk then failed.
    pub unvoted: u64,
}

impl Counts {
    fn count(&mut self, to: To, packet: &Packet) {
        match packet {
            Packet::Message(Message::Prepare { .. }) if to == To::Peers => self.ballots += 1,
            Packet::Message(Message::Learned { values, .. }) => self.learned += values.len() as u64,
            Packet::Message(Message::Accept { values, .. }) => self.proposed += values.len() as u64,
            Packet::Message(Message::Promise { reports, .. }) => {
                self.reported += reports.len() as u64;
            }
            Packet::PromisePart { reports, .. } => {
                self.reported += reports.len() as u64;
                self.promise_parts += 1;
            }
            Packet::Chunk { part, .. } => self.snapshot_bytes += part.len() as u64,
            _ => {}
        }
    }
}

enum Plan {
    /// A frame reaches the end of its way.
    Frame { from: NodeId, to: NodeId, frame: Vec<u8> },
    /// A node needs a turn.
    Wake(Start),
    /// A sync that took long ends.
    Sync(Start),
    /// A node writes its snapshot.
    Snapshot(Start),
}

/// One start of a node. Plans for an earlier start are void.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Start(NodeId, u64);

/// A node and its disk.
struct Node<M: StateMachine> {
    disk: Disk,
    starts: u64,
    /// The time that the next sync takes, if a test has set it.
    stall: Option<u64>,
    /// `None` while the node is down.
    running: Option<Running<M>>,
}

struct Running<M: StateMachine> {
    handle: ClientHandle<Observed<M>>,
    node: ManualNode<Observed<M>, FaultyStore>,
    since: u64,
    /// A sync that takes long is under way.
    stalled: bool,
    /// The node was told to stop, and waits for its last sync.
    stops: bool,
    /// The number of Accept messages that have left since the last sync.
    proposed: u64,
    /// The node has planned to write a snapshot.
    writing: bool,
    /// The time of the next planned turn.
    wakes_at: Option<u64>,
}

impl<M: StateMachine> Running<M> {
    fn sync(&mut self, now: u64, outbox: &mut Outbox) -> Result<(), NodeError> {
        let synced = self.node.sync(Duration::from_micros(now - self.since), outbox);
        if synced.is_ok() {
            self.proposed = 0;
        }
        synced
    }
}

impl<M: StateMachine> fmt::Debug for Simulation<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, counts, .. } = self;
        f.debug_struct("Simulation")
            .field("seed", seed)
            .field("now", &self.now())
            .field("counts", counts)
            .finish_non_exhaustive()
    }
}

/// Returns options that let much happen in little time: elections after 150 ms, and a snapshot every 20 slots. A part of a
/// promise has one vote, and a part of a snapshot 100 bytes.
pub fn options() -> OptionsBuilder {
    Options::builder()
        .election_timeout(Duration::from_millis(150))
        .heartbeat(Duration::from_millis(20))
        .resend(Duration::from_millis(40))
        .request_timeout(Duration::from_secs(3))
        .snapshot_slots(20)
        .promise_part_bytes(1)
        .snapshot_part_bytes(100)
}

/// Time, nodes and faults.
impl<M: StateMachine> Simulation<M> {
    /// Starts the nodes 1 to `nodes` over a network without faults, with the [`options`] of this module. Each begins with the
    /// state that `machine` makes.
    ///
    /// # Panics
    /// Panics if there are more nodes than a cluster can have.
    pub fn new(seed: u64, nodes: u32, machine: impl Fn() -> M + 'static) -> Self {
        let options = options().build().expect("options with which a node can work");
        Self::with_options(seed, nodes, options, machine)
    }

    /// Starts nodes like [`new`](Self::new), with other options. The simulation sets the seed and `turn_max` of each
    /// node itself.
    ///
    /// # Panics
    /// Panics if there are more nodes than a cluster can have.
    pub fn with_options(
        seed: u64,
        nodes: u32,
        options: Options,
        machine: impl Fn() -> M + 'static,
    ) -> Self {
        let ids = (1..=nodes).map(NodeId);
        let node = |id: NodeId| {
            let disk = Disk::new(StoreId(id.0.into()));
            (id, Node { disk, starts: 0, stall: None, running: None })
        };
        let mut simulation = Self {
            network: Network::new(Link::calm(DELAY)),
            stall: 0.0,
            counts: Counts::default(),
            seed,
            random: Random::seed_from_u64(seed),
            options,
            machine: Box::new(machine),
            schedule: Schedule::default(),
            nodes: ids.clone().map(node).collect(),
            history: Shared::default(),
            clients: Clients::default(),
        };
        ids.for_each(|id| simulation.start(id));
        simulation
    }

    /// Returns the time since the start of the simulation.
    pub fn now(&self) -> Duration {
        Duration::from_micros(self.schedule.now())
    }

    /// Returns the generator of all random numbers.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Lets time pass.
    ///
    /// # Panics
    /// Panics if a check fails, as do all other methods that let something happen. The message has the seed and the
    /// time.
    pub fn run(&mut self, time: Duration) {
        let end = self.schedule.now() + ticks(time);
        while let Some((_, plan)) = self.schedule.advance_until(end) {
            match plan {
                Plan::Frame { from, to, frame } => self.on_frame(from, to, &frame),
                Plan::Wake(start) => self.on_wake(start),
                Plan::Sync(start) => self.on_sync(start),
                Plan::Snapshot(start) => self.on_snapshot(start),
            }
        }
    }

    /// Returns the nodes that are up.
    pub fn up(&self) -> Vec<NodeId> {
        let up = self.nodes.iter().filter(|(_, node)| node.running.is_some());
        up.map(|(id, _)| *id).collect()
    }

    /// Returns the disk of a node, for example to make it fail.
    ///
    /// # Panics
    /// Panics if there is no such node.
    pub fn disk(&self, id: NodeId) -> &Disk {
        &self.nodes[&id].disk
    }

    /// Lets the next sync of a node take this long.
    pub fn stall_next(&mut self, id: NodeId, time: Duration) {
        self.node(id).stall = Some(ticks(time));
    }

    /// Ends the process of a node. Everything that is not durable is lost, and the node's clients get no answers.
    pub fn crash(&mut self, id: NodeId) {
        self.node(id).running = None;
        self.hear(id);
    }

    /// Tells a node to leave. If the node leads, it hands over. It finishes the requests that it has, and goes down.
    pub fn leave(&mut self, id: NodeId) {
        // `ask` has polled the call once, so the node has the request.
        drop(self.ask(id, |handle| async move { handle.leave().await }));
    }

    /// Tells a node to let another node lead. Returns `None` if the node is down.
    pub fn transfer(
        &mut self,
        id: NodeId,
        to: Option<NodeId>,
    ) -> Option<Call<Result<NodeId, TransferError>>> {
        self.ask(id, move |handle| async move { handle.transfer(to).await })
    }

    /// Starts a node that is down, with its disk. Ends the faults of the disk. Does nothing if the node is up.
    ///
    /// # Panics
    /// Panics if the node does not start with its own disk.
    pub fn start(&mut self, id: NodeId) {
        if self.nodes[&id].running.is_some() {
            return;
        }
        let config = Config::new(id, self.nodes.keys().copied());
        // At random, the node applies one entry in a turn, or all.
        let turn_max = if self.random.random() { Duration::ZERO } else { Duration::MAX };
        let options = self.options.to_builder().seed(self.random.random()).turn_max(turn_max);
        let options = options.build().expect("any seed and any limit will do");
        let machine = Observed::new((self.machine)(), self.history.clone());
        let since = self.schedule.now();
        let node = self.node(id);
        node.disk.mend();
        let recovered = ManualNode::recover(config, options, machine, node.disk.open());
        let (handle, manual) = match recovered {
            Ok(recovered) => recovered,
            Err(error) => self.violate(&format!("node {id} does not start: {error}")),
        };
        let running = Running {
            handle,
            node: manual,
            since,
            stalled: false,
            stops: false,
            proposed: 0,
            writing: false,
            wakes_at: None,
        };
        let node = self.node(id);
        node.running = Some(running);
        node.starts += 1;
        self.counts.restarts += u64::from(self.nodes[&id].starts > 1);
        self.plan_wake(id);
    }

    /// Returns the status of a node, or `None` if the node is down or stops.
    pub fn status(&mut self, id: NodeId) -> Option<Status> {
        self.ask(id, |handle| async move { handle.status().await })?.poll().flatten()
    }

    /// Returns the nodes that lead or believe that they do.
    pub fn leaders(&mut self) -> Vec<NodeId> {
        let all = self.up();
        let leads = |status: Status| status.role == Role::Leader;
        all.into_iter().filter(|&id| self.status(id).is_some_and(leads)).collect()
    }
}

/// Turns.
impl<M: StateMachine> Simulation<M> {
    /// Runs turns of a node, each followed by a sync, until there is nothing to sync or the disk stalls.
    fn turn(&mut self, id: NodeId) {
        loop {
            self.step(id);
            if !self.sync(id) {
                break;
            }
        }
        let node = self.node(id);
        let ends = |running: &mut Running<M>| running.stops && !running.node.is_writing();
        if let Some(running) = node.running.take_if(ends) {
            let outbox = Outbox::of(&node.disk);
            self.ended(id, running.node.end(), outbox);
        }
    }

    /// Runs one turn of a node, unless the node was told to stop.
    fn step(&mut self, id: NodeId) {
        let now = self.schedule.now();
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let Some(running) = node.running.as_mut().filter(|running| !running.stops) else { return };
        let mut outbox = Outbox::of(&node.disk);
        let since = Duration::from_micros(now - running.since);
        let turned = running.node.turn(since, &mut outbox);
        running.stops = matches!(turned, Ok(false));
        let proposes = |packet: &Packet| matches!(packet, Packet::Message(Message::Accept { .. }));
        running.proposed +=
            outbox.sent.iter().filter(|(_, packet)| proposes(packet)).count() as u64;
        self.ended(id, turned.map(|_| ()), outbox);
    }

    /// Syncs the write of a node that is under way, unless the disk stalls. Returns false if there is no such write, or if it
    /// takes long.
    fn sync(&mut self, id: NodeId) -> bool {
        let (now, stall) = (self.schedule.now(), self.stall);
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let writes = |running: &&mut Running<M>| running.node.is_writing() && !running.stalled;
        let Some(running) = node.running.as_mut().filter(writes) else { return false };
        let by_chance = self.random.random_bool(stall);
        let by_chance = by_chance.then(|| self.random.random_range(1..STALL_MAX));
        if let Some(time) = node.stall.take().or(by_chance) {
            running.stalled = true;
            self.counts.stalls += 1;
            self.schedule.plan(time, Plan::Sync(Start(id, node.starts)));
            return false;
        }
        let mut outbox = Outbox::of(&node.disk);
        let synced = running.sync(now, &mut outbox);
        self.ended(id, synced, outbox);
        true
    }

    /// Handles the result of a turn, a sync or a snapshot, and sends the packets.
    fn ended(&mut self, id: NodeId, ended: Result<(), NodeError>, outbox: Outbox) {
        match ended {
            Ok(()) => {
                self.plan_wake(id);
                self.plan_snapshot(id);
            }
            Err(NodeError::Storage(_)) => {
                self.counts.failures += 1;
                let failed = self.node(id).running.take();
                self.counts.unvoted += failed.map_or(0, |failed| failed.proposed);
            }
            Err(error) => self.violate(&format!("node {id} ends: {error}")),
        }
        self.let_out(id, outbox);
        self.hear(id);
    }

    fn let_out(&mut self, id: NodeId, outbox: Outbox) {
        if let Some(packet) = outbox.early {
            self.violate(&format!("node {id} sent {packet:?} before that was durable"));
        }
        for (to, packet) in outbox.sent {
            self.counts.count(to, &packet);
            let mut frame = Vec::new();
            wire::encode(&packet, &mut frame).expect("packets are short");
            let receivers = self.nodes.keys().copied().filter(|&peer| match to {
                To::Peers => peer != id,
                To::Node(node) => peer == node,
            });
            for to in receivers {
                for copy in self.network.send(&mut self.random, id, to, &frame) {
                    let Ok(frame) = copy.frame else { continue };
                    self.schedule.plan(copy.delay, Plan::Frame { from: id, to, frame });
                }
            }
        }
    }

    fn on_frame(&mut self, from: NodeId, to: NodeId, frame: &[u8]) {
        let node = self.nodes.get_mut(&to).expect("the node exists");
        let Some(running) = node.running.as_mut().filter(|_| self.network.connects(from, to))
        else {
            return;
        };
        match wire::decode::<Packet>(frame) {
            Ok(packet) => {
                running.node.deliver(from, packet);
                self.turn(to);
            }
            Err(_) => self.counts.damaged += 1,
        }
    }

    fn on_wake(&mut self, start: Start) {
        let now = self.schedule.now();
        if let Some(running) = self.started(start)
            && running.wakes_at.take_if(|at| *at == now).is_some()
        {
            self.turn(start.0);
        }
    }

    /// Ends a sync that took long, and then runs a turn for the input that arrived during the sync.
    fn on_sync(&mut self, start: Start) {
        let (id, now) = (start.0, self.schedule.now());
        let mut outbox = Outbox::of(self.disk(id));
        let Some(running) = self.started(start) else { return };
        running.stalled = false;
        let synced = running.sync(now, &mut outbox);
        self.ended(id, synced, outbox);
        self.turn(id);
    }

    fn on_snapshot(&mut self, start: Start) {
        let id = start.0;
        let outbox = Outbox::of(self.disk(id));
        let Some(running) = self.started(start) else { return };
        running.writing = false;
        let written = running.node.write_snapshot();
        self.ended(id, written, outbox);
        self.turn(id);
    }

    /// Plans the turn that a node needs even if nothing arrives.
    fn plan_wake(&mut self, id: NodeId) {
        let now = self.schedule.now();
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let Some(running) = &mut node.running else { return };
        let Some(wake_at) = running.node.wake_at() else { return };
        // The turn comes at least one tick later, and after the whole tick of `wake_at`. Otherwise time would not pass.
        let at = (running.since + ticks(wake_at) + 1).max(now + 1);
        if running.wakes_at.is_none_or(|planned| at < planned) {
            running.wakes_at = Some(at);
            self.schedule.plan(at - now, Plan::Wake(Start(id, node.starts)));
        }
    }

    fn plan_snapshot(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let Some(running) = &mut node.running else { return };
        if running.node.has_snapshot() && !running.writing {
            running.writing = true;
            let time = self.random.random_range(1..SNAPSHOT_MAX);
            self.schedule.plan(time, Plan::Snapshot(Start(id, node.starts)));
        }
    }

    /// Returns the node, if it is up and has not started again since that start.
    fn started(&mut self, start: Start) -> Option<&mut Running<M>> {
        let node = self.nodes.get_mut(&start.0)?;
        node.running.as_mut().filter(|_| node.starts == start.1)
    }

    fn node(&mut self, id: NodeId) -> &mut Node<M> {
        self.nodes.get_mut(&id).expect("the node exists")
    }

    fn violate(&self, words: &str) -> ! {
        panic!("seed {}, {:?}: {words}", self.seed, self.now())
    }
}

fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).expect("less than 500,000 years")
}
