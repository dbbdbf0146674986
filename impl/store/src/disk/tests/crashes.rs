//! A crash at every moment: the store has every acknowledged change, and at most one change more.

use std::{io::Write as _, mem};

use super::{
    Recorder, contents, new, open,
    recorder::{Image, Operation, apply},
};
use crate::{
    Disk, SnapshotFile as _, Storage as _, StorageError,
    contract::{self, Contents, Step},
};

/// Runs a workload with every kind of commit: with and without a snapshot, with and without a trim, and after the store
/// was opened again. Before that, the store was closed or not. Returns the recorded files, and the content after each
/// acknowledgement.
fn workload() -> (Recorder, Vec<Contents>) {
    let recorder = Recorder::of(new().written());
    let mut store = open(recorder.files()).expect("it can be opened");
    let mut states = vec![Contents::default()];
    recorder.acknowledge();
    for (number, step) in contract::steps(3).take(40).enumerate() {
        match number {
            12 => {
                drop(store);
                store = open(recorder.files()).expect("it can be opened");
            }
            // The store is not closed, as if the process had been killed.
            25 => {
                mem::forget(store);
                store = open(recorder.files()).expect("it can be opened");
            }
            _ => {}
        }
        let mut state = states[number].clone();
        state.take(&step);
        states.push(state);
        step.take(&mut store).expect("it can be done");
        recorder.acknowledge();
    }
    beside_the_log(&mut store, &recorder, &mut states);
    let heads = store.log.last - 1 - 44;
    assert!(heads >= 2, "the log switched to the other segment and back: {heads}");
    drop(store);
    (recorder, states)
}

/// Writes two snapshots in parts while the log grows. The second snapshot overwrites the file of the snapshot that was
/// durable before the first.
fn beside_the_log(store: &mut Disk, recorder: &Recorder, states: &mut Vec<Contents>) {
    let mut take = |store: &mut Disk, step: Option<Step>| {
        let mut state = states[states.len() - 1].clone();
        if let Some(step) = step {
            // The caller has adopted the snapshot already.
            if !matches!(step, Step::Snapshot(_)) {
                step.take(store).expect("it can be done");
            }
            state.take(&step);
        }
        states.push(state);
        recorder.acknowledge();
    };
    let image = Contents::read(store).expect("it can be read").records;
    let end = image.image().votes.end();
    for (slot, length) in [(end, 3000), (end.plus(1), 2000)] {
        let snapshot = contract::snapshot(slot.0, length);
        let (first, rest) = snapshot.state.split_at(length / 3);
        let mut file = store.begin_snapshot().expect("it begins");
        file.write_all(first).expect("it can be written");
        take(store, Some(Step::Persist(vec![contract::accepted(100, slot.0, 1)])));
        file.write_all(rest).expect("it can be written");
        file.sync().expect("it can be synced");
        take(store, None);
        store.adopt_snapshot(slot, file).expect("it can be adopted");
        take(store, Some(Step::Snapshot(snapshot)));
    }
}

/// Asserts that the files have the content that was acknowledged last, or the next one.
fn is_one_of(states: &[Contents], acknowledged: usize, image: &Image, when: impl Fn() -> String) {
    let found = contents(image).unwrap_or_else(|error| panic!("{}: {error}", when()));
    let may = &states[acknowledged.saturating_sub(1)..states.len().min(acknowledged + 1)];
    assert!(may.contains(&found), "{}: found {found:#?}, not one of {may:#?}", when());
}

/// Returns the lengths at which a write of `length` bytes is torn.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    let sectors = (0..length).step_by(512);
    let mut cuts: Vec<usize> = sectors.chain([length / 2, length - 1]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts.into_iter()
}

#[test]
fn every_prefix_of_all_writes_is_a_store() {
    let (recorder, states) = workload();
    let (mut image, mut acknowledged) = (recorder.initial(), 0);
    for (number, operation) in recorder.operations().iter().enumerate() {
        if let Operation::Write(file, offset, bytes) = operation {
            for cut in cuts(bytes.len()) {
                let mut torn = image.clone();
                apply(&mut torn, &Operation::Write(*file, *offset, bytes[..cut].to_vec()));
                let when = || format!("operation {number}, {cut} of {} bytes", bytes.len());
                is_one_of(&states, acknowledged, &torn, when);
            }
        }
        apply(&mut image, operation);
        acknowledged += usize::from(matches!(operation, Operation::Acknowledged));
    }
    assert_eq!(contents(&image).expect("opens"), states[states.len() - 1]);
}

/// Between two syncs a disk writes in any order. After a crash the test keeps various subsets of the writes since the
/// last sync: all but one, only one, all from one on, and every second one.
#[test]
fn writes_in_any_order_are_a_store() {
    let (recorder, states) = workload();
    let (mut synced, mut acknowledged) = (recorder.initial(), 0);
    let mut since: Vec<&Operation> = Vec::new();
    let operations = recorder.operations();
    for (number, operation) in operations.iter().enumerate() {
        match operation {
            Operation::Acknowledged => acknowledged += 1,
            Operation::Sync(synced_file) => {
                let count = since.len();
                let kinds: [&dyn Fn(usize, usize) -> bool; 4] = [
                    &|at, chosen| at != chosen,
                    &|at, chosen| at == chosen,
                    &|at, chosen| at >= chosen,
                    &|at, chosen| at % 2 == chosen % 2,
                ];
                for (kind, there) in kinds.iter().enumerate() {
                    for chosen in 0..count {
                        let mut image = synced.clone();
                        for (at, &write) in since.iter().enumerate() {
                            if there(at, chosen) || matches!(write, Operation::Length(..)) {
                                apply(&mut image, write);
                            }
                        }
                        let when = || format!("operation {number}, write {chosen}, kind {kind}");
                        is_one_of(&states, acknowledged, &image, when);
                    }
                }
                // The other files have not been synced, so their writes stay in question.
                for write in mem::take(&mut since) {
                    match write {
                        Operation::Write(file, ..) | Operation::Length(file, _)
                            if file != synced_file =>
                        {
                            since.push(write);
                        }
                        _ => apply(&mut synced, write),
                    }
                }
            }
            write => since.push(write),
        }
    }
}

/// A store accepts further changes after a crash at any operation.
#[test]
fn a_store_accepts_changes_after_a_crash() {
    let (recorder, _) = workload();
    let mut image = recorder.initial();
    let next = Step::Note("peers".into(), "life goes on".into());
    for (number, operation) in recorder.operations().iter().enumerate() {
        apply(&mut image, operation);
        let after = Recorder::of(image.clone());
        let went_on = (|| {
            let mut store = open(after.files())?;
            let mut expected = Contents::read(&mut store)?;
            next.take(&mut store)?;
            expected.take(&next);
            mem::forget(store);
            assert_eq!(contents(&after.synced())?, expected, "after operation {number}");
            assert_eq!(contents(&after.written())?, expected, "after operation {number}");
            Ok::<_, StorageError>(())
        })();
        went_on.unwrap_or_else(|error| panic!("after operation {number}: {error}"));
    }
}
