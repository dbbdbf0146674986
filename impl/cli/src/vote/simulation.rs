//! The run: replicas, their disks, the network between them and the clients, in virtual time.
//!
//! Everything happens at whole ms, in the order of (time, order of being planned); all chance comes
//! from one generator. So a scenario determines its run.
//!
//! A vote is a log with one slot: a leader proposes what a client has asked it for only while its
//! log is empty, and otherwise the value that it had to adopt gets chosen.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use bytes::Bytes;
use paxos::{
    Ballot, Config, Event, Message, NodeId, Output, Proposal, Record, Replica, Slot, Timer, To,
    Token, Value, protocol::proposer::Role,
};
use paxos_node::wire;
use paxos_store::Memory;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    happening::{Fate, Happening, quoted},
    scenario::Scenario,
    verdict::{Choosing, Ending, Verdict},
};

/// Whatever the time limit: nobody reads more rows than that.
const ROWS_MAX: u64 = 1_000_000;
/// Damage flips this many bits at most; up to so many are noticed for certain (see `wire`).
const FLIPS_MAX: usize = 3;
const VOTE: Slot = Slot(0);

/// Runs a scenario to its end and shows everything that happens.
pub(crate) fn run(scenario: &Scenario, show: &mut dyn FnMut(u64, &Happening)) -> Verdict {
    if let Some(why) = scenario.impossible() {
        return Verdict { ending: Ending::Impossible(why), ..Verdict::default() };
    }
    let mut simulation = Simulation::new(scenario, show);
    simulation.run();
    let learned = simulation.nodes.iter().filter_map(|node| Some((node.id, node.learned.clone()?)));
    simulation.verdict.learned = learned.collect();
    simulation.verdict
}

/// What is planned.
enum Due {
    /// Planned faults begin or end.
    Faults,
    /// A client that has no answer asks, and asks again.
    Client(usize),
    /// A timer, unless it was armed anew since.
    Timer { node: u32, timer: Timer, armed: u64 },
    /// A frame reaches the end of its way.
    Frame { from: u32, to: u32, sent: u64, message: Message, frame: Vec<u8>, again: bool },
}

struct Node {
    id: u32,
    /// Nothing while the node is down.
    replica: Option<Replica>,
    disk: Memory,
    /// Clients that wait for an answer; forgotten in a crash, for they ask again.
    requests: Vec<usize>,
    /// The plan that each timer was last armed with.
    armed: [Option<u64>; 3],
    /// The last ballot in which it was seen to lead.
    led: Option<Ballot>,
    /// What it learned, even if it forgot it since.
    learned: Option<Value>,
}

#[derive(Default)]
struct Client {
    answered: bool,
    tries: u32,
    asked: Option<u32>,
}

struct Simulation<'a> {
    scenario: &'a Scenario,
    show: &'a mut dyn FnMut(u64, &Happening),
    random: ChaCha8Rng,
    now: u64,
    /// How much was shown.
    shown: u64,
    /// How much was planned: numbers the plans.
    planned: u64,
    plans: BTreeMap<(u64, u64), Due>,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    /// Who has durably accepted something in which ballot.
    votes: BTreeMap<Ballot, BTreeSet<u32>>,
    output: Output,
    verdict: Verdict,
}

impl<'a> Simulation<'a> {
    fn new(scenario: &'a Scenario, show: &'a mut dyn FnMut(u64, &Happening)) -> Self {
        let nodes = (1..=scenario.faults.nodes).map(|id| Node {
            id,
            replica: None,
            disk: Memory::default(),
            requests: Vec::new(),
            armed: [None; 3],
            led: None,
            learned: None,
        });
        let mut simulation = Self {
            scenario,
            show,
            random: ChaCha8Rng::seed_from_u64(scenario.seed),
            now: 0,
            shown: 0,
            planned: 0,
            plans: BTreeMap::new(),
            nodes: nodes.collect(),
            clients: scenario.clients.iter().map(|_| Client::default()).collect(),
            votes: BTreeMap::new(),
            output: Output::default(),
            verdict: Verdict::default(),
        };
        for id in 1..=scenario.faults.nodes {
            let replica = Replica::new(simulation.config(id)).expect("a valid configuration");
            simulation.node(id).replica = Some(replica);
            let wait = simulation.patience();
            simulation.arm(id, Timer::Campaign, wait);
        }
        for at in scenario.faults.changes() {
            simulation.plan(at, Due::Faults);
        }
        for client in 0..scenario.clients.len() {
            simulation.plan(0, Due::Client(client));
        }
        simulation
    }

    fn run(&mut self) {
        let hopeless = self.scenario.faults.hopeless_from();
        // Time enough for what was under way when the majority went.
        let hopeless = hopeless.map(|from| (from, from + 5 * self.scenario.delay.most));
        while let Some(((at, _), due)) = self.plans.pop_first() {
            let ending = match hopeless {
                Some((from, end)) if at > end => Some((Ending::Hopeless(from), end)),
                _ if at > self.scenario.limit => Some((Ending::Limit, self.scenario.limit)),
                _ if self.shown >= ROWS_MAX => Some((Ending::TooMuch(ROWS_MAX), self.now)),
                _ => None,
            };
            if let Some((ending, at)) = ending {
                (self.verdict.ending, self.now) = (ending, at);
                break;
            }
            self.now = at;
            self.happen(due);
            if self.verdict.contradiction.is_some() || self.is_settled() {
                break;
            }
        }
        self.verdict.ended_at = self.now;
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Faults => self.on_faults(),
            Due::Client(client) => self.on_client(client),
            Due::Timer { node, timer, armed } => {
                let decided = self.knows(node).is_some();
                let current = &mut self.node(node).armed[timer as usize];
                if *current == Some(armed) {
                    *current = None;
                    // Whoever knows what is chosen has nothing left to campaign for.
                    if !(timer == Timer::Campaign && decided) {
                        self.step(node, Event::Timer(timer));
                    }
                }
            }
            Due::Frame { from, to, sent, message, frame, again } => {
                self.on_frame(from, to, sent, message, &frame, again);
            }
        }
    }

    /// Something is known to somebody, and to everybody who will ever be in a majority; and all
    /// clients are told, as long as there is somebody to tell them.
    fn is_settled(&self) -> bool {
        let ever = self.nodes.iter().any(|node| node.learned.is_some());
        let knows = |node: &Node| self.knows(node.id).is_some();
        ever && self
            .nodes
            .iter()
            .all(|node| knows(node) || !self.scenario.faults.has_prospects(node.id, self.now))
            && (self.clients.iter().all(|client| client.answered) || !self.nodes.iter().any(knows))
    }
}

/// Nodes and their clients.
impl Simulation<'_> {
    fn on_faults(&mut self) {
        let (scenario, now) = (self.scenario, self.now);
        for partition in &scenario.faults.partitions {
            let groups = || partition.to_string();
            if partition.window.from == now {
                self.show(&Happening::Partition { groups: groups() });
            }
            if partition.window.until == Some(now) {
                self.show(&Happening::Heals { groups: groups() });
            }
        }
        for id in 1..=scenario.faults.nodes {
            let up = scenario.faults.is_up(id, now);
            if up && self.node(id).replica.is_none() {
                self.restart(id);
            } else if !up && self.node(id).replica.is_some() {
                let node = self.node(id);
                node.replica = None;
                node.requests.clear();
                node.armed = [None; 3];
                self.show(&Happening::Crashes { node: id });
            }
        }
    }

    fn restart(&mut self, id: u32) {
        let config = self.config(id);
        let node = self.node(id);
        let replica = Replica::recover(config, node.disk.records());
        let replica = replica.expect("records are this node's own");
        let image = node.disk.image();
        let accepted = image.votes.get(VOTE).map(|vote| (vote.ballot, vote.value.clone()));
        let promised = image.promised;
        node.replica = Some(replica);
        self.show(&Happening::Restarts { node: id, promised, accepted });
        let wait = self.patience();
        self.arm(id, Timer::Campaign, wait);
    }

    /// A client asks its node first. Without an answer it takes turns: whom that node takes for the
    /// leader, then the next node in the round.
    fn on_client(&mut self, client: usize) {
        let Client { answered, tries, asked } = self.clients[client];
        if answered {
            return;
        }
        self.clients[client].tries += 1;
        let wait = 2 * self.base() + self.random.random_range(0..=self.base());
        self.plan(self.now + wait, Due::Client(client));
        let nodes = self.scenario.faults.nodes;
        let leader = asked
            .filter(|_| tries % 2 == 1)
            .and_then(|node| self.node(node).replica.as_ref()?.leader())
            .map(|leader| leader.0)
            .filter(|leader| Some(*leader) != asked);
        let home = client as u32 + tries / 2 + tries % 2;
        let round = (0..nodes).map(|step| (home + step) % nodes + 1);
        let is_up = |node: &u32| self.nodes[*node as usize - 1].replica.is_some();
        let Some(id) = leader.into_iter().chain(round).find(is_up) else {
            return; // Nobody is there.
        };
        self.clients[client].asked = Some(id);
        self.show(&Happening::Asks { client, node: id });
        if let Some(value) = self.knows(id) {
            return self.tell(client, id, value);
        }
        let node = self.node(id);
        if !node.requests.contains(&client) {
            node.requests.push(client);
        }
        if node.replica.as_ref().is_some_and(|replica| replica.leader().is_none()) {
            // Somebody wants something and nobody is known to lead: no need to wait long.
            let wait = self.random.random_range(0..=self.base() / 2);
            self.arm(id, Timer::Campaign, wait);
        }
        self.propose(id);
    }

    fn tell(&mut self, client: usize, node: u32, value: Value) {
        if !mem::replace(&mut self.clients[client].answered, true) {
            self.show(&Happening::Told { client, node, value });
        }
    }

    /// The contract with a replica: its records are durable before anything else leaves.
    fn step(&mut self, id: u32, event: Event) {
        let mut output = mem::take(&mut self.output);
        output.clear();
        let node = self.node(id);
        let Some(replica) = &mut node.replica else {
            self.output = output;
            return;
        };
        replica.step(event, &mut output);
        node.disk.append(&output.records).expect("a replica does not contradict itself");
        self.watch(id, &output.records);
        assert!(output.taken.iter().all(|taken| taken.slot == VOTE), "the log has one slot");
        for (_, value) in output.chosen.drain(..) {
            self.learn(id, &value);
        }
        for envelope in output.messages.drain(..) {
            let receivers = match envelope.to {
                To::Node(node) => node.0..=node.0,
                To::Peers => 1..=self.scenario.faults.nodes,
            };
            for to in receivers.filter(|&to| to != id) {
                self.send(id, to, &envelope.message);
            }
        }
        for timer in output.timers.drain(..) {
            let wait = match timer {
                Timer::Campaign => self.patience(),
                Timer::Heartbeat => self.base() / 2,
                Timer::Resend => self.base() / 3,
            };
            self.arm(id, timer, wait);
        }
        self.output = output;
        self.propose(id);
    }

    /// If the node leads and the log is still empty, it proposes what it was asked for.
    fn propose(&mut self, id: u32) {
        let node = self.node(id);
        let Some(parts) = node.replica.as_ref().map(Replica::parts) else { return };
        let (Role::Leader(_), Some(ballot)) = (parts.role, parts.acceptor.promised) else { return };
        let empty = parts.acceptor.votes.end() == VOTE && parts.learner.chosen.end() == VOTE;
        let request = node.requests.first().copied().filter(|_| empty);
        if node.led.replace(ballot) != Some(ballot) {
            self.show(&Happening::Leads { node: id, ballot });
        }
        if let Some(client) = request {
            let value = self.scenario.clients[client].value.clone();
            let command = Bytes::from(value.into_bytes());
            let proposal = Proposal { token: Token(client as u64), command };
            self.step(id, Event::Propose(vec![proposal]));
        }
    }

    /// Nodes cannot see the moment a value is chosen; whoever sees all disks can.
    fn watch(&mut self, id: u32, records: &[Record]) {
        for record in records {
            let Record::Accepted { ballot, values, .. } = record else { continue };
            let (ballot, value) = (*ballot, values[0].clone());
            let voters = self.votes.entry(ballot).or_default();
            voters.insert(id);
            if voters.len() != self.scenario.faults.majority() {
                continue;
            }
            let nodes = voters.iter().copied().collect();
            match &self.verdict.chosen {
                None => {
                    self.show(&Happening::Chosen { value: value.clone(), ballot, nodes });
                    self.check(&value);
                    self.verdict.chosen = Some(Choosing { value, ballot, at: self.now });
                }
                Some(_) => self.check(&value),
            }
        }
    }

    fn learn(&mut self, id: u32, value: &Value) {
        self.show(&Happening::Learns { node: id, value: value.clone() });
        self.check(value);
        if self.verdict.chosen.is_none() {
            self.contradict(format!("{id} learned {} before it was chosen", quoted(value)));
        }
        let node = self.node(id);
        node.learned = Some(value.clone());
        for client in mem::take(&mut node.requests) {
            self.tell(client, id, value.clone());
        }
    }

    /// Agreement and validity: one value, and one that somebody asked for.
    fn check(&mut self, value: &Value) {
        let wanted = self.scenario.clients.iter();
        let mut wanted =
            wanted.map(|choice| Value::Command(choice.value.clone().into_bytes().into()));
        if !wanted.any(|wanted| wanted == *value) {
            self.contradict(format!("nobody asked for {}", quoted(value)));
        }
        if let Some(chosen) = &self.verdict.chosen
            && chosen.value != *value
        {
            let (one, other) = (quoted(&chosen.value), quoted(value));
            self.contradict(format!("both {one} and {other} were chosen"));
        }
    }

    fn contradict(&mut self, what: String) {
        self.verdict.contradiction.get_or_insert(what);
    }

    /// What a node knows to be chosen, at present.
    fn knows(&self, id: u32) -> Option<Value> {
        let replica = self.nodes[id as usize - 1].replica.as_ref()?;
        replica.parts().learner.chosen.get(VOTE).cloned()
    }
}

/// The network.
impl Simulation<'_> {
    fn send(&mut self, from: u32, to: u32, message: &Message) {
        let copies = if self.chance(self.scenario.duplicate) { 2 } else { 1 };
        self.verdict.counts.duplicated += copies - 1;
        for copy in 0..copies {
            let again = copy > 0;
            self.verdict.counts.sent += 1;
            let delay = self.scenario.delay;
            let due = self.now + self.random.random_range(delay.least..=delay.most);
            let lost = self.chance(self.scenario.loss);
            let fate = if self.scenario.faults.are_linked(from, to, self.now) {
                lost.then_some(Fate::Lost)
            } else {
                Some(Fate::Cut)
            };
            if let Some(fate) = fate {
                self.verdict.counts.lost += 1;
                let (sent, message) = (self.now, message.clone());
                self.show(&Happening::Message { from, to, sent, due, message, again, fate });
                continue;
            }
            let mut frame = Vec::new();
            wire::encode(message, &mut frame).expect("values are short");
            if self.chance(self.scenario.corrupt) {
                self.damage(&mut frame);
            }
            let (sent, message) = (self.now, message.clone());
            self.plan(due, Due::Frame { from, to, sent, message, frame, again });
        }
    }

    fn damage(&mut self, frame: &mut [u8]) {
        let flips = self.random.random_range(1..=FLIPS_MAX);
        let bits = 0..frame.len() * 8;
        // A bit drawn twice flips once: damage is never undone.
        let bits: BTreeSet<usize> =
            (0..flips).map(|_| self.random.random_range(bits.clone())).collect();
        for bit in bits {
            frame[bit / 8] ^= 1 << (bit % 8);
        }
    }

    fn on_frame(
        &mut self,
        from: u32,
        to: u32,
        sent: u64,
        message: Message,
        frame: &[u8],
        again: bool,
    ) {
        let counts = &mut self.verdict.counts;
        let mut arrived = None;
        let fate = if !self.scenario.faults.are_linked(from, to, self.now) {
            counts.lost += 1;
            Fate::Cut
        } else if self.nodes[to as usize - 1].replica.is_none() {
            counts.lost += 1;
            Fate::Down
        } else {
            match wire::decode(frame) {
                Ok(message) => {
                    counts.arrived += 1;
                    arrived = Some(message);
                    Fate::Arrives
                }
                Err(error) => {
                    counts.damaged += 1;
                    Fate::Damaged(error)
                }
            }
        };
        let due = self.now;
        self.show(&Happening::Message { from, to, sent, due, message, again, fate });
        if let Some(message) = arrived {
            self.step(to, Event::Message { from: NodeId(from), message });
        }
    }
}

/// Time and chance.
impl Simulation<'_> {
    fn plan(&mut self, at: u64, due: Due) -> u64 {
        self.planned += 1;
        self.plans.insert((at, self.planned), due);
        self.planned
    }

    fn arm(&mut self, node: u32, timer: Timer, wait: u64) {
        let armed = self.planned + 1;
        self.plan(self.now + wait.max(1), Due::Timer { node, timer, armed });
        self.node(node).armed[timer as usize] = Some(armed);
    }

    /// All waiting is measured by it: longer than it takes to get promises and votes.
    fn base(&self) -> u64 {
        5 * self.scenario.delay.most + 10
    }

    /// How long a node waits before it campaigns: different from time to time and node to node.
    fn patience(&mut self) -> u64 {
        let base = self.base();
        self.random.random_range(base..=2 * base)
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability)
    }

    fn show(&mut self, happening: &Happening) {
        self.shown += 1;
        (self.show)(self.now, happening);
    }

    fn node(&mut self, id: u32) -> &mut Node {
        &mut self.nodes[id as usize - 1]
    }

    fn config(&self, id: u32) -> Config {
        let nodes = (1..=self.scenario.faults.nodes).map(NodeId);
        Config { in_flight_max: 1, ..Config::new(NodeId(id), nodes) }
    }
}
