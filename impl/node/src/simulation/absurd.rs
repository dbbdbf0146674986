//! A node whose peers send packets with arbitrary numbers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use tokio::sync::oneshot;

use super::{Ledger, outbox::Outbox, quick};
use crate::{
    Options, Packet, Status,
    node::{Input, Node},
    session::{Entry, Owner, SessionId},
    transfer::SNAPSHOT_BYTES_MAX,
};
use paxos::{
    batch::Batch,
    config::Config,
    message::{Message, Report},
    types::{Ballot, NodeId, Slot, Value},
};
use paxos_simulator::disk::{Disk, FaultyStore};
use paxos_store::StoreId;

/// The number of slots that the node holds beyond the end of its log.
const SLOTS_AHEAD_MAX: u64 = 16;

/// Node 1 of three, and its store.
fn node() -> (Node<Ledger, FaultyStore>, Disk) {
    let store = Disk::new(StoreId(1));
    let config = Config {
        slots_ahead_max: SLOTS_AHEAD_MAX,
        batch_slots_max: 8,
        ..Config::new(NodeId(1), [1, 2, 3].map(NodeId))
    };
    // Made-up snapshots and values contradict each other, so the node takes no snapshot of its own.
    let options = Options { snapshot_slots: u64::MAX, ..quick() };
    let node = Node::recover(config, options, Ledger::default(), store.open(), false);
    (node.expect("its own store"), store)
}

fn status(node: &mut Node<Ledger, FaultyStore>, store: &Disk, now: Duration) -> Status {
    let (reply, mut answer) = oneshot::channel();
    assert!(node.durable_turn([Input::Status(reply)], now, &mut Outbox::of(store)).unwrap());
    answer.try_recv().expect("an answer in the same turn")
}

fn from(node: u32, packet: Packet) -> Input<Ledger> {
    Input::Packet { from: NodeId(node), packet, room: None }
}

/// A single packet with an absurd number leaves no trace: the node then leads in its first ballot, and its log is
/// empty.
#[test]
fn one_absurd_packet_leaves_no_trace() {
    let most = u64::MAX - 1;
    let absurd = |node| Ballot::new(most, NodeId(node)).unwrap();
    let low = Ballot::new(1, NodeId(2)).unwrap();
    let (slot, values): (Slot, Batch) = (Slot(0), [Value::Noop].into());
    let report = |ballot, slot| Report { slot, ballot, value: Value::Noop };
    let messages = |own: Ballot| {
        [
            Message::Prepare { ballot: absurd(2), first: slot },
            Message::Prepare { ballot: low, first: Slot(most) },
            Message::Promise { ballot: absurd(1), trimmed: slot, reports: Vec::new() },
            Message::Promise { ballot: own, trimmed: slot, reports: vec![report(absurd(3), slot)] },
            Message::Promise { ballot: own, trimmed: slot, reports: vec![report(low, Slot(most))] },
            Message::Promise { ballot: own, trimmed: Slot(most), reports: Vec::new() },
            Message::Accept { ballot: absurd(2), first: slot, values: values.clone() },
            Message::Accept { ballot: low, first: Slot(most), values: values.clone() },
            Message::Accepted { ballot: own, first: Slot(most), count: most },
            Message::Nack { ballot: own, promised: absurd(3) },
            Message::Chosen { ballot: own, first: Slot(most), count: most },
            Message::Confirm { ballot: absurd(2), round: most },
            Message::Confirmed { ballot: own, round: most },
            Message::Heartbeat { ballot: absurd(2), chosen_below: slot },
            Message::Heartbeat { ballot: low, chosen_below: Slot(most) },
            Message::Learn { from: Slot(most) },
            Message::Learned { first: Slot(most), values: values.clone(), more: true },
            Message::Trimmed { below: Slot(most) },
        ]
        .map(Packet::Message)
    };
    let session = SessionId { owner: Owner::Node, slot };
    let entry =
        Entry::Command { session, sequence: most, answered_below: most, command: Bytes::new() };
    let others = || {
        [
            Packet::Forward(vec![entry.encode()]),
            Packet::ReadIndex { id: most },
            Packet::ReadAt { id: most, at: Slot(most) },
            Packet::Fetch { below: Some(Slot(most)), offset: most },
            Packet::Fetch { below: None, offset: most },
            Packet::Chunk { below: Slot(most), length: 0, offset: 0, part: Bytes::new() },
            Packet::Chunk {
                below: slot,
                length: most,
                offset: most,
                part: Bytes::from_static(b"x"),
            },
        ]
    };
    let own = Ballot::new(1, NodeId(1)).unwrap();
    for packet in messages(own).into_iter().chain(others()) {
        let (mut node, store) = node();
        let (mut now, mut sent) = (Duration::ZERO, Vec::new());
        let mut absurd = Some(packet.clone());
        // The peers agree to each message of the node, until it leads.
        while status(&mut node, &store, now).leader != Some(NodeId(1)) {
            assert!(now < Duration::from_secs(5), "it does not lead after {packet:?}");
            now += Duration::from_millis(5);
            let mut inputs = Vec::new();
            for (_, packet) in std::mem::take(&mut sent) {
                let answer = match packet {
                    Packet::PreVote => Packet::PreVoteGranted,
                    Packet::Message(Message::Prepare { ballot, .. }) => {
                        // The packet arrives while the node campaigns, when most of these packets could do harm.
                        inputs.extend(absurd.take().map(|packet| from(2, packet)));
                        let reports = Vec::new();
                        Packet::Message(Message::Promise { ballot, trimmed: slot, reports })
                    }
                    _ => continue,
                };
                inputs.push(from(3, answer));
            }
            let mut outbox = Outbox::of(&store);
            assert!(node.durable_turn(inputs, now, &mut outbox).unwrap());
            sent = outbox.sent;
        }
        let status = status(&mut node, &store, now);
        assert_eq!(status.promised, Some(own), "{packet:?}");
        assert_eq!((status.log_end, status.chosen_elsewhere_below), (slot, slot), "{packet:?}");
    }
}

fn number() -> impl Strategy<Value = u64> {
    let near = |middle: u64| middle - 2..=middle.saturating_add(2);
    prop_oneof![
        8 => 0u64..6,
        1 => near(SLOTS_AHEAD_MAX),
        1 => near(1 << 32),
        1 => near(SNAPSHOT_BYTES_MAX),
        1 => near(1 << 48),
        1 => near(u64::MAX),
        1 => any::<u64>(),
    ]
}

fn slot() -> impl Strategy<Value = Slot> {
    number().prop_map(Slot)
}

fn ballot() -> impl Strategy<Value = Ballot> {
    (number(), 1u32..5).prop_map(|(round, node)| Ballot::new(round.max(1), NodeId(node)).unwrap())
}

/// Values are no-ops, so that made-up messages cannot contradict each other.
fn batch() -> impl Strategy<Value = Batch> {
    (0usize..10).prop_map(|count| vec![Value::Noop; count].into())
}

fn report() -> impl Strategy<Value = Report> {
    (slot(), ballot()).prop_map(|(slot, ballot)| Report { slot, ballot, value: Value::Noop })
}

fn packet() -> BoxedStrategy<Packet> {
    let message = prop_oneof![
        (ballot(), slot()).prop_map(|(ballot, first)| Message::Prepare { ballot, first }),
        (ballot(), slot(), vec(report(), 0..4))
            .prop_map(|(ballot, trimmed, reports)| Message::Promise { ballot, trimmed, reports }),
        (ballot(), slot(), batch()).prop_map(|(ballot, first, values)| Message::Accept {
            ballot,
            first,
            values
        }),
        (ballot(), slot(), number()).prop_map(|(ballot, first, count)| Message::Accepted {
            ballot,
            first,
            count
        }),
        (ballot(), ballot()).prop_map(|(ballot, promised)| Message::Nack { ballot, promised }),
        (ballot(), slot(), number()).prop_map(|(ballot, first, count)| Message::Chosen {
            ballot,
            first,
            count
        }),
        (ballot(), number()).prop_map(|(ballot, round)| Message::Confirm { ballot, round }),
        (ballot(), number()).prop_map(|(ballot, round)| Message::Confirmed { ballot, round }),
        (ballot(), slot())
            .prop_map(|(ballot, chosen_below)| Message::Heartbeat { ballot, chosen_below }),
        slot().prop_map(|from| Message::Learn { from }),
        slot().prop_map(|below| Message::Trimmed { below }),
        (slot(), batch(), any::<bool>()).prop_map(|(first, values, more)| Message::Learned {
            first,
            values,
            more
        }),
    ];
    let entry =
        (slot(), number(), number(), any::<bool>()).prop_map(|(slot, sequence, heard, node)| {
            let owner = if node { Owner::Node } else { Owner::Client };
            let session = SessionId { owner, slot };
            Entry::Command { session, sequence, answered_below: heard, command: vec![0; 8].into() }
                .encode()
        });
    prop_oneof![
        8 => message.prop_map(Packet::Message),
        1 => vec(entry, 0..4).prop_map(Packet::Forward),
        1 => number().prop_map(|id| Packet::ReadIndex { id }),
        1 => (number(), slot()).prop_map(|(id, at)| Packet::ReadAt { id, at }),
        1 => prop_oneof![Just(Packet::PreVote), Just(Packet::PreVoteGranted), Just(Packet::Following)],
        1 => (proptest::option::of(slot()), number())
            .prop_map(|(below, offset)| Packet::Fetch { below, offset }),
        2 => (slot(), number(), number(), vec(any::<u8>(), 0..9)).prop_map(
            |(below, length, offset, part)| Packet::Chunk { below, length, offset, part: part.into() }
        ),
    ]
    .boxed()
}

proptest! {
    /// Nothing panics, no turn takes long, and the node's log stays short. The node also gets reads and commands, so
    /// that packets with its own numbers occur, too.
    #[test]
    fn any_numbers_are_survived(packets in vec((2u32..=3, packet()), 0..60)) {
        let (mut node, store) = node();
        let mut now = Duration::ZERO;
        for (index, (peer, packet)) in packets.into_iter().enumerate() {
            now += Duration::from_millis(40);
            let asked = if index % 2 == 0 {
                Input::Read(Box::new(|_| {}))
            } else {
                Input::Propose { command: vec![0; 8].into(), reply: oneshot::channel().0 }
            };
            let begun = Instant::now();
            let turn = node.durable_turn([from(peer, packet), asked], now, &mut Outbox::of(&store));
            prop_assert!(matches!(turn, Ok(true)));
            prop_assert!(begun.elapsed() < Duration::from_secs(10), "this turn does not end");
            let status = status(&mut node, &store, now);
            let held = status.log_end.0 - status.trimmed_below.0;
            prop_assert!(held <= SLOTS_AHEAD_MAX * (index as u64 + 2), "{held} slots");
        }
    }
}
