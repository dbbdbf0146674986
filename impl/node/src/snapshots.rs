//! The snapshots of a node: the durable one, and the next one, which is being written or arrives from a peer.
//!
//! A store holds one snapshot beside the durable one. So a node writes no snapshot of its own while that of a peer
//! arrives or is restored, and asks no peer for one while it writes its own.

use std::collections::VecDeque;

use paxos::{NodeId, Slot};
use paxos_store::{SnapshotFile, Storage, StorageError};

use crate::{
    machine::{Frozen, StateMachine},
    options::Options,
    packet::Packet,
    replicated::Replicated,
    saving::{Job, Source},
    timers::Now,
    transfer::{self, Part, Taken, Transfer},
};

/// The cost of a snapshot grows with the size of the state. So a node takes no snapshot before the log has grown by the
/// size of the last snapshot, divided by this number.
const GROWTH: u64 = 8;

/// The bytes of the log up to which a node keeps slots that its snapshot replaces, for peers that are a little behind.
const KEPT_BYTES: u64 = 32 << 20;

/// The most slots that a turn trims. It takes some milliseconds to give back their memory.
const TRIMMED_MAX: u64 = 10_000;

/// The number of parts in which the kept log is measured. A node keeps up to one part less than [`KEPT_BYTES`].
const KEPT_PARTS: usize = 8;

/// The bytes that a slot of the log takes beside its command.
const SLOT_BYTES: u64 = 256;

/// The snapshots of a node.
pub(super) struct Snapshots<M: StateMachine, F> {
    /// The durable snapshot: it has the effect of every slot below.
    durable: Option<(Slot, F)>,
    /// Bytes of commands applied since the last snapshot was begun.
    applied_bytes: u64,
    log: LogBytes,
    /// The slot below which the log is trimmed, some slots in each turn.
    trim_below: Slot,
    next: Next<M, F>,
    options: Options,
}

/// The bytes of the applied log, in parts.
#[derive(Default)]
struct LogBytes {
    /// The slot after each of the last [`KEPT_PARTS`] parts.
    ends: VecDeque<Slot>,
    /// The bytes after the last part.
    bytes: u64,
}

impl LogBytes {
    fn applied(&mut self, slot: Slot, bytes: u64) {
        self.bytes += bytes + SLOT_BYTES;
        if self.bytes >= KEPT_BYTES / KEPT_PARTS as u64 {
            self.bytes = 0;
            self.ends.truncate(KEPT_PARTS - 1);
            self.ends.push_front(slot.plus(1));
        }
    }

    /// Returns the slot from which on the log has less than [`KEPT_BYTES`].
    fn kept_from(&self) -> Slot {
        self.ends.get(KEPT_PARTS - 1).copied().unwrap_or_default()
    }
}

/// The next snapshot.
enum Next<M: StateMachine, F> {
    /// There is no next snapshot yet.
    None,
    /// A peer sends a snapshot.
    Arrives(Transfer<F>),
    /// A snapshot is to be written or restored, and synced.
    Due(Job<M, F>),
    /// The job is under way.
    UnderWay,
}

impl<M: StateMachine, F: SnapshotFile> Snapshots<M, F> {
    /// Returns the snapshots of a node that starts with this durable snapshot.
    pub(super) fn new(durable: Option<(Slot, F)>, options: Options) -> Self {
        Self {
            durable,
            applied_bytes: 0,
            log: LogBytes::default(),
            trim_below: Slot(0),
            next: Next::None,
            options,
        }
    }

    /// The slot below which the durable snapshot has the effect of every slot, if there is one.
    pub(super) fn below(&self) -> Option<Slot> {
        self.durable.as_ref().map(|(below, _)| *below)
    }

    /// The bytes of the durable snapshot.
    pub(super) fn bytes(&self) -> u64 {
        self.durable.as_ref().map_or(0, |(_, file)| file.length())
    }

    /// Returns true while the next snapshot is written, arrives from a peer, or is restored.
    pub(super) fn is_under_way(&self) -> bool {
        !matches!(self.next, Next::None)
    }

    /// Counts the bytes of the command that was applied in a slot.
    pub(super) fn applied(&mut self, slot: Slot, bytes: u64) {
        self.applied_bytes += bytes;
        self.log.applied(slot, bytes);
    }

    /// Returns the slot below which this turn trims the log, if there are slots to trim. All slots below `trimmed` are
    /// trimmed already.
    pub(super) fn trims_now(&self, trimmed: Slot) -> Option<Slot> {
        let below = self.trim_below.min(trimmed.plus(TRIMMED_MAX));
        (below > trimmed).then_some(below)
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

    /// Returns the job that is to be done now, if there is one.
    pub(super) fn take_job(&mut self) -> Option<Job<M, F>> {
        match std::mem::replace(&mut self.next, Next::UnderWay) {
            Next::Due(job) => Some(job),
            other => {
                self.next = other;
                None
            }
        }
    }

    /// Adopts a snapshot of this node as the durable one. The next turns trim the log. It keeps the slots that the
    /// snapshot lacks. If these are less than [`KEPT_BYTES`], it also keeps slots before them, for peers that are a
    /// little behind, but none that the snapshot before replaces.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn adopt_own(
        &mut self,
        below: Slot,
        file: F,
        storage: &mut impl Storage<SnapshotFile = F>,
    ) -> Result<(), StorageError> {
        self.trim_below = self.below().unwrap_or_default().max(below.min(self.log.kept_from()));
        self.adopt(below, file, storage)
    }

    /// Adopts the snapshot of a peer, which was restored, as the durable one.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn adopt_peers(
        &mut self,
        below: Slot,
        file: F,
        storage: &mut impl Storage<SnapshotFile = F>,
    ) -> Result<(), StorageError> {
        self.applied_bytes = 0;
        self.adopt(below, file, storage)
    }

    fn adopt(
        &mut self,
        below: Slot,
        file: F,
        storage: &mut impl Storage<SnapshotFile = F>,
    ) -> Result<(), StorageError> {
        self.next = Next::None;
        storage.adopt_snapshot(below, file)?;
        self.durable = storage.snapshot();
        Ok(())
    }

    /// Gives up the next snapshot.
    pub(super) fn give_up(&mut self) {
        self.next = Next::None;
    }
}

/// The snapshot of a peer.
impl<M: StateMachine, F: SnapshotFile> Snapshots<M, F> {
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
        durable
            .map(|durable| transfer::part(durable, below, offset, self.options.snapshot_part_bytes))
            .transpose()
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

    /// Asks again for the next part if no part has come in time. Gives up a peer that was silent for too long; another peer that
    /// has trimmed its log says so when it is asked for trimmed slots.
    pub(super) fn fetch_again(
        &mut self,
        now: Now,
        is_silent: impl Fn(NodeId) -> bool,
    ) -> Option<(NodeId, Packet)> {
        let Next::Arrives(transfer) = &mut self.next else { return None };
        if now.saturating_sub(transfer.moved()) < self.options.resend {
            return None;
        }
        if is_silent(transfer.from()) {
            self.next = Next::None;
            return None;
        }
        Some((transfer.from(), transfer.ask_again(now)))
    }

    /// Takes a part of a peer's snapshot. Returns the questions for further parts. A whole snapshot is to be
    /// restored, and takes the machine. Gives up a whole snapshot if this node knows all slots below its end to be chosen.
    ///
    /// Invariant: a snapshot is ahead of the machine into which it is restored. Only slots that are known to be chosen
    /// are applied, and none is applied while the job has the machine. The node may learn further slots meanwhile.
    ///
    /// # Errors
    /// The store has failed.
    pub(super) fn take_part(
        &mut self,
        from: NodeId,
        part: Part<'_>,
        chosen_below: Slot,
        now: Now,
        replicated: &mut Replicated<M>,
        storage: &mut impl Storage<SnapshotFile = F>,
    ) -> Result<Vec<Packet>, StorageError> {
        let Next::Arrives(transfer) = &mut self.next else { return Ok(Vec::new()) };
        if transfer.from() != from {
            return Ok(Vec::new()); // This node does not ask that peer any more.
        }
        match transfer.take(part, now, || storage.begin_snapshot())? {
            Taken::Whole(below, file) if below > chosen_below => {
                let source = Source::Peer(replicated.begin_restore());
                self.next = Next::Due(Job { below, source, file });
            }
            Taken::Whole(..) => self.next = Next::None,
            Taken::Part => return Ok(transfer.ask(now)),
            Taken::Nothing => {}
        }
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use paxos_store::MemorySnapshot;

    use super::*;
    use crate::machine::tests::Counter;

    /// A turn trims a bounded number of slots, and none that is trimmed already.
    #[test]
    fn a_turn_trims_few_slots() {
        let mut snapshots = Snapshots::<Counter, MemorySnapshot>::new(None, Options::default());
        assert_eq!(snapshots.trims_now(Slot(0)), None);
        snapshots.trim_below = Slot(TRIMMED_MAX + 5);
        assert_eq!(snapshots.trims_now(Slot(0)), Some(Slot(TRIMMED_MAX)));
        assert_eq!(snapshots.trims_now(Slot(TRIMMED_MAX)), Some(Slot(TRIMMED_MAX + 5)));
        for trimmed in [TRIMMED_MAX + 5, TRIMMED_MAX + 6] {
            assert_eq!(snapshots.trims_now(Slot(trimmed)), None);
        }
    }

    /// A log keeps nearly as many bytes as it may, whatever the length of its commands.
    #[test]
    fn the_kept_log_is_bounded() {
        for bytes in [0, 16, 1000, KEPT_BYTES / 100] {
            let (mut log, slot_bytes) = (LogBytes::default(), bytes + SLOT_BYTES);
            for slot in 0..3 * KEPT_BYTES / slot_bytes {
                log.applied(Slot(slot), bytes);
                let kept = (slot + 1 - log.kept_from().0) * slot_bytes;
                let part = KEPT_BYTES / KEPT_PARTS as u64;
                assert!(kept < KEPT_BYTES + KEPT_PARTS as u64 * slot_bytes, "{kept} of {bytes}");
                assert!(log.kept_from() == Slot(0) || kept >= KEPT_BYTES - part, "{kept}");
            }
            assert!(log.kept_from() > Slot(0));
        }
    }
}
