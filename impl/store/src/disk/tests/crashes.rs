//! A crash at every moment: whatever was acknowledged is there, and nothing that was not written.

use std::{io::Write as _, mem};

use super::{
    Recorder, contents, new, open,
    recorder::{Deed, Image, apply},
};
use crate::{
    Disk, SnapshotFile as _, Storage as _, StorageError,
    contract::{self, Contents, Step},
};

/// Everything that can be done, so that each kind of commit is torn: with and without a snapshot,
/// with and without something to trim, and after the store was closed, or not, and opened again.
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
            // Not closed, as if the process had been killed. What it would have done is not done.
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
    assert!(heads >= 2, "first one file and then the other was begun anew: {heads}");
    drop(store);
    (recorder, states)
}

/// A snapshot is written in parts while the log goes on, twice: the second one in place of the one before the first.
fn beside_the_log(store: &mut Disk, recorder: &Recorder, states: &mut Vec<Contents>) {
    let mut take = |store: &mut Disk, step: Option<Step>| {
        let mut state = states[states.len() - 1].clone();
        if let Some(step) = step {
            // The snapshot itself was adopted by then.
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

/// Of what was acknowledged when the crash came, and what came next.
fn is_one_of(states: &[Contents], acknowledged: usize, image: &Image, when: impl Fn() -> String) {
    let found = contents(image).unwrap_or_else(|error| panic!("{}: {error}", when()));
    let may = &states[acknowledged.saturating_sub(1)..states.len().min(acknowledged + 1)];
    assert!(may.contains(&found), "{}: found {found:#?}, not one of {may:#?}", when());
}

/// How much of a write may be there.
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
    let (mut image, mut acknowledged) = (recorder.began(), 0);
    for (number, deed) in recorder.deeds().iter().enumerate() {
        if let Deed::Write(file, offset, bytes) = deed {
            for cut in cuts(bytes.len()) {
                let mut torn = image.clone();
                apply(&mut torn, &Deed::Write(*file, *offset, bytes[..cut].to_vec()));
                let when = || format!("deed {number}, {cut} of {} bytes", bytes.len());
                is_one_of(&states, acknowledged, &torn, when);
            }
        }
        apply(&mut image, deed);
        acknowledged += usize::from(matches!(deed, Deed::Acknowledged));
    }
    assert_eq!(contents(&image).expect("opens"), states[states.len() - 1]);
}

/// Between two syncs a disk writes in any order. Of the writes since the last one, all but one, only
/// one, and every other one are there.
#[test]
fn writes_in_any_order_are_a_store() {
    let (recorder, states) = workload();
    let (mut synced, mut acknowledged) = (recorder.began(), 0);
    let mut since: Vec<&Deed> = Vec::new();
    let deeds = recorder.deeds();
    for (number, deed) in deeds.iter().enumerate() {
        match deed {
            Deed::Acknowledged => acknowledged += 1,
            Deed::Sync(synced_file) => {
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
                            if there(at, chosen) || matches!(write, Deed::Length(..)) {
                                apply(&mut image, write);
                            }
                        }
                        let when = || format!("deed {number}, write {chosen}, kind {kind}");
                        is_one_of(&states, acknowledged, &image, when);
                    }
                }
                // The other files have not been synced, and go on being written late or not at all.
                for write in mem::take(&mut since) {
                    match write {
                        Deed::Write(file, ..) | Deed::Length(file, _) if file != synced_file => {
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

/// What a crash has left can be gone on with.
#[test]
fn life_goes_on_after_a_crash() {
    let (recorder, _) = workload();
    let mut image = recorder.began();
    let next = Step::Note("peers".into(), "life goes on".into());
    for (number, deed) in recorder.deeds().iter().enumerate() {
        apply(&mut image, deed);
        let after = Recorder::of(image.clone());
        let went_on = (|| {
            let mut store = open(after.files())?;
            let mut expected = Contents::read(&mut store)?;
            next.take(&mut store)?;
            expected.take(&next);
            mem::forget(store);
            assert_eq!(contents(&after.synced())?, expected, "after deed {number}");
            assert_eq!(contents(&after.written())?, expected, "after deed {number}");
            Ok::<_, StorageError>(())
        })();
        went_on.unwrap_or_else(|error| panic!("after deed {number}: {error}"));
    }
}
