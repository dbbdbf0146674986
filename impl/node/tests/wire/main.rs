//! The bytes that nodes send to each other: every kind of packet, and noise.
//!
//! Noise is tried for a second with every run, beginning with the corpus in `__fuzz__`.
//! `cargo bolero test --package paxos-node --test wire streams` searches for longer.

use std::{fs, io::Read, path::Path};

use bytes::{Bytes, BytesMut};
use paxos::{Ballot, Message, NodeId, Slot, Value};
use paxos_node::{
    Frozen, Packet, RestoreError, StateMachine,
    session::{Entry, Owner, Sessions},
    tcp::hello::Hello,
    wire::{self, FrameError},
};

/// One packet of each kind.
fn packets() -> Vec<Packet> {
    let ballot = Ballot::new(3, NodeId(2)).expect("not zero");
    let (slot, values) = (Slot(7), [Value::Noop, Value::Command("x".into())]);
    let report = paxos::Report { slot, ballot, value: Value::Command("y".into()) };
    let messages = [
        Message::Prepare { ballot, first: slot },
        Message::Promise { ballot, trimmed: Slot(5), reports: vec![report.clone()] },
        Message::Accept { ballot, first: slot, values: values.clone().into() },
        Message::Accepted { ballot, first: slot, count: 2 },
        Message::Nack { ballot, promised: ballot },
        Message::Chosen { ballot, first: slot, count: 2 },
        Message::Confirm { ballot, round: 1 },
        Message::Confirmed { ballot, round: 1 },
        Message::Heartbeat { ballot, chosen_below: slot },
        Message::Learn { from: slot },
        Message::Learned { first: slot, values: values.into(), more: true },
        Message::Trimmed { below: slot },
    ];
    let others = [
        Packet::Forward(vec![Bytes::from_static(b"command")]),
        Packet::ReadIndex { id: 1 },
        Packet::ReadAt { id: 1, at: slot },
        Packet::PreVote,
        Packet::PreVoteGranted,
        Packet::Following,
        Packet::Fetch { below: Some(slot), offset: 9 },
        Packet::Chunk { below: slot, length: 10, offset: 9, part: Bytes::from_static(b"z") },
        Packet::HandOver { ballot },
        Packet::PromisePart {
            ballot,
            trimmed: Slot(5),
            offset: 9,
            reports: vec![report],
            more: true,
        },
        Packet::PromiseFrom { ballot, first: slot, trimmed: Slot(5), offset: 9 },
    ];
    messages.into_iter().map(Packet::Message).chain(others).collect()
}

fn frame(packet: &Packet) -> Vec<u8> {
    let mut frame = Vec::new();
    wire::encode(packet, &mut frame).expect("short");
    frame
}

#[test]
fn every_kind_comes_through() {
    let packets = packets();
    let kinds: Vec<_> = packets.iter().map(Packet::kind).collect();
    assert_eq!(kinds, (0..Packet::KINDS.len()).collect::<Vec<_>>(), "one of each kind, in order");
    for packet in packets {
        assert_eq!(wire::decode(&frame(&packet)), Ok(packet));
    }
}

/// The noise begins with real frames of this version: `UPDATE_EXPECT=1` writes them.
#[test]
fn the_corpus_has_every_kind() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/__fuzz__/streams/corpus");
    for packet in packets() {
        let file = corpus.join(Packet::KINDS[packet.kind()]);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::create_dir_all(&corpus).expect("the folder of the tests");
            fs::write(&file, frame(&packet)).expect("the folder of the tests");
        }
        let kept = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(kept, frame(&packet), "{} is out of date", file.display());
    }
}

/// Bytes contain the same frames whether they arrive in one piece or one by one. Damage ends the stream. The length that a
/// frame claims allocates nothing.
#[test]
fn streams() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let whole = frames([bytes]);
        assert_eq!(whole, frames(bytes.chunks(1)));
        for frame in whole.0 {
            let _ = wire::decode::<Packet>(&frame);
            let _ = wire::decode::<Hello>(&frame);
        }
    });
}

fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Bytes>, Option<FrameError>) {
    let (mut stream, mut frames) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        stream.extend_from_slice(piece);
        loop {
            match wire::split(&mut stream, wire::PAYLOAD_MAX) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// The decoder reserves no memory for the number of elements that a packet announces.
#[test]
fn announced_counts_reserve_nothing() {
    let (ballot, slot) = (Ballot::new(3, NodeId(2)).expect("not zero"), Slot(7));
    let values = || Vec::new().into();
    // Each with the bytes that follow the count.
    let empty: [(Packet, &[u8]); 7] = [
        (Packet::Message(Message::Promise { ballot, trimmed: slot, reports: Vec::new() }), &[]),
        (Packet::Message(Message::Accept { ballot, first: slot, values: values() }), &[]),
        (Packet::Message(Message::Learned { first: slot, values: values(), more: true }), &[1]),
        (Packet::Forward(Vec::new()), &[]),
        (Packet::Forward(vec![Bytes::new()]), &[]),
        (Packet::Chunk { below: slot, length: 10, offset: 9, part: Bytes::new() }, &[]),
        (
            Packet::PromisePart { ballot, trimmed: slot, offset: 9, reports: vec![], more: true },
            &[1],
        ),
    ];
    for (packet, rest) in empty {
        for count in [u64::from(u32::MAX), 1 << 40, 1 << 58, u64::MAX] {
            let mut payload = postcard::to_stdvec(&packet).expect("memory");
            let end = payload.split_off(payload.len() - rest.len() - 1);
            assert_eq!(end, [&[0], rest].concat(), "the count comes at the end");
            payload.extend(postcard::to_stdvec(&count).expect("memory"));
            payload.extend(rest);
            let read = postcard::from_bytes::<Packet>(&payload);
            assert!(read.is_err(), "{read:?}");
            // The packet may contain a few of the elements.
            payload.extend([0; 100]);
            assert!(postcard::from_bytes::<Packet>(&payload).is_err());
        }
    }
}

/// A snapshot names the slots that it contains, and is refused as a snapshot of other slots.
#[test]
fn a_snapshot_of_other_slots_is_refused() {
    let mut sessions = Sessions::new(Nothing);
    sessions.apply(Slot(0), &Value::Command(Entry::Open { nonce: 1, owner: Owner::Node }.encode()));
    let mut snapshot = Vec::new();
    sessions.snapshot()(&mut snapshot).expect("there is memory");
    let mut other = Sessions::new(Nothing);
    let error = other.restore(Slot(2), &mut &snapshot[..]).unwrap_err();
    assert_eq!(error.to_string(), "this is no snapshot: it ends at slot 1, not 2");
    assert_eq!((other.applied(), other.open()), (Slot(0), 0));
    other.restore(Slot(1), &mut &snapshot[..]).unwrap();
    assert_eq!((other.applied(), other.open()), (Slot(1), 1));
}

/// Decodes bytes without a frame and its checksum: as packets, handshakes, and the entries and snapshots of sessions.
#[test]
fn contents() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let _ = postcard::from_bytes::<Packet>(bytes);
        let _ = postcard::from_bytes::<Hello>(bytes);
        let _ = Entry::decode(bytes);
        let mut sessions = Sessions::new(Nothing);
        if sessions.restore(Slot(0), &mut &bytes[..]).is_err() {
            assert_eq!((sessions.applied(), sessions.open()), (Slot(0), 0), "it is as it was");
        }
        let at = sessions.applied();
        let _ = sessions.apply(at, &Value::Command(Bytes::copy_from_slice(bytes)));
    });
}

struct Nothing;

impl StateMachine for Nothing {
    type Answer = Bytes;

    fn apply(&mut self, _: &[u8]) -> Bytes {
        Bytes::new()
    }

    fn snapshot(&self) -> Frozen {
        Box::new(|_| Ok(()))
    }

    fn restore(&mut self, _: &mut dyn Read) -> Result<(), RestoreError> {
        Ok(())
    }
}
