//! The monitors of replicas report a disk that forgets and a node that lies.

use paxos::{Config, Event, NodeId, Proposal, Slot, Timer, Token};
use paxos_simulator::replicas::{Cluster, Violation};
use paxos_store::Memory;

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

fn cluster() -> Cluster {
    Cluster::new(NODES.map(|id| Config::new(id, NODES))).expect("a majority of three is two")
}

/// Delivers all messages between two nodes, and loses those to the third.
fn deliver_between(cluster: &mut Cluster, pair: [NodeId; 2]) -> Result<(), Violation> {
    while !cluster.under_way.is_empty() {
        let sent = cluster.under_way.remove(0);
        if pair.contains(&sent.to) {
            cluster.handle(sent.to, Event::Message { from: sent.from, message: sent.message })?;
        }
    }
    Ok(())
}

/// Lets the first node of a pair campaign and propose a command. Only the other node of the pair gets its messages.
fn choose(
    cluster: &mut Cluster,
    pair: [NodeId; 2],
    command: &'static str,
) -> Result<(), Violation> {
    cluster.handle(pair[0], Event::Timer(Timer::Campaign))?;
    deliver_between(cluster, pair)?;
    assert!(cluster.leads(pair[0]));
    let proposal = Proposal { token: Token(0), command: command.into() };
    cluster.handle(pair[0], Event::Propose(vec![proposal]))?;
    deliver_between(cluster, pair)
}

#[test]
fn a_disk_that_forgets_a_vote_is_seen() {
    let [one, two, three] = NODES;
    for forgets in [false, true] {
        let mut cluster = cluster();
        choose(&mut cluster, [one, two], "x").expect("nothing is wrong yet");
        let choice = cluster.chosen()[&Slot(0)].clone();
        assert_eq!(choice.voters, [one, two].into());
        cluster.crash(two);
        if forgets {
            // The disk has confirmed the vote, and has lost it.
            cluster.nodes.get_mut(&two).expect("it exists").disk = Memory::default();
        }
        cluster.restart(two).expect("its disk can be read");
        let later = choose(&mut cluster, [three, two], "y");
        if forgets {
            let seen = later.expect_err("two values").to_string();
            assert!(seen.starts_with("slot 0 has another vote in"), "{seen}");
        } else {
            later.expect("the new leader adopts the value");
            assert_eq!(cluster.chosen()[&Slot(0)], choice);
            assert_eq!(cluster.chosen().len(), 2, "its own value is in the next slot");
        }
    }
}

#[test]
fn a_disk_that_loses_records_while_its_node_runs_is_seen() {
    let mut cluster = cluster();
    choose(&mut cluster, [NODES[0], NODES[1]], "x").expect("nothing is wrong yet");
    cluster.nodes.get_mut(&NODES[1]).expect("it exists").disk = Memory::default();
    let again = choose(&mut cluster, [NODES[0], NODES[1]], "y").expect_err("records are missing");
    assert_eq!(again.to_string(), "node 2: its records are not its state");
}

/// The receiver of a lie cannot find it out, and the monitors can.
#[test]
fn a_value_that_was_not_chosen_is_seen_when_it_is_learned() {
    let mut cluster = cluster();
    let values = [paxos::Value::Command("never proposed".into())].into();
    let message = paxos::Message::Learned { first: Slot(0), values, more: false };
    let seen = cluster.handle(NODES[0], Event::Message { from: NODES[1], message });
    let seen = seen.expect_err("it has no votes").to_string();
    assert_eq!(seen, "node 1 learned in slot 0 what is not chosen");
}
