//! Disks that fail and disks that stall.

use std::{
    io, mem,
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
    time::Duration,
};

use super::{
    contents, new, open,
    recorder::{Fault, Recorder},
};
use crate::{
    Storage as _, StorageError,
    contract::{self, Contents},
    disk::file::{File, SharedFile},
};

/// A failure of any write or sync poisons the store, even if the disk recovers. When the store is opened again, it has
/// all acknowledged changes, and at most also the one that failed. This holds if the disk has kept the bytes that were
/// not synced, and if it has lost them.
#[test]
fn a_failure_poisons_the_store_and_loses_nothing() {
    let image = new().written();
    for lasting in [true, false] {
        for after in 0.. {
            let recorder = Recorder::of(image.clone());
            let mut store = open(recorder.files()).expect("it can be opened");
            recorder.fail(Fault { after, lasting });
            let mut states = vec![Contents::default()];
            let mut failed = None;
            for step in contract::steps(3).take(25) {
                let mut state = states[states.len() - 1].clone();
                state.take(&step);
                states.push(state);
                if let Err(error) = step.take(&mut store) {
                    failed = Some(error);
                    break;
                }
            }
            let Some(error) = failed else { break };
            let when = format!("fault after {after}, lasting {lasting}");
            assert!(matches!(error, StorageError::Io { .. }), "{when}: {error}");
            for refused in [
                store.persist(&[]),
                store.note("peer", b""),
                store.recover().map(drop),
                store.noted("peer").map(drop),
            ] {
                assert!(matches!(refused, Err(StorageError::Poisoned { .. })), "{when}");
            }
            let (killed, unplugged) = (recorder.written(), recorder.synced());
            drop(store);
            for image in [killed, unplugged, recorder.written(), recorder.synced()] {
                let found = contents(&image).unwrap_or_else(|error| panic!("{when}: {error}"));
                assert!(states[states.len() - 2..].contains(&found), "{when}: {found:?}");
            }
            // The next process opens the store on the same system, which shows the bytes that it failed to write.
            recorder.recover();
            let mut store =
                open(recorder.files()).unwrap_or_else(|error| panic!("{when}: {error}"));
            let shown = Contents::read(&mut store).expect("it can be read");
            mem::forget(store);
            let durable = contents(&recorder.synced()).expect("it can be opened");
            assert_eq!(durable, shown, "{when}: the shown content is durable");
        }
    }
}

/// If the disk fails while the store is opened, the opening fails. The next opening finds the store intact.
#[test]
fn a_failure_while_opening_harms_nothing() {
    let recorder = new();
    let mut store = open(recorder.files()).expect("it can be opened");
    let mut expected = Contents::default();
    for step in contract::steps(3).take(10) {
        step.take(&mut store).expect("it can be done");
        expected.take(&step);
    }
    mem::forget(store);
    for after in 0.. {
        let recorder = Recorder::of(recorder.written());
        recorder.fail(Fault { after, lasting: true });
        let opened = open(recorder.files());
        let done = opened.is_ok() && recorder.awaits_fault();
        drop(opened);
        assert_eq!(contents(&recorder.written()).expect("opens"), expected, "after {after}");
        assert_eq!(contents(&recorder.synced()).expect("opens"), expected, "after {after}");
        if done {
            break;
        }
    }
}

/// A file whose syncs wait while a gate is closed.
#[derive(Debug)]
struct Stalling {
    file: SharedFile,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    closed: Mutex<bool>,
    moved: Condvar,
}

impl Gate {
    fn close(&self, closed: bool) {
        *self.closed.lock().expect("no holder panics") = closed;
        self.moved.notify_all();
    }
}

impl File for Stalling {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write(offset, bytes)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_length(length)
    }

    fn sync(&self) -> io::Result<()> {
        let closed = self.gate.closed.lock().expect("no holder panics");
        drop(self.gate.moved.wait_while(closed, |closed| *closed));
        self.file.sync()
    }
}

#[test]
fn nothing_is_acknowledged_before_it_is_synced() {
    let recorder = new();
    let gate = Arc::new(Gate::default());
    let mut files = recorder.files();
    files.logs = files
        .logs
        .map(|file| -> SharedFile { Arc::new(Stalling { file, gate: Arc::clone(&gate) }) });
    let mut store = open(files).expect("it can be opened");

    gate.close(true);
    let before = recorder.syncs();
    let (done, is_done) = mpsc::channel();
    let writing = thread::spawn(move || {
        store.note("peer", b"value").expect("it can be done");
        done.send(()).expect("the test waits");
    });
    is_done.recv_timeout(Duration::from_millis(200)).expect_err("it waits for the disk");
    assert_eq!(recorder.syncs(), before);

    gate.close(false);
    is_done.recv().expect("it is done");
    assert!(recorder.syncs() > before);
    writing.join().expect("it ends");
}
