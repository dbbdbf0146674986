//! Clusters in storms and under single faults, and their state afterwards.

use std::time::Duration;

use paxos::{NodeId, Record};
use paxos_node::Options;
use paxos_simulator::nodes::{Simulation, options};

use crate::ledger::{Ledger, command, simulation};

/// Returns three nodes, one second after their start, and their leader.
fn led(seed: u64) -> (Simulation<Ledger>, NodeId) {
    let mut simulation = simulation(seed, 3);
    simulation.run(Duration::from_secs(1));
    let leaders = simulation.leaders();
    assert_eq!(leaders.len(), 1, "seed {seed}");
    (simulation, leaders[0])
}

fn others(simulation: &Simulation<Ledger>, node: NodeId) -> Vec<NodeId> {
    simulation.up().into_iter().filter(|&id| id != node).collect()
}

#[test]
fn a_calm_cluster_has_one_leader_and_keeps_it() {
    let (mut simulation, leader) = led(1);
    simulation.run(Duration::from_secs(5));
    assert_eq!(simulation.leaders(), [leader]);
    simulation.settle();
}

/// A follower that was cut off, even for long, comes back without an election.
#[test]
fn a_node_that_comes_back_causes_no_election() {
    for seed in 0..10 {
        let (mut simulation, leader) = led(seed);
        let follower = others(&simulation, leader)[0];
        simulation.network.partition(&[vec![follower], others(&simulation, follower)]);
        simulation.run(Duration::from_secs(3));
        simulation.network.heal();
        simulation.run(Duration::from_secs(1));
        assert_eq!(simulation.leaders(), [leader], "seed {seed}");
        simulation.crash(follower);
        simulation.run(Duration::from_secs(1));
        simulation.start(follower);
        simulation.run(Duration::from_secs(1));
        assert_eq!(simulation.leaders(), [leader], "seed {seed}");
        simulation.settle();
    }
}

/// A leader that can send but not receive is replaced.
#[test]
fn a_deaf_leader_is_replaced() {
    for seed in 0..10 {
        let (mut simulation, leader) = led(seed);
        let others = others(&simulation, leader);
        for &other in &others {
            simulation.network.cut(other, leader);
        }
        simulation.propose(leader, command(0));
        simulation.run(Duration::from_secs(2));
        let leaders = simulation.leaders();
        assert!(leaders.iter().any(|id| others.contains(id)), "seed {seed}: {leaders:?}");
        let second = simulation.propose(others[0], command(1));
        simulation.run(Duration::from_secs(1));
        assert!(simulation.answer(second).is_some(), "seed {seed}");
        simulation.settle();
    }
}

/// A leader that was cut off during the next election serves its clients again as soon as it hears of the next leader.
/// It does not wait until a client of another node writes.
#[test]
fn a_leader_that_was_replaced_serves_its_clients() {
    for (seed, nodes) in [3, 5, 7].into_iter().enumerate() {
        let mut simulation = simulation(seed as u64, nodes);
        simulation.run(Duration::from_secs(1));
        let leader = simulation.leaders()[0];
        simulation.network.partition(&[vec![leader], others(&simulation, leader)]);
        simulation.run(Duration::from_secs(2));
        simulation.network.heal();
        simulation.run(Duration::from_secs(1));
        simulation.read(leader, |_| {});
        simulation.run(Duration::from_millis(500));
        assert_eq!(simulation.counts.reads, 1, "{nodes} nodes");
        let written = simulation.propose(leader, command(0));
        simulation.run(Duration::from_secs(1));
        assert!(simulation.answer(written).is_some(), "{nodes} nodes");
        simulation.settle();
    }
}

/// The cluster survives loss, repetition, damage, delay, crashes, cut links, and failing and stalling disks.
#[test]
fn storms() {
    let seeds = std::env::var("PAXOS_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let mut all = Vec::new();
    for seed in 0..seeds.unwrap_or(20) {
        println!("seed {seed}");
        let mut simulation = simulation(seed, if seed % 3 == 0 { 5 } else { 3 });
        let link = &mut simulation.network.link;
        (link.loss, link.duplication, link.damage) = (0.05, 0.05, 0.01);
        simulation.stall = if seed % 2 == 0 { 0.1 } else { 0.0 };
        simulation.storm(150, command);
        simulation.settle();
        // A cluster that has settled answers each client.
        let asked = simulation.up().into_iter().map(|id| simulation.propose(id, command(1 << 32)));
        let asked: Vec<_> = asked.collect();
        simulation.run(Duration::from_secs(1));
        assert!(asked.iter().all(|number| simulation.answer(*number).is_some()), "seed {seed}");
        simulation.settle();
        let counts = simulation.counts.clone();
        assert!(counts.answers > asked.len() as u64 && counts.reads > 0, "seed {seed}: {counts:?}");
        all.push(counts);
    }
    assert!(all.iter().any(|counts| counts.unvoted > 0), "no disk failed under a proposal");
    assert!(all.iter().any(|counts| counts.stalls > 0), "no sync took long");
    assert!(all.iter().any(|counts| counts.damaged > 0), "no frame was damaged");
    assert!(all.iter().any(|counts| counts.restarts > 0), "no node came back");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut simulation = simulation(seed, 3);
        simulation.network.link.loss = 0.1;
        simulation.stall = 0.1;
        simulation.storm(60, command);
        (simulation.history(), simulation.counts.clone(), simulation.leaders())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6), "another seed is another run");
}

/// A leader whose disk stalls is replaced. It contradicts the next leader neither when its sync ends at last, nor when
/// it crashes before.
#[test]
fn a_leader_whose_disk_stalls_is_replaced() {
    for seed in 0..10 {
        let (mut simulation, leader) = led(seed);
        simulation.stall_next(leader, Duration::from_millis(2500));
        let first = simulation.propose(leader, command(0));
        assert_eq!(simulation.counts.stalls, 1, "seed {seed}: its turn syncs");
        simulation.run(Duration::from_millis(1500));
        let leaders = simulation.leaders();
        assert!(leaders.len() == 1 && leaders[0] != leader, "seed {seed}: {leaders:?}");
        let second = simulation.propose(leaders[0], command(1));
        simulation.run(Duration::from_millis(500));
        assert!(simulation.answer(second).is_some(), "seed {seed}: the next leader works");
        if seed % 2 == 0 {
            simulation.crash(leader);
            simulation.start(leader);
        }
        simulation.run(Duration::from_secs(2));
        assert_eq!(simulation.leaders(), leaders, "seed {seed}: the first one follows");
        simulation.settle();
        assert_eq!(simulation.answer(first).is_some(), seed % 2 != 0, "seed {seed}");
    }
}

/// The disk of a leader fails after the Accept messages have left and before the leader's own vote is durable. The
/// peers may vote. No node contradicts another, and neither does the leader if it comes back.
#[test]
fn a_disk_fails_between_a_proposal_and_the_leaders_vote() {
    for seed in 0..10 {
        let (mut simulation, leader) = led(seed);
        let votes = |simulation: &Simulation<Ledger>| {
            let records = simulation.disk(leader).records();
            let votes = records.iter().filter(|record| matches!(record, Record::Accepted { .. }));
            votes.cloned().collect::<Vec<_>>()
        };
        let before = votes(&simulation);
        simulation.disk(leader).fail_after(0);
        simulation.propose(leader, command(0));
        assert!(simulation.counts.unvoted > 0, "seed {seed}");
        assert!(!simulation.up().contains(&leader), "seed {seed}");
        assert_eq!(votes(&simulation), before, "seed {seed}: its own vote is lost");
        if seed % 2 == 0 {
            simulation.start(leader);
        }
        simulation.run(Duration::from_secs(2));
        assert_eq!(simulation.leaders().len(), 1, "seed {seed}");
        simulation.settle();
    }
}

/// Returns three nodes, the leader, and a node that is cut off and lacks this number of commands.
fn with_one_behind(
    seed: u64,
    options: &Options,
    commands: u64,
) -> (Simulation<Ledger>, NodeId, NodeId) {
    let mut simulation = Simulation::with_options(seed, 3, options.clone(), Ledger::default);
    simulation.run(Duration::from_secs(1));
    let leader = simulation.leaders()[0];
    let others = others(&simulation, leader);
    simulation.network.partition(&[vec![others[0]], vec![leader, others[1]]]);
    for number in 0..commands {
        simulation.propose(leader, command(number));
        simulation.run(Duration::from_micros(200));
    }
    simulation.run(Duration::from_secs(1));
    (simulation, leader, others[0])
}

/// A node that was cut off gets each chosen value that it lacks about once, although several heartbeats arrive before each
/// answer.
#[test]
fn a_node_that_catches_up_asks_for_each_value_once() {
    const SLOTS: u64 = 3_000;
    let options = options().snapshot_slots(1 << 20).build().expect("options that work");
    let (mut simulation, leader, cut_off) = with_one_behind(7, &options, SLOTS);
    let applied = |simulation: &mut Simulation<Ledger>, id| {
        simulation.status(id).expect("the node is up").applied_below.0
    };
    let lacked = applied(&mut simulation, leader) - applied(&mut simulation, cut_off);
    assert!(lacked >= SLOTS, "{lacked} slots");
    simulation.network.heal();
    // A heartbeat is due every 20 ms.
    simulation.network.link.delay = 60_000..=60_000;
    let before = simulation.counts.learned;
    simulation.run(Duration::from_secs(3));
    assert_eq!(applied(&mut simulation, cut_off), applied(&mut simulation, leader));
    let learned = simulation.counts.learned - before;
    assert!(learned >= lacked, "{learned} values for {lacked} slots");
    assert!(learned <= lacked + lacked / 4, "{learned} values for {lacked} slots");
    simulation.network.link.delay = 100..=3_000;
    simulation.settle();
}

/// A candidate that is far behind gets promises in parts of bounded size, and each vote about once in a ballot, although it
/// repeats its question before all parts have arrived. Its promise takes longer than any election timeout. The candidate leads all the
/// same, because no node begins another ballot while parts arrive.
#[test]
fn a_long_promise_comes_in_parts_and_once() {
    const SLOTS: u64 = 2_000;
    /// The votes in a part, of at most 80 bytes each.
    const PART: u64 = 50;
    let options = options().snapshot_slots(1 << 20).promise_part_bytes(PART as usize * 80);
    let options = options.build().expect("options that work");
    let mut long_elections = 0;
    for seed in 0..20 {
        let (mut simulation, leader, behind) = with_one_behind(seed, &options, SLOTS);
        simulation.crash(leader);
        let before = simulation.counts.clone();
        simulation.network.heal();
        // The question is repeated every 40 ms.
        simulation.network.link.delay = 5_000..=8_000;
        while simulation.leaders().is_empty() {
            simulation.run(Duration::from_millis(10));
        }
        let parts = simulation.counts.promise_parts - before.promise_parts;
        let reported = simulation.counts.reported - before.reported;
        let ballots = simulation.counts.ballots - before.ballots;
        assert!(reported <= (SLOTS + SLOTS / 4) * ballots, "seed {seed}: {reported} votes");
        assert!(reported <= parts * PART, "seed {seed}: {reported} votes in {parts} parts");
        if simulation.leaders() == [behind] {
            assert!(parts >= SLOTS / PART, "seed {seed}: {parts} parts");
            long_elections += 1;
        }
        simulation.network.link.delay = 100..=3_000;
        simulation.start(leader);
        simulation.settle();
    }
    assert!(long_elections > 0, "no promise was long");
}

/// After a restart of all nodes, the new leader does not propose again what was chosen before, and the promises do not report
/// it. Each node knows it from the note in its store.
#[test]
fn chosen_values_are_not_proposed_again_after_a_restart_of_all_nodes() {
    const SLOTS: u64 = 3_000;
    let options = options().snapshot_slots(1 << 20).build().expect("options that work");
    for seed in 0..5 {
        let mut simulation = Simulation::with_options(seed, 3, options.clone(), Ledger::default);
        simulation.run(Duration::from_secs(1));
        let leader = simulation.leaders()[0];
        for number in 0..SLOTS {
            simulation.propose(leader, command(number));
            simulation.run(Duration::from_micros(200));
        }
        simulation.run(Duration::from_secs(1));
        let before = simulation.counts.clone();
        assert!(before.proposed >= SLOTS, "{before:?}");
        for id in (1..=3).map(NodeId) {
            simulation.crash(id);
        }
        for id in (1..=3).map(NodeId) {
            simulation.start(id);
        }
        simulation.settle();
        let (proposed, reported) = (
            simulation.counts.proposed - before.proposed,
            simulation.counts.reported - before.reported,
        );
        // The note lacks what the nodes learned after their last records, and `settle` proposes a few commands.
        let few = SLOTS / 10;
        assert!(proposed <= few, "seed {seed}: {proposed} values are proposed again");
        assert!(reported <= few, "seed {seed}: {reported} votes are reported");
    }
}
