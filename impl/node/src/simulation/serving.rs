//! A node whose snapshot a peer fetches. The test plays node 2, which leads, and which is the peer as well.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Ledger,
    outbox::Outbox,
    quick,
    restoring::{Follower, Restore, log, requests},
};
use crate::{Packet, session::Request, turn::ManualNode};
use paxos::{
    config::Config,
    message::Message,
    types::{NodeId, Slot, Value},
};
use paxos_simulator::disk::Disk;
use paxos_store::StoreId;

const FIRST: Packet = Packet::Fetch { below: None, offset: 0 };

/// The snapshots whose first parts are among these packets.
fn first_parts(sent: &[Packet]) -> Vec<Slot> {
    let below = |packet: &Packet| match packet {
        Packet::Chunk { below, offset: 0, .. } => Some(*below),
        _ => None,
    };
    sent.iter().filter_map(below).collect()
}

/// Lets the node apply the log up to a slot. Returns the job of the snapshot that is then due.
fn applies(node: &mut Follower, log: &[Value], below: usize) -> Restore {
    node.learns(log, below);
    node.turn([]);
    node.node.take_job().expect("a snapshot is due every 20 slots")
}

/// A peer that asks while the next snapshot is written gets that one once it is durable, without another question.
#[test]
fn a_peer_gets_the_snapshot_that_is_written() {
    let mut node = Follower::new();
    let log = log(&requests(60));
    let job = applies(&mut node, &log, 25);
    node.restores(job);
    let job = applies(&mut node, &log, 50);
    assert!(first_parts(&node.hears(FIRST)).is_empty());
    node.node.saved(job.run(|_| Ok(()))).expect("the store works");
    assert_eq!(first_parts(&node.turn([])), [Slot(50)]);
    assert!(first_parts(&node.turn([])).is_empty());
}

/// A peer that learns the log behind a snapshot counts as one that fetches. So a peer that asks for the first part does not
/// wait for a snapshot that was begun meanwhile.
#[test]
fn a_peer_that_learns_the_kept_log_still_fetches() {
    const LONG_BYTES: usize = 4 << 20;
    for learns in [false, true] {
        let mut node = Follower::new();
        let long = |request: Request| {
            request.map(|command| {
                let mut command = command.to_vec();
                command.resize(LONG_BYTES, 0);
                command.into()
            })
        };
        let mut requests = requests(80);
        let tail = requests.split_off(12);
        let requests: Vec<_> = requests.into_iter().map(long).chain(tail).collect();
        let log = log(&requests);
        let job = applies(&mut node, &log, 25);
        node.restores(job);
        assert_eq!(first_parts(&node.hears(FIRST)), [Slot(25)]);
        if learns {
            node.now = Duration::from_secs(50);
            node.hears_message(Message::Learn { from: Slot(0) });
        }
        node.now = Duration::from_secs(70);
        let job = applies(&mut node, &log, 50);
        assert_eq!(!first_parts(&node.hears(FIRST)).is_empty(), learns);
        node.restores(job);
    }
}

/// While a snapshot arrives, a turn takes few packets. The next turn follows at once.
#[test]
fn packets_that_a_turn_leaves_are_taken_at_once() {
    let config = Config::new(NodeId(1), [1, 2, 3].map(NodeId));
    let store = Disk::new(StoreId(1));
    let node = ManualNode::recover(config, quick(), Ledger::default(), store.open());
    let (_, mut node) = node.expect("its own store");
    let mut outbox = Outbox::of(&store);
    let mut turn = |node: &mut ManualNode<_, _>| {
        assert!(node.turn(Duration::ZERO, &mut outbox).expect("it goes on"));
        node.wake_at()
    };
    node.deliver(NodeId(2), Packet::Message(Message::Trimmed { below: Slot(10) }));
    assert!(turn(&mut node) > Some(Duration::ZERO));
    let part = || Packet::Chunk { below: Slot(10), length: 9, offset: 3, part: Bytes::new() };
    (0..7).for_each(|_| node.deliver(NodeId(2), part()));
    assert_eq!(turn(&mut node), Some(Duration::ZERO), "three are left");
    assert!(turn(&mut node) > Some(Duration::ZERO));
}
