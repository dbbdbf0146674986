//! The store on disk: it makes durable, tells again, and refuses what is not as it was left.

use std::sync::Arc;

use bytes::Bytes;
use paxos::{
    Ballot, Batch, NodeId, Record, Slot, Value,
    storage::{Disk, Identity, Recovered, Snapshot, Storage},
};

fn identity() -> Identity {
    Identity { cluster: "tea".into(), node: NodeId(1) }
}

fn promised(round: u64) -> Record {
    Record::Promised(Ballot::new(round, NodeId(1)).expect("not 0"))
}

fn accepted(round: u64, first: u64, values: &[&str]) -> Record {
    let ballot = Ballot::new(round, NodeId(1)).expect("not 0");
    let value = |value: &&str| Value::Command(Bytes::copy_from_slice(value.as_bytes()));
    let values: Batch = values.iter().map(value).collect::<Arc<_>>();
    Record::Accepted { ballot, first: Slot(first), values }
}

fn trimmed(below: u64) -> Record {
    Record::Trimmed { below: Slot(below) }
}

fn snapshot(below: u64, state: &[u8]) -> Snapshot {
    Snapshot { below: Slot(below), state: Bytes::copy_from_slice(state) }
}

#[test]
fn what_was_persisted_is_recovered_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = Disk::create(dir.path(), &identity()).expect("created");
    assert_eq!(store.recover().expect("recovers"), Recovered::default());
    store.persist(&[promised(1)]).expect("persists");
    store.persist(&[accepted(1, 0, &["a", "b"]), accepted(1, 3, &["d"])]).expect("persists");
    let expected = vec![promised(1), accepted(1, 0, &["a", "b"]), accepted(1, 3, &["d"])];
    assert_eq!(store.recover().expect("recovers").records, expected);
    drop(store);
    let mut store = Disk::open(dir.path(), &identity()).expect("opened");
    assert_eq!(store.recover().expect("recovers").records, expected);

    store.note("peer 2", b"x").expect("noted");
    store.persist_snapshot(&snapshot(2, &vec![7; 300_000])).expect("persists");
    store.persist(&[trimmed(2)]).expect("persists");
    let expected = Recovered {
        snapshot: Some(snapshot(2, &vec![7; 300_000])),
        records: vec![
            trimmed(2),
            promised(1),
            accepted(1, 0, &["a", "b"]),
            accepted(1, 3, &["d"]),
            trimmed(2),
        ],
    };
    drop(store);
    let mut store = Disk::open(dir.path(), &identity()).expect("opened");
    assert_eq!(store.recover().expect("recovers"), expected);
    assert_eq!(store.noted("peer 2").expect("reads").as_deref(), Some(&b"x"[..]));
}
