//! Damaged stores: each is refused, or the damage makes no difference.

use std::{borrow::Cow, mem};

use super::{
    SIZES, contents, identity, new, offset_of, open,
    recorder::{Image, Recorder, WATERMARK},
};
use crate::{
    Storage as _, StorageError, StoreId,
    contract::{self, Contents},
    disk::{
        Change, Disk, Head, Identity, SnapshotHeader, Summary, build, contents::Contents as Read,
        frame::append_frame,
    },
};
use paxos::{NodeId, Record, Slot};

/// Returns the files of a small store with every kind of commit, closed or not, and its content.
fn small(closed: bool) -> (Image, Contents) {
    let recorder = new();
    let mut store = open(recorder.files()).expect("it can be opened");
    let mut expected = Contents::default();
    for step in contract::steps(5).take(25) {
        step.take(&mut store).expect("it can be done");
        expected.take(&step);
    }
    assert!(expected.snapshot.is_some(), "there is one of everything");
    assert_ne!(expected.notes.len(), 0);
    assert_ne!(expected.records.image().trimmed.0, 0);
    if closed {
        drop(store);
    } else {
        mem::forget(store);
    }
    (recorder.written(), expected)
}

/// Asserts that an altered store is refused and not written to, or has its old content. Returns true if it is
/// refused.
fn refused_or_whole(image: &Image, expected: &Contents, how: impl Fn() -> String) -> bool {
    let recorder = Recorder::of(image.clone());
    match open(recorder.files()) {
        Err(_) => {
            assert!(&recorder.written() == image, "{}: refused, and yet changed", how());
            true
        }
        Ok(mut store) => {
            let found = Contents::read(&mut store);
            let found = found.unwrap_or_else(|error| panic!("{}: opened, but {error}", how()));
            assert_eq!(&found, expected, "{}", how());
            false
        }
    }
}

#[test]
fn any_flipped_bit_is_noticed_or_does_not_matter() {
    for closed in [true, false] {
        let (image, expected) = small(closed);
        let mut refused = 0;
        for file in 0..image.len() {
            for bit in 0..image[file].len() * 8 {
                let mut flipped = image.clone();
                flipped[file][bit / 8] ^= 1 << (bit % 8);
                let how = || format!("bit {bit} of file {file}, closed {closed}");
                refused += u32::from(refused_or_whole(&flipped, &expected, how));
            }
        }
        assert!(refused > 1000, "{refused} refused");
    }
}

#[test]
fn a_block_that_is_empty_or_torn_off_is_noticed_or_does_not_matter() {
    for closed in [true, false] {
        let (image, expected) = small(closed);
        for file in 0..image.len() {
            let length = image[file].len();
            for start in (0..length).step_by(256).chain(length.saturating_sub(9)..length) {
                let mut zeroed = image.clone();
                zeroed[file][start..length.min(start + 512)].fill(0);
                let how = |how| format!("file {file} {how} {start}, closed {closed}");
                refused_or_whole(&zeroed, &expected, || how("zeroed at"));
                let mut truncated = image.clone();
                truncated[file].truncate(start);
                refused_or_whole(&truncated, &expected, || how("cut off at"));
                let mut longer = image.clone();
                longer[file].resize(length + start + 1, 0);
                refused_or_whole(&longer, &expected, || how("longer by"));
            }
        }
    }
}

#[test]
fn an_older_copy_is_refused() {
    let recorder = new();
    let mut store = open(recorder.files()).expect("it can be opened");
    store.note("peer", b"one").expect("it can be done");
    drop(store);
    let older = recorder.written();
    let mut store = open(recorder.files()).expect("it can be opened");
    store.note("peer", b"two").expect("it can be done");
    drop(store);
    let newer = recorder.written();
    let with_watermark_of = |image: &Image, other: &Image| {
        let mut image = image.clone();
        image[WATERMARK].clone_from(&other[WATERMARK]);
        contents(&image)
    };
    let refused = with_watermark_of(&older, &newer).expect_err("it has lost the second note");
    assert!(
        matches!(refused, StorageError::Lost { acknowledged: 3, found: 2 }),
        "{refused}: {refused:?}"
    );
    assert!(contents(&older).is_ok(), "a copy of everything cannot be told");
    assert!(with_watermark_of(&newer, &older).is_ok(), "a watermark that is behind does no harm");
}

#[test]
fn files_that_are_no_store_are_refused() {
    let image = new().written();
    let with = |file: usize, bytes: &[u8]| {
        let mut image = image.clone();
        image[file] = bytes.to_vec();
        image
    };
    let beginning = &image[0][..512];
    for cut in 1..=8 {
        let cut = with(0, &image[0][..image[0].len() - cut]);
        contents(&cut).expect_err("its only commit is not whole");
    }
    for (says, image) in [
        ("log.0 does not begin like a log", with(0, b"")),
        ("log.1 does not begin like a log", with(1, &[0; 4096])),
        ("log.0 does not begin like a log", with(0, b"It was a dark and stormy night")),
        ("the beginning of log.0 is not as it was", with(0, &image[0][..20])),
        ("log.0 has no format", with(0, b"paxoslog")),
        ("neither file of the log has a commit", with(0, beginning)),
        ("the file \"mark\" has length 0, not 1024", with(WATERMARK, b"")),
        ("copy 0 in the file \"mark\" has a wrong checksum", with(WATERMARK, &[0; 1024])),
    ] {
        let refused = contents(&image).expect_err(says).to_string();
        assert!(refused.contains(says), "{says}: {refused}");
    }
}

#[test]
fn a_store_of_another_node_or_cluster_is_refused() {
    let image = new().written();
    let as_other = |cluster: &str, node| {
        let other = Identity { cluster: cluster.into(), node: NodeId(node) };
        let opened = Disk::on(Recorder::of(image.clone()).files(), &other, SIZES);
        opened.expect_err("it is another's").to_string()
    };
    assert_eq!(
        as_other("coffee", 1),
        "the store is of cluster tea, and was opened for cluster coffee"
    );
    assert_eq!(as_other("tea", 2), "the store is of node 1, and was opened for node 2");
    assert!(open(Recorder::of(image.clone()).files()).is_ok());
}

/// Returns a store with eight commits and a snapshot, closed.
fn eight() -> Image {
    let recorder = new();
    let mut store = open(recorder.files()).expect("it can be opened");
    for round in 0..6 {
        store.persist(&[contract::accepted(1, round, 1)]).expect("it can be done");
    }
    store.persist_snapshot(&contract::snapshot(3, 100)).expect("it can be done");
    drop(store);
    recorder.written()
}

/// Returns that store with one more commit, which no store would have written.
fn and(change: &Change<'_>) -> Image {
    let recorder = Recorder::of(eight());
    let read = Read::read(&recorder.files()).expect("it can be read");
    let mut log = read.resume(&recorder.files(), SIZES).expect("it can be written to");
    log.append(change).expect("it can be written to");
    recorder.written()
}

/// Returns that store with one more commit. Its content makes no sense, and its checksum is correct.
fn and_nonsense(content: &[u8]) -> Image {
    let recorder = Recorder::of(eight());
    let read = Read::read(&recorder.files()).expect("it can be read");
    let log = read.resume(&recorder.files(), SIZES).expect("it can be written to");
    let mut row = Vec::new();
    append_frame(&mut row, log.id, log.last + 1, |row| row.extend_from_slice(content));
    let segment = &log.segments[log.current];
    segment.file.write(segment.end, &row).expect("it can be written to");
    recorder.written()
}

/// Returns that store with a part of a file overwritten.
fn but(file: usize, at: usize, bytes: &[u8]) -> Image {
    let mut image = eight();
    image[file][at..][..bytes.len()].copy_from_slice(bytes);
    image
}

/// Returns that store with a file of another store.
fn of_another(file: usize) -> Image {
    let other = Recorder::default();
    build(&other.files(), &identity(), StoreId(8)).expect("a store can be made");
    let mut image = eight();
    image[file].clone_from(&other.written()[file]);
    image
}

#[test]
fn content_that_no_store_writes_is_refused() {
    let head = Head { identity: identity(), summary: Summary::default(), votes_end: Slot(0) };
    let header = SnapshotHeader { below: Slot(3), length: 100, checksum: 1, file: 0 };
    let trimmed = [Record::Trimmed { below: Slot(4) }];
    let (no_change, image) = ([9], eight());
    let offset_of = |number| offset_of(number, &image[0]);
    for (says, image) in [
        ("the log is of store", of_another(WATERMARK)),
        ("log.0 is of store", of_another(1)),
        ("format 3; this program knows only format 2", but(0, 8, &[3])),
        ("commit 5 is there, but commit 4 cannot be read", but(0, offset_of(4) + 24, b"?")),
        ("neither file of the log has a commit", but(0, 512 + 24, b"?")),
        ("ends with commit 7, but commit 8 was acknowledged", but(0, offset_of(8) + 24, b"?")),
        ("commit 9 cannot be read", and_nonsense(&no_change)),
        ("commit 9 is too long by 3", and_nonsense(&[3, 0, 0, 1, 2, 3])),
        ("commit 9 is out of place", and(&Change::Head(Cow::Borrowed(&head)))),
        ("the snapshot is in file 7", and(&Change::Snapshot(SnapshotHeader { file: 7, ..header }))),
        ("the snapshot has the checksum", and(&Change::Snapshot(header))),
        (
            "the snapshot has length 100, not 99",
            and(&Change::Snapshot(SnapshotHeader { length: 99, ..header })),
        ),
        (
            "every slot below 4 is trimmed, but the snapshot ends at 3",
            and(&Change::Records(Cow::Borrowed(&trimmed))),
        ),
    ] {
        let refused = contents(&image).expect_err(says).to_string();
        assert!(refused.contains(says), "{says}: {refused}");
    }
    assert!(contents(&eight()).is_ok());
    assert!(
        contents(&and(&Change::Records(Cow::Borrowed(&[])))).is_ok(),
        "a valid commit is accepted"
    );
}

/// The older segment is needed and damaged.
#[test]
fn a_gap_between_the_segments_is_noticed() {
    let recorder = new();
    let mut store = open(recorder.files()).expect("it can be opened");
    let mut round = 0;
    while store.log.current == 0 {
        store.persist(&[contract::accepted(1, round, 8)]).expect("it can be done");
        round += 1;
    }
    let first = store.log.last - 1;
    drop(store);
    let image = recorder.written();
    assert!(contents(&image).is_ok());
    for number in 2..first {
        let mut damaged = image.clone();
        damaged[0][offset_of(number, &image[0]) + 24] ^= 1;
        let refused = contents(&damaged).expect_err("one is missing").to_string();
        let says = format!("commit {} is followed by commit {first}", number - 1);
        assert!(refused.contains(&says), "{says}: {refused}");
    }
}
