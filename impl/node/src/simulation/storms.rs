//! What happens to clusters, and what has to be so afterwards.

use std::time::Duration;

use rand::RngExt as _;

use super::{Simulation, slots};
use paxos_store::Storage as _;

#[test]
fn a_calm_cluster_has_one_leader_and_keeps_it() {
    let mut simulation = Simulation::new(1, 3);
    simulation.run(Duration::from_secs(1));
    let leaders = simulation.leaders();
    assert_eq!(leaders.len(), 1);
    simulation.run(Duration::from_secs(5));
    assert_eq!(simulation.leaders(), leaders);
    simulation.calm_down();
}

/// A follower that was away, even for long, comes back without an election.
#[test]
fn a_node_that_comes_back_does_not_disturb() {
    for seed in 0..10 {
        let mut simulation = Simulation::new(seed, 3);
        simulation.run(Duration::from_secs(1));
        let leaders = simulation.leaders();
        let follower = *simulation.up().iter().find(|id| !leaders.contains(id)).expect("two");
        let others: Vec<_> = simulation.up().into_iter().filter(|&id| id != follower).collect();
        for &other in &others {
            simulation.cut.extend([(other, follower), (follower, other)]);
        }
        simulation.run(Duration::from_secs(3));
        simulation.cut.clear();
        simulation.run(Duration::from_secs(1));
        assert_eq!(simulation.leaders(), leaders, "seed {seed}");
        simulation.crash(follower);
        simulation.run(Duration::from_secs(1));
        simulation.start(follower);
        simulation.run(Duration::from_secs(1));
        assert_eq!(simulation.leaders(), leaders, "seed {seed}");
        simulation.calm_down();
    }
}

/// A leader that can speak and not hear gives way.
#[test]
fn a_deaf_leader_is_replaced() {
    for seed in 0..10 {
        let mut simulation = Simulation::new(seed, 3);
        simulation.run(Duration::from_secs(1));
        let leader = simulation.leaders()[0];
        let others: Vec<_> = simulation.up().into_iter().filter(|&id| id != leader).collect();
        simulation.cut.extend(others.iter().map(|&other| (other, leader)));
        simulation.propose(leader);
        simulation.run(Duration::from_secs(2));
        let leaders = simulation.leaders();
        assert!(leaders.iter().any(|id| others.contains(id)), "seed {seed}: {leaders:?}");
        simulation.propose(others[0]);
        simulation.run(Duration::from_secs(1));
        assert!(simulation.acknowledged.contains(&1), "seed {seed}");
        simulation.calm_down();
    }
}

/// Loss, repetition, delay, crashes, cut links, failing and stalling stores; the clients go on asking.
#[test]
fn storms() {
    let seeds = std::env::var("PAXOS_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let (mut bereft, mut stalled) = (0, 0);
    for seed in 0..seeds.unwrap_or(20) {
        println!("seed {seed}");
        let nodes = if seed % 3 == 0 { 5 } else { 3 };
        let mut simulation = Simulation::new(seed, nodes);
        (simulation.loss, simulation.repetition) = (50, 50);
        simulation.stalls = if seed % 2 == 0 { 100 } else { 0 };
        for _ in 0..150 {
            let all: Vec<_> = simulation.places.keys().copied().collect();
            let any = all[simulation.random.random_range(0..all.len())];
            let other = all[simulation.random.random_range(0..all.len())];
            match simulation.random.random_range(0..20) {
                0 => simulation.crash(any),
                1 => {
                    let left = simulation.random.random_range(0..5);
                    let place = &simulation.places[&any];
                    *place.changes_left.lock().expect("one thread") = Some(left);
                }
                2..=4 if simulation.places[&any].node.is_none() => simulation.start(any),
                5 => {
                    simulation.cut.insert((any, other));
                }
                6 | 7 => simulation.cut.clear(),
                8..=10 => simulation.read(any),
                _ => (0..3).for_each(|_| simulation.propose(any)),
            }
            let time = simulation.random.random_range(1..60);
            simulation.run(Duration::from_millis(time));
        }
        simulation.calm_down();
        assert!(!simulation.acknowledged.is_empty() && simulation.served > 0);
        (bereft, stalled) = (bereft + simulation.bereft, stalled + simulation.stalled);
    }
    assert!(bereft > 0, "no store has failed between a proposal and its sync");
    assert!(stalled > 0, "no sync took long");
}

/// A leader whose disk stands still gives way, and says nothing then that contradicts the next one: neither when
/// its sync is done after all, nor when it dies before that.
#[test]
fn a_leader_whose_store_stalls_is_replaced() {
    for seed in 0..10 {
        let mut simulation = Simulation::new(seed, 3);
        simulation.run(Duration::from_secs(1));
        let leader = simulation.leaders()[0];
        simulation.stalls = 1000;
        simulation.propose(leader);
        simulation.stalls = 0;
        let stall = simulation.places.get_mut(&leader).and_then(|place| place.stall.as_mut());
        stall.expect("its turn syncs").until += Duration::from_secs(2);
        simulation.run(Duration::from_millis(1500));
        let leaders = simulation.leaders();
        assert!(leaders.len() == 1 && leaders[0] != leader, "seed {seed}: {leaders:?}");
        simulation.propose(leaders[0]);
        simulation.run(Duration::from_millis(500));
        assert!(simulation.acknowledged.contains(&1), "seed {seed}: the next leader works");
        if seed % 2 == 0 {
            simulation.crash(leader);
            simulation.start(leader);
        }
        simulation.run(Duration::from_secs(2));
        assert_eq!(simulation.leaders(), leaders, "seed {seed}: the first one follows");
        simulation.calm_down();
        assert!(simulation.acknowledged.contains(&1));
    }
}

/// A leader whose store fails between what it proposes and its own vote for it: its peers vote, and what they
/// make of it contradicts nobody, this node included when it comes back.
#[test]
fn a_leader_fails_after_it_has_proposed() {
    for seed in 0..10 {
        let mut simulation = Simulation::new(seed, 3);
        simulation.run(Duration::from_secs(1));
        let leader = simulation.leaders()[0];
        let votes = |simulation: &Simulation| {
            let records = simulation.places[&leader].store.reopen().recover().unwrap();
            slots(&records)
        };
        let before = votes(&simulation);
        *simulation.places[&leader].changes_left.lock().expect("one thread") = Some(0);
        simulation.propose(leader);
        assert!(simulation.bereft > 0 && !simulation.up().contains(&leader), "seed {seed}");
        assert_eq!(votes(&simulation), before, "seed {seed}: its own vote is lost");
        if seed % 2 == 0 {
            simulation.start(leader);
        }
        simulation.run(Duration::from_secs(2));
        assert_eq!(simulation.leaders().len(), 1, "seed {seed}");
        simulation.calm_down();
    }
}
