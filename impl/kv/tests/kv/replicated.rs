//! The key-value store on simulated nodes. All replicas execute the same requests with the same answers, although nodes
//! crash.

use bytes::Bytes;
use paxos_kv::{Action, Client, Kv};
use paxos_simulator::nodes::Simulation;

/// Returns the entry of a request. There are few keys, so that many requests have a key in common.
fn entry(number: u64) -> Bytes {
    let (key, value) = (format!("key {}", number % 5), format!("value {number}"));
    let words: &[&str] = match number * 7 % 11 {
        0 => &["DEL", &key],
        1 => &["MSET", &key, "1", "key 0", &value],
        2 => &["SET", &key, &value, "NX", "GET"],
        3 => &["SET", &key, "1"],
        4 | 5 => &["APPEND", &key, &value],
        6 => &["GETDEL", &key],
        _ => &["INCR", &key],
    };
    let words: Vec<_> = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
    match Client::new(7).handle(&words) {
        Action::Write { entry, .. } => entry,
        other => panic!("{words:?} changes the state, and is no {other:?}"),
    }
}

#[test]
fn replicas_of_the_store_do_not_differ() {
    for seed in 0..10 {
        let mut simulation = Simulation::new(seed, 3, Kv::default);
        let link = &mut simulation.network.link;
        (link.loss, link.duplication, link.damage) = (0.05, 0.05, 0.01);
        simulation.stall = 0.05;
        simulation.storm(100, entry);
        simulation.settle();
        assert!(simulation.counts.answers > 0, "seed {seed}");
    }
}
