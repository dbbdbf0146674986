//! Tests of the store on files in memory: crashes, failures and damage.

mod crashes;
mod damage;
mod faults;
mod recorder;

use std::{collections::BTreeSet, fs};

use tempfile::TempDir;

use self::recorder::{Image, Recorder};
use super::{
    Disk, Identity, build,
    data_directory::Files,
    frame::{ALIGNMENT, read_frame},
    log::SegmentSizes,
};
use crate::{
    Storage as _, StorageError, StoreId,
    contract::{self, Contents, Harness},
};
use paxos::{NodeId, Record, Slot};

fn identity() -> Identity {
    Identity { cluster: "tea".into(), node: NodeId(1) }
}

/// Returns the recorded files of a new store.
fn new() -> Recorder {
    let recorder = Recorder::default();
    build(&recorder.files(), &identity(), StoreId(7)).expect("a store can be made");
    recorder
}

/// Sizes so small that a short workload switches segments several times.
const SIZES: SegmentSizes = SegmentSizes { grow_bytes: 1024, switch_bytes: 1024 };

fn open(files: Files) -> Result<Disk, StorageError> {
    Disk::on(files, &identity(), SIZES)
}

/// Returns the offset of a commit in a segment.
fn offset_of(number: u64, file: &[u8]) -> usize {
    let mut offsets = (0..file.len()).step_by(ALIGNMENT);
    let is_there =
        |at: &usize| read_frame(&file[*at..], StoreId(7), |found| found == number).is_some();
    offsets.find(is_there).expect("it is there")
}

/// Opens a store that consists of these files, and returns its content.
fn contents(image: &Image) -> Result<Contents, StorageError> {
    Contents::read(&mut open(Recorder::of(image.clone()).files())?)
}

/// A crash of the process: it leaves all written bytes, synced or not.
struct Killed(Recorder);

impl Harness for Killed {
    type Store = Disk;

    fn create(&mut self) -> Disk {
        self.0 = new();
        open(self.0.files()).expect("it can be opened")
    }

    fn crash(&mut self, store: Disk) -> Disk {
        // The image is taken before the store is dropped, since a killed process closes nothing.
        self.0 = Recorder::of(self.0.written());
        drop(store);
        open(self.0.files()).expect("it can be opened")
    }
}

/// A crash of the machine: it leaves the synced bytes.
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

/// A crash of a process with real files. The test copies the files into another directory and opens the store there.
struct Moved(TempDir);

impl Harness for Moved {
    type Store = Disk;

    fn create(&mut self) -> Disk {
        self.0 = tempfile::tempdir().expect("there is sizes");
        Disk::create(self.0.path(), &identity()).expect("it can be made")
    }

    fn crash(&mut self, store: Disk) -> Disk {
        let elsewhere = tempfile::tempdir().expect("there is sizes");
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
    contract::check(&mut Moved(tempfile::tempdir().expect("there is sizes")));
}

#[test]
fn the_contract_is_kept_when_processes_crash() {
    contract::check(&mut Killed(Recorder::default()));
}

#[test]
fn the_contract_is_kept_when_machines_crash() {
    contract::check(&mut Unplugged(Recorder::default()));
}

#[test]
fn a_commit_is_one_sync_and_the_files_stay_small() {
    let recorder = new();
    let mut store =
        Disk::on(recorder.files(), &identity(), SegmentSizes::default()).expect("opened");
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
    // 200,000 votes take about 6 MB, and the log switches segments at 1 MB.
    assert!(
        (3_126..3_125 + 10).contains(&syncs),
        "one for each commit, and for each head: {syncs}"
    );
    let largest = sizes.last().copied().unwrap_or_default();
    assert!(largest < 6 << 20, "trimmed votes are overwritten, but the files take {sizes:?} bytes");
}
