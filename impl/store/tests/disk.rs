//! The store in a data directory: its creation, its lock, missing files, and the reader.

use std::{fs, path::Path, slice};

use bytes::Bytes;
use paxos::{Ballot, NodeId, Record, Slot, Value};
use paxos_store::{
    Disk, Identity, Snapshot, Storage, StorageError,
    disk::{Change, Reader},
};
use tempfile::TempDir;

/// The files of a store, without the lock.
const FILES: [&str; 5] = ["log.0", "log.1", "snapshot.0", "snapshot.1", "mark"];

fn identity() -> Identity {
    Identity { cluster: "tea".into(), node: NodeId(1) }
}

fn ballot() -> Ballot {
    Ballot::new(3, NodeId(1)).expect("not 0")
}

fn accepted(first: u64) -> Record {
    let values = [Value::Command(Bytes::from_static(b"tea")), Value::Noop];
    Record::Accepted { ballot: ballot(), first: Slot(first), values: values.into() }
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("there is room")
}

/// Makes a store with one promise.
fn made(dir: &Path) -> Disk {
    let mut store = Disk::create(dir, &identity()).expect("it can be made");
    store.persist(&[Record::Promised(ballot())]).expect("it can be written to");
    store
}

fn refused(opened: Result<Disk, StorageError>) -> String {
    opened.expect_err("it is refused").to_string()
}

#[test]
fn a_store_is_created_once() {
    let dir = temporary();
    let below = dir.path().join("some/where");
    drop(made(&below));
    let exists = format!("{} already holds a store", below.display());
    assert_eq!(refused(Disk::create(&below, &identity())), exists);
    assert!(Disk::open(&below, &identity()).is_ok());
}

#[test]
fn opening_creates_no_store() {
    let dir = temporary();
    let nowhere = dir.path().join("nowhere");
    for (dir, says) in [
        (nowhere.as_path(), "there is no such directory"),
        (dir.path(), "the directory has none of its files"),
    ] {
        let missing = format!("there is no store in {}: {says}", dir.display());
        assert_eq!(refused(Disk::open(dir, &identity())), missing);
    }
    assert!(!nowhere.exists() && fs::read_dir(dir.path()).expect("it is there").count() == 0);
}

#[test]
fn a_store_is_created_only_where_there_was_none() {
    let dir = temporary();
    let new = dir.path().join("new");
    let open_or_create = || Disk::open_or_create(&new, &identity());
    let promise = [Record::Promised(ballot())];
    open_or_create().expect("it is created").persist(&promise).expect("it can be written to");
    assert_eq!(open_or_create().expect("it is opened").recover().expect("it can be read"), promise);
    fs::remove_file(new.join("log.0")).expect("it is there");
    assert!(
        refused(open_or_create()).contains("\"log.0\" is missing"),
        "a damaged store is not replaced"
    );
}

#[test]
fn one_process_writes_at_a_time() {
    let dir = temporary();
    let store = made(dir.path());
    let in_use = format!("the store in {} is in use", dir.path().display());
    assert_eq!(refused(Disk::open(dir.path(), &identity())), in_use);
    assert_eq!(refused(Disk::create(dir.path(), &identity())), in_use);
    assert_eq!(Reader::open(dir.path()).err().expect("refused").to_string(), in_use);
    drop(store);
    let readers = [Reader::open(dir.path()), Reader::open(dir.path())];
    assert!(readers.iter().all(Result::is_ok), "several readers share the lock");
    assert_eq!(refused(Disk::open(dir.path(), &identity())), in_use);
}

/// The test leaves the files of a creation that was interrupted at each step.
#[test]
fn an_unfinished_creation_is_no_store_and_can_be_repeated() {
    let whole = temporary();
    drop(Disk::create(whole.path(), &identity()).expect("it can be made"));
    let file = |name| fs::read(whole.path().join(name)).expect("it is there");
    let (log, mark) = (file("log.0"), file("mark"));
    let (torn, beginning) = (&log[..log.len() / 2], &log[..512]);
    for files in [
        vec![("lock", &[][..])],
        vec![("lock", &[][..]), ("log.new", &[][..])],
        vec![("lock", &[][..]), ("log.new", torn), ("log.1", torn), ("mark", &[][..])],
        vec![("lock", &[][..]), ("log.new", &log), ("snapshot.0", &[]), ("mark", &mark[..600])],
        vec![("lock", &[][..]), ("log.new", &log), ("log.1", beginning), ("mark", &[0; 1024])],
    ] {
        let dir = temporary();
        for (name, bytes) in &files {
            fs::write(dir.path().join(name), bytes).expect("there is room");
        }
        let says = refused(Disk::open(dir.path(), &identity()));
        assert!(says.ends_with("its creation did not finish, and has to be done again"), "{says}");
        drop(made(dir.path()));
        assert!(Disk::open(dir.path(), &identity()).is_ok());
    }
}

#[test]
fn a_missing_file_is_noticed() {
    for (name, says) in [
        ("log.0", "the file \"log.0\" is missing; commit 2 of store"),
        ("log.1", "the file \"log.1\" is missing"),
        ("snapshot.1", "the file \"snapshot.1\" is missing"),
        ("mark", "the file \"mark\" is missing"),
        ("lock", "the file \"lock\" is missing"),
    ] {
        let dir = temporary();
        drop(made(dir.path()));
        fs::remove_file(dir.path().join(name)).expect("it was there");
        let opened = refused(Disk::open(dir.path(), &identity()));
        assert!(opened.contains(says), "{opened}");
    }
    // The watermark is gone as well, but the other files show that there was a store.
    for (name, length) in [("log.1", 513), ("snapshot.0", 1)] {
        let dir = temporary();
        drop(made(dir.path()));
        fs::remove_file(dir.path().join("log.0")).expect("it was there");
        fs::remove_file(dir.path().join("mark")).expect("it was there");
        fs::write(dir.path().join(name), vec![0; length]).expect("there is room");
        let says = format!("the file \"log.0\" is missing; \"{name}\" has length {length}");
        for opened in [Disk::open(dir.path(), &identity()), Disk::create(dir.path(), &identity())] {
            let opened = refused(opened);
            assert!(opened.contains(&says), "{opened}");
        }
    }
    let dir = temporary();
    drop(made(dir.path()));
    fs::remove_file(dir.path().join("log.0")).expect("it was there");
    let created = refused(Disk::create(dir.path(), &identity()));
    assert!(created.contains("commit 2 of store"), "it is not created again: {created}");
}

#[test]
fn each_store_has_its_own_id_and_owner() {
    let (one, other) = (temporary(), temporary());
    assert_ne!(made(one.path()).id(), made(other.path()).id());
    let of = |cluster: &str, node| Identity { cluster: cluster.into(), node: NodeId(node) };
    assert_eq!(
        refused(Disk::open(one.path(), &of("coffee", 1))),
        "the store is of cluster tea, and was opened for cluster coffee"
    );
    assert_eq!(
        refused(Disk::open(one.path(), &of("tea", 2))),
        "the store is of node 1, and was opened for node 2"
    );
}

#[test]
fn a_reader_sees_everything_and_changes_nothing() {
    let dir = temporary();
    let mut store = made(dir.path());
    let snapshot = Snapshot { below: Slot(4), state: Bytes::from(vec![7; 300_000]) };
    store.persist(&[accepted(0)]).expect("it can be written to");
    store.persist(&[accepted(2)]).expect("it can be written to");
    store.persist(&[accepted(4), accepted(6)]).expect("it can be written to");
    store.note("peer 2", b"two").expect("it can be written to");
    store.persist_snapshot(&snapshot).expect("it can be written to");
    let trimmed = Record::Trimmed { below: Slot(4) };
    store.persist(slice::from_ref(&trimmed)).expect("it can be written to");

    // A copy, as a killed process leaves it.
    let crashed = temporary();
    for name in FILES.iter().chain(&["lock"]) {
        fs::copy(dir.path().join(name), crashed.path().join(name)).expect("copied");
    }
    let id = store.id();
    drop(store);
    for dir in [dir.path(), crashed.path()] {
        let files = || FILES.map(|name| fs::read(dir.join(name)).expect("read"));
        let before = files();
        let reader = Reader::open(dir).expect("it can be read");
        assert_eq!((reader.identity(), reader.id(), reader.acknowledged()), (&identity(), id, 8));
        assert_eq!((reader.base().promised, reader.base().trimmed), (None, Slot(0)));
        let commits = reader.commits();
        let numbers = commits.iter().map(|commit| commit.number);
        assert_eq!(numbers.collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
        let records = |at: usize| match &commits[at].change {
            Change::Records(records) => records.to_vec(),
            other => panic!("{other:?}"),
        };
        assert!(matches!(commits[0].change, Change::Head(_)));
        assert_eq!(records(1), [Record::Promised(ballot())]);
        assert_eq!(records(4), [accepted(4), accepted(6)]);
        assert!(matches!(&commits[5].change, Change::Note(note) if note.name == "peer 2"));
        assert!(matches!(commits[6].change, Change::Snapshot(_)));
        assert_eq!(records(7), slice::from_ref(&trimmed));
        let notes: Vec<_> = reader.notes().iter().collect();
        assert_eq!(notes, [(&"peer 2".to_owned(), &Bytes::from_static(b"two"))]);
        let header = reader.snapshot_header().expect("there is one");
        assert_eq!((header.below, header.length), (Slot(4), 300_000));
        assert_eq!(reader.snapshot().expect("it can be read"), Some(snapshot.clone()));
        reader.verify().expect("it is whole");
        drop(reader);
        assert!(files() == before, "nothing was changed");
        assert!(Disk::open(dir, &identity()).is_ok());
    }
}
