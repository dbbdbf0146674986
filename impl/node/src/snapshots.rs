//! The snapshots of a node: the durable one, and the next one, which is being written or arrives from a peer.
//!
//! A store holds one snapshot beside the durable one. So a node writes no snapshot of its own while that of a peer
//! arrives, and asks no peer for one while it writes its own.

use std::io::{self, BufReader};

use paxos::{NodeId, Slot};
use paxos_recording::identity::{Hashed, StateId};
use paxos_store::{SnapshotFile, Storage, StorageError};

use crate::{
    machine::{Frozen, RestoreError, StateMachine},
    options::Options,
    packet::Packet,
    replicated::Replicated,
    saving::{Job, Source},
    timers::Now,
    transfer::{self, Part, Taken, Transfer},
};

/// The cost of a snapshot grows with the size of the state. So a node takes no snapshot before the log has grown by the
/// size of the last snapshot, divided by this number.
const GROWTH: u64 = 4;

/// The bytes that a slot of the log takes beside its command.
const SLOT_BYTES: u64 = 256;

/// The bytes of a snapshot that are read at once.
const READ_BYTES: usize = 1 << 20;

/// The snapshots of a node.
pub(super) struct Snapshots<F> {
    /// The durable snapshot: it has the effect of every slot below.
    durable: Option<(Slot, F)>,
    /// Bytes of commands applied since the last snapshot was begun.
    applied_bytes: u64,
    next: Next<F>,
    options: Options,
}

/// The next snapshot.
enum Next<F> {
    /// There is no next snapshot yet.
    None,
    /// A peer sends a snapshot.
    Arrives(Transfer<F>),
    /// A snapshot is to be written and synced.
    Due(Job<F>),
    /// The snapshot is being written and synced.
    UnderWay,
}

impl<F: SnapshotFile> Snapshots<F> {
    /// Returns the snapshots of a node that starts with this durable snapshot.
    pub(super) fn new(durable: Option<(Slot, F)>, options: Options) -> Self {
        Self { durable, applied_bytes: 0, next: Next::None, options }
    }

    /// The slot below which the durable snapshot has the effect of every slot, if there is one.
    pub(super) fn below(&self) -> Option<Slot> {
        self.durable.as_ref().map(|(below, _)| *below)
    }

    /// The bytes of the durable snapshot.
    pub(super) fn bytes(&self) -> u64 {
        self.durable.as_ref().map_or(0, |(_, file)| file.length())
    }

    /// Counts the bytes of a command that was applied.
    pub(super) fn applied(&mut self, bytes: u64) {
        self.applied_bytes += bytes;
    }

    /// Returns true if the state at this slot is to become the next snapshot.
    pub(super) fn is_due(&self, applied: Slot) -> bool {
        let slots = applied.0.saturating_sub(self.below().unwrap_or_default().0);
        let is_long = slots >= self.options.snapshot_slots
            || self.applied_bytes >= self.options.snapshot_bytes;
        matches!(self.next, Next::None)
            && slots > 0
            && is_long
            && self.applied_bytes + slots * SLOT_BYTES >= self.bytes() / GROWTH
    }

    /// Begins a snapshot of the state below a slot.
    ///
    /// # Errors
    /// The store has failed.
    pub(super) fn begin(
        &mut self,
        below: Slot,
        state: Frozen,
        storage: &mut impl Storage<SnapshotFile = F>,
    ) -> Result<(), StorageError> {
        let file = storage.begin_snapshot()?;
        self.next = Next::Due(Job { below, source: Source::Own(state), file });
        self.applied_bytes = 0;
        Ok(())
    }

    /// Returns the snapshot that is to be written and synced now, if there is one.
    pub(super) fn take_job(&mut self) -> Option<Job<F>> {
        match std::mem::replace(&mut self.next, Next::UnderWay) {
            Next::Due(job) => Some(job),
            other => {
                self.next = other;
                None
            }
        }
    }

    /// Adopts a written snapshot as the durable one. `None` gives up the next snapshot.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn adopt(
        &mut self,
        written: Option<(Slot, F)>,
        storage: &mut impl Storage<SnapshotFile = F>,
    ) -> Result<(), StorageError> {
        self.next = Next::None;
        if let Some((below, file)) = written {
            storage.adopt_snapshot(below, file)?;
            self.durable = storage.snapshot();
        }
        Ok(())
    }

    /// Notes that a peer's snapshot has replaced the state.
    pub(super) fn restored(&mut self) {
        self.applied_bytes = 0;
    }
}

/// The snapshot of a peer.
impl<F: SnapshotFile> Snapshots<F> {
    /// Returns the part that a peer asks for, if there is a durable snapshot.
    ///
    /// # Errors
    /// The part cannot be read.
    pub(super) fn part(
        &self,
        below: Option<Slot>,
        offset: u64,
    ) -> Result<Option<Packet>, StorageError> {
        let durable = self.durable.as_ref();
        durable.map(|durable| transfer::part(durable, below, offset)).transpose()
    }

    /// True while a peer's snapshot arrives.
    pub(super) fn arrives(&self) -> bool {
        matches!(self.next, Next::Arrives(_))
    }

    /// Begins to fetch the snapshot of a peer, unless another one is written or arrives. Returns the first question.
    pub(super) fn fetch(&mut self, from: NodeId, now: Now) -> Option<Packet> {
        if !matches!(self.next, Next::None) {
            return None;
        }
        let (transfer, first) = Transfer::begin(from, now);
        self.next = Next::Arrives(transfer);
        Some(first)
    }

    /// Asks again for a part that has not come in time. Gives up a peer that was silent for too long; another peer that
    /// has trimmed its log says so when it is asked for trimmed slots.
    pub(super) fn fetch_again(
        &mut self,
        now: Now,
        is_silent: impl Fn(NodeId) -> bool,
    ) -> Option<(NodeId, Packet)> {
        let Next::Arrives(transfer) = &mut self.next else { return None };
        if now.saturating_sub(transfer.asked()) < self.options.resend {
            return None;
        }
        if is_silent(transfer.from()) {
            self.next = Next::None;
            return None;
        }
        Some((transfer.from(), transfer.again(now)))
    }

    /// Takes a part of a peer's snapshot. Returns the question for the next part. Gives up a whole snapshot if this
    /// node knows all slots below its end to be chosen.
    ///
    /// # Errors
    /// The store has failed.
    pub(super) fn take_part(
        &mut self,
        from: NodeId,
        part: Part<'_>,
        chosen_below: Slot,
        now: Now,
        storage: &mut impl Storage<SnapshotFile = F>,
    ) -> Result<Option<Packet>, StorageError> {
        let Next::Arrives(transfer) = &mut self.next else { return Ok(None) };
        if transfer.from() != from {
            return Ok(None); // This node does not ask that peer any more.
        }
        match transfer.take(part, || storage.begin_snapshot())? {
            Taken::Whole(below, file) if below > chosen_below => {
                self.next = Next::Due(Job { below, source: Source::Peer, file });
            }
            Taken::Whole(..) => self.next = Next::None,
            Taken::Part => return Ok(Some(transfer.again(now))),
            Taken::Nothing => {}
        }
        Ok(None)
    }
}

/// Replaces the state by that of a snapshot, which is read in large pieces. Returns the digest of all bytes, or the error with
/// which the bytes cannot be read that the machine did not need.
///
/// # Errors
/// The bytes are no snapshot of this machine, or cannot be read. The machine is as it was.
pub(super) fn restore<M: StateMachine>(
    replicated: &mut Replicated<M>,
    below: Slot,
    file: &impl SnapshotFile,
) -> Result<io::Result<StateId>, RestoreError> {
    let mut hashed = Hashed::new(BufReader::with_capacity(READ_BYTES, file.reader()));
    replicated.restore(below, &mut hashed)?;
    Ok(io::copy(&mut hashed, &mut io::sink()).map(|_| hashed.state()))
}
