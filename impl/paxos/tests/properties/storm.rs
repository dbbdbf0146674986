//! The protocol against a hostile network, slow disks and crashes.

use std::collections::BTreeMap;

use crate::said::{config, persistent, quorums_of};
use itertools::Itertools;
use paxos::{Config, Effects, Event, NodeId, Proposal, ReadReady, Slot, Timer, Token, Value};
use paxos_simulator::replicas::Cluster;
use proptest::{collection::vec, prelude::*};

proptest! {
    #![proptest_config(persistent())]

    /// Messages are lost, repeated and reordered. Disks are slow. Nodes crash, lose everything that is not synced,
    /// and come back. They take snapshots, and install those of other nodes, even if they have not asked for them.
    /// After every step the monitors of the cluster check agreement and promises. After the storm, all nodes learn
    /// the same log, a new command is chosen, and a read is answered.
    #[test]
    fn a_storm_breaks_nothing(
        (nodes, phase1, phase2) in quorums_of(3..=5),
        batch_slots_max in 1u64..4,
        in_flight_max in 1u64..6,
        slots_ahead_max in prop_oneof![3u64..8, Just(1 << 20)],
        faults in vec(faults(), 0..400),
    ) {
        let configs = (1..=nodes).map(|id| Config {
            batch_slots_max,
            in_flight_max,
            slots_ahead_max,
            ..config(id, nodes).with_quorums(phase1, phase2)
        });
        let mut storm = Storm {
            cluster: Cluster::new(configs).expect("the quorums intersect"),
            wanted: BTreeMap::new(),
            asked: 0,
            answered: Vec::new(),
        };
        for fault in faults {
            storm.suffer(&fault);
        }
        storm.calm_down();
    }
}

/// A cluster in a storm.
struct Storm {
    cluster: Cluster,
    /// The nodes that want a snapshot, each with the last peer that it named.
    wanted: BTreeMap<NodeId, NodeId>,
    /// The number of proposals and reads so far.
    asked: u64,
    answered: Vec<ReadReady>,
}

/// The events of a storm. An index is taken modulo the number of nodes or messages.
#[derive(Clone, Debug)]
enum Fault {
    Deliver(usize),
    /// Delivers so many messages, oldest first. Without some order nothing is ever chosen.
    DeliverOldest(usize),
    Lose(usize),
    /// Loses all messages on their way to one node, so that the node falls behind.
    CutOff(usize),
    Repeat(usize),
    Timer(usize, Timer),
    Propose(usize, u64),
    Read(usize, u64),
    /// Lets a node take a snapshot of all slots that it has applied, but for so many.
    Snapshot(usize, u64),
    /// Lets a node install the snapshot that it wants.
    Fetch(usize),
    /// Lets the first node install the snapshot of the second, even if it has not asked for it.
    Install(usize, usize),
    HoldDisk(usize),
    /// Lets a node whose disk is slow begin a write. Several may be under way.
    Write(usize),
    /// Ends the oldest write of a node.
    SyncOldest(usize),
    /// Ends all writes of a node, whose disk is slow no longer.
    Sync(usize),
    Crash(usize),
    Restart(usize),
}

fn faults() -> impl Strategy<Value = Fault> {
    let place = any::<u16>().prop_map(usize::from);
    let node = 0usize..5;
    prop_oneof![
        16 => place.clone().prop_map(Fault::Deliver),
        8 => (1usize..20).prop_map(Fault::DeliverOldest),
        2 => place.clone().prop_map(Fault::Lose),
        2 => place.prop_map(Fault::Repeat),
        2 => node.clone().prop_map(Fault::CutOff),
        2 => node.clone().prop_map(|node| Fault::Timer(node, Timer::Campaign)),
        3 => node.clone().prop_map(|node| Fault::Timer(node, Timer::Heartbeat)),
        3 => node.clone().prop_map(|node| Fault::Timer(node, Timer::Resend)),
        6 => (node.clone(), 1u64..4).prop_map(|(node, count)| Fault::Propose(node, count)),
        3 => (node.clone(), 1u64..3).prop_map(|(node, count)| Fault::Read(node, count)),
        3 => (node.clone(), 0u64..3).prop_map(|(node, back)| Fault::Snapshot(node, back)),
        4 => node.clone().prop_map(Fault::Fetch),
        1 => (node.clone(), node.clone()).prop_map(|(node, from)| Fault::Install(node, from)),
        2 => node.clone().prop_map(Fault::HoldDisk),
        4 => node.clone().prop_map(Fault::Write),
        4 => node.clone().prop_map(Fault::SyncOldest),
        4 => node.clone().prop_map(Fault::Sync),
        1 => node.clone().prop_map(Fault::Crash),
        2 => node.prop_map(Fault::Restart),
    ]
}

impl Storm {
    fn suffer(&mut self, fault: &Fault) {
        let nodes = self.cluster.nodes.keys().copied().collect_vec();
        let node = |index: &usize| nodes[index % nodes.len()];
        // Most clients have found a node that leads or believes that it does.
        let leaders = nodes.iter().copied().filter(|&id| self.cluster.leads(id)).collect_vec();
        let client_of = |index: &usize| match leaders.len() {
            some @ 1.. if *index > 0 => leaders[index % some],
            _ => node(index),
        };
        let under_way = self.cluster.under_way.len();
        match fault {
            Fault::Deliver(_) | Fault::Lose(_) | Fault::Repeat(_) if under_way == 0 => {}
            Fault::Deliver(index) => self.deliver(index % under_way),
            Fault::DeliverOldest(count) => {
                for _ in 0..*count.min(&under_way) {
                    self.deliver(0);
                }
            }
            Fault::Lose(index) => {
                self.cluster.under_way.remove(index % under_way);
            }
            Fault::CutOff(index) => {
                let to = node(index);
                self.cluster.under_way.retain(|sent| sent.to != to);
            }
            Fault::Repeat(index) => {
                let sent = self.cluster.under_way[index % under_way].clone();
                self.cluster.under_way.push(sent);
            }
            Fault::Timer(index, timer) => self.step(node(index), Event::Timer(*timer)),
            Fault::Propose(index, count) => self.propose(client_of(index), *count),
            Fault::Read(index, count) => self.read(client_of(index), *count),
            Fault::Snapshot(index, back) => {
                let node = &self.cluster.nodes[&node(index)];
                let (id, below) = (node.config.id, Slot(node.apply_next.0.saturating_sub(*back)));
                if below > node.snapshot {
                    let event = self.cluster.snapshot(id, below);
                    self.step(id, event);
                }
            }
            Fault::Fetch(index) => self.fetch(node(index)),
            Fault::Install(index, from) => self.install(node(index), node(from)),
            Fault::HoldDisk(index) => {
                self.cluster.held.insert(node(index));
            }
            Fault::Write(index) => self.cluster.write(node(index)),
            Fault::SyncOldest(index) => {
                if let Some(released) = self.cluster.sync_oldest(node(index)).unwrap() {
                    self.note(node(index), released);
                }
            }
            Fault::Sync(index) => self.sync_if_held(node(index)),
            Fault::Crash(index) => {
                self.wanted.remove(&node(index));
                self.cluster.crash(node(index));
            }
            Fault::Restart(index) => self.restart_if_down(node(index)),
        }
    }

    fn deliver(&mut self, index: usize) {
        let sent = self.cluster.under_way.remove(index);
        self.step(sent.to, Event::Message { from: sent.from, message: sent.message });
    }

    fn step(&mut self, id: NodeId, event: Event) {
        if let Some(released) = self.cluster.handle(id, event).unwrap() {
            self.note(id, released);
        }
    }

    fn sync_if_held(&mut self, id: NodeId) {
        if self.cluster.held.remove(&id) {
            let released = self.cluster.sync(id).unwrap();
            self.note(id, released);
        }
    }

    fn note(&mut self, id: NodeId, released: Effects) {
        self.wanted.extend(released.fetch.last().map(|from| (id, *from)));
        self.answered.extend(released.reads);
    }

    fn restart_if_down(&mut self, id: NodeId) {
        if self.cluster.nodes[&id].replica.is_some() {
            return;
        }
        if let Some(unrecorded) = self.cluster.restart(id).unwrap() {
            self.step(id, unrecorded);
        }
        let noted = self.cluster.noted(id);
        self.step(id, noted);
    }

    fn fetch(&mut self, id: NodeId) {
        if let Some(from) = self.wanted.remove(&id) {
            self.install(id, from);
        }
    }

    fn install(&mut self, id: NodeId, from: NodeId) {
        if let Some(event) = self.cluster.install(id, from) {
            self.step(id, event);
        }
    }

    fn tokens(&mut self, count: u64) -> Vec<Token> {
        let tokens = self.asked..self.asked + count;
        self.asked = tokens.end;
        tokens.map(Token).collect()
    }

    fn read(&mut self, id: NodeId, count: u64) {
        let tokens = self.tokens(count);
        self.step(id, Event::Read(tokens));
    }

    /// All commands differ, so that the test finds a value in the wrong slot.
    fn propose(&mut self, id: NodeId, count: u64) {
        let proposals = self
            .tokens(count)
            .into_iter()
            .map(|token| Proposal { token, command: token.0.to_string().into_bytes().into() });
        self.step(id, Event::Propose(proposals.collect()));
    }

    /// Ends the faults. Asserts that then one node leads, that all nodes know the same log, that a new command is
    /// chosen, and that a read sees it.
    fn calm_down(&mut self) {
        let nodes = self.cluster.nodes.keys().copied().collect_vec();
        for &id in &nodes {
            self.sync_if_held(id);
            self.restart_if_down(id);
        }
        // A node that is too far behind to hold the reported values cannot lead. Another node does.
        let leaders = nodes.iter().flat_map(|&id| std::iter::repeat_n(id, 10));
        for leader in leaders {
            self.deliver_all();
            if !self.cluster.leads(leader) {
                self.step(leader, Event::Timer(Timer::Campaign));
                continue;
            }
            for timer in [Timer::Resend, Timer::Heartbeat] {
                self.step(leader, Event::Timer(timer));
            }
            self.deliver_all();
            // A leader of an old ballot may have been refused just now.
            if self.cluster.leads(leader) && self.agree() {
                let before = self.cluster.chosen().len();
                self.propose(leader, 1);
                self.deliver_all();
                assert!(self.agree());
                let chosen = self.cluster.chosen();
                assert_eq!(chosen.len(), before + 1, "the leader's command is chosen");
                let commands = chosen.values().map(|choice| &choice.value);
                let commands = commands.filter(|value| **value != Value::Noop);
                assert!(commands.clone().all_unique(), "no command is chosen twice");
                self.read(leader, 1);
                self.deliver_all();
                let read = self.answered.last().expect("somebody has read");
                assert_eq!(read.token, Token(self.asked - 1), "the read is confirmed");
                assert!(read.at <= self.cluster.nodes[&leader].apply_next, "and can be answered");
                return;
            }
        }
        panic!("a calm cluster with one proposer has not come to rest");
    }

    fn deliver_all(&mut self) {
        while !self.cluster.under_way.is_empty() {
            self.deliver(0);
            while let Some(&id) = self.wanted.keys().next() {
                self.fetch(id);
            }
        }
    }

    /// Returns true if all nodes know all chosen values, and if there is no gap between these.
    fn agree(&self) -> bool {
        let chosen = self.cluster.chosen();
        let gapless = chosen.keys().enumerate().all(|(index, slot)| slot.0 == index as u64);
        let all = self.cluster.nodes.values().filter_map(|node| node.replica.as_ref());
        gapless && { all }.all(|replica| {
            let (acceptor, learner) = (replica.parts().acceptor, replica.parts().learner);
            let kept =
                chosen.range(acceptor.trimmed..).map(|(slot, choice)| (*slot, &choice.value));
            learner.below.0 == chosen.len() as u64 && learner.values().eq(kept)
        })
    }
}
