//! A cluster in one thread, with nothing around the replicas.

use std::collections::VecDeque;
use std::hint::black_box;

use bytes::Bytes;
use paxos::{
    Config, Envelope, Event, Message, NodeId, Output, Proposal, Replica, Timer, To, Token, Value,
};

/// Production replicas that hand each other messages in the order of sending, none of them lost.
///
/// Nothing but the protocol costs time: messages are not encoded, records are counted and dropped,
/// chosen values are counted and dropped. So it says what a replica takes, not what a node can do.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    under_way: VecDeque<Sent>,
    output: Output,
    records: u64,
}

#[derive(Debug)]
struct Node {
    id: NodeId,
    replica: Replica,
    /// How many entries were applied, and so the slot that comes next.
    applied: u64,
}

#[derive(Debug)]
struct Sent {
    from: NodeId,
    to: usize,
    message: Message,
}

impl Cluster {
    /// A cluster whose first node leads.
    pub fn led(size: u32) -> Self {
        let ids = (1..=size).map(NodeId);
        let node = |id| {
            let config = Config::new(id, ids.clone());
            let replica = Replica::new(config).expect("an ordinary configuration is valid");
            Node { id, replica, applied: 0 }
        };
        let mut cluster = Self {
            nodes: ids.clone().map(node).collect(),
            under_way: VecDeque::new(),
            output: Output::default(),
            records: 0,
        };
        cluster.step(0, Event::Timer(Timer::Campaign));
        cluster.settle();
        let first = &cluster.nodes[0];
        assert_eq!(first.replica.leader(), Some(first.id), "the only candidate leads");
        cluster
    }

    /// Gets `entries` copies of a command applied everywhere, in rounds: the leader is asked for as
    /// many as may be `outstanding`, all at once, and again when all of them are applied.
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
            assert_eq!(node.applied, end, "node {} applied every entry", node.id);
        }
    }

    /// How many records the nodes asked to be made durable.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Delivers messages until none is left.
    fn settle(&mut self) {
        while let Some(Sent { from, to, message }) = self.under_way.pop_front() {
            self.step(to, Event::Message { from, message });
        }
    }

    fn step(&mut self, index: usize, event: Event) {
        let node = &mut self.nodes[index];
        node.replica.step(event, &mut self.output);
        assert!(self.output.refused.is_empty(), "the leader stays and has room");
        self.records += self.output.records.len() as u64;
        for (slot, value) in &self.output.chosen {
            assert_eq!(slot.0, node.applied, "chosen values come in order");
            assert!(matches!(black_box(value), Value::Command(_)), "there is no gap to fill");
            node.applied += 1;
        }
        let from = node.id;
        for Envelope { to, message } in self.output.messages.drain(..) {
            let concerned = |node: &Node| match to {
                To::Peers => node.id != from,
                To::Node(to) => node.id == to,
            };
            let receivers = self.nodes.iter().enumerate().filter(|(_, node)| concerned(node));
            let copies = receivers.map(|(to, _)| Sent { from, to, message: message.clone() });
            self.under_way.extend(copies);
        }
        self.output.clear();
    }
}
