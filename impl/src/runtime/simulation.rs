//! Nodes in one thread and in virtual time: over a network that loses, repeats and delays, with
//! crashes, slow and failing stores, and clients that remember what they were told. Whatever leaves a node is
//! held against what is durable there at that moment. The same seed gives the same run.

mod wanderer;

use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use itertools::Itertools as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::oneshot;

use super::{
    Options, Packet, ProposeError, ReadError,
    node::{Begun, Input, Node, NodeError, Transport},
    status::Role,
};
use crate::{
    config::Config,
    event::Record,
    machine::{RestoreError, StateMachine},
    message::{Message, To},
    storage::{MemoryStore, Recovered, Snapshot, Storage, StorageError, StoreId},
    types::{Ballot, NodeId, Slot, Value},
};

/// A machine that keeps the numbers of all commands in their order, and answers how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ledger(Vec<u64>);

impl StateMachine for Ledger {
    fn apply(&mut self, command: &[u8]) -> Bytes {
        self.0
            .push(u64::from_le_bytes(command[..8].try_into().expect("eight bytes and a filling")));
        Bytes::copy_from_slice(&(self.0.len() as u64).to_le_bytes())
    }

    fn snapshot(&self) -> Vec<u8> {
        self.0.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), RestoreError> {
        let (numbers, rest) = snapshot.as_chunks();
        if !rest.is_empty() {
            return Err(RestoreError::new("not whole numbers"));
        }
        self.0 = numbers.iter().map(|number| u64::from_le_bytes(*number)).collect();
        Ok(())
    }
}

/// A store that fails at a certain change, and says what it was asked for.
struct Faulty {
    inner: MemoryStore,
    /// How many changes succeed.
    changes_left: Arc<Mutex<Option<u64>>>,
}

impl Faulty {
    fn change(&self) -> Result<(), StorageError> {
        let mut left = self.changes_left.lock().expect("one thread");
        match left.as_mut() {
            Some(0) => Err(StorageError::Poisoned { first: "failed on purpose".to_owned() }),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Storage for Faulty {
    fn recover(&mut self) -> Result<Recovered, StorageError> {
        self.inner.recover()
    }

    fn persist(&mut self, records: &[Record]) -> Result<(), StorageError> {
        self.change()?;
        self.inner.persist(records)
    }

    fn persist_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), StorageError> {
        self.change()?;
        self.inner.persist_snapshot(snapshot)
    }

    fn note(&mut self, name: &str, fact: &[u8]) -> Result<(), StorageError> {
        self.change()?;
        self.inner.note(name, fact)
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

/// What leaves a node in a turn. Nothing does that its store does not back.
struct Outbox {
    store: MemoryStore,
    sent: Vec<(To, Packet)>,
}

impl Outbox {
    fn of(store: &MemoryStore) -> Self {
        Self { store: store.reopen(), sent: Vec::new() }
    }
}

impl Transport for Outbox {
    fn send(&mut self, to: To, packet: Packet) {
        let durable = self.store.recover().expect("it can be read");
        assert!(is_backed(&packet, &durable), "{packet:?} left before it was durable");
        self.sent.push((to, packet));
    }
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
}

const STEP: Duration = Duration::from_millis(1);

impl Simulation {
    fn new(seed: u64, nodes: u32) -> Self {
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
        };
        for id in (1..=nodes).map(NodeId) {
            let store = MemoryStore::new(StoreId(id.0.into()));
            let changes_left = Arc::default();
            let place =
                Place { node: None, store, changes_left, since: Duration::ZERO, stall: None };
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
        let options = Options { seed: self.random.random(), ..self.options.clone() };
        let node = Node::recover(Config::new(id, nodes), options, Ledger::default(), store, false);
        place.node = Some(node.expect("its own store"));
        place.since = self.now;
    }

    fn crash(&mut self, id: NodeId) {
        let place = self.places.get_mut(&id).expect("a node");
        (place.node, place.stall) = (None, None);
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

    fn ended(&mut self, id: NodeId, ended: Result<bool, NodeError>, outbox: Outbox) {
        match ended {
            Ok(goes_on) => assert!(goes_on, "nobody told it to stop"),
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
                arriving.entry(to).or_default().push(Input::Packet { from, packet });
            }
            let ids: Vec<_> = self.places.keys().copied().collect();
            for id in ids {
                self.go_on(id);
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

#[test]
fn a_calm_cluster_has_one_leader_and_keeps_it() {
    let mut simulation = Simulation::new(1, 3);
    simulation.run(Duration::from_secs(1));
    let leaders = simulation.leaders();
    assert_eq!(leaders.len(), 1);
    simulation.run(Duration::from_secs(5));
    assert_eq!(simulation.leaders(), leaders);
    simulation.calm_down();
}

/// A follower that was away, even for long, comes back without an election.
#[test]
fn a_node_that_comes_back_does_not_disturb() {
    for seed in 0..10 {
        let mut simulation = Simulation::new(seed, 3);
        simulation.run(Duration::from_secs(1));
        let leaders = simulation.leaders();
        let follower = *simulation.up().iter().find(|id| !leaders.contains(id)).expect("two");
        let others: Vec<_> = simulation.up().into_iter().filter(|&id| id != follower).collect();
        for &other in &others {
            simulation.cut.extend([(other, follower), (follower, other)]);
        }
        simulation.run(Duration::from_secs(3));
        simulation.cut.clear();
        simulation.run(Duration::from_secs(1));
        assert_eq!(simulation.leaders(), leaders, "seed {seed}");
        simulation.crash(follower);
        simulation.run(Duration::from_secs(1));
        simulation.start(follower);
        simulation.run(Duration::from_secs(1));
        assert_eq!(simulation.leaders(), leaders, "seed {seed}");
        simulation.calm_down();
    }
}

/// A leader that can speak and not hear gives way.
#[test]
fn a_deaf_leader_is_replaced() {
    for seed in 0..10 {
        let mut simulation = Simulation::new(seed, 3);
        simulation.run(Duration::from_secs(1));
        let leader = simulation.leaders()[0];
        let others: Vec<_> = simulation.up().into_iter().filter(|&id| id != leader).collect();
        simulation.cut.extend(others.iter().map(|&other| (other, leader)));
        simulation.propose(leader);
        simulation.run(Duration::from_secs(2));
        let leaders = simulation.leaders();
        assert!(leaders.iter().any(|id| others.contains(id)), "seed {seed}: {leaders:?}");
        simulation.propose(others[0]);
        simulation.run(Duration::from_secs(1));
        assert!(simulation.acknowledged.contains(&1), "seed {seed}");
        simulation.calm_down();
    }
}

/// Loss, repetition, delay, crashes, cut links, failing and stalling stores; the clients go on asking.
#[test]
fn storms() {
    let seeds = std::env::var("PAXOS_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let (mut bereft, mut stalled) = (0, 0);
    for seed in 0..seeds.unwrap_or(20) {
        println!("seed {seed}");
        let nodes = if seed % 3 == 0 { 5 } else { 3 };
        let mut simulation = Simulation::new(seed, nodes);
        (simulation.loss, simulation.repetition) = (50, 50);
        simulation.stalls = if seed % 2 == 0 { 100 } else { 0 };
        for _ in 0..150 {
            let all: Vec<_> = simulation.places.keys().copied().collect();
            let any = all[simulation.random.random_range(0..all.len())];
            let other = all[simulation.random.random_range(0..all.len())];
            match simulation.random.random_range(0..20) {
                0 => simulation.crash(any),
                1 => {
                    let left = simulation.random.random_range(0..5);
                    let place = &simulation.places[&any];
                    *place.changes_left.lock().expect("one thread") = Some(left);
                }
                2..=4 if simulation.places[&any].node.is_none() => simulation.start(any),
                5 => {
                    simulation.cut.insert((any, other));
                }
                6 | 7 => simulation.cut.clear(),
                8..=10 => simulation.read(any),
                _ => (0..3).for_each(|_| simulation.propose(any)),
            }
            let time = simulation.random.random_range(1..60);
            simulation.run(Duration::from_millis(time));
        }
        simulation.calm_down();
        assert!(!simulation.acknowledged.is_empty() && simulation.served > 0);
        (bereft, stalled) = (bereft + simulation.bereft, stalled + simulation.stalled);
    }
    assert!(bereft > 0, "no store has failed between a proposal and its sync");
    assert!(stalled > 0, "no sync took long");
}

/// A leader whose disk stands still gives way, and says nothing then that contradicts the next one: neither when
/// its sync is done after all, nor when it dies before that.
#[test]
fn a_leader_whose_store_stalls_is_replaced() {
    for seed in 0..10 {
        let mut simulation = Simulation::new(seed, 3);
        simulation.run(Duration::from_secs(1));
        let leader = simulation.leaders()[0];
        simulation.stalls = 1000;
        simulation.propose(leader);
        simulation.stalls = 0;
        let stall = simulation.places.get_mut(&leader).and_then(|place| place.stall.as_mut());
        stall.expect("its turn syncs").until += Duration::from_secs(2);
        simulation.run(Duration::from_millis(1500));
        let leaders = simulation.leaders();
        assert!(leaders.len() == 1 && leaders[0] != leader, "seed {seed}: {leaders:?}");
        simulation.propose(leaders[0]);
        simulation.run(Duration::from_millis(500));
        assert!(simulation.acknowledged.contains(&1), "seed {seed}: the next leader works");
        if seed % 2 == 0 {
            simulation.crash(leader);
            simulation.start(leader);
        }
        simulation.run(Duration::from_secs(2));
        assert_eq!(simulation.leaders(), leaders, "seed {seed}: the first one follows");
        simulation.calm_down();
        assert!(simulation.acknowledged.contains(&1));
    }
}

/// A leader whose store fails between what it proposes and its own vote for it: its peers vote, and what they
/// make of it contradicts nobody, this node included when it comes back.
#[test]
fn a_leader_fails_after_it_has_proposed() {
    for seed in 0..10 {
        let mut simulation = Simulation::new(seed, 3);
        simulation.run(Duration::from_secs(1));
        let leader = simulation.leaders()[0];
        let votes = |simulation: &Simulation| {
            let records = simulation.places[&leader].store.reopen().recover().unwrap().records;
            slots(&records)
        };
        let before = votes(&simulation);
        *simulation.places[&leader].changes_left.lock().expect("one thread") = Some(0);
        simulation.propose(leader);
        assert!(simulation.bereft > 0 && !simulation.up().contains(&leader), "seed {seed}");
        assert_eq!(votes(&simulation), before, "seed {seed}: its own vote is lost");
        if seed % 2 == 0 {
            simulation.start(leader);
        }
        simulation.run(Duration::from_secs(2));
        assert_eq!(simulation.leaders().len(), 1, "seed {seed}");
        simulation.calm_down();
    }
}

/// A node that waits for the others to be started does so without a turn.
#[test]
fn a_node_that_has_not_met_the_others_rests() {
    let memory = MemoryStore::new(StoreId(1));
    let store = Faulty { inner: memory.reopen(), changes_left: Arc::default() };
    let config = Config::new(NodeId(1), [NodeId(1), NodeId(2), NodeId(3)]);
    let mut node = Node::recover(config, quick(), Ledger::default(), store, true).unwrap();
    let now = Duration::from_secs(1);
    assert!(node.turn([], now, &mut Outbox::of(&memory)).unwrap());
    assert_eq!(node.wake_at(), None);
    let welcomes =
        [2, 3].map(|by| Input::Answered { by: NodeId(by), answer: super::Answer::Welcome });
    let mut outbox = Outbox::of(&memory);
    assert!(node.turn(welcomes, now, &mut outbox).unwrap());
    assert!(outbox.sent.contains(&(To::Peers, Packet::Canvass)), "now it takes part");
}

/// The one order: nothing leaves before the records that it depends on are durable, and a proposal depends on
/// the promise of its ballot alone. At each change in the life of a node its store fails once, and what had left
/// by then was backed by what was durable when it left: proposals, and answers to what was chosen before. Where
/// its own promise is enough to lead, it proposes in the turn in which it promises.
#[test]
fn nothing_leaves_before_it_is_durable() {
    let nodes = [NodeId(1), NodeId(2), NodeId(3)];
    // Without snapshots all changes are of records.
    let options = Options { snapshot_slots: u64::MAX, ..quick() };
    let (mut bereft, mut answered) = (0, 0);
    // The first changes are who the members are, and that it has started.
    for ((phase1, phase2), changes) in [(2, 2), (1, 3), (3, 1)].into_iter().cartesian_product(2..8)
    {
        let store = MemoryStore::new(StoreId(1));
        let faulty =
            Faulty { inner: store.reopen(), changes_left: Arc::new(Mutex::new(Some(changes))) };
        let config = Config::new(NodeId(1), nodes).with_quorums(phase1, phase2);
        let options = options.clone();
        let mut node = Node::recover(config, options, Ledger::default(), faulty, false).unwrap();
        let (mut sent, mut now) = (Vec::new(), Duration::ZERO);
        let (mut answers, mut acknowledged) = (Vec::new(), 0);
        loop {
            now += STEP;
            // Its peers are there, and agree to all that it says.
            let mut inputs = says(&Packet::Following);
            for packet in std::mem::take(&mut sent) {
                inputs.extend(agree(packet).iter().flat_map(says));
            }
            let (reply, answer) = oneshot::channel();
            answers.push(answer);
            inputs.push(Input::Propose { command: vec![0; 8].into(), reply });
            let mut outbox = Outbox::of(&store);
            let failed = node.turn(inputs, now, &mut outbox).is_err();
            let answer =
                |answer: &mut oneshot::Receiver<Answer>| matches!(answer.try_recv(), Ok(Ok(_)));
            let new = answers.extract_if(.., answer).count();
            acknowledged += new;
            if failed {
                bereft += outbox.sent.iter().filter(|(_, packet)| proposes(packet)).count();
                answered += new;
                break;
            }
            sent = outbox.sent.into_iter().map(|(_, packet)| packet).collect();
            assert!(now < Duration::from_secs(5), "the store was not asked for {changes} changes");
        }
        let voted = slots(&store.reopen().recover().unwrap().records);
        // The first slot opened the session.
        assert!(acknowledged <= voted.saturating_sub(1), "answers without votes");
    }
    assert!(bereft > 0, "nothing has left early");
    assert!(answered > 0, "answers have waited for a sync that they do not depend on");
}

/// What a leader proposes gathers while a batch is in flight, but not for long, and nothing waits while none is.
#[test]
fn a_leader_proposes_one_batch_after_the_other() {
    let store = MemoryStore::new(StoreId(1));
    let faulty = Faulty { inner: store.reopen(), changes_left: Arc::default() };
    let config = Config::new(NodeId(1), [1, 2, 3].map(NodeId));
    let mut node = Node::recover(config, quick(), Ledger::default(), faulty, false).unwrap();
    let (mut now, mut waiting) = (Duration::ZERO, Vec::new());
    let mut turn = |inputs: Vec<Input<Ledger>>, commands: usize, passes: Duration| {
        now += passes;
        let asked = (0..commands).map(|_| {
            let (reply, answer) = oneshot::channel();
            waiting.push(answer);
            Input::Propose { command: vec![0; 8].into(), reply }
        });
        let inputs: Vec<_> = inputs.into_iter().chain(asked).collect();
        let mut outbox = Outbox::of(&store);
        assert!(node.turn(inputs, now, &mut outbox).unwrap());
        let wakes_in = node.wake_at().unwrap().saturating_sub(now);
        (outbox.sent.into_iter().map(|(_, packet)| packet).collect::<Vec<_>>(), wakes_in)
    };
    let agreed = |sent: Vec<Packet>| -> Vec<Input<Ledger>> {
        sent.into_iter().filter_map(agree).flat_map(|packet| says(&packet)).collect()
    };
    let proposed = |sent: &[Packet]| -> Vec<usize> {
        let proposed = sent.iter().filter_map(|packet| match packet {
            Packet::Message(Message::Accept { values, .. }) => Some(values.len()),
            _ => None,
        });
        proposed.collect()
    };

    // It comes to lead, opens its session, and has one command chosen.
    let (mut sent, mut begun) = (turn(Vec::new(), 1, STEP).0, 0);
    for _ in 0..1000 {
        begun += proposed(&sent).len();
        sent = turn(says(&Packet::Following).into_iter().chain(agreed(sent)).collect(), 0, STEP).0;
        if begun == 2 {
            break;
        }
    }

    let (first, _) = turn(Vec::new(), 2, STEP);
    assert_eq!(proposed(&first), [2], "nothing is in flight");
    let (second, wakes_in) = turn(Vec::new(), 1, Duration::ZERO);
    assert!(proposed(&second).is_empty() && wakes_in <= quick().batch_wait);
    let (second, _) = turn(agreed(first), 1, STEP);
    assert_eq!(proposed(&second), [2], "the first is chosen");
    turn(Vec::new(), 1, Duration::ZERO);
    let (third, _) = turn(Vec::new(), 0, quick().batch_wait);
    assert_eq!(proposed(&third), [1], "it has waited long enough");
}

/// In how many slots these are votes.
fn slots(records: &[Record]) -> usize {
    let slots = records.iter().map(|record| match record {
        Record::Accepted { values, .. } => values.len(),
        Record::Promised(_) | Record::Trimmed { .. } => 0,
    });
    slots.sum()
}

fn proposes(packet: &Packet) -> bool {
    matches!(packet, Packet::Message(Message::Accept { .. }))
}

/// Both peers say the same.
fn says(packet: &Packet) -> Vec<Input<Ledger>> {
    [2, 3].map(|from| Input::Packet { from: NodeId(from), packet: packet.clone() }).into()
}

fn agree(packet: Packet) -> Option<Packet> {
    Some(Packet::Message(match packet {
        Packet::Canvass => return Some(Packet::Leaderless),
        Packet::Message(Message::Prepare { ballot }) => {
            Message::Promise { ballot, trimmed: Slot(0), reports: Vec::new() }
        }
        Packet::Message(Message::Accept { ballot, first, values }) => {
            Message::Accepted { ballot, first, count: values.len() as u64 }
        }
        _ => return None,
    }))
}

/// Whether what a packet says of the sender's promises and votes is in these records. What is proposed is backed
/// by the promise of its ballot, and what is said to be chosen by the sender's own vote.
fn is_backed(packet: &Packet, durable: &Recovered) -> bool {
    let Recovered { records: durable, snapshot } = durable;
    let message = match packet {
        Packet::Message(message) => message,
        Packet::Chunk { below, .. } => {
            return snapshot.as_ref().is_some_and(|snapshot| snapshot.below >= *below);
        }
        _ => return true,
    };
    let promised = |ballot: Ballot| {
        durable.iter().any(|record| match record {
            Record::Promised(promised) => *promised >= ballot,
            Record::Accepted { ballot: voted, .. } => *voted >= ballot,
            Record::Trimmed { .. } => false,
        })
    };
    let voted = |ballot: Ballot, slot: u64| {
        durable.iter().any(|record| match record {
            Record::Accepted { ballot: voted, first, values } => {
                *voted >= ballot && (first.0..first.0 + values.len() as u64).contains(&slot)
            }
            Record::Trimmed { below } => slot < below.0,
            Record::Promised(_) => false,
        })
    };
    match message {
        Message::Prepare { ballot }
        | Message::Promise { ballot, .. }
        | Message::Accept { ballot, .. }
        | Message::Confirm { ballot, .. }
        | Message::Heartbeat { ballot, .. }
        | Message::Nack { promised: ballot, .. } => promised(*ballot),
        Message::Accepted { ballot, first, count } | Message::Chosen { ballot, first, count } => {
            (first.0..first.0 + count).all(|slot| voted(*ballot, slot))
        }
        Message::Trimmed { below } => durable.contains(&Record::Trimmed { below: *below }),
        _ => true,
    }
}

/// A proposal of a ballot that is not promised, and anything that follows from a vote, would be noticed.
#[test]
fn what_leaves_too_early_is_noticed() {
    let ballot = |round| Ballot::new(round, NodeId(1)).unwrap();
    let (first, value) = (Slot(4), Value::Noop);
    let voted = Record::Accepted { ballot: ballot(2), first, values: [value.clone()].into() };
    let proposal =
        |round| Message::Accept { ballot: ballot(round), first, values: [value.clone()].into() };
    let too_early = |packet, store: &MemoryStore| {
        let sent = || Outbox::of(store).send(To::Peers, packet);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(sent)).is_err()
    };
    let early = |message: &Message, durable: &[Record]| {
        let mut store = MemoryStore::new(StoreId(1));
        store.persist(durable).unwrap();
        too_early(Packet::Message(message.clone()), &store)
    };
    let promised = [Record::Promised(ballot(2))];
    assert!(!early(&proposal(2), &promised));
    assert!(early(&proposal(2), &[Record::Promised(ballot(1))]), "its ballot may be begun again");
    let (ballot, count) = (ballot(2), 1);
    for follows in [
        Message::Accepted { ballot, first, count },
        Message::Chosen { ballot, first, count },
        Message::Chosen { ballot, first, count: 2 },
    ] {
        assert!(early(&follows, &promised), "{follows:?} follows from a vote");
    }
    assert!(!early(&Message::Chosen { ballot, first, count }, &[voted]));
    assert!(early(&Message::Promise { ballot, trimmed: Slot(0), reports: Vec::new() }, &[]));
    let mut store = MemoryStore::new(StoreId(1));
    store.persist_snapshot(&Snapshot { below: Slot(4), state: Bytes::new() }).unwrap();
    let part = |below| Packet::Chunk { below, length: 0, offset: 0, part: Bytes::new() };
    assert!(!too_early(part(Slot(4)), &store));
    assert!(too_early(part(Slot(5)), &store), "a snapshot that is not durable");
}
