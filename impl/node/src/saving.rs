//! Writes a snapshot, or restores that of a peer, while the node takes further turns.
//!
//! The node hands out a [`Job`]. A thread does it ([`Saving`]), and the loop that runs the node returns the result to
//! the node ([`Saved`]). Only then does the store adopt the snapshot. After a snapshot of its own, the node keeps a
//! part of the log that the snapshot replaces. After a peer's snapshot, it trims the log below that snapshot.
//!
//! The thread writes small pieces, and rests after each piece for half the time that the piece took. So the thread takes
//! at most two thirds of a processor and of the disk. A longer rest would cost memory: a node keeps the log, and each
//! value that is replaced, until the snapshot is written.
//!
//! A restore does not rest. The job has the machine meanwhile, so that the node applies nothing and serves no read
//! until the job is done. The node votes, learns chosen values, and answers its peers.

use std::{
    io::{self, BufReader, BufWriter, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    machine::{Frozen, RestoreError, StateMachine},
    session::Sessions,
};
use paxos::types::Slot;
use paxos_recording::identity::{Hashed, StateId};
use paxos_store::SnapshotFile;

/// The most bytes that are written at once.
const PIECE_BYTES: usize = 512 << 10;

/// The bytes of a snapshot that are read at once.
const READ_BYTES: usize = 1 << 20;

/// The origin of the state in a snapshot.
pub(super) enum Source<M: StateMachine> {
    /// The node's own state at one moment. The job writes it.
    Own(Frozen),
    /// The state of a peer. The file contains all of it already, and the job restores this machine from it.
    Peer(Sessions<M>),
}

/// A snapshot that is to be written or restored, and synced.
pub(super) struct Job<M: StateMachine, F> {
    /// The snapshot has the effect of every slot below.
    pub(super) below: Slot,
    pub(super) source: Source<M>,
    pub(super) file: F,
}

/// The result of a job.
pub(super) struct Saved<M: StateMachine, F> {
    pub(super) below: Slot,
    pub(super) ended: Ended<M>,
    /// The file. The whole snapshot in it is durable.
    pub(super) file: io::Result<F>,
}

/// The end of a job.
pub(super) enum Ended<M: StateMachine> {
    /// The job has written bytes with this digest.
    Written(StateId),
    /// The job has restored the machine. Has the digest of the snapshot, or the error with which the bytes cannot be
    /// read that the machine did not need.
    Restored(Sessions<M>, io::Result<StateId>),
    /// The job could not restore the machine, which is as it was.
    NotRestored(Sessions<M>, RestoreError),
}

impl<M: StateMachine, F: SnapshotFile> Job<M, F> {
    /// Writes or restores the snapshot, and syncs it. Calls `rest` after each piece that is written, with the time
    /// since the piece before, and with no time before each piece that is read. Ends with an error if `rest` returns
    /// one.
    ///
    /// # Panics
    /// The machine panics while it is restored. Its state is then unknown, so the node cannot go on with it.
    pub(super) fn run(self, mut rest: impl FnMut(Duration) -> io::Result<()>) -> Saved<M, F> {
        let Self { below, source, mut file } = self;
        let (ended, written) = match source {
            Source::Own(frozen) => {
                let to = Hashed::new(Pieces { to: &mut file, rest, begun: Instant::now() });
                let mut to = BufWriter::with_capacity(PIECE_BYTES, to);
                let written = catch_unwind(AssertUnwindSafe(|| frozen(&mut to)));
                let written = written.unwrap_or_else(|_| Err(io::Error::other("it has panicked")));
                let written = written.and_then(|()| to.flush());
                // The buffer may still hold bytes after an error. They are not written.
                let (hashed, _) = to.into_parts();
                (Ended::Written(hashed.state()), written)
            }
            Source::Peer(mut sessions) => {
                let from = Stoppable { from: file.reader(), check: || rest(Duration::ZERO) };
                let ended = match restore(&mut sessions, below, from) {
                    Ok(state) => Ended::Restored(sessions, state),
                    Err(error) => Ended::NotRestored(sessions, error),
                };
                (ended, Ok(()))
            }
        };
        let file = written.and_then(|()| file.sync()).map(|()| file);
        Saved { below, ended, file }
    }
}

/// Replaces the state by that of a snapshot, which is read in large pieces. Returns the digest of all bytes, or the
/// error with which the bytes cannot be read that the machine did not need.
///
/// # Errors
/// The bytes are no snapshot of this machine, or cannot be read. The machine is as it was.
pub(super) fn restore<M: StateMachine>(
    sessions: &mut Sessions<M>,
    below: Slot,
    from: impl Read,
) -> Result<io::Result<StateId>, RestoreError> {
    let mut hashed = Hashed::new(BufReader::with_capacity(READ_BYTES, from));
    sessions.restore(below, &mut hashed)?;
    Ok(io::copy(&mut hashed, &mut io::sink()).map(|_| hashed.state()))
}

/// Reads until `check` returns an error.
struct Stoppable<F, C> {
    from: F,
    check: C,
}

impl<F: Read, C: FnMut() -> io::Result<()>> Read for Stoppable<F, C> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        (self.check)()?;
        self.from.read(out)
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
/// that nothing is written to the store after it was closed. A restore ends when the machine reads on.
pub(super) struct Saving<M: StateMachine, F> {
    cancelled: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    saved: oneshot::Receiver<Saved<M, F>>,
}

impl<M: StateMachine, F: SnapshotFile> Saving<M, F> {
    /// Starts the thread. If the system cannot start it, runs the job before this returns.
    pub(super) fn start(job: Job<M, F>) -> Self {
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
    ///
    /// # Panics
    /// The machine has panicked while it was restored.
    pub(super) async fn saved(&mut self) -> Saved<M, F> {
        match (&mut self.saved).await {
            Ok(saved) => saved,
            Err(_) => match self.thread.take().map(JoinHandle::join) {
                Some(Err(panic)) => resume_unwind(panic),
                _ => unreachable!("a thread that does not panic sends its result"),
            },
        }
    }
}

impl<M: StateMachine, F> Drop for Saving<M, F> {
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
    use std::sync::mpsc;

    use bytes::Bytes;

    use super::*;
    use crate::machine::tests::{Counter, bytes};
    use paxos_store::MemorySnapshot;

    fn job(frozen: Frozen) -> Job<Counter, MemorySnapshot> {
        Job { below: Slot(7), source: Source::Own(frozen), file: MemorySnapshot::default() }
    }

    /// A machine that is restored by this function.
    struct RestoredBy(Restore);

    type Restore = Box<dyn FnMut(&mut dyn Read) -> Result<(), RestoreError> + Send>;

    impl StateMachine for RestoredBy {
        type Answer = Bytes;

        fn apply(&mut self, _: &[u8]) -> Bytes {
            Bytes::new()
        }

        fn snapshot(&self) -> Frozen {
            Box::new(|file| file.write_all(b"state"))
        }

        fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
            (self.0)(snapshot)
        }
    }

    fn restore_job(
        restore: impl FnMut(&mut dyn Read) -> Result<(), RestoreError> + Send + 'static,
    ) -> (Job<RestoredBy, MemorySnapshot>, Vec<u8>) {
        let (machine, mut file) = (RestoredBy(Box::new(restore)), MemorySnapshot::default());
        let sessions = Sessions::new(machine);
        let snapshot = bytes(sessions.snapshot());
        file.write_all(&snapshot).expect("there is memory");
        (Job { below: Slot(0), source: Source::Peer(sessions), file }, snapshot)
    }

    #[tokio::test]
    async fn a_snapshot_is_written_by_another_thread() {
        let writes = |file: &mut dyn Write| {
            assert_eq!(thread::current().name(), Some("snapshot"));
            file.write_all(&vec![7; 3 * PIECE_BYTES])
        };
        let saved = Saving::start(job(Box::new(writes))).saved().await;
        assert!(saved.below == Slot(7) && matches!(saved.ended, Ended::Written(_)));
        assert_eq!(saved.file.unwrap().length(), 3 * PIECE_BYTES as u64);
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let saved = Saving::start(job(Box::new(|_| panic!("on purpose")))).saved().await;
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
        drop(Saving::start(job(Box::new(endless))));
    }

    /// The digest is of all bytes, also of those that the machine does not read.
    #[tokio::test]
    async fn a_snapshot_is_restored_by_another_thread() {
        let restore = |file: &mut dyn Read| {
            assert_eq!(thread::current().name(), Some("snapshot"));
            Ok(file.read_exact(&mut [0; 2])?)
        };
        let (job, snapshot) = restore_job(restore);
        let Ended::Restored(_, state) = Saving::start(job).saved().await.ended else {
            panic!("it can be restored");
        };
        let mut hashed = Hashed::new(io::sink());
        hashed.write_all(&snapshot).expect("there is nothing to fail");
        assert_eq!(state.unwrap(), hashed.state());
        let (job, _) = restore_job(|_| Err(RestoreError::new("on purpose")));
        let Ended::NotRestored(_, error) = Saving::start(job).saved().await.ended else {
            panic!("it cannot be restored");
        };
        assert_eq!(error.reason(), "on purpose");
    }

    /// The state of the machine is unknown then, so the node must not go on.
    #[tokio::test]
    #[should_panic(expected = "on purpose")]
    async fn a_panic_of_a_restore_reaches_the_node() {
        let (job, _) = restore_job(|_| panic!("on purpose"));
        Saving::start(job).saved().await;
    }

    /// A restore that would read for ever ends with its node, and the node waits for the end.
    #[test]
    fn dropping_it_ends_a_restore() {
        let (begins, begun) = mpsc::channel();
        let has_ended = Arc::new(AtomicBool::new(false));
        let ends = has_ended.clone();
        let (job, _) = restore_job(move |file| {
            begins.send(()).expect("the test waits");
            loop {
                if let Err(error) = file.read(&mut [0]) {
                    // Without the wait, the other thread goes on now.
                    (0..10_000).for_each(|_| thread::yield_now());
                    ends.store(true, Ordering::Relaxed);
                    return Err(error.into());
                }
            }
        });
        let saving = Saving::start(job);
        begun.recv().expect("the restore begins");
        drop(saving);
        assert!(has_ended.load(Ordering::Relaxed));
    }
}
