//! The thread that makes commits durable, so that the node goes on while the disk is busy.
//!
//! The thread and the node share the store. If the node itself uses the store, it waits until the commit that is under way is
//! durable. It does so only for a snapshot that is complete or arrives, and for what the handshakes of peers note.

use std::{
    io,
    panic::resume_unwind,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use tokio::sync::mpsc as asynchronous;

use crate::noted_votes::{Commit, Committed};
use paxos::{event::Record, types::Slot};
use paxos_store::{Storage, StorageError, StoreId};

/// A store that two threads use. Each call has the store for itself, but for the question for its size.
pub(super) struct SharedStorage<S> {
    storage: Arc<Mutex<S>>,
    /// The size of the store after the last change.
    disk_bytes: Arc<AtomicU64>,
}

impl<S: Storage> SharedStorage<S> {
    pub(super) fn new(storage: S) -> Self {
        let disk_bytes = Arc::new(AtomicU64::new(storage.disk_bytes()));
        Self { storage: Arc::new(Mutex::new(storage)), disk_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, S> {
        self.storage.lock().expect("a panic of the other thread ends the node")
    }

    /// Makes a change, and then takes the size.
    fn change<T>(&self, change: impl FnOnce(&mut S) -> T) -> T {
        let mut storage = self.lock();
        let changed = change(&mut storage);
        self.disk_bytes.store(storage.disk_bytes(), Ordering::Relaxed);
        changed
    }
}

impl<S> Clone for SharedStorage<S> {
    fn clone(&self) -> Self {
        Self { storage: self.storage.clone(), disk_bytes: self.disk_bytes.clone() }
    }
}

impl<S: Storage> Storage for SharedStorage<S> {
    type SnapshotFile = S::SnapshotFile;

    fn recover(&mut self) -> Result<Vec<Record>, StorageError> {
        self.lock().recover()
    }

    fn persist(&mut self, records: &[Record]) -> Result<(), StorageError> {
        self.change(|storage| storage.persist(records))
    }

    fn snapshot(&self) -> Option<(Slot, Self::SnapshotFile)> {
        self.lock().snapshot()
    }

    fn begin_snapshot(&mut self) -> Result<Self::SnapshotFile, StorageError> {
        self.lock().begin_snapshot()
    }

    fn adopt_snapshot(
        &mut self,
        below: Slot,
        file: Self::SnapshotFile,
    ) -> Result<(), StorageError> {
        self.change(|storage| storage.adopt_snapshot(below, file))
    }

    fn note(&mut self, name: &str, value: &[u8]) -> Result<(), StorageError> {
        self.change(|storage| storage.note(name, value))
    }

    fn persist_and_note(
        &mut self,
        records: &[Record],
        name: &str,
        value: &[u8],
    ) -> Result<(), StorageError> {
        self.change(|storage| storage.persist_and_note(records, name, value))
    }

    fn noted(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        self.lock().noted(name)
    }

    fn id(&self) -> StoreId {
        self.lock().id()
    }

    fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Ordering::Relaxed)
    }
}

/// The thread. Dropping this value waits until the commit that is under way is durable, so that the store can be closed.
pub(super) struct DiskThread {
    /// `None` once the thread is to end.
    commits: Option<mpsc::Sender<Commit>>,
    committed: asynchronous::UnboundedReceiver<Result<Committed, StorageError>>,
    thread: Option<JoinHandle<()>>,
    is_busy: bool,
}

impl DiskThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system cannot start it.
    pub(super) fn start<S: Storage + Send + 'static>(
        mut storage: SharedStorage<S>,
    ) -> io::Result<Self> {
        let (commits, arriving) = mpsc::channel::<Commit>();
        let (done, committed) = asynchronous::unbounded_channel();
        let work = move || {
            for commit in arriving {
                if done.send(commit.persist(&mut storage)).is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("paxos-disk".into()).spawn(work)?;
        Ok(Self { commits: Some(commits), committed, thread: Some(thread), is_busy: false })
    }

    /// True while a commit is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Begins to make a commit durable. Only one may be under way.
    pub(super) fn begin(&mut self, commit: Commit) {
        self.is_busy = true;
        let commits = self.commits.as_ref().expect("the thread ends when this value is dropped");
        if commits.send(commit).is_err() {
            self.rethrow();
        }
    }

    /// Waits until the commit that is under way is durable, or has failed.
    ///
    /// # Panics
    /// The store has panicked.
    pub(super) async fn committed(&mut self) -> Result<Committed, StorageError> {
        let Some(committed) = self.committed.recv().await else { self.rethrow() };
        self.is_busy = false;
        committed
    }

    /// Goes on with the panic that has ended the thread.
    fn rethrow(&mut self) -> ! {
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(panic)) => resume_unwind(panic),
            _ => unreachable!("the thread ends after this value"),
        }
    }
}

impl Drop for DiskThread {
    fn drop(&mut self) {
        self.commits = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // A panic of the thread was reported when it happened.
        }
    }
}
