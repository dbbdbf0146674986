//! A node that needs a snapshot, over a slow link, while the clients of the others go on.

use std::{io::Read, time::Duration};

use bytes::Bytes;
use paxos::NodeId;
use paxos_node::{Frozen, RestoreError, StateMachine};
use paxos_simulator::nodes::{Simulation, options};

/// A machine that keeps all commands whole, so that its state grows like the log.
#[derive(Default)]
struct Archive(Vec<u8>);

impl StateMachine for Archive {
    type Answer = Bytes;

    fn apply(&mut self, command: &[u8]) -> Bytes {
        self.0.extend(command);
        Bytes::new()
    }

    fn snapshot(&self) -> Frozen {
        let state = self.0.clone();
        Box::new(move |file| file.write_all(&state))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        let mut state = Vec::new();
        snapshot.read_to_end(&mut state)?;
        self.0 = state;
        Ok(())
    }
}

const COMMAND_BYTES: usize = 1_000;
const PART_BYTES: usize = 500;

/// Lets the clients of a node propose a command each millisecond, for this number of milliseconds.
fn put(simulation: &mut Simulation<Archive>, node: NodeId, milliseconds: u64) {
    for _ in 0..milliseconds {
        simulation.propose(node, vec![7; COMMAND_BYTES]);
        simulation.run(Duration::from_millis(1));
    }
}

fn applied(simulation: &mut Simulation<Archive>, node: NodeId) -> u64 {
    simulation.status(node).expect("the node is up").applied_below.0
}

/// The node takes longer to fetch a snapshot than the others would take to replace it by a newer one. It gets the
/// snapshot all the same, each part about once, and then the log.
#[test]
fn a_snapshot_is_not_replaced_while_a_peer_fetches_it() {
    const MILLISECONDS: u64 = 1_000;
    let options = options().snapshot_part_bytes(PART_BYTES).build().expect("options that work");
    for seed in 0..10 {
        let mut simulation = Simulation::with_options(seed, 3, options.clone(), Archive::default);
        simulation.run(Duration::from_secs(1));
        let leader = simulation.leaders()[0];
        let mut others = (1..=3).map(NodeId).filter(|&id| id != leader);
        let (behind, other) = others.next().zip(others.next()).expect("three nodes");
        simulation.network.partition(&[vec![behind], vec![leader, other]]);
        put(&mut simulation, leader, MILLISECONDS);
        let state_bytes = MILLISECONDS * COMMAND_BYTES as u64;
        assert_eq!(applied(&mut simulation, behind), 0, "seed {seed}");
        simulation.network.heal();
        // At most 32 parts come in a round trip of 4 ms, so that the state takes 250 ms. The log grows by an eighth of
        // the state in 100 ms.
        simulation.network.link.delay = 2_000..=2_000;
        let before = simulation.counts.snapshot_bytes;
        put(&mut simulation, leader, MILLISECONDS);
        let fetched = simulation.counts.snapshot_bytes - before;
        assert!(fetched >= state_bytes / 2, "seed {seed}: {fetched} bytes");
        assert!(fetched <= state_bytes * 5 / 4, "seed {seed}: {fetched} bytes");
        let lacks = applied(&mut simulation, leader) - applied(&mut simulation, behind);
        assert!(lacks < 50, "seed {seed}: {lacks} slots");
        simulation.network.link.delay = 100..=3_000;
        simulation.settle();
    }
}
