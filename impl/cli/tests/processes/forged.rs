//! A member that sends ballots and slots that no correct node reaches.

use paxos::{Ballot, Message, NodeId, Report, Slot, To, Value};
use paxos_node::{Packet, Transport as _};

use super::{
    clients::Reply,
    cluster::Cluster,
    commands::scrape,
    member::{Member, addresses, listen},
    process::eventually,
    storm::seed,
};

fn forged(round: u64) -> Vec<Message> {
    let ballot = Ballot::new(round, NodeId(3)).expect("not zero");
    let low = Ballot::new(1, NodeId(3)).expect("not zero");
    let absurd = Slot(u64::MAX - 1);
    let report = |ballot, slot| Report { slot, ballot, value: Value::Noop };
    vec![
        Message::Prepare { ballot, first: Slot(0) },
        Message::Accept { ballot, first: Slot(0), values: [Value::Noop].into() },
        Message::Heartbeat { ballot, chosen_below: Slot(0) },
        Message::Nack { ballot: low, promised: ballot },
        Message::Confirm { ballot, round: 1 },
        Message::Promise {
            ballot: low,
            trimmed: Slot(0),
            reports: vec![report(ballot, Slot(0)), report(low, absurd)],
        },
        Message::Heartbeat { ballot: low, chosen_below: absurd },
        Message::Learned { first: absurd, values: [Value::Noop].into(), more: true },
        Message::Trimmed { below: absurd },
    ]
}

/// The other nodes refuse the packets, log the refusal, and keep serving. Afterwards they can elect another leader, so they
/// have not used up their ballots.
#[test]
fn a_forged_ballot_does_not_use_up_the_ballots() {
    let mut cluster = Cluster::new(3, seed(), |id| {
        let metrics = ["--metrics", "127.0.0.1:0"].map(str::to_owned).to_vec();
        if id == 1 { metrics } else { Vec::new() }
    });
    for id in [1, 2] {
        cluster.start(id);
    }
    let (listener, address) = listen();
    let peers = [1, 2].map(|peer| (peer, cluster.network.address((3, peer))));
    let mut forger = Member::start(addresses(3, peers), listener);
    cluster.network.lead_to(3, address);
    cluster.wait_for_leader();
    let answers = |cluster: &Cluster, id| {
        let reply = cluster.connect(id).map(|mut node| node.ask(&["INCR", "key"]));
        matches!(reply, Some(Ok(Reply::Integer(_))))
    };
    eventually("both serve", || [1, 2].iter().all(|&id| answers(&cluster, id)));

    let metrics = cluster.metrics_address(1);
    for message in forged(u64::MAX - 1) {
        forger.transport.send(To::Peers, Packet::Message(message));
    }
    for id in [1, 2] {
        let line = cluster.process(id).line("\"a packet is refused\"").expect("it is logged");
        for part in ["\"peer\":3", "ballot 18446744073709551614.3 is more than"] {
            assert!(line.contains(part), "no {part} in {line}");
        }
    }
    let count = forged(1).len();
    eventually("all are counted", || {
        let text = scrape(&metrics).unwrap_or_default();
        text.lines().any(|line| line == format!("paxos_implausible_total {count}"))
    });
    cluster.assert_no_node_has_ended();

    let leader = cluster.leader().expect("no node has deposed it");
    cluster.kill(leader);
    cluster.start(leader);
    eventually("both serve again", || [1, 2].iter().all(|&id| answers(&cluster, id)));
}
