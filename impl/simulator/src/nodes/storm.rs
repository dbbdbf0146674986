//! Storms, and the calm after them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use paxos::NodeId;
use paxos_node::{Answer as _, StateMachine};
use rand::RngExt as _;

use super::{DELAY, Simulation};
use crate::network::Link;

impl<M: StateMachine> Simulation<M> {
    /// Lets `events` random events happen, with random times between them: crashes, restarts, failing disks, cut links,
    /// nodes that are cut off, reads and commands. `command` makes the command for the number of a proposal. The faults
    /// of links and the probability of long syncs stay as the caller has set them.
    pub fn storm<C: Into<Bytes>>(&mut self, events: u32, mut command: impl FnMut(u64) -> C) {
        let all: Vec<_> = self.nodes.keys().copied().collect();
        for _ in 0..events {
            let any = all[self.random.random_range(0..all.len())];
            let other = all[self.random.random_range(0..all.len())];
            match self.random.random_range(0..20) {
                0 => self.crash(any),
                1 => {
                    let changes = self.random.random_range(0..5);
                    self.disk(any).fail_after(changes);
                }
                2..=4 => self.start(any),
                5 => self.network.cut(any, other),
                6 => {
                    let (one, rest) = all.iter().copied().partition(|id| *id == any);
                    self.network.partition(&[one, rest]);
                }
                7 | 8 => self.network.heal(),
                9..=11 => self.read(any, |_| {}),
                _ => {
                    for _ in 0..3 {
                        let command = command(self.counts.proposals);
                        self.propose(any, command);
                    }
                }
            }
            let time = self.random.random_range(1..60);
            self.run(Duration::from_millis(time));
        }
    }

    /// Ends all faults, starts all nodes, and lets enough time pass for all requests to end. Then checks that no
    /// request waits, that each node answers a read, and that each state is the one to which the history leads.
    ///
    /// The check compares snapshots, so equal states must write equal snapshots.
    ///
    /// # Panics
    /// Panics if a check fails.
    pub fn settle(&mut self) {
        self.stall = 0.0;
        self.network.heal();
        self.network.link = Link::calm(DELAY);
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.node(id).stall = None;
            self.disk(id).mend();
            self.start(id);
        }
        // Stalled syncs end, requests time out, and nodes that were away catch up.
        self.run(Duration::from_secs(5) + 2 * self.options.request_timeout());
        let states: Arc<Mutex<BTreeMap<NodeId, Vec<u8>>>> = Arc::default();
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            let states = states.clone();
            self.read(id, move |machine| {
                states.lock().expect("no reader panics").insert(id, bytes_of(machine));
            });
        }
        self.run(2 * self.options.request_timeout());
        let waiting = self.clients.waiting();
        if waiting > 0 {
            self.violate(&format!("{waiting} requests have no answer"));
        }
        let expected = bytes_of(&self.replayed());
        let states = states.lock().expect("no reader panics");
        for id in self.nodes.keys() {
            match states.get(id) {
                Some(state) if *state == expected => {}
                Some(_) => self.violate(&format!(
                    "the state of node {id} is not the one to which the history leads"
                )),
                None => self.violate(&format!("node {id} does not answer a read")),
            }
        }
    }

    /// Returns a new machine that has applied the history. Checks the answers.
    fn replayed(&self) -> M {
        let mut machine = (self.machine)();
        for (index, applied) in self.history.lock().applied.iter().enumerate() {
            if machine.apply(&applied.command).to_bytes() != applied.answer {
                self.violate(&format!(
                    "the answer to command {index} does not follow from the history"
                ));
            }
        }
        machine
    }
}

/// Returns the snapshot that a machine writes.
fn bytes_of(machine: &impl StateMachine) -> Vec<u8> {
    let mut bytes = Vec::new();
    machine.snapshot()(&mut bytes).expect("a snapshot can be written to memory");
    bytes
}
