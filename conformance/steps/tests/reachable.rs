//! The invariants are not too strong: no storm of production replicas leaves them.
//!
//! Messages are lost and repeated, disks are slow, and nodes take snapshots, crash and start again. Every state of a replica,
//! every message that it sends, and every message that it receives must be within the invariants.

use std::{
    collections::{BTreeMap, HashSet},
    mem::{Discriminant, discriminant},
};

use paxos::{
    Config, Event, Message, NodeId, Proposal, Slot, Timer, Token, protocol::proposer::Role,
};
use paxos_simulator::replicas::Cluster;
use paxos_steps::reachable::{broken_by_message, broken_by_state, fit};
use paxos_validation::invariant::Fit;
use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;

const SEEDS: u64 = 100;
const EVENTS: u32 = 300;

/// The number of kinds of messages.
const MESSAGES: usize = 12;

/// The states and messages that the storms have reached.
#[derive(Debug, Default)]
struct Reached {
    sent: HashSet<Discriminant<Message>>,
    received: HashSet<Discriminant<Message>>,
    candidates: usize,
    leaders: usize,
    reads: usize,
    trimmed: usize,
    restarts: usize,
}

struct Storm<'a> {
    cluster: Cluster,
    random: ChaCha8Rng,
    /// The nodes that want a snapshot, each with the last peer that it named.
    wanted: BTreeMap<NodeId, NodeId>,
    asked: u64,
    reached: &'a mut Reached,
}

impl Storm<'_> {
    fn events(&mut self) {
        for _ in 0..EVENTS {
            let nodes: Vec<_> = self.cluster.nodes.keys().copied().collect();
            let node = *nodes.choose(&mut self.random).expect("there are nodes");
            let leader = nodes.iter().copied().find(|&node| self.cluster.leads(node));
            let client = leader.filter(|_| self.random.random_bool(0.8)).unwrap_or(node);
            let under_way = self.cluster.under_way.len();
            match self.random.random_range(0..100) {
                0..50 if under_way > 0 => {
                    for _ in 0..self.random.random_range(1..8) {
                        self.deliver();
                    }
                }
                50..54 if under_way > 0 => {
                    let place = self.random.random_range(0..under_way);
                    let repeated = self.cluster.under_way[place].clone();
                    self.cluster.under_way.push(repeated);
                }
                54..57 => self.cluster.under_way.retain(|sent| sent.to != node),
                57..61 => self.step(node, Event::Timer(Timer::Campaign)),
                61..65 => self.step(client, Event::Timer(Timer::Heartbeat)),
                65..69 => self.step(client, Event::Timer(Timer::Resend)),
                69..77 => {
                    let proposals = self.tokens().into_iter().map(|token| {
                        let command = token.0.to_string().into_bytes().into();
                        Proposal { token, command }
                    });
                    let proposals = proposals.collect();
                    self.step(client, Event::Propose(proposals));
                }
                77..83 => {
                    let tokens = self.tokens();
                    self.step(client, Event::Read(tokens));
                }
                83..86 => {
                    let applied = self.cluster.nodes[&node].apply_next.0;
                    let below = Slot(applied.saturating_sub(self.random.random_range(0..3)));
                    if below > self.cluster.nodes[&node].snapshot {
                        let event = self.cluster.snapshot(node, below);
                        self.step(node, event);
                    }
                }
                86..89 => {
                    if let Some(from) = self.wanted.remove(&node)
                        && let Some(event) = self.cluster.install(node, from)
                    {
                        self.step(node, event);
                    }
                }
                89..91 => drop(self.cluster.held.insert(node)),
                91..95 => self.sync(node),
                95..97 => self.cluster.crash(node),
                97.. => self.restart(node),
                _ => {}
            }
        }
    }

    fn tokens(&mut self) -> Vec<Token> {
        let first = self.asked;
        self.asked += self.random.random_range(1..4);
        (first..self.asked).map(Token).collect()
    }

    /// Delivers one of the oldest messages.
    fn deliver(&mut self) {
        let count = self.cluster.under_way.len();
        if count > 0 {
            let place = self.random.random_range(0..count.min(4));
            let sent = self.cluster.under_way.remove(place);
            self.step(sent.to, Event::Message { from: sent.from, message: sent.message });
        }
    }

    fn step(&mut self, id: NodeId, event: Event) {
        let Some(replica) = &self.cluster.nodes[&id].replica else { return };
        assert_eq!(fit(replica.parts(), &event), Ok(Fit::Fits), "{id}: {event:?} at {replica:?}");
        if let Event::Message { message, .. } = &event {
            self.reached.received.insert(discriminant(message));
        }
        let stepped = self.cluster.step(id, event).expect("Paxos holds");
        self.holds(id);
        let config = &self.cluster.nodes[&id].config;
        let output = stepped.expect("it is up");
        for sent in &output.held().messages {
            let broken = broken_by_message(config, id, sent.to, &sent.message);
            assert_eq!(broken, None, "{id}: {sent:?}");
            self.reached.sent.insert(discriminant(&sent.message));
        }
        self.wanted.extend(output.held().fetch.last().map(|from| (id, *from)));
        if !self.cluster.held.contains(&id) {
            self.sync(id);
        }
    }

    fn sync(&mut self, id: NodeId) {
        self.cluster.held.remove(&id);
        if self.cluster.nodes[&id].replica.is_some() {
            self.cluster.sync(id).expect("Paxos holds");
        }
    }

    fn restart(&mut self, id: NodeId) {
        if self.cluster.nodes[&id].replica.is_some() {
            return;
        }
        let unrecorded = self.cluster.restart(id).expect("Paxos holds");
        self.holds(id);
        self.reached.restarts += 1;
        if let Some(unrecorded) = unrecorded {
            self.step(id, unrecorded);
        }
        let noted = self.cluster.noted(id);
        self.step(id, noted);
    }

    /// Asserts that the state of a node is within the invariant.
    fn holds(&mut self, id: NodeId) {
        let replica = self.cluster.nodes[&id].replica.as_ref().expect("it is up");
        let parts = replica.parts();
        assert_eq!(broken_by_state(parts), Ok(None), "{id}: {replica:?}");
        self.reached.trimmed += usize::from(parts.acceptor.trimmed > Slot(0));
        match parts.role {
            Role::Follower => {}
            Role::Candidate(_) => self.reached.candidates += 1,
            Role::Leader(leader) => {
                self.reached.leaders += 1;
                self.reached.reads += usize::from(!leader.reader.heard.is_empty());
            }
        }
    }
}

#[test]
fn no_storm_leaves_the_invariants() {
    let mut reached = Reached::default();
    for (nodes, phase1, phase2) in [(3, 2, 2), (3, 3, 1), (5, 3, 3), (5, 4, 2)] {
        for seed in 0..SEEDS {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let (in_flight_max, batch_slots_max) =
                (random.random_range(1..9), random.random_range(1..5));
            let configs = (1..=nodes).map(|id| Config {
                in_flight_max,
                batch_slots_max,
                slots_ahead_max: 16,
                ..Config::new(NodeId(id), (1..=nodes).map(NodeId)).with_quorums(phase1, phase2)
            });
            let cluster = Cluster::new(configs).expect("the quorums intersect");
            let (wanted, asked) = (BTreeMap::new(), 0);
            Storm { cluster, random, wanted, asked, reached: &mut reached }.events();
        }
    }
    let Reached { sent, received, candidates, leaders, reads, trimmed, restarts } = reached;
    assert_eq!((sent.len(), received.len()), (MESSAGES, MESSAGES));
    for count in [candidates, leaders, reads, trimmed, restarts] {
        assert!(count > 500, "{:?}", (candidates, leaders, reads, trimmed, restarts));
    }
}
