//! What files of a store can become, and what the store makes of them.

mod crashes;
mod damage;
mod faults;
mod recorder;

use std::{collections::BTreeSet, fs};

use tempfile::TempDir;

use self::recorder::{Image, Recorder};
use super::{
    Disk, Identity, build,
    log::Room,
    place::Files,
    sealed::{ALIGNMENT, unseal},
};
use crate::{
    Storage as _, StorageError, StoreId,
    contract::{self, Contents, Harness},
};
use paxos::{NodeId, Record, Slot};

fn identity() -> Identity {
    Identity { cluster: "tea".into(), node: NodeId(1) }
}

/// The files of a new store, in memory and recorded.
fn new() -> Recorder {
    let recorder = Recorder::default();
    build(&recorder.files(), &identity(), StoreId(7)).expect("a store can be made");
    recorder
}

/// Files so small that a short workload begins each of them more than once.
const ROOM: Room = Room { grow_bytes: 1024, turn_bytes: 1024 };

fn open(files: Files) -> Result<Disk, StorageError> {
    Disk::on(files, &identity(), ROOM)
}

/// Where a commit is in a file of the log.
fn place_of(number: u64, file: &[u8]) -> usize {
    let mut places = (0..file.len()).step_by(ALIGNMENT);
    let is_there = |at: &usize| unseal(&file[*at..], StoreId(7), |found| found == number).is_some();
    places.find(is_there).expect("it is there")
}

/// What is in a store that consists of these files.
fn contents(image: &Image) -> Result<Contents, StorageError> {
    Contents::read(&mut open(Recorder::of(image.clone()).files())?)
}

/// Each crash leaves what was written, synced or not: that of a process.
struct Killed(Recorder);

impl Harness for Killed {
    type Store = Disk;

    fn create(&mut self) -> Disk {
        self.0 = new();
        open(self.0.files()).expect("it can be opened")
    }

    fn crash(&mut self, store: Disk) -> Disk {
        // Nothing is closed: it is gone.
        self.0 = Recorder::of(self.0.written());
        drop(store);
        open(self.0.files()).expect("it can be opened")
    }
}

/// Each crash leaves what was synced: that of the machine.
struct Unplugged(Recorder);

impl Harness for Unplugged {
    type Store = Disk;

    fn create(&mut self) -> Disk {
        self.0 = new();
        open(self.0.files()).expect("it can be opened")
    }

    fn crash(&mut self, store: Disk) -> Disk {
        self.0 = Recorder::of(self.0.synced());
        drop(store);
        open(self.0.files()).expect("it can be opened")
    }
}

/// Each crash leaves the files of a directory as they are, and they go on in another one.
struct Moved(TempDir);

impl Harness for Moved {
    type Store = Disk;

    fn create(&mut self) -> Disk {
        self.0 = tempfile::tempdir().expect("there is room");
        Disk::create(self.0.path(), &identity()).expect("it can be made")
    }

    fn crash(&mut self, store: Disk) -> Disk {
        let elsewhere = tempfile::tempdir().expect("there is room");
        for file in fs::read_dir(self.0.path()).expect("it is there") {
            let file = file.expect("it can be read");
            fs::copy(file.path(), elsewhere.path().join(file.file_name())).expect("copied");
        }
        drop(store);
        self.0 = elsewhere;
        Disk::open(self.0.path(), &identity()).expect("it can be opened")
    }
}

#[test]
fn the_contract_is_kept_in_a_directory() {
    contract::check(&mut Moved(tempfile::tempdir().expect("there is room")));
}

#[test]
fn the_contract_is_kept_when_processes_die() {
    contract::check(&mut Killed(Recorder::default()));
}

#[test]
fn the_contract_is_kept_when_machines_die() {
    contract::check(&mut Unplugged(Recorder::default()));
}

#[test]
fn a_commit_is_one_sync_and_the_files_do_not_grow_for_ever() {
    let recorder = new();
    let mut store = Disk::on(recorder.files(), &identity(), Room::default()).expect("opened");
    let (mut syncs, mut sizes) = (0, BTreeSet::new());
    for round in 0..3_125_u64 {
        let before = recorder.syncs();
        store.persist(&[contract::accepted(1, round * 64, 64)]).expect("persists");
        syncs += recorder.syncs() - before;
        if round % 100 == 99 {
            let below = (round + 1) * 64 - 10;
            store.persist_snapshot(&contract::snapshot(below, 50_000)).expect("persists");
            store.persist(&[Record::Trimmed { below: Slot(below) }]).expect("persists");
            sizes.insert(store.disk_bytes());
        }
    }
    // 200,000 votes take about 6 MB, and a file is begun anew when it has one.
    assert!((3_126..3_125 + 10).contains(&syncs), "one for each, and one for each head: {syncs}");
    let largest = sizes.last().copied().unwrap_or_default();
    assert!(largest < 6 << 20, "none is kept for long, but they take {sizes:?} bytes");
}
