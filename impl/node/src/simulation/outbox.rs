//! Whatever leaves a node, held against what is durable there at that moment.

use bytes::Bytes;

use crate::{Packet, node::Transport};
use paxos::{
    event::Record,
    message::{Message, To},
    types::{Ballot, NodeId, Slot, Value},
};
use paxos_store::{MemoryStore, Snapshot, Storage as _, StoreId};

/// What leaves a node in a turn. Nothing does that its store does not back.
pub(super) struct Outbox {
    store: MemoryStore,
    pub(super) sent: Vec<(To, Packet)>,
}

impl Outbox {
    pub(super) fn of(store: &MemoryStore) -> Self {
        Self { store: store.reopen(), sent: Vec::new() }
    }
}

impl Transport for Outbox {
    fn send(&mut self, to: To, packet: Packet) {
        assert!(is_backed(&packet, &mut self.store), "{packet:?} left before it was durable");
        self.sent.push((to, packet));
    }
}

/// Whether it is a proposal.
pub(super) fn proposes(packet: &Packet) -> bool {
    matches!(packet, Packet::Message(Message::Accept { .. }))
}

/// Whether what a packet says of the sender's promises and votes is durable. What is proposed is backed
/// by the promise of its ballot, and what is said to be chosen by the sender's own vote.
fn is_backed(packet: &Packet, store: &mut MemoryStore) -> bool {
    let durable = store.recover().expect("it can be read");
    let message = match packet {
        Packet::Message(message) => message,
        Packet::Chunk { below, .. } => {
            return store.snapshot().is_some_and(|(durable, _)| durable >= *below);
        }
        _ => return true,
    };
    let promised = |ballot: Ballot| {
        durable.iter().any(|record| match record {
            Record::Promised(promised) => *promised >= ballot,
            Record::Accepted { ballot: voted, .. } => *voted >= ballot,
            Record::Trimmed { .. } => false,
        })
    };
    let voted = |ballot: Ballot, slot: u64| {
        durable.iter().any(|record| match record {
            Record::Accepted { ballot: voted, first, values } => {
                *voted >= ballot && (first.0..first.0 + values.len() as u64).contains(&slot)
            }
            Record::Trimmed { below } => slot < below.0,
            Record::Promised(_) => false,
        })
    };
    match message {
        Message::Prepare { ballot }
        | Message::Promise { ballot, .. }
        | Message::Accept { ballot, .. }
        | Message::Confirm { ballot, .. }
        | Message::Heartbeat { ballot, .. }
        | Message::Nack { promised: ballot, .. } => promised(*ballot),
        Message::Accepted { ballot, first, count } | Message::Chosen { ballot, first, count } => {
            (first.0..first.0 + count).all(|slot| voted(*ballot, slot))
        }
        Message::Trimmed { below } => durable.contains(&Record::Trimmed { below: *below }),
        _ => true,
    }
}

/// A proposal of a ballot that is not promised, and anything that follows from a vote, would be noticed.
#[test]
fn what_leaves_too_early_is_noticed() {
    let ballot = |round| Ballot::new(round, NodeId(1)).unwrap();
    let (first, value) = (Slot(4), Value::Noop);
    let voted = Record::Accepted { ballot: ballot(2), first, values: [value.clone()].into() };
    let proposal =
        |round| Message::Accept { ballot: ballot(round), first, values: [value.clone()].into() };
    let too_early = |packet, store: &MemoryStore| {
        let sent = || Outbox::of(store).send(To::Peers, packet);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(sent)).is_err()
    };
    let early = |message: &Message, durable: &[Record]| {
        let mut store = MemoryStore::new(StoreId(1));
        store.persist(durable).unwrap();
        too_early(Packet::Message(message.clone()), &store)
    };
    let promised = [Record::Promised(ballot(2))];
    assert!(!early(&proposal(2), &promised));
    assert!(early(&proposal(2), &[Record::Promised(ballot(1))]), "its ballot may be begun again");
    let (ballot, count) = (ballot(2), 1);
    for follows in [
        Message::Accepted { ballot, first, count },
        Message::Chosen { ballot, first, count },
        Message::Chosen { ballot, first, count: 2 },
    ] {
        assert!(early(&follows, &promised), "{follows:?} follows from a vote");
    }
    assert!(!early(&Message::Chosen { ballot, first, count }, &[voted]));
    assert!(early(&Message::Promise { ballot, trimmed: Slot(0), reports: Vec::new() }, &[]));
    let mut store = MemoryStore::new(StoreId(1));
    store.persist_snapshot(&Snapshot { below: Slot(4), state: Bytes::new() }).unwrap();
    let part = |below| Packet::Chunk { below, length: 0, offset: 0, part: Bytes::new() };
    assert!(!too_early(part(Slot(4)), &store));
    assert!(too_early(part(Slot(5)), &store), "a snapshot that is not durable");
}
