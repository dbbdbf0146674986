//! Agreement on one value: three clients want three different options, and all nodes learn the same one.
//!
//! The example is a minimal driver of [`paxos::Replica`]. A queue is the network, and a list of records is the disk
//! of a node. The network loses messages, and nodes crash.
//!
//! `cargo run -p paxos --example agreement`

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
};

use paxos::{
    Config, Event, Message, NodeId, Output, Proposal, Record, Replica, Slot, Timer, To, Token,
    Value, protocol::proposer::Role,
};

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// One node with its disk and its client.
struct Node {
    replica: Replica,
    /// The durable records. Only they survive a crash.
    disk: Vec<Record>,
    /// The option that the client of this node wants.
    wanted: &'static str,
    /// The value that this node knows to be chosen.
    chosen: Option<Value>,
}

/// The nodes, and the network between them.
struct Cluster {
    nodes: BTreeMap<NodeId, Node>,
    /// Messages on their way: sender, receiver, content.
    network: VecDeque<(NodeId, NodeId, Message)>,
    /// The network loses this percentage of all messages.
    loss: u64,
    /// The state of a generator of random numbers.
    random: u64,
}

impl Cluster {
    /// Steps one replica. The records are durable before the effects leave, as the contract of a driver requires.
    fn step(&mut self, id: NodeId, event: Event) {
        let node = self.nodes.get_mut(&id).expect("it is one of the three");
        let mut output = Output::default();
        node.replica.step(event, &mut output);
        let durable = output.persist(|records| {
            node.disk.extend_from_slice(records); // A real driver writes and syncs here.
            Ok::<(), Infallible>(())
        });
        let Ok(()) = durable;
        let effects = std::mem::take(output.released());
        let chosen = effects.chosen_slots().last().map(|(_, value)| value.clone());
        node.chosen = chosen.or(node.chosen.take());
        for envelope in effects.messages {
            let receivers = NODES.into_iter().filter(|&peer| match envelope.to {
                To::Peers => peer != id,
                To::Node(to) => peer == to,
            });
            for receiver in receivers {
                // A linear congruential generator, with the constants of Knuth's MMIX.
                self.random = self.random.wrapping_mul(6_364_136_223_846_793_005);
                self.random = self.random.wrapping_add(1_442_695_040_888_963_407);
                if (self.random >> 33) % 100 >= self.loss {
                    self.network.push_back((id, receiver, envelope.message.clone()));
                }
            }
        }
    }

    fn deliver_all(&mut self) {
        while let Some((from, to, message)) = self.network.pop_front() {
            self.step(to, Event::Message { from, message });
        }
    }

    /// Lets a node try to lead. If it then leads, and has neither voted nor heard of a vote, it proposes the option of
    /// its client.
    fn try_to_lead(&mut self, id: NodeId) {
        self.step(id, Event::Timer(Timer::Campaign));
        self.deliver_all();
        let Node { replica, wanted, .. } = &self.nodes[&id];
        let parts = replica.parts();
        if matches!(parts.role, Role::Leader(_)) && parts.acceptor.votes.end() == Slot(0) {
            let proposal = Proposal { token: Token(0), command: wanted.as_bytes().into() };
            self.step(id, Event::Propose(vec![proposal]));
        }
        self.deliver_all();
    }

    /// Crashes a node, and starts it again with the records on its disk.
    fn crash(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("it is one of the three");
        let records = node.disk.iter().cloned();
        node.replica = Replica::recover(Config::new(id, NODES), records).expect("its own records");
        node.chosen = None;
    }
}

/// Lets the nodes try to lead, one after the other, until each node knows the chosen value. After each attempt, crashes the
/// node that is next. Returns the value that each node knows.
pub(crate) fn agree(options: [&'static str; 3], loss: u64, seed: u64) -> Vec<Value> {
    let node = |id, wanted| {
        let replica = Replica::new(Config::new(id, NODES)).expect("three nodes are a cluster");
        (id, Node { replica, disk: Vec::new(), wanted, chosen: None })
    };
    let nodes = NODES.into_iter().zip(options).map(|(id, wanted)| node(id, wanted)).collect();
    let mut cluster = Cluster { nodes, network: VecDeque::new(), loss, random: seed };
    for turn in 0.. {
        cluster.try_to_lead(NODES[turn % 3]);
        let chosen = cluster.nodes.values().map(|node| node.chosen.clone());
        if let Some(chosen) = chosen.collect() {
            return chosen;
        }
        cluster.crash(NODES[(turn + 1) % 3]);
    }
    unreachable!("the turns do not end")
}

/// Runs the example, and panics if it fails.
pub(crate) fn main() {
    for seed in 0..10 {
        let chosen = agree(["tea", "coffee", "water"], 30, seed);
        println!("seed {seed}: {chosen:?}");
        assert!(chosen.iter().all(|value| *value == chosen[0]));
    }
}
