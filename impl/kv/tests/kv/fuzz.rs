//! Fuzz tests: arbitrary bytes as input. Each test run is short, and replays a corpus (`__fuzz__`).
//!
//! `cargo bolero test --package paxos-kv fuzz::requests` runs longer.

use bytes::{Bytes, BytesMut};
use paxos_kv::{Kv, Reply, request, resp};
use paxos_node::StateMachine as _;

use crate::session::{Session, snapshot};

/// The decoder reads the same requests from one piece and from single bytes.
#[test]
fn requests() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let whole = decoded([bytes]);
        assert_eq!(whole, decoded(bytes.chunks(1)));
        for arguments in &whole.0 {
            assert!(!arguments.is_empty());
            let _ = request::parse(arguments);
        }
    });
}

fn decoded<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<resp::Arguments>, Option<resp::ProtocolError>) {
    let (mut decoder, mut input) = (resp::Decoder::default(), BytesMut::new());
    let mut requests = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(arguments)) => requests.push(arguments),
                Ok(None) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
    }
    (requests, None)
}

/// A client sends arbitrary bytes. A replica that applies the same log has the same state and the same answers.
#[test]
fn conversations() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let mut session = Session::new();
        session.send(bytes);
        let mut replica = Kv::default();
        for (entry, answer) in &session.log {
            assert_eq!(&replica.apply(entry), answer);
        }
        assert_eq!(replica, session.kv);
    });
}

/// Arbitrary bytes as an entry of the log make no replica panic.
#[test]
fn entries() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let answer = Kv::default().apply(bytes);
        assert_eq!(Reply::from_bytes(&answer.to_bytes()), Ok(answer));
        let _ = Reply::from_bytes(&Bytes::copy_from_slice(bytes));
    });
}

/// If arbitrary bytes can be restored, the resulting state can be written and restored again.
#[test]
fn snapshots() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let mut kv = Kv::default();
        if kv.restore(&mut &*bytes).is_ok() {
            let mut again = Kv::default();
            again.restore(&mut &snapshot(&kv)[..]).expect("a snapshot");
            assert_eq!(kv, again);
        }
    });
}
