//! A cluster of replicas in one thread, without disks or sockets.

use std::{collections::VecDeque, convert::Infallible, hint::black_box};

use bytes::Bytes;
use paxos::{
    Config, Effects, Envelope, Event, Message, NodeId, Output, Proposal, Replica, Timer, To, Token,
    Value,
};

/// Production replicas that exchange messages in the order of sending, without loss.
///
/// Messages are not encoded. Records and chosen values are counted and dropped. So a measurement has the cost of the
/// protocol only, not that of a node.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    in_transit: VecDeque<Sent>,
    output: Output,
    records: u64,
}

#[derive(Debug)]
struct Node {
    id: NodeId,
    replica: Replica,
    /// The number of applied entries, which is also the next slot.
    applied: u64,
}

#[derive(Debug)]
struct Sent {
    from: NodeId,
    to: usize,
    message: Message,
}

/// Returns the effects of a step, as if its records were durable.
pub fn released(output: &mut Output) -> &mut Effects {
    let durable = output.persist(|_| Ok::<(), Infallible>(()));
    let Ok(()) = durable;
    output.released()
}

impl Cluster {
    /// Returns a cluster whose first node leads.
    pub fn led(size: u32) -> Self {
        let ids = (1..=size).map(NodeId);
        let node = |id| {
            let config = Config::new(id, ids.clone());
            let replica = Replica::new(config).expect("an ordinary configuration is valid");
            Node { id, replica, applied: 0 }
        };
        let mut cluster = Self {
            nodes: ids.clone().map(node).collect(),
            in_transit: VecDeque::new(),
            output: Output::default(),
            records: 0,
        };
        cluster.step(0, Event::Timer(Timer::Campaign));
        cluster.settle();
        let first = &cluster.nodes[0];
        assert_eq!(first.replica.leader(), Some(first.id), "the only candidate leads");
        cluster
    }

    /// Applies `entries` copies of a command at all nodes, in rounds. In each round the leader proposes `outstanding`
    /// entries at once. The next round begins when all nodes have applied them.
    pub fn apply(&mut self, entries: u64, outstanding: u64, command: &Bytes) {
        let before = self.nodes[0].applied;
        let end = before + entries;
        let mut next = before;
        while next < end {
            let round = next..end.min(next + outstanding);
            next = round.end;
            let proposal = |token| Proposal { token: Token(token), command: command.clone() };
            self.step(0, Event::Propose(round.map(proposal).collect()));
            self.settle();
        }
        for node in &self.nodes {
            assert_eq!(node.applied, end, "node {} applied all entries", node.id);
        }
    }

    /// Returns the number of records that the nodes have output.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Delivers messages until none is left.
    fn settle(&mut self) {
        while let Some(Sent { from, to, message }) = self.in_transit.pop_front() {
            self.step(to, Event::Message { from, message });
        }
    }

    fn step(&mut self, index: usize, event: Event) {
        let node = &mut self.nodes[index];
        node.replica.step(event, &mut self.output);
        self.records += self.output.records().len() as u64;
        let effects = released(&mut self.output);
        assert!(effects.refused.is_empty(), "the leader stays, and accepts all proposals");
        for (slot, value) in effects.chosen_slots() {
            assert_eq!(slot.0, node.applied, "chosen values come in order");
            assert!(matches!(black_box(value), Value::Command(_)), "there is no gap to fill");
            node.applied += 1;
        }
        let from = node.id;
        for Envelope { to, message } in effects.messages.drain(..) {
            let receives = |node: &Node| match to {
                To::Peers => node.id != from,
                To::Node(to) => node.id == to,
            };
            let receivers = self.nodes.iter().enumerate().filter(|(_, node)| receives(node));
            let copies = receivers.map(|(to, _)| Sent { from, to, message: message.clone() });
            self.in_transit.extend(copies);
        }
        effects.clear();
    }
}
