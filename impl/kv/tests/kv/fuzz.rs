//! Noise: short runs with every test, and a corpus (`__fuzz__`) that is replayed each time.
//!
//! `cargo bolero test --package paxos-kv fuzz::requests` searches for longer.

use bytes::{Bytes, BytesMut};
use paxos_kv::{Kv, Reply, request, resp};
use paxos_node::StateMachine as _;

use crate::session::{Session, snapshot};

/// All that is read from one client, in one piece and byte by byte, comes to the same.
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

/// A client that says anything at all.
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

/// Entries of a log that nobody wrote.
#[test]
fn entries() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let answer = Kv::default().apply(bytes);
        assert_eq!(Reply::from_bytes(&answer.to_bytes()), Ok(answer));
        let _ = Reply::from_bytes(&Bytes::copy_from_slice(bytes));
    });
}

/// What can be restored is a state, and one that can be written again.
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
