//! Nodes in one thread and in virtual time: over a network that loses, repeats and delays, with
//! crashes, slow and failing stores, and clients that remember what they were told. Whatever leaves a node is
//! held against what is durable there at that moment. The same seed gives the same run.

mod absurd;
mod faulty;
mod outbox;
mod storms;
mod turns;
mod unapplied;
mod wanderer;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    io::Read,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::oneshot;

use self::{
    faulty::Faulty,
    outbox::{Outbox, proposes},
};
use super::{
    NodeError, Options, Packet, ProposeError, ReadError,
    node::{Begun, Input, Node},
    saving::Job,
    status::Role,
};
use crate::machine::{Frozen, RestoreError, StateMachine};
use paxos::{config::Config, event::Record, message::To, types::NodeId};
use paxos_store::{MemorySnapshot, MemoryStore, StoreId};

/// A machine that keeps the numbers of all commands in their order, and answers how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ledger(Vec<u64>, Unapplied);

/// The number of commands that a machine is broken to lack in its snapshots: the last ones, as if it had answered
/// them before it applied them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Unapplied(usize);

impl StateMachine for Ledger {
    type Answer = Bytes;

    fn apply(&mut self, command: &[u8]) -> Bytes {
        assert!(!(FRAGILE.get() && command == POISON), "this command is too much for the machine");
        self.0
            .push(u64::from_le_bytes(command[..8].try_into().expect("eight bytes and a filling")));
        Bytes::copy_from_slice(&(self.0.len() as u64).to_le_bytes())
    }

    fn snapshot(&self) -> Frozen {
        let applied = self.0.len().saturating_sub(self.1.0);
        let numbers = self.0[..applied].to_vec();
        Box::new(move |file| {
            numbers.iter().try_for_each(|number| file.write_all(&number.to_le_bytes()))
        })
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes)?;
        let (numbers, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(RestoreError::new("not whole numbers"));
        }
        self.0 = numbers.iter().map(|number| u64::from_le_bytes(*number)).collect();
        Ok(())
    }
}

/// A command that makes a fragile machine panic.
const POISON: &[u8] = &[0xff; 8];

thread_local! {
    /// Whether machines of this test are fragile.
    static FRAGILE: Cell<bool> = const { Cell::new(false) };
}

/// A packet on its way; the earliest is the greatest.
#[derive(PartialEq, Eq)]
struct Flight {
    at: Duration,
    number: u64,
    from: NodeId,
    to: NodeId,
    packet: Packet,
}

impl Ord for Flight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A node that is up, or its store while it is down.
struct Place {
    node: Option<Node<Ledger, Faulty>>,
    store: MemoryStore,
    changes_left: Arc<Mutex<Option<u64>>>,
    /// When this life of it began.
    since: Duration,
    stall: Option<Stall>,
    /// A snapshot that is written meanwhile, and when that will be done.
    writing: Option<(Duration, Job<MemorySnapshot>)>,
}

/// A turn whose sync has begun, and takes long. The node stands still meanwhile.
struct Stall {
    begun: Begun,
    since: Duration,
    until: Duration,
    arrived: Vec<Input<Ledger>>,
}

type Answer = Result<Bytes, ProposeError>;
type Seen = Result<Vec<u64>, ReadError>;

/// A cluster, and what its clients know.
struct Simulation {
    random: ChaCha8Rng,
    options: Options,
    now: Duration,
    places: BTreeMap<NodeId, Place>,
    flights: BinaryHeap<Flight>,
    flown: u64,
    /// How many of a thousand packets are lost, and how many come twice.
    loss: u32,
    repetition: u32,
    /// How many of a thousand syncs take long.
    stalls: u32,
    /// Directions in which nothing arrives.
    cut: BTreeSet<(NodeId, NodeId)>,
    commands: u64,
    waiting: BTreeMap<u64, oneshot::Receiver<Answer>>,
    acknowledged: BTreeSet<u64>,
    /// What each read has to see, and what it saw.
    reads: Vec<(BTreeSet<u64>, oneshot::Receiver<Seen>)>,
    served: usize,
    /// How many proposals left in a turn in which the store then failed.
    bereft: usize,
    /// How many syncs took long.
    stalled: usize,
    /// The fault of the machines of nodes that start.
    unapplied: Unapplied,
}

const STEP: Duration = Duration::from_millis(1);

impl Simulation {
    fn new(seed: u64, nodes: u32) -> Self {
        Self::with_machines(seed, nodes, Unapplied::default())
    }

    fn with_machines(seed: u64, nodes: u32, unapplied: Unapplied) -> Self {
        let mut simulation = Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            options: quick(),
            now: Duration::ZERO,
            places: BTreeMap::new(),
            flights: BinaryHeap::new(),
            flown: 0,
            loss: 0,
            repetition: 0,
            stalls: 0,
            stalled: 0,
            cut: BTreeSet::new(),
            commands: 0,
            waiting: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            reads: Vec::new(),
            served: 0,
            bereft: 0,
            unapplied,
        };
        for id in (1..=nodes).map(NodeId) {
            let store = MemoryStore::new(StoreId(id.0.into()));
            let changes_left = Arc::default();
            let (node, stall, writing) = (None, None, None);
            let place = Place { node, store, changes_left, since: Duration::ZERO, stall, writing };
            simulation.places.insert(id, place);
        }
        for id in (1..=nodes).map(NodeId) {
            simulation.start(id);
        }
        simulation
    }

    fn start(&mut self, id: NodeId) {
        let nodes: Vec<_> = self.places.keys().copied().collect();
        let place = self.places.get_mut(&id).expect("a node");
        *place.changes_left.lock().expect("one thread") = None;
        let store =
            Faulty { inner: place.store.reopen(), changes_left: place.changes_left.clone() };
        // Some nodes apply one entry in a turn, and others all.
        let turn_max = if self.random.random() { Duration::ZERO } else { Duration::MAX };
        let options = Options { seed: self.random.random(), turn_max, ..self.options.clone() };
        let machine = Ledger(Vec::new(), self.unapplied);
        let node = Node::recover(Config::new(id, nodes), options, machine, store, false);
        place.node = Some(node.expect("its own store"));
        place.since = self.now;
    }

    fn crash(&mut self, id: NodeId) {
        let place = self.places.get_mut(&id).expect("a node");
        (place.node, place.stall, place.writing) = (None, None, None);
    }

    /// One turn of a node; what leaves it is put on its way. While it stands still, what arrives waits.
    fn turn(&mut self, id: NodeId, inputs: Vec<Input<Ledger>>) {
        let place = self.places.get_mut(&id).expect("a node");
        let Some(node) = &mut place.node else { return };
        if let Some(stall) = &mut place.stall {
            return stall.arrived.extend(inputs);
        }
        let (mut outbox, now) = (Outbox::of(&place.store), self.now.saturating_sub(place.since));
        let begun = node.begin_turn(inputs, now, &mut outbox);
        if begun.as_ref().is_ok_and(|begun| begun.syncs)
            && self.random.random_range(0..1000) < self.stalls
        {
            let lasts = Duration::from_millis(self.random.random_range(1..600));
            let (begun, until, arrived) = (begun.expect("it syncs"), self.now + lasts, Vec::new());
            place.stall = Some(Stall { begun, since: now, until, arrived });
            self.stalled += 1;
            return self.let_out(id, outbox);
        }
        let ended = begun.and_then(|begun| node.end_turn(begun, now, &mut outbox));
        self.ended(id, ended, outbox);
    }

    /// The second half of a turn whose sync took long, and then a turn with all that has arrived.
    fn go_on(&mut self, id: NodeId) {
        let place = self.places.get_mut(&id).expect("a node");
        let Some(stall) = place.stall.take_if(|stall| stall.until <= self.now) else { return };
        let node = place.node.as_mut().expect("it stands still");
        let mut outbox = Outbox::of(&place.store);
        let ended = node.end_turn(stall.begun, stall.since, &mut outbox);
        self.ended(id, ended, outbox);
        self.turn(id, stall.arrived);
    }

    /// A snapshot that has been written by now is given to its node.
    fn save(&mut self, id: NodeId) {
        let place = self.places.get_mut(&id).expect("a node");
        let (Some(node), None) = (&mut place.node, &place.stall) else { return };
        let due = place.writing.take_if(|(done_at, _)| *done_at <= self.now);
        let Some((_, job)) = due else { return };
        let saved = node.saved(job.run(&AtomicBool::new(false)));
        self.ended(id, saved.map(|()| true), Outbox::of(&self.places[&id].store));
    }

    fn ended(&mut self, id: NodeId, ended: Result<bool, NodeError>, outbox: Outbox) {
        match ended {
            Ok(goes_on) => {
                assert!(goes_on, "nobody told it to stop");
                let lasts = Duration::from_millis(self.random.random_range(0..50));
                let place = self.places.get_mut(&id).expect("a node");
                let job = place.node.as_mut().and_then(Node::take_job);
                place.writing = job.map(|job| (self.now + lasts, job)).or(place.writing.take());
            }
            Err(NodeError::Storage(_)) => {
                self.crash(id);
                self.bereft += outbox.sent.iter().filter(|(_, packet)| proposes(packet)).count();
            }
            Err(error) => panic!("node {id}: {error}"),
        }
        self.let_out(id, outbox);
    }

    fn let_out(&mut self, id: NodeId, outbox: Outbox) {
        for (to, packet) in outbox.sent {
            let all: Vec<_> = self.places.keys().copied().collect();
            for peer in all.into_iter().filter(|&peer| peer != id) {
                if to == To::Peers || to == To::Node(peer) {
                    self.send(id, peer, &packet);
                }
            }
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, packet: &Packet) {
        if self.cut.contains(&(from, to)) || self.random.random_range(0..1000) < self.loss {
            return;
        }
        let copies = 1 + u32::from(self.random.random_range(0..1000) < self.repetition);
        for _ in 0..copies {
            let delay = Duration::from_micros(self.random.random_range(100..3000));
            let (at, number, packet) = (self.now + delay, self.flown, packet.clone());
            self.flown += 1;
            self.flights.push(Flight { at, number, from, to, packet });
        }
    }

    /// Lets time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            let mut arriving: BTreeMap<NodeId, Vec<Input<Ledger>>> = BTreeMap::new();
            while let Some(flight) = self.flights.peek()
                && flight.at <= self.now
            {
                let Flight { from, to, packet, .. } = self.flights.pop().expect("it was there");
                arriving.entry(to).or_default().push(Input::Packet { from, packet, room: None });
            }
            let ids: Vec<_> = self.places.keys().copied().collect();
            for id in ids {
                self.go_on(id);
                self.save(id);
                let inputs = arriving.remove(&id).unwrap_or_default();
                self.turn(id, inputs);
            }
            self.hear();
        }
    }

    /// Takes in what clients are told.
    fn hear(&mut self) {
        let mut answered = Vec::new();
        for (&number, answer) in &mut self.waiting {
            match answer.try_recv() {
                Ok(Ok(_)) => {
                    self.acknowledged.insert(number);
                    answered.push(number);
                }
                Ok(Err(_)) | Err(oneshot::error::TryRecvError::Closed) => answered.push(number),
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
        }
        for number in answered {
            self.waiting.remove(&number);
        }
        let mut served = 0;
        self.reads.retain_mut(|(must_see, answer)| match answer.try_recv() {
            Ok(Ok(seen)) => {
                let seen: BTreeSet<u64> = seen.into_iter().collect();
                assert!(
                    must_see.is_subset(&seen),
                    "a read has missed what was acknowledged before it"
                );
                served += 1;
                false
            }
            Ok(Err(_)) | Err(oneshot::error::TryRecvError::Closed) => false,
            Err(oneshot::error::TryRecvError::Empty) => true,
        });
        self.served += served;
    }

    fn propose(&mut self, id: NodeId) {
        let number = self.commands;
        self.commands += 1;
        let mut command = number.to_le_bytes().to_vec();
        command.resize(40, 0);
        let (reply, answer) = oneshot::channel();
        self.waiting.insert(number, answer);
        self.turn(id, vec![Input::Propose { command: command.into(), reply }]);
    }

    fn read(&mut self, id: NodeId) {
        let (reply, answer) = oneshot::channel();
        self.reads.push((self.acknowledged.clone(), answer));
        let reading = Box::new(move |machine: Result<&Ledger, ReadError>| {
            let _ = reply.send(machine.map(|ledger| ledger.0.clone()));
        });
        self.turn(id, vec![Input::Read(reading)]);
    }

    fn up(&self) -> Vec<NodeId> {
        self.places.iter().filter(|(_, place)| place.node.is_some()).map(|(&id, _)| id).collect()
    }

    fn leaders(&mut self) -> Vec<NodeId> {
        self.statuses()
            .into_iter()
            .filter(|(_, role)| *role == Role::Leader)
            .map(|(id, _)| id)
            .collect()
    }

    fn statuses(&mut self) -> Vec<(NodeId, Role)> {
        let mut all = Vec::new();
        for id in self.up() {
            let (reply, mut status) = oneshot::channel();
            self.turn(id, vec![Input::Status(reply)]);
            if let Ok(status) = status.try_recv() {
                all.push((id, status.role));
            }
        }
        all
    }

    fn ledgers(&self) -> BTreeMap<NodeId, Vec<u64>> {
        let up = self.places.iter().filter_map(|(&id, place)| Some((id, place.node.as_ref()?)));
        up.map(|(id, node)| (id, node.machine().0.clone())).collect()
    }

    /// Everything is well again: all nodes come to the same ledger, which has everything that was
    /// acknowledged, and nothing twice.
    fn calm_down(&mut self) {
        (self.loss, self.repetition, self.stalls) = (0, 0, 0);
        self.cut.clear();
        for place in self.places.values() {
            *place.changes_left.lock().expect("one thread") = None;
        }
        let down: Vec<_> = self
            .places
            .iter()
            .filter(|(_, place)| place.node.is_none())
            .map(|(&id, _)| id)
            .collect();
        for id in down {
            self.start(id);
        }
        self.run(Duration::from_secs(5));
        let before = self.acknowledged.len();
        for id in self.up() {
            self.propose(id);
            self.read(id);
        }
        self.run(Duration::from_secs(20));
        assert_eq!(self.acknowledged.len(), before + self.places.len(), "new commands are applied");
        assert!(self.waiting.is_empty() && self.reads.is_empty(), "everybody has an answer");
        let ledgers = self.ledgers();
        let first = ledgers.values().next().expect("nodes");
        assert!(ledgers.values().all(|ledger| ledger == first), "all states end equal");
        let once: BTreeSet<u64> = first.iter().copied().collect();
        assert_eq!(once.len(), first.len(), "a command was applied twice");
        assert!(self.acknowledged.is_subset(&once), "what was acknowledged is lost");
    }
}

fn quick() -> Options {
    Options {
        election_timeout: Duration::from_millis(150),
        heartbeat: Duration::from_millis(20),
        resend: Duration::from_millis(40),
        request_timeout: Duration::from_secs(3),
        snapshot_slots: 20,
        ..Options::default()
    }
}

/// In how many slots these are votes.
fn slots(records: &[Record]) -> usize {
    let slots = records.iter().map(|record| match record {
        Record::Accepted { values, .. } => values.len(),
        Record::Promised(_) | Record::Trimmed { .. } => 0,
    });
    slots.sum()
}
