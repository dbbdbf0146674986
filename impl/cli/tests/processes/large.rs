//! A few large values, which together exceed the greatest length of a frame.

use std::{thread, time::Duration};

use super::{clients::Reply, cluster::Cluster, process::eventually, storm::seed};

/// The number of clients at once. Their values of `BYTES` bytes together exceed a frame.
const CLIENTS: usize = 10;
const BYTES: usize = 7 << 20;

#[test]
fn large_values_are_written_and_survive_a_leader() {
    let mut cluster = Cluster::formed(3, seed(), |_| {
        ["--request-timeout-ms", "60000"].map(str::to_owned).to_vec()
    });
    let leader = cluster.leader().expect("there is one");
    let followers: Vec<_> = cluster.ids().filter(|&id| id != leader).collect();
    let follower = followers[0];
    thread::scope(|scope| {
        // While nothing can be chosen, all writes accumulate.
        for &id in &followers {
            cluster.pause(id);
        }
        for client in 0..CLIENTS {
            let mut node = cluster.connect(leader).expect("it runs");
            scope.spawn(move || {
                let reply = node.ask(&["SET", &client.to_string(), &"x".repeat(BYTES)]);
                assert_eq!(reply.expect("an answer"), Reply::Simple("OK".to_owned()));
            });
        }
        thread::sleep(Duration::from_secs(2));
        for &id in &followers {
            cluster.resume(id);
        }
    });
    cluster.kill(leader);
    eventually("another leads", || cluster.leader().is_some());
    for client in 0..CLIENTS {
        let length =
            cluster.connect(follower).map(|mut node| node.ask(&["STRLEN", &client.to_string()]));
        assert!(matches!(length, Some(Ok(Reply::Integer(length))) if length == BYTES as u64));
    }
}
