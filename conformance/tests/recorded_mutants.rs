//! Known bugs of the protocol are found in recordings.
//!
//! Each run is a small cluster of replicas with one bug of the catalogue. Messages are lost, late and repeated, writes wait, nodes
//! crash, and logs are trimmed. Every node records its steps, as a node of production does, and the recordings are validated. The
//! replicas have no driver, no store and no state machine. A note of votes is not taken.

use std::{collections::VecDeque, fmt::Write as _, mem, path::Path};

use bytes::Bytes;
use expect_test::expect;
use paxos::{
    Config, Durable, Envelope, Event, Message, NodeId, Output, Proposal, Record, Slot, Timer, To,
    Token, Write,
};
use paxos_lockstep::mutants::TestedReplica;
use paxos_model::cluster::Bug;
use paxos_recording::{
    Body, Recorder, RecordingOptions, StartedFrom,
    conversion::Converter,
    frame::Application,
    identity::{AnswerId, StateId, ValueId},
};
use paxos_validation::{claims::Contradiction, order::Validator, report::Report};
use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use verdict::Verdict;

/// The number of random events of a run.
const EVENTS: usize = 400;
/// The number of runs without a bug.
const RUNS: u64 = 100;
/// The most runs until a bug shows. Most show in the first, and the slowest, 26d, shows in the 301st.
const RUNS_OF_BUG_MAX: u64 = 1_000;
/// The most messages that are on their way. The oldest is lost first.
const ON_THEIR_WAY_MAX: usize = 40;

/// A node: a replica, its disk, and its recording.
struct Node {
    config: Config,
    replica: TestedReplica,
    output: Output,
    writes: VecDeque<Write>,
    /// The durable records.
    disk: Vec<Record>,
    /// The end of the durable snapshot.
    snapshot: Slot,
    /// The first slot that is not applied.
    applied: Slot,
    recorder: Recorder,
    converter: Converter,
    incarnation: u64,
}

impl Node {
    fn new(config: Config, bug: Option<Bug>, directory: &Path) -> Self {
        let replica = TestedReplica::new(config.clone(), bug).expect("a valid configuration");
        let recorder = record(&replica, 1, Slot(0), directory);
        Self {
            config,
            replica,
            output: Output::default(),
            writes: VecDeque::new(),
            disk: Vec::new(),
            snapshot: Slot(0),
            applied: Slot(0),
            recorder,
            converter: Converter::new(false),
            incarnation: 1,
        }
    }

    fn step(&mut self, event: Event) {
        let mut later = Output::default();
        // The step is recorded as that of a production replica. A mutant keeps its own memory beside it.
        let (mut copy, replica) = (self.replica.production().clone(), &mut self.replica);
        let step = self.converter.step_by(&mut copy, event, &mut later, |copy, event, output| {
            replica.step(event, output);
            copy.clone_from(replica.production());
        });
        self.recorder.push(&Body::Step(Box::new(step)));
        self.output.append(later);
    }

    /// Returns the messages that may leave before their records are durable.
    fn early(&mut self) -> Vec<Envelope> {
        let early = self.replica.take_early(&mut self.output);
        self.leave(&early);
        early
    }

    fn write(&mut self) {
        if let Some(write) = self.output.write() {
            self.recorder.write();
            self.flush();
            self.writes.push_back(write);
        }
    }

    /// Makes the oldest write durable.
    fn sync(&mut self) {
        let Some(write) = self.writes.pop_front() else { return };
        let written: Result<Durable, std::convert::Infallible> = write.persist(|records| {
            self.disk.extend_from_slice(records);
            Ok(())
        });
        let Ok(durable) = written;
        self.output.durable(durable);
        self.recorder.durable();
    }

    /// Applies what may be applied. Returns the messages that leave, and the peers whose snapshot is wanted.
    fn release(&mut self) -> (Vec<Envelope>, Vec<NodeId>) {
        let effects = mem::take(self.output.released());
        self.leave(&effects.messages);
        for (slot, value) in effects.chosen_slots() {
            if slot < self.applied {
                continue;
            }
            let application =
                Application { value: ValueId::of(value), answer: AnswerId::of(b"done") };
            self.recorder.push(&Body::Applied { first: slot, applications: vec![application] });
            self.applied = slot.plus(1);
        }
        self.flush();
        (effects.messages, effects.fetch)
    }

    fn leave(&mut self, messages: &[Envelope]) {
        if messages.is_empty() {
            return;
        }
        let departure = |Envelope { to, message }: &Envelope| self.recorder.departure(*to, message);
        let departures = messages.iter().map(departure).collect();
        self.recorder.push(&Body::Left(departures));
        self.flush();
    }

    fn flush(&mut self) {
        self.recorder.flush().expect("there is room");
    }

    /// Makes a snapshot durable, and lets the replica trim its log.
    fn save(&mut self, below: Slot, is_peers: bool) {
        self.recorder.push(&Body::Saved { below, state: state(below), is_peers });
        self.flush();
        self.snapshot = below;
        self.applied = self.applied.max(below);
        self.output.drop_chosen(below);
        self.step(Event::Snapshot { below });
    }

    /// Loses what is not durable. Some writes under way have reached the disk. Returns false if the replica does not recover.
    fn crash(&mut self, reached: usize, directory: &Path) -> bool {
        for write in self.writes.drain(..).take(reached) {
            self.disk.extend_from_slice(write.records());
        }
        self.output = Output::default();
        let recovered = self.replica.recover(self.config.clone(), self.disk.clone());
        let Ok(replica) = recovered else { return false };
        self.replica = replica;
        self.incarnation += 1;
        self.applied = self.snapshot;
        self.recorder = record(&self.replica, self.incarnation, self.snapshot, directory);
        self.converter = Converter::new(false);
        true
    }
}

/// Every node has the same state after the same slots.
fn state(below: Slot) -> StateId {
    StateId(below.0)
}

fn record(replica: &TestedReplica, incarnation: u64, snapshot: Slot, directory: &Path) -> Recorder {
    let snapshot = (snapshot > Slot(0)).then(|| (snapshot, state(snapshot)));
    let from = StartedFrom { incarnation, nonce: incarnation, snapshot };
    let recorder = Recorder::create(RecordingOptions::new(directory), from, replica.parts());
    recorder.expect("a new file")
}

/// A cluster, and the messages on their way.
struct Run<'a> {
    nodes: Vec<Node>,
    on_their_way: VecDeque<(NodeId, NodeId, Message)>,
    random: ChaCha8Rng,
    directory: &'a Path,
    next: u64,
}

impl Run<'_> {
    /// Does something at random. Returns false if a replica does not recover.
    fn happen(&mut self) -> bool {
        let place = self.random.random_range(0..self.nodes.len());
        match self.random.random_range(0..100) {
            0..3 => self.nodes[place].step(Event::Timer(Timer::Campaign)),
            3..8 => {
                let timer = [Timer::Heartbeat, Timer::Resend].choose(&mut self.random);
                self.nodes[place].step(Event::Timer(*timer.expect("there are two")));
            }
            8..18 => {
                let count = self.random.random_range(1..=3);
                let proposals = (0..count).map(|_| self.proposal()).collect();
                self.nodes[place].step(Event::Propose(proposals));
            }
            18..22 => {
                self.next += 1;
                let (token, asker) = (self.next, self.nodes[place].config.id);
                self.nodes[place].recorder.push(&Body::Question { token, asker, batch: token });
                self.nodes[place].step(Event::Read(vec![Token(token)]));
            }
            22..25 => {
                let node = &mut self.nodes[place];
                if node.applied > node.snapshot {
                    node.save(node.applied, false);
                }
            }
            25..28 => {
                let reached = self.random.random_range(0..3);
                if !self.nodes[place].crash(reached, self.directory) {
                    return false;
                }
            }
            28..45 => self.nodes[place].sync(),
            _ => return self.deliver(),
        }
        self.after(place);
        true
    }

    fn proposal(&mut self) -> Proposal {
        self.next += 1;
        Proposal { token: Token(self.next), command: Bytes::from(self.next.to_string()) }
    }

    /// Delivers a message, which may stay on its way.
    fn deliver(&mut self) -> bool {
        if self.on_their_way.is_empty() {
            return true;
        }
        // The oldest half of the time, so that rounds come to their end.
        let is_oldest = self.random.random();
        let last = self.on_their_way.len() - 1;
        let place = if is_oldest { 0 } else { self.random.random_range(0..=last) };
        let (from, to, message) = if self.random.random_bool(0.1) {
            self.on_their_way[place].clone()
        } else {
            self.on_their_way.remove(place).expect("there is one")
        };
        if self.random.random_bool(0.05) {
            return true;
        }
        let place = self.place(to);
        self.nodes[place].step(Event::Message { from, message });
        self.after(place);
        true
    }

    fn place(&self, id: NodeId) -> usize {
        self.nodes.iter().position(|node| node.config.id == id).expect("a node of the cluster")
    }

    /// Lets a node write, sync and send after a step.
    fn after(&mut self, place: usize) {
        let early = self.random.random_bool(0.5);
        let (writes, syncs) = (self.random.random_bool(0.8), self.random.random_bool(0.7));
        let node = &mut self.nodes[place];
        let mut leaving = if early { node.early() } else { Vec::new() };
        if writes {
            node.write();
        }
        if syncs {
            node.sync();
        }
        let (messages, fetch) = node.release();
        leaving.extend(messages);
        let from = node.config.id;
        for Envelope { to, message } in leaving {
            for node in &self.nodes {
                let to_it = match to {
                    To::Peers => node.config.id != from,
                    To::Node(to) => node.config.id == to,
                };
                if to_it {
                    self.on_their_way.push_back((from, node.config.id, message.clone()));
                }
            }
        }
        while self.on_their_way.len() > ON_THEIR_WAY_MAX {
            self.on_their_way.pop_front();
        }
        for peer in fetch {
            let below = self.nodes[self.place(peer)].snapshot;
            if below > self.nodes[place].applied {
                self.nodes[place].save(below, true);
            }
        }
    }
}

/// Runs a cluster, and returns the report on its recordings. There is none if a replica does not recover.
fn run(seed: u64, bug: Option<Bug>) -> Option<Report> {
    let directory = tempfile::tempdir().expect("a directory");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let count = *[3, 3, 5].choose(&mut random).expect("there are three");
    let ids: Vec<_> = (1..=count).map(NodeId).collect();
    let node = |id: &NodeId| {
        let mut config = Config::new(*id, ids.iter().copied());
        // Half of the runs have quorums of different sizes. In one phase each node then counts.
        if seed % 4 == 1 {
            (config.phase1_quorum, config.phase2_quorum) = (ids.len(), 1);
        } else if seed % 4 == 3 {
            (config.phase1_quorum, config.phase2_quorum) = (1, ids.len());
        }
        Node::new(config, bug, directory.path())
    };
    let nodes = ids.iter().map(node).collect();
    let on_their_way = VecDeque::new();
    let mut run = Run { nodes, on_their_way, random, directory: directory.path(), next: 0 };
    for _ in 0..EVENTS {
        if !run.happen() {
            return None;
        }
    }
    for mut node in run.nodes {
        node.write();
        while !node.writes.is_empty() {
            node.sync();
        }
        node.release();
        node.recorder.end().expect("there is room");
    }
    Some(Validator::new(directory.path()).finish(|_| ()).expect("it can be read"))
}

#[test]
fn without_a_bug_the_recordings_are_valid() {
    for seed in 0..RUNS {
        let report = run(seed, None).expect("each replica recovers");
        assert_eq!(report.verdict, Verdict::Holds, "seed {seed}: {report}");
    }
}

/// Returns the part of a step that differs, with the kinds of the two versions, or else the claim.
fn gist(Contradiction { claim, facts }: &Contradiction) -> String {
    let parts: Vec<_> = facts.split("; ").collect();
    let [part, model, recorded] = parts[..] else { return (*claim).to_owned() };
    let kind = |version: &str| version.split('(').next().unwrap_or_default().to_owned();
    format!("{part}; {}; {}", kind(model), kind(recorded))
}

/// The table shows that a step differs in what the bug is about.
#[test]
fn each_bug_is_found() {
    let mut table = String::new();
    for bug in Bug::ALL {
        let found = (0..RUNS_OF_BUG_MAX).find_map(|seed| run(seed, Some(*bug))?.violation);
        let contradiction = found.expect("it shows").contradiction;
        writeln!(table, "{:>3} {}", bug.label(), gist(&contradiction)).expect("a string has room");
    }
    expect![[r"
          1 records differ; model: the promise Some; recorded: None
          2 a node that starts again has everything that was durable before it ended
          3 messages differ; model: Nack; recorded: Accepted
          4 messages differ; model: Nack; recorded: Promise
         4b messages differ; model: Nack; recorded: Promise
          5 messages differ; model: Nack; recorded: Accepted
          6 messages differ; model: Promise; recorded: Promise
          7 records differ; model: no such vote; recorded: a vote in s0 in ballot b2.3
          8 messages differ; model: Accept; recorded: no such message
          9 messages differ; model: Accept; recorded: Accept
         10 messages differ; model: no such message; recorded: Accept
         11 messages differ; model: no such message; recorded: Accept
         12 messages differ; model: no such message; recorded: Chosen
         13 messages differ; model: no such message; recorded: Chosen
         14 messages differ; model: no such message; recorded: Chosen
         15 a node that starts again has everything that was durable before it ended
         16 messages differ; model: Accept; recorded: Accept
         17 messages differ; model: no such message; recorded: Accept
         18 messages differ; model: Promise; recorded: Promise
        18b messages differ; model: Promise; recorded: Promise
        18c messages differ; model: Promise; recorded: Promise
        18d messages differ; model: Prepare; recorded: Prepare
         19 messages differ; model: Accepted; recorded: Nack
         20 messages differ; model: Accepted; recorded: Nack
         21 messages differ; model: no such message; recorded: Promise
         22 messages differ; model: Nack; recorded: Accepted
         23 messages differ; model: Accept; recorded: Accept
         24 messages differ; model: Accept; recorded: no such message
         25 records differ; model: trimmed below None; recorded: Some
        25b messages differ; model: no such message; recorded: Accept
         26 confirmed reads differ; model: []; recorded: [
        26b confirmed reads differ; model: [; recorded: [
        26c confirmed reads differ; model: []; recorded: [
        26d confirmed reads differ; model: [; recorded: [
         28 messages differ; model: Accept; recorded: Accept
         29 messages differ; model: Nack; recorded: no such message
         30 a message leaves only after the records on which it depends are durable
         31 a message leaves only after the records on which it depends are durable
    "]]
    .assert_eq(&table);
}
