//! Leaders that leave, or are told to let another node lead, while clients write.

use std::time::Duration;

use paxos::NodeId;
use paxos_node::TransferError;
use paxos_simulator::nodes::Simulation;

use crate::ledger::{Ledger, command, simulation};

/// The election timeout of a simulation.
const ELECTION_TIMEOUT: Duration = Duration::from_millis(150);
const STEP: Duration = Duration::from_millis(1);

/// Returns a cluster one second after its start, and its leader.
fn led(seed: u64, nodes: u32) -> (Simulation<Ledger>, NodeId) {
    let mut simulation = simulation(seed, nodes);
    simulation.run(Duration::from_secs(1));
    let leaders = simulation.leaders();
    assert_eq!(leaders.len(), 1, "seed {seed}");
    (simulation, leaders[0])
}

/// Proposes a command at each node.
fn write_everywhere(simulation: &mut Simulation<Ledger>) {
    for id in simulation.up() {
        simulation.propose(id, command(simulation.counts.proposals));
    }
}

/// Lets time pass until another node than `before` leads. Returns that node and the time that this took.
fn next_leader(simulation: &mut Simulation<Ledger>, before: NodeId) -> (NodeId, Duration) {
    let start = simulation.now();
    loop {
        simulation.run(STEP);
        let took = simulation.now().saturating_sub(start);
        if let Some(&leader) = simulation.leaders().iter().find(|leader| **leader != before) {
            return (leader, took);
        }
        assert!(took < ELECTION_TIMEOUT * 10, "no node leads: {simulation:?}");
    }
}

/// Asserts that every write was answered, so that none was refused. [`Simulation::settle`] checks that no answered
/// write is lost.
fn assert_all_answered(simulation: &mut Simulation<Ledger>) {
    simulation.settle();
    assert_eq!(simulation.counts.answers, simulation.counts.proposals, "{simulation:?}");
}

#[test]
fn a_leader_that_leaves_hands_over_and_refuses_no_write() {
    for seed in 0..200 {
        let (mut simulation, leader) = led(seed, if seed % 2 == 0 { 3 } else { 5 });
        for _ in 0..5 {
            write_everywhere(&mut simulation);
            simulation.run(STEP);
        }
        simulation.leave(leader);
        let (next, took) = next_leader(&mut simulation, leader);
        assert!(took < ELECTION_TIMEOUT / 3, "seed {seed}: {took:?}");
        simulation.run(ELECTION_TIMEOUT);
        assert!(!simulation.up().contains(&leader), "seed {seed}: it has left");
        assert_eq!(simulation.leaders(), [next], "seed {seed}: one election");
        write_everywhere(&mut simulation);
        simulation.run(ELECTION_TIMEOUT);
        assert_eq!(simulation.counts.answers, simulation.counts.proposals, "seed {seed}");
        simulation.start(leader);
        assert_all_answered(&mut simulation);
    }
}

/// Each write that arrives at a node during a hand-over is answered.
#[test]
fn writes_that_arrive_while_a_node_hands_over_are_answered() {
    for seed in 0..50 {
        let (mut simulation, leader) = led(seed, 3);
        let mut ended = simulation.transfer(leader, None).expect("it is up");
        let next = loop {
            write_everywhere(&mut simulation);
            simulation.run(STEP);
            if let Some(next) = ended.poll() {
                break next.expect("a calm network");
            }
        };
        assert_ne!(next, leader);
        simulation.run(ELECTION_TIMEOUT);
        assert_eq!(simulation.leaders(), [next], "seed {seed}");
        assert_all_answered(&mut simulation);
    }
}

#[test]
fn the_node_that_is_named_leads() {
    for seed in 0..20 {
        let (mut simulation, leader) = led(seed, 3);
        let named = *simulation.up().iter().rfind(|id| **id != leader).expect("there are two");
        let mut ended = simulation.transfer(leader, Some(named)).expect("it is up");
        let mut follower = simulation.transfer(named, None).expect("it is up");
        let refused = follower.poll().expect("at once");
        assert_eq!(refused, Err(TransferError::NotLeader(Some(leader))), "seed {seed}");
        simulation.run(ELECTION_TIMEOUT);
        assert_eq!(ended.poll(), Some(Ok(named)), "seed {seed}");
        assert_eq!(simulation.leaders(), [named], "seed {seed}");
    }
}

/// A leader without followers keeps its requests for an election timeout, and goes down.
#[test]
fn a_leader_that_is_cut_off_can_leave() {
    let (mut simulation, leader) = led(1, 3);
    let others = simulation.up().into_iter().filter(|&id| id != leader).collect();
    simulation.network.partition(&[vec![leader], others]);
    simulation.propose(leader, command(0));
    simulation.leave(leader);
    simulation.run(ELECTION_TIMEOUT / 2);
    assert!(simulation.up().contains(&leader));
    simulation.run(ELECTION_TIMEOUT);
    assert!(!simulation.up().contains(&leader));
    simulation.network.heal();
    simulation.start(leader);
    simulation.settle();
}

/// Nodes leave and come back in a storm of faults. Every run checks order, answers and reads.
#[test]
fn transfers_among_faults_lose_nothing() {
    for seed in 0..30 {
        let mut simulation = simulation(seed, 3);
        simulation.network.link.loss = 0.1;
        simulation.network.link.duplication = 0.1;
        simulation.stall = 0.01;
        for round in 0..40 {
            simulation.run(ELECTION_TIMEOUT);
            write_everywhere(&mut simulation);
            for id in simulation.leaders() {
                if round % 2 == 0 {
                    simulation.leave(id);
                } else {
                    drop(simulation.transfer(id, None));
                }
            }
            for id in (1..=3).map(NodeId) {
                if round % 4 == 3 {
                    simulation.start(id);
                }
            }
        }
        simulation.network.link.loss = 0.0;
        simulation.stall = 0.0;
        // A node that was told to leave in the last round may still have requests. It goes down when they have ended.
        simulation.run(Duration::from_secs(4));
        (1..=3).for_each(|id| simulation.start(NodeId(id)));
        simulation.settle();
        assert!(simulation.counts.answers > 0, "seed {seed}");
    }
}
