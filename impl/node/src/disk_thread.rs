//! The thread that makes commits durable, so that the node goes on while the disk is busy.
//!
//! The thread and the node share the store. A change of the node to the store waits until the commit that is under way is
//! durable. Such changes are rare: snapshots, and what the handshakes of peers note.

use std::{
    io,
    panic::resume_unwind,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use tokio::sync::mpsc as asynchronous;

use crate::noted_votes::{Commit, Committed};
use paxos::{event::Record, types::Slot};
use paxos_store::{Storage, StorageError, StoreId};

/// A store that two threads use. Each call has the store for itself.
pub(super) struct SharedStorage<S>(Arc<Mutex<S>>);

impl<S> SharedStorage<S> {
    pub(super) fn new(storage: S) -> Self {
        Self(Arc::new(Mutex::new(storage)))
    }

    fn lock(&self) -> MutexGuard<'_, S> {
        // If the other thread panics, the panic ends the node.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Clone for SharedStorage<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Storage> Storage for SharedStorage<S> {
    type SnapshotFile = S::SnapshotFile;

    fn recover(&mut self) -> Result<Vec<Record>, StorageError> {
        self.lock().recover()
    }

    fn persist(&mut self, records: &[Record]) -> Result<(), StorageError> {
        self.lock().persist(records)
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
        self.lock().adopt_snapshot(below, file)
    }

    fn note(&mut self, name: &str, value: &[u8]) -> Result<(), StorageError> {
        self.lock().note(name, value)
    }

    fn persist_and_note(
        &mut self,
        records: &[Record],
        name: &str,
        value: &[u8],
    ) -> Result<(), StorageError> {
        self.lock().persist_and_note(records, name, value)
    }

    fn noted(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        self.lock().noted(name)
    }

    fn id(&self) -> StoreId {
        self.lock().id()
    }

    fn disk_bytes(&self) -> u64 {
        self.lock().disk_bytes()
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
