//! The monitors of replicas report a disk that forgets and a node that lies.

use paxos::{Config, Event, Message, NodeId, Proposal, Slot, Timer, Token, Value};
use paxos_simulator::replicas::{Cluster, Violation};
use paxos_store::Memory;

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

fn cluster() -> Cluster {
    Cluster::new(NODES.map(|id| Config::new(id, NODES))).expect("a majority of three is two")
}

/// Delivers all messages to these nodes, and loses those to others.
fn deliver_between(cluster: &mut Cluster, nodes: &[NodeId]) -> Result<(), Violation> {
    while !cluster.under_way.is_empty() {
        let sent = cluster.under_way.remove(0);
        if nodes.contains(&sent.to) {
            cluster.handle(sent.to, Event::Message { from: sent.from, message: sent.message })?;
        }
    }
    Ok(())
}

/// Lets the first of some nodes campaign and propose a command. Only the others of these nodes get its messages.
fn choose(cluster: &mut Cluster, nodes: &[NodeId], command: &'static str) -> Result<(), Violation> {
    propose(cluster, nodes, command)?;
    deliver_between(cluster, nodes)
}

/// Like [`choose`], but leaves the messages of the proposal under way.
fn propose(
    cluster: &mut Cluster,
    nodes: &[NodeId],
    command: &'static str,
) -> Result<(), Violation> {
    cluster.handle(nodes[0], Event::Timer(Timer::Campaign))?;
    deliver_between(cluster, nodes)?;
    assert!(cluster.leads(nodes[0]));
    let proposal = Proposal { token: Token(0), command: command.into() };
    cluster.handle(nodes[0], Event::Propose(vec![proposal]))?;
    Ok(())
}

#[test]
fn a_disk_that_forgets_a_vote_is_seen() {
    let [one, two, three] = NODES;
    for forgets in [false, true] {
        let mut cluster = cluster();
        choose(&mut cluster, &[one, two], "x").expect("nothing is wrong yet");
        let choice = cluster.chosen()[&Slot(0)].clone();
        assert_eq!(choice.voters, [one, two].into());
        cluster.crash(two);
        if forgets {
            // The disk has confirmed the vote, and has lost it.
            cluster.nodes.get_mut(&two).expect("it exists").disk = Memory::default();
        }
        cluster.restart(two).expect("its disk can be read");
        let later = choose(&mut cluster, &[three, two], "y");
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
    choose(&mut cluster, &NODES[..2], "x").expect("nothing is wrong yet");
    cluster.nodes.get_mut(&NODES[1]).expect("it exists").disk = Memory::default();
    let again = choose(&mut cluster, &NODES[..2], "y").expect_err("records are missing");
    assert_eq!(again.to_string(), "node 2: its records are not its state");
}

/// The receiver of a lie cannot find it out, and the monitors can.
#[test]
fn a_value_that_was_not_chosen_is_seen_when_it_is_learned() {
    let mut cluster = cluster();
    let values = [Value::Command("never proposed".into())].into();
    let message = Message::Learned { first: Slot(0), values, more: false };
    let seen = cluster.handle(NODES[0], Event::Message { from: NODES[1], message });
    let seen = seen.expect_err("it has no votes").to_string();
    assert_eq!(seen, "node 1 learned in slot 0 what is not chosen");
}

/// A node that knows a chosen value without a vote may still vote for another value, in a lower ballot than the one that chose.
/// Its note must not cover that vote.
#[test]
fn a_note_does_not_cover_a_late_vote_for_another_value() {
    let nodes = [1, 2, 3, 4, 5].map(NodeId);
    let mut cluster = Cluster::new(nodes.map(|id| Config::new(id, nodes))).expect("good quorums");
    propose(&mut cluster, &nodes[..3], "x").expect("nothing is wrong");
    let late = cluster.under_way.drain(..).find(|sent| sent.to == nodes[4]).expect("to all");
    choose(&mut cluster, &nodes[1..4], "y").expect("nothing is wrong");
    let learned = Message::Learned {
        first: Slot(0),
        values: [cluster.chosen()[&Slot(0)].value.clone()].into(),
        more: false,
    };
    let last = nodes[4];
    cluster.handle(last, Event::Message { from: nodes[1], message: learned }).expect("true");
    assert_eq!(cluster.noted(last), Event::VotesChosen { below: Slot(1) });
    cluster.handle(last, Event::Message { from: late.from, message: late.message }).expect("true");
    assert_eq!(cluster.noted(last), Event::VotesChosen { below: Slot(0) });
    cluster.crash(last);
    cluster.restart(last).expect("its disk can be read");
    let noted = cluster.noted(last);
    cluster.handle(last, noted).expect("nothing is learned");
}
