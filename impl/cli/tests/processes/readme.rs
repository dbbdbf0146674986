//! The example of the README: start a cluster, write, kill the leader, read.
//!
//! The test needs `redis-cli`. Without it, the test prints that `redis-cli` is missing and tries nothing.

use std::process::{Command, Stdio};

use super::trying::{Trying, has_redis_cli};

#[test]
fn a_cluster_survives_its_leader() {
    if !has_redis_cli() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let cluster = Trying::start(3, &data.path().join("with a space"));
    let all = [1, 2, 3];
    cluster.status(&all);
    assert_eq!(cluster.redis(1, &["set", "greeting", "hello"]), "OK");

    let status = cluster.status(&all);
    let leader = status[1].split_whitespace().nth(3).expect("a column for the leader");
    let leader: u16 = leader.parse().expect("the number of a node");
    let killed = Command::new("kill").args(["-9", &cluster.pids[&leader]]).status().unwrap();
    assert!(killed.success());
    let rest: Vec<_> = all.into_iter().filter(|&node| node != leader).collect();
    for &node in &rest {
        assert_eq!(cluster.redis(node, &["get", "greeting"]), "hello", "node {node}");
    }
    assert_eq!(cluster.redis(rest[0], &["set", "greeting", "hello again"]), "OK");
    cluster.status(&rest);

    // The printed command starts the node again.
    cluster.line(&format!("node {leader} has ended"));
    let again = cluster.line("  ");
    let again = format!("exec {}", again.trim());
    let mut node = Command::new("sh").args(["-c", &again]).stderr(Stdio::null()).spawn().unwrap();
    cluster.status(&all);
    assert_eq!(cluster.redis(leader, &["get", "greeting"]), "hello again");
    node.kill().unwrap();
    node.wait().unwrap();
}

/// In a terminal, Ctrl-C reaches the nodes as well, and they may end first.
#[test]
fn a_cluster_that_is_interrupted_with_its_nodes_ends_in_order() {
    let data = tempfile::tempdir().unwrap();
    let mut cluster = Trying::start(3, data.path());
    cluster.status(&[1, 2, 3]);
    let own = cluster.process.id().to_string();
    let told = Command::new("kill").arg("-INT").args(cluster.pids.values()).arg(own).status();
    assert!(told.unwrap().success());
    assert_eq!(cluster.process.wait().unwrap().code(), Some(0));
    assert!(!cluster.lines.iter().any(|line| line.contains("has ended")));
}

/// SIGTERM reaches only the process of `paxos cluster`, which has to pass it on to the nodes.
#[test]
fn a_cluster_that_is_terminated_terminates_its_nodes() {
    let data = tempfile::tempdir().unwrap();
    let mut cluster = Trying::start(3, data.path());
    cluster.status(&[1, 2, 3]);
    let told = Command::new("kill").arg(cluster.process.id().to_string()).status().unwrap();
    assert!(told.success());
    assert_eq!(cluster.process.wait().unwrap().code(), Some(0));
    let stopping = cluster.lines.iter().filter(|line| line.contains("stopping"));
    assert_eq!(stopping.count(), 3, "each node logs that it stops");
}

/// A paused node does not end on SIGTERM. After a second signal the cluster does not wait for it.
#[test]
fn a_cluster_that_is_terminated_twice_kills_its_nodes() {
    let data = tempfile::tempdir().unwrap();
    let mut cluster = Trying::start(3, data.path());
    cluster.status(&[1, 2, 3]);
    let kill = |signal: &str, id: &str| {
        assert!(Command::new("kill").args([signal, id]).status().unwrap().success());
    };
    kill("-STOP", &cluster.pids[&1]);
    let own = cluster.process.id().to_string();
    kill("-TERM", &own);
    // A node that is not paused logs this line, so the first signal has arrived.
    cluster.line_with("stopping");
    assert!(matches!(cluster.process.try_wait(), Ok(None)), "it waits for the node");
    kill("-TERM", &own);
    assert_eq!(cluster.process.wait().unwrap().code(), Some(0));
    cluster.line("node 1 has not ended, and is killed after a second signal");
    let node = Command::new("kill").args(["-0", &cluster.pids[&1]]).stderr(Stdio::null()).status();
    assert!(!node.unwrap().success(), "the node is still there");
}
