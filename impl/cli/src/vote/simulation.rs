//! Simulates a scenario in virtual time: replicas, their disks, the network between them, and the clients.
//!
//! The replicas, the network and the schedule are those of `paxos_simulator`. A tick is a millisecond. All random numbers
//! come from one generator, so a scenario determines its run.
//!
//! A run uses only the first slot of the log. A leader proposes a client's value only while its log is empty. If its log is
//! not empty, the leader proposes the value that it had to adopt.

use std::mem;

use bytes::Bytes;
use paxos::{
    Ballot, Config, Effects, Event, NodeId, Proposal, Replica, Slot, Timer, Token, Value,
    protocol::proposer::Role,
};
use paxos_node::wire;
use paxos_simulator::{
    network::{Link, Loss, Network, Random},
    replicas::{Choice, Cluster, Sent, Violation},
    schedule::Schedule,
};
use rand::{RngExt, SeedableRng};

use super::{
    happening::{Fate, Happening, quoted},
    scenario::Scenario,
    verdict::{Choosing, Ending, Verdict},
};

/// The number of events after which a run ends before its time limit. No user reads more.
const ROWS_MAX: u64 = 1_000_000;
const VOTE: Slot = Slot(0);

/// Runs a scenario to its end, and calls `show` with the time and each event. A scenario in which nothing can be chosen is not
/// run.
pub(crate) fn run(scenario: &Scenario, show: &mut dyn FnMut(u64, &Happening)) -> Verdict {
    if let Some(why) = scenario.impossible() {
        return Verdict { ending: Ending::Impossible(why), ..Verdict::default() };
    }
    let mut simulation = Simulation::new(scenario, show);
    simulation.run();
    let learned = (1..).zip(&simulation.nodes);
    let learned = learned.filter_map(|(id, node)| Some((id, node.learned.clone()?)));
    simulation.verdict.learned = learned.collect();
    simulation.verdict
}

/// An event on the schedule.
enum Due {
    /// Planned faults begin or end.
    Faults,
    /// A client asks, if it has no answer yet.
    Client(usize),
    /// A timer expires, unless it was armed again or its node crashed in the meantime.
    Timer { node: u32, timer: Timer },
    /// A frame reaches its receiver. `sent` has the undamaged message, and `at` is the time at which it was sent.
    Frame { sent: Sent, at: u64, frame: Vec<u8>, again: bool },
}

/// The state of a node outside its replica.
#[derive(Default)]
struct Node {
    /// The clients that wait for an answer. A crash clears the list, and the clients ask again.
    requests: Vec<usize>,
    /// The number, in the schedule, of the pending expiry of each timer.
    armed: [Option<u64>; 3],
    /// The last ballot in which the node was seen to lead.
    led: Option<Ballot>,
    /// The value that the node learned, even if it has forgotten the value in a crash.
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
    /// The number of events that were shown.
    shown: u64,
    random: Random,
    schedule: Schedule<Due>,
    network: Network,
    cluster: Cluster,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    verdict: Verdict,
}

impl<'a> Simulation<'a> {
    fn new(scenario: &'a Scenario, show: &'a mut dyn FnMut(u64, &Happening)) -> Self {
        let ids = (1..=scenario.faults.nodes).map(NodeId);
        let configs =
            ids.clone().map(|id| Config { in_flight_max: 1, ..Config::new(id, ids.clone()) });
        let link = Link {
            loss: scenario.loss,
            duplication: scenario.duplicate,
            damage: scenario.corrupt,
            delay: scenario.delay.least..=scenario.delay.most,
        };
        let mut simulation = Self {
            scenario,
            show,
            shown: 0,
            random: Random::seed_from_u64(scenario.seed),
            schedule: Schedule::default(),
            network: Network::new(link),
            cluster: Cluster::new(configs).expect("a valid configuration"),
            nodes: ids.map(|_| Node::default()).collect(),
            clients: scenario.clients.iter().map(|_| Client::default()).collect(),
            verdict: Verdict::default(),
        };
        for id in 1..=scenario.faults.nodes {
            let wait = simulation.patience();
            simulation.arm(id, Timer::Campaign, wait);
        }
        for at in scenario.faults.changes() {
            simulation.schedule.plan(at, Due::Faults);
        }
        for client in 0..scenario.clients.len() {
            simulation.schedule.plan(0, Due::Client(client));
        }
        simulation.cut();
        simulation
    }

    fn run(&mut self) {
        let hopeless = self.scenario.faults.hopeless_from();
        // The last messages of the last majority still have time to arrive and to be answered.
        let hopeless = hopeless.map(|from| (from, from + 5 * self.scenario.delay.most));
        let changes = self.scenario.faults.changes();
        while let Some(at) = self.schedule.next_at() {
            let now = self.schedule.now();
            let ending = match hopeless {
                Some((from, end)) if at > end => Some((Ending::Hopeless(from), end)),
                _ if at > self.scenario.limit => Some((Ending::Limit, self.scenario.limit)),
                _ if self.shown >= ROWS_MAX => Some((Ending::TooMuch(ROWS_MAX), now)),
                _ => None,
            };
            if let Some((ending, at)) = ending {
                (self.verdict.ending, self.verdict.ended_at) = (ending, at);
                return;
            }
            let (number, due) = self.schedule.advance().expect("there is a plan");
            if at > now && changes.contains(&at) {
                self.cut();
            }
            if let Err(violation) = self.happen(number, due) {
                self.contradict(violation.to_string());
            }
            if self.verdict.contradiction.is_some() || self.is_settled() {
                break;
            }
        }
        self.verdict.ended_at = self.schedule.now();
    }

    fn happen(&mut self, number: u64, due: Due) -> Result<(), Violation> {
        match due {
            Due::Faults => self.on_faults(),
            Due::Client(client) => self.on_client(client),
            Due::Timer { node, timer } => {
                let decided = self.knows(node).is_some();
                let current = &mut self.node(node).armed[timer as usize];
                if current.take_if(|armed| *armed == number).is_none() {
                    return Ok(());
                }
                // A node that knows the chosen value does not campaign.
                if timer == Timer::Campaign && decided {
                    return Ok(());
                }
                self.step(node, Event::Timer(timer))
            }
            Due::Frame { sent, at, frame, again } => self.on_frame(sent, at, &frame, again),
        }
    }

    /// Returns true if these three conditions hold:
    ///
    /// 1. A node has learned the value.
    /// 2. Each node knows the value, or is in no majority now or later.
    /// 3. All clients have their answer, or no node that is up knows the value.
    fn is_settled(&self) -> bool {
        let ever = self.nodes.iter().any(|node| node.learned.is_some());
        let faults = &self.scenario.faults;
        let knows = |id: u32| self.knows(id).is_some();
        ever && (1..=faults.nodes)
            .all(|id| knows(id) || !faults.has_prospects(id, self.schedule.now()))
            && (self.clients.iter().all(|client| client.answered) || !(1..=faults.nodes).any(knows))
    }
}

/// Nodes and their clients.
impl Simulation<'_> {
    fn on_faults(&mut self) -> Result<(), Violation> {
        let (scenario, now) = (self.scenario, self.schedule.now());
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
            if up && self.replica(id).is_none() {
                self.restart(id)?;
            } else if !up && self.replica(id).is_some() {
                self.cluster.crash(NodeId(id));
                let node = self.node(id);
                node.requests.clear();
                node.armed = [None; 3];
                self.show(&Happening::Crashes { node: id });
            }
        }
        Ok(())
    }

    fn restart(&mut self, id: u32) -> Result<(), Violation> {
        let unrecorded = self.cluster.restart(NodeId(id))?;
        assert!(unrecorded.is_none(), "there are no snapshots");
        let image = self.cluster.nodes[&NodeId(id)].disk.image();
        let accepted = image.vote(VOTE).map(|vote| (vote.ballot, vote.value.clone()));
        let promised = image.promised;
        self.show(&Happening::Restarts { node: id, promised, accepted });
        let wait = self.patience();
        self.arm(id, Timer::Campaign, wait);
        Ok(())
    }

    /// Lets a client ask a node, if the client has no answer yet, and plans its next attempt.
    ///
    /// The client first asks its own node. After that it alternates between the node that the last asked node takes for the
    /// leader, and the next node in the order of numbers. It passes over nodes that are down.
    fn on_client(&mut self, client: usize) -> Result<(), Violation> {
        let Client { answered, tries, asked } = self.clients[client];
        if answered {
            return Ok(());
        }
        self.clients[client].tries += 1;
        let wait = 2 * self.base() + self.random.random_range(0..=self.base());
        self.schedule.plan(wait, Due::Client(client));
        let nodes = self.scenario.faults.nodes;
        let leader = asked
            .filter(|_| tries % 2 == 1)
            .and_then(|node| self.replica(node)?.leader())
            .map(|leader| leader.0)
            .filter(|leader| Some(*leader) != asked);
        let home = client as u32 + tries / 2 + tries % 2;
        let round = (0..nodes).map(|step| (home + step) % nodes + 1);
        let is_up = |node: &u32| self.replica(*node).is_some();
        let Some(id) = leader.into_iter().chain(round).find(is_up) else {
            return Ok(()); // All nodes are down.
        };
        self.clients[client].asked = Some(id);
        self.show(&Happening::Asks { client, node: id });
        if let Some(value) = self.knows(id) {
            self.tell(client, id, value);
            return Ok(());
        }
        let node = self.node(id);
        if !node.requests.contains(&client) {
            node.requests.push(client);
        }
        if self.replica(id).is_some_and(|replica| replica.leader().is_none()) {
            // A client waits and the node knows no leader, so the node campaigns soon.
            let wait = self.random.random_range(0..=self.base() / 2);
            self.arm(id, Timer::Campaign, wait);
        }
        self.propose(id)
    }

    fn tell(&mut self, client: usize, node: u32, value: Value) {
        if !mem::replace(&mut self.clients[client].answered, true) {
            self.show(&Happening::Told { client, node, value });
        }
    }

    fn step(&mut self, id: u32, event: Event) -> Result<(), Violation> {
        let Some(released) = self.cluster.handle(NodeId(id), event)? else { return Ok(()) };
        let chosen: Vec<_> = released.chosen_slots().map(|(_, value)| value.clone()).collect();
        let Effects { taken, timers, .. } = released;
        self.see_choice();
        assert!(taken.iter().all(|taken| taken.slot == VOTE), "the log has one slot");
        for value in chosen {
            self.learn(id, &value);
        }
        for sent in mem::take(&mut self.cluster.under_way) {
            self.send(&sent);
        }
        for timer in timers {
            let wait = match timer {
                Timer::Campaign => self.patience(),
                Timer::Heartbeat => self.base() / 2,
                Timer::Resend => self.base() / 3,
            };
            self.arm(id, timer, wait);
        }
        self.propose(id)
    }

    /// Lets a leader whose log is still empty propose the value of the first client that waits at it. Reports the leader if it
    /// is new.
    fn propose(&mut self, id: u32) -> Result<(), Violation> {
        let Some(parts) = self.replica(id).map(Replica::parts) else { return Ok(()) };
        let (Role::Leader(_), Some(ballot)) = (parts.role, parts.acceptor.promised) else {
            return Ok(());
        };
        let empty = parts.acceptor.votes.end() == VOTE && parts.learner.chosen.end() == VOTE;
        let node = self.node(id);
        let request = node.requests.first().copied().filter(|_| empty);
        if node.led.replace(ballot) != Some(ballot) {
            self.show(&Happening::Leads { node: id, ballot });
        }
        let Some(client) = request else { return Ok(()) };
        let value = self.scenario.clients[client].value.clone();
        let command = Bytes::from(value.into_bytes());
        let proposal = Proposal { token: Token(client as u64), command };
        self.step(id, Event::Propose(vec![proposal]))
    }

    /// Reports the chosen value once the durable votes of the nodes choose it. The replicas report only what they learn.
    fn see_choice(&mut self) {
        let Some(Choice { value, ballot, voters }) = self.cluster.chosen().get(&VOTE) else {
            return;
        };
        if self.verdict.chosen.is_some() {
            return;
        }
        let (value, ballot, at) = (value.clone(), *ballot, self.schedule.now());
        let nodes = voters.iter().map(|node| node.0).collect();
        self.show(&Happening::Chosen { value: value.clone(), ballot, nodes });
        let mut wanted = self.scenario.clients.iter().map(|client| client.value.as_bytes());
        if !wanted.any(|wanted| matches!(&value, Value::Command(command) if *command == wanted)) {
            self.contradict(format!("no client asked for {}", quoted(&value)));
        }
        self.verdict.chosen = Some(Choosing { value, ballot, at });
    }

    fn learn(&mut self, id: u32, value: &Value) {
        self.show(&Happening::Learns { node: id, value: value.clone() });
        let node = self.node(id);
        node.learned = Some(value.clone());
        for client in mem::take(&mut node.requests) {
            self.tell(client, id, value.clone());
        }
    }

    fn contradict(&mut self, words: String) {
        self.verdict.contradiction.get_or_insert(words);
    }

    /// Returns the value that a node knows to be chosen. A node that is down knows none.
    fn knows(&self, id: u32) -> Option<Value> {
        self.replica(id)?.parts().learner.value(VOTE).cloned()
    }
}

/// The network.
impl Simulation<'_> {
    /// Cuts the links that planned partitions cut at this time, and no others.
    fn cut(&mut self) {
        let (faults, now) = (&self.scenario.faults, self.schedule.now());
        self.network.heal();
        for from in 1..=faults.nodes {
            for to in (1..=faults.nodes).filter(|to| !faults.are_linked(from, *to, now)) {
                self.network.cut(NodeId(from), NodeId(to));
            }
        }
    }

    fn send(&mut self, sent: &Sent) {
        let Sent { from, to, message } = sent;
        let mut frame = Vec::new();
        wire::encode(message, &mut frame).expect("values are short");
        let copies: Vec<_> = self.network.send(&mut self.random, *from, *to, &frame).collect();
        for copy in copies {
            let (now, again) = (self.schedule.now(), copy.again);
            self.verdict.counts.sent += 1;
            self.verdict.counts.duplicated += u64::from(again);
            let fate = match copy.frame {
                Ok(frame) => {
                    let due = Due::Frame { sent: sent.clone(), at: now, frame, again };
                    self.schedule.plan(copy.delay, due);
                    continue;
                }
                Err(Loss::Lost) => Fate::Lost,
                Err(Loss::Cut) => Fate::Cut,
            };
            self.verdict.counts.lost += 1;
            let (due, message) = (now + copy.delay, message.clone());
            let (from, to) = (from.0, to.0);
            self.show(&Happening::Message { from, to, sent: now, due, message, again, fate });
        }
    }

    fn on_frame(
        &mut self,
        sent: Sent,
        at: u64,
        frame: &[u8],
        again: bool,
    ) -> Result<(), Violation> {
        let Sent { from, to, message } = sent;
        let connects = self.network.connects(from, to);
        let is_up = self.replica(to.0).is_some();
        let counts = &mut self.verdict.counts;
        let mut arrived = None;
        let fate = if !connects {
            counts.lost += 1;
            Fate::Cut
        } else if !is_up {
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
        let (sent, due) = (at, self.schedule.now());
        self.show(&Happening::Message { from: from.0, to: to.0, sent, due, message, again, fate });
        match arrived {
            Some(message) => self.step(to.0, Event::Message { from, message }),
            None => Ok(()),
        }
    }
}

/// Time and chance.
impl Simulation<'_> {
    fn arm(&mut self, node: u32, timer: Timer, wait: u64) {
        let plan = self.schedule.plan(wait.max(1), Due::Timer { node, timer });
        self.node(node).armed[timer as usize] = Some(plan);
    }

    /// Returns the unit of all timeouts, in ms. Both phases together take less if no message is lost.
    fn base(&self) -> u64 {
        5 * self.scenario.delay.most + 10
    }

    /// Returns the time that a node waits before it campaigns, in ms. It is random, so that rivals rarely campaign at once.
    fn patience(&mut self) -> u64 {
        let base = self.base();
        self.random.random_range(base..=2 * base)
    }

    fn show(&mut self, happening: &Happening) {
        self.shown += 1;
        (self.show)(self.schedule.now(), happening);
    }

    fn node(&mut self, id: u32) -> &mut Node {
        &mut self.nodes[id as usize - 1]
    }

    fn replica(&self, id: u32) -> Option<&Replica> {
        self.cluster.nodes[&NodeId(id)].replica.as_ref()
    }
}
