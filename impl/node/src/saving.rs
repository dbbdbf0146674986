//! Writes a snapshot while the node takes further turns.
//!
//! The node hands out a [`Job`]. A thread writes the snapshot ([`Writing`]), and the loop that runs the node returns
//! the result to the node ([`Saved`]). Only then does the store adopt the snapshot. After a snapshot of its own, the
//! node keeps a part of the log that the snapshot replaces. After a peer's snapshot, it trims the log below that snapshot.
//!
//! The thread writes small pieces, and rests after each piece for half the time that the piece took. So the thread takes
//! at most two thirds of a processor and of the disk. A longer rest would cost memory: a node keeps the log, and each
//! value that is replaced, until the snapshot is written.

use std::{
    io::{self, BufWriter, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::machine::Frozen;
use paxos::types::Slot;
use paxos_recording::identity::{Hashed, StateId};
use paxos_store::SnapshotFile;

/// The most bytes that are written at once.
const PIECE_BYTES: usize = 512 << 10;

/// The origin of the state in a snapshot.
pub(super) enum Source {
    /// The node's own state at one moment. The job writes it.
    Own(Frozen),
    /// The state of a peer. The file contains all of it already.
    Peer,
}

/// A snapshot that is to be written and synced.
pub(super) struct Job<F> {
    /// The snapshot has the effect of every slot below.
    pub(super) below: Slot,
    pub(super) source: Source,
    pub(super) file: F,
}

/// The result of a job.
pub(super) struct Saved<F> {
    pub(super) below: Slot,
    /// The digest of the bytes that the job has written, or `None` for the snapshot of a peer.
    pub(super) own: Option<StateId>,
    /// The file. The whole snapshot in it is durable.
    pub(super) file: io::Result<F>,
}

impl<F: SnapshotFile> Job<F> {
    /// Writes and syncs the snapshot. Calls `rest` after each piece, with the time since the piece before. Ends with
    /// an error if `rest` returns one.
    pub(super) fn run(self, rest: impl FnMut(Duration) -> io::Result<()>) -> Saved<F> {
        let Self { below, source, mut file } = self;
        let (own, written) = match source {
            Source::Own(frozen) => {
                let to = Hashed::new(Pieces { to: &mut file, rest, begun: Instant::now() });
                let mut to = BufWriter::with_capacity(PIECE_BYTES, to);
                let written = catch_unwind(AssertUnwindSafe(|| frozen(&mut to)));
                let written = written.unwrap_or_else(|_| Err(io::Error::other("it has panicked")));
                let written = written.and_then(|()| to.flush());
                // The buffer may still hold bytes after an error. They are not written.
                let (hashed, _) = to.into_parts();
                (Some(hashed.state()), written)
            }
            Source::Peer => (None, Ok(())),
        };
        let file = written.and_then(|()| file.sync()).map(|()| file);
        Saved { below, own, file }
    }
}

/// Writes in pieces, with a rest after each.
struct Pieces<W, R> {
    to: W,
    rest: R,
    /// The end of the last rest.
    begun: Instant,
}

impl<W: Write, R: FnMut(Duration) -> io::Result<()>> Write for Pieces<W, R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(&bytes[..bytes.len().min(PIECE_BYTES)])?;
        (self.rest)(self.begun.elapsed())?;
        self.begun = Instant::now();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A job that runs on a thread of its own. Dropping this value cancels the job and waits for the end of the thread, so
/// that nothing is written to the store after it was closed.
pub(super) struct Writing<F> {
    cancelled: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    saved: oneshot::Receiver<Saved<F>>,
}

impl<F: SnapshotFile> Writing<F> {
    /// Starts the thread. If the system cannot start it, runs the job before this returns.
    pub(super) fn start(job: Job<F>) -> Self {
        let (done, saved) = oneshot::channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        let job = Arc::new(Mutex::new(Some((job, done))));
        let work = {
            let (job, cancelled) = (job.clone(), cancelled.clone());
            move || {
                let job = job.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some((job, done)) = job {
                    let rest = |took| {
                        if !cancelled.load(Ordering::Relaxed) {
                            thread::park_timeout(took / 2);
                        }
                        if cancelled.load(Ordering::Relaxed) {
                            return Err(io::Error::other("the node has stopped"));
                        }
                        Ok(())
                    };
                    let _ = done.send(job.run(rest)); // The node may have ended.
                }
            }
        };
        let thread = thread::Builder::new().name("snapshot".into()).spawn(work.clone()).ok();
        if thread.is_none() {
            work();
        }
        Self { cancelled, thread, saved }
    }

    /// Waits for the result.
    pub(super) async fn saved(&mut self) -> Saved<F> {
        (&mut self.saved).await.expect("a job catches panics, and always sends its result")
    }
}

impl<F> Drop for Writing<F> {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join(); // A panic of the thread was reported when it happened.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paxos_store::MemorySnapshot;

    fn job(frozen: Frozen) -> Job<MemorySnapshot> {
        Job { below: Slot(7), source: Source::Own(frozen), file: MemorySnapshot::default() }
    }

    #[tokio::test]
    async fn a_snapshot_is_written_by_another_thread() {
        let writes = |file: &mut dyn Write| {
            assert_eq!(thread::current().name(), Some("snapshot"));
            file.write_all(&vec![7; 3 * PIECE_BYTES])
        };
        let saved = Writing::start(job(Box::new(writes))).saved().await;
        assert_eq!((saved.below, saved.own.is_some()), (Slot(7), true));
        assert_eq!(saved.file.unwrap().length(), 3 * PIECE_BYTES as u64);
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let saved = Writing::start(job(Box::new(|_| panic!("on purpose")))).saved().await;
        assert_eq!(saved.file.unwrap_err().to_string(), "it has panicked");
    }

    /// A job rests after each piece, and a piece is small.
    #[test]
    fn a_snapshot_is_written_in_pieces() {
        let mut pieces = 0;
        let rest = |_| {
            pieces += 1;
            Ok(())
        };
        let saved = job(Box::new(|file| file.write_all(&vec![7; 3 * PIECE_BYTES + 1]))).run(rest);
        assert_eq!(saved.file.unwrap().length(), 3 * PIECE_BYTES as u64 + 1);
        assert_eq!(pieces, 4);
        let lasts = |file: &mut dyn Write| file.write_all(&vec![7; 3 * PIECE_BYTES]);
        let saved = job(Box::new(lasts)).run(|_| Err(io::Error::other("no more")));
        assert_eq!(saved.file.unwrap_err().to_string(), "no more");
    }

    /// A snapshot that would be written for ever ends with its node.
    #[test]
    fn dropping_it_ends_the_thread() {
        let endless = |file: &mut dyn Write| loop {
            file.write_all(b"more")?;
        };
        drop(Writing::start(job(Box::new(endless))));
    }
}
