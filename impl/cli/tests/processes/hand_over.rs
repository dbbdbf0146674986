//! Leaders that are stopped, or told to let another node lead, while clients write.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
};

use rustix::process::Signal;

use super::{
    clients::Reply,
    cluster::Cluster,
    process::{eventually, run},
    storm::seed,
};

/// A node without a leader campaigns only after 20 seconds.
fn slow(_: u32) -> Vec<String> {
    ["--election-timeout-ms", "20000", "--heartbeat-ms", "50", "--request-timeout-ms", "600000"]
        .map(str::to_owned)
        .to_vec()
}

fn leader_but(cluster: &Cluster, before: u32) -> u32 {
    let mut leader = None;
    eventually("another node leads", || {
        leader = cluster.leader().filter(|&leader| leader != before);
        leader.is_some()
    });
    leader.expect("it was waited for")
}

/// Clients of the other nodes write all the time. None of their writes is refused.
#[test]
fn a_leader_that_is_stopped_hands_over_and_no_write_is_refused() {
    let mut cluster = Cluster::formed(3, seed(), slow);
    let leader = cluster.leader().expect("it was waited for");
    let (stop, written) = (AtomicBool::new(false), AtomicU32::new(0));
    let others = cluster.ids().filter(|&id| id != leader);
    let clients: Vec<_> = others.map(|id| cluster.connect(id).expect("it runs")).collect();
    thread::scope(|scope| {
        for mut client in clients {
            let (stop, written) = (&stop, &written);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let reply = client.ask(&["INCR", "count"]).expect("an answer");
                    assert!(matches!(reply, Reply::Integer(_)), "{reply:?}");
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let writes = |count| {
            let before = written.load(Ordering::Relaxed);
            eventually("writes are answered", || written.load(Ordering::Relaxed) >= before + count);
        };
        writes(10);
        let ended = cluster.stop(leader);
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        assert!(ended.log.contains("\"hands over\""), "{}", ended.log);
        leader_but(&cluster, leader);
        writes(10);
        stop.store(true, Ordering::Relaxed);
    });
    let next = leader_but(&cluster, leader);
    let count = cluster.connect(next).expect("it runs").ask(&["GET", "count"]).expect("an answer");
    assert_eq!(count, Reply::Bulk(written.load(Ordering::Relaxed).to_string()), "each counts once");
}

/// A leader that has no followers stops only after an election timeout, or at a second signal.
#[test]
fn a_second_signal_stops_a_node_at_once() {
    let mut cluster = Cluster::formed(3, seed(), slow);
    let leader = cluster.leader().expect("it was waited for");
    for id in cluster.ids().filter(|&id| id != leader) {
        cluster.kill(id);
    }
    let mut client = cluster.connect(leader).expect("it runs");
    let asking = thread::spawn(move || client.ask(&["SET", "key", "value"]));
    eventually("the write waits", || {
        cluster.info(leader).is_some_and(|info| info["paxos_waiting_proposals"] != "0")
    });
    cluster.process(leader).signal(Signal::TERM);
    assert!(cluster.process(leader).line("\"stopping\"").is_some());
    let ended = cluster.stop(leader);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.log.contains("\"stopping at once\""), "{}", ended.log);
    let answer = asking.join().expect("it does not panic").expect("an answer");
    assert!(answer.is("MAYBE "), "{answer:?}");
}

#[test]
fn transfer_lets_the_named_node_lead() {
    let cluster = Cluster::formed(3, seed(), slow);
    let addresses: Vec<_> =
        cluster.ids().map(|id| cluster.client_address(id).to_string()).collect();
    let transfer = |node: &str, addresses: &[String]| {
        run(["transfer", node].into_iter().chain(addresses.iter().map(String::as_str)))
    };
    let leader = cluster.leader().expect("it was waited for");
    let next = cluster.ids().find(|&id| id != leader).expect("there are three");
    // A node that has not yet promised the ballot of the leader cannot take over.
    eventually("it has promised the ballot", || {
        let ballot = |id| cluster.info(id).map(|info| info["paxos_ballot"].clone());
        ballot(leader).is_some() && ballot(leader) == ballot(next)
    });
    for _ in 0..2 {
        let ended = transfer(&next.to_string(), &addresses);
        assert_eq!((ended.code, ended.output.as_str()), (Some(0), &*format!("node {next} leads")));
        assert_eq!(cluster.leader(), Some(next));
    }
    let silent = transfer("9", &addresses);
    assert_eq!(silent.code, Some(3), "{silent:?}");
    assert!(silent.log.contains("the leader does not hear of node 9"), "{}", silent.log);
    let place = leader as usize - 1;
    let follower = transfer("1", &addresses[place..=place]);
    assert_eq!(follower.code, Some(3), "{follower:?}");
    assert!(follower.log.contains("no node at these addresses leads"), "{}", follower.log);
    assert_eq!(transfer("two", &addresses).code, Some(2));
}
