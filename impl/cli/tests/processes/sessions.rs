//! A client that retries writes in a session, as the README describes.

use super::{clients::Reply, cluster::Cluster, process::eventually, storm::seed};

#[test]
fn a_retried_write_is_applied_once() {
    let mut cluster = Cluster::formed(3, seed(), |_| Vec::new());
    let ask = |cluster: &Cluster, id: u32, words: &str| {
        let mut reply = Reply::Null;
        eventually("there is an answer", || {
            let words: Vec<_> = words.split(' ').collect();
            let answer = cluster.connect(id).and_then(|mut node| node.ask(&words).ok());
            // These errors mean that the client should retry.
            let asks_again = |reply: &Reply| reply.is("MAYBE ") || reply.is("CLUSTERDOWN ");
            let answer = answer.filter(|reply| !asks_again(reply));
            answer.map(|answer| reply = answer).is_some()
        });
        reply
    };
    // The first write makes the node open a session of its own, in the first slot.
    ask(&cluster, 1, "SET hits 0");
    let Reply::Integer(session) = ask(&cluster, 1, "PAXOS SESSION") else { panic!("no number") };
    let once = |numbers: &str, command: &str| format!("PAXOS ONCE {session} {numbers} {command}");
    for id in cluster.ids() {
        assert_eq!(ask(&cluster, id, &once("0 0", "INCR hits")), Reply::Integer(1), "node {id}");
    }
    let leader = cluster.leader().expect("it has answered");
    cluster.kill(leader);
    let id = cluster.ids().find(|&id| id != leader).expect("two more");
    assert_eq!(ask(&cluster, id, &once("0 0", "INCR hits")), Reply::Integer(1));
    assert_eq!(ask(&cluster, id, &once("1 1", "INCR hits")), Reply::Integer(2));
    for wrong in [
        once("0 0", "INCR hits"),                      // The answer was heard.
        "PAXOS ONCE 0 5 0 INCR hits".to_owned(),       // The session of a node.
        "PAXOS ONCE 1000000 0 0 INCR hits".to_owned(), // There is no such session.
    ] {
        let answer = ask(&cluster, id, &wrong);
        assert!(answer.is("NOANSWER "), "{wrong}: {answer:?}");
    }
    assert_eq!(ask(&cluster, id, "GET hits"), Reply::Bulk("2".to_owned()));
}
