//! Stores that are not as they were left.

use std::mem;

use redb::ReadableTable as _;

use super::{
    contents, identity, new, open,
    recorder::{Image, Recorder},
};
use crate::{
    NodeId,
    storage::{
        Storage as _, StorageError, StoreId,
        contract::{self, Contents},
        disk::{
            Disk, Identity, build, put_row,
            rows::{IDENTITY, LOG, Rows},
            sealed::seal,
        },
    },
};

/// A small store, closed or not.
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

/// What comes of a store that was altered: it is refused and stays as it is, or it is what it was.
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

/// Every byte of the header and of the mark, and of everything else every seventh; `--ignored` takes
/// them all.
fn flipped(every: usize) {
    for closed in [true, false] {
        let (image, expected) = small(closed);
        let mut refused = 0;
        for file in [0, 1] {
            for at in 0..image[file].len() {
                if file == 0 && at >= 512 && at % every != 0 {
                    continue;
                }
                let mut flipped = image.clone();
                flipped[file][at] ^= 1 << (at % 8);
                let how = || format!("bit {} of byte {at} of file {file}, closed {closed}", at % 8);
                refused += u32::from(refused_or_whole(&flipped, &expected, how));
            }
        }
        assert!(refused > 100, "{refused} refused");
    }
}

#[test]
fn a_flipped_bit_is_noticed_or_does_not_matter() {
    flipped(7 * 11);
}

#[test]
#[ignore = "takes minutes"]
fn any_flipped_bit_is_noticed_or_does_not_matter() {
    flipped(1);
}

#[test]
fn a_block_that_is_empty_or_torn_off_is_noticed_or_does_not_matter() {
    for closed in [true, false] {
        let (image, expected) = small(closed);
        let length = image[0].len();
        for start in (0..length).step_by(512) {
            let mut zeroed = image.clone();
            zeroed[0][start..length.min(start + 512)].fill(0);
            refused_or_whole(&zeroed, &expected, || format!("zeroed at {start}, closed {closed}"));
            let mut truncated = image.clone();
            truncated[0].truncate(start);
            let how = || format!("cut off at {start}, closed {closed}");
            refused_or_whole(&truncated, &expected, how);
            let mut longer = image.clone();
            longer[0].resize(length + start + 1, 0);
            refused_or_whole(&longer, &expected, || format!("longer by {start}, closed {closed}"));
        }
    }
}

#[test]
fn an_older_copy_is_refused() {
    let recorder = new();
    let mut store = open(recorder.files()).expect("it can be opened");
    store.note("peer", b"one").expect("it can be done");
    drop(store);
    let [older, older_mark] = recorder.written();
    let mut store = open(recorder.files()).expect("it can be opened");
    store.note("peer", b"two").expect("it can be done");
    drop(store);
    let [newer, newer_mark] = recorder.written();
    let refused = contents(&[older.clone(), newer_mark]).expect_err("it has lost the second note");
    assert!(
        matches!(refused, StorageError::Lost { acknowledged: 2, found: 1 }),
        "{refused}: {refused:?}"
    );
    assert!(contents(&[older, older_mark.clone()]).is_ok(), "a copy of both cannot be told");
    assert!(contents(&[newer, older_mark]).is_ok(), "a mark that is behind is no harm");
}

#[test]
fn what_is_no_store_is_refused() {
    let [database, mark] = new().written();
    for (what, image, says) in [
        ("empty", [vec![], mark.clone()], "the database is empty"),
        ("zeros", [vec![0; database.len()], mark.clone()], "damaged"),
        ("text", [b"It was a dark and stormy night".repeat(1000), mark.clone()], "damaged"),
        ("no mark", [database.clone(), vec![]], "the mark has 0 bytes"),
        ("a zeroed mark", [database.clone(), vec![0; 1024]], "the checksum of place 0 of the mark"),
    ] {
        let refused = contents(&image).expect_err(what).to_string();
        assert!(refused.contains(says), "{what}: {refused}");
    }
}

#[test]
fn the_store_of_somebody_else_is_refused() {
    let image = new().written();
    let as_other = |cluster: &str, node| {
        let other = Identity { cluster: cluster.into(), node: NodeId(node) };
        let opened = Disk::on(Recorder::of(image.clone()).files(), &other);
        opened.expect_err("it is another's").to_string()
    };
    assert_eq!(
        as_other("coffee", 1),
        "the store is of cluster tea, and was opened for cluster coffee"
    );
    assert_eq!(as_other("tea", 2), "the store is of node 1, and was opened for node 2");
    assert!(Disk::on(Recorder::of(image.clone()).files(), &identity()).is_ok());
}

/// Whoever writes to the database past the store.
fn altered(alter: impl FnOnce(&redb::WriteTransaction) -> Result<(), StorageError>) -> Image {
    let recorder = new();
    let mut store = open(recorder.files()).expect("it can be opened");
    for step in contract::steps(5).take(8) {
        step.take(&mut store).expect("it can be done");
    }
    drop(store);
    let rows = Rows::open(recorder.files().database).expect("it can be opened");
    rows.run(|database| {
        let transaction = database.begin_write()?;
        alter(&transaction)?;
        Ok(transaction.commit()?)
    })
    .expect("it can be altered");
    drop(rows);
    recorder.written()
}

/// What the database cannot know, since it was asked for it.
#[test]
fn rows_that_nobody_wrote_so_are_refused() {
    let mut row = Vec::new();
    seal(&mut row, &3_u64.to_le_bytes(), |row| row.extend_from_slice(b"no records"));
    let (short, sense) = (&[1, 2][..], row.as_slice());
    for (says, image) in [
        ("the mark of store", {
            let [database, _] = new().written();
            let other = Recorder::default();
            build(&other.files(), &identity(), StoreId(8)).expect("a store can be made");
            let [_, mark] = other.written();
            [database, mark]
        }),
        (
            "commit 4 follows where 3 should be",
            altered(|rows| {
                rows.open_table(LOG)?.remove(3)?;
                Ok(())
            }),
        ),
        (
            "ends with commit 7, but commit 8 was acknowledged",
            altered(|rows| {
                rows.open_table(LOG)?.remove(8)?;
                Ok(())
            }),
        ),
        (
            "the checksum of commit 3 is",
            altered(|rows| {
                let mut log = rows.open_table(LOG)?;
                let other = log.get(5)?.expect("it is there").value().to_vec();
                log.insert(3, other.as_slice())?;
                Ok(())
            }),
        ),
        (
            "commit 3 has 2 bytes",
            altered(|rows| {
                rows.open_table(LOG)?.insert(3, short)?;
                Ok(())
            }),
        ),
        (
            "commit 3 cannot be read",
            altered(|rows| {
                rows.open_table(LOG)?.insert(3, sense)?;
                Ok(())
            }),
        ),
        (
            "format 2; this program knows formats up to 1",
            altered(|rows| put_row(rows, IDENTITY, |row| row.extend_from_slice(&[2, 0, 0, 0, 9]))),
        ),
    ] {
        let refused = contents(&image).expect_err(says).to_string();
        assert!(refused.contains(says), "{says}: {refused}");
    }
}
