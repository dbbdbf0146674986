//! The snapshots of a node: the durable one, and the next one, which is being written or arrives from a peer.
//!
//! A store holds one snapshot beside the durable one. So a node writes no snapshot of its own while that of a peer
//! arrives or is restored, and asks no peer for one while it writes its own.

use std::{collections::VecDeque, time::Duration};

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

/// A snapshot that a peer fetches is not replaced before the log has grown by its size, divided by this number. The log
/// behind it is then kept for the peer.
const GROWTH_DURING_FETCH: u64 = 2;

/// A peer that has asked for a part of a snapshot, or of the log that is kept for it, asks again within this time. A peer
/// that restores the snapshot takes longer.
const FETCH_PATIENCE: Duration = Duration::from_secs(10);

/// The bytes of a snapshot that a slow peer restores in a second.
const RESTORED_PER_SECOND: u64 = 64 << 20;

/// The bytes of the log up to which a node keeps slots that its snapshot replaces, for peers that are a little behind.
const KEPT_BYTES: u64 = 32 << 20;

/// The most slots that a turn trims. It takes some milliseconds to give back their memory.
const TRIMMED_MAX: u64 = 10_000;

/// The bytes of the parts in which the kept log is measured. A node keeps up to one part less than [`KEPT_BYTES`].
const KEPT_PART: u64 = KEPT_BYTES / 8;

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
    /// A peer fetches or restores the durable snapshot, or learns the log behind it, until this time, as far as this
    /// node knows.
    fetched_until: Now,
    /// The slot from which on the log is kept for that peer when the next snapshot is adopted. `None` if there was no
    /// such peer when that snapshot was begun.
    kept_for_peer: Option<Slot>,
    next: Next<M, F>,
    options: Options,
}

/// The bytes of the applied log, in parts.
#[derive(Default)]
struct LogBytes {
    /// The slot after each part that is not trimmed, the last part first.
    ends: VecDeque<Slot>,
    /// The bytes after the last part.
    bytes: u64,
}

impl LogBytes {
    fn applied(&mut self, slot: Slot, bytes: u64) {
        self.bytes += bytes + SLOT_BYTES;
        if self.bytes >= KEPT_PART {
            self.bytes = 0;
            self.ends.push_front(slot.plus(1));
        }
    }

    /// Returns the slot from which on the log has less than this many bytes.
    fn kept_from(&self, bytes: u64) -> Slot {
        let parts = (bytes / KEPT_PART) as usize;
        self.ends.get(parts - 1).copied().unwrap_or_default()
    }

    /// Forgets the parts that end below this slot.
    fn trim(&mut self, below: Slot) {
        let kept = self.ends.partition_point(|end| *end >= below);
        self.ends.truncate(kept);
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
    UnderWay { is_own: bool },
}

impl<M: StateMachine, F: SnapshotFile> Snapshots<M, F> {
    /// Returns the snapshots of a node that starts with this durable snapshot.
    pub(super) fn new(durable: Option<(Slot, F)>, options: Options) -> Self {
        Self {
            durable,
            applied_bytes: 0,
            log: LogBytes::default(),
            trim_below: Slot(0),
            fetched_until: Now::ZERO,
            kept_for_peer: None,
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

    /// Returns true while the node's own state is written as the next snapshot.
    fn writes_own(&self) -> bool {
        match &self.next {
            Next::Due(job) => matches!(job.source, Source::Own(_)),
            Next::UnderWay { is_own } => *is_own,
            Next::None | Next::Arrives(_) => false,
        }
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
    pub(super) fn is_due(&self, applied: Slot, now: Now) -> bool {
        let slots = applied.0.saturating_sub(self.below().unwrap_or_default().0);
        let is_long = slots >= self.options.snapshot_slots
            || self.applied_bytes >= self.options.snapshot_bytes;
        let growth = if self.is_fetched(now) { GROWTH_DURING_FETCH } else { GROWTH };
        matches!(self.next, Next::None)
            && slots > 0
            && is_long
            && self.applied_bytes + slots * SLOT_BYTES >= self.bytes() / growth
    }

    /// Returns true if a peer fetches or restores the durable snapshot, or learns the log behind it, as far as this node
    /// knows.
    fn is_fetched(&self, now: Now) -> bool {
        now < self.fetched_until
    }

    /// Begins a snapshot of the state below a slot.
    ///
    /// # Errors
    /// The store has failed.
    pub(super) fn begin(
        &mut self,
        below: Slot,
        state: Frozen,
        now: Now,
        storage: &mut impl Storage<SnapshotFile = F>,
    ) -> Result<(), StorageError> {
        let file = storage.begin_snapshot()?;
        self.next = Next::Due(Job { below, source: Source::Own(state), file });
        self.applied_bytes = 0;
        let kept_bytes = self.bytes() / GROWTH_DURING_FETCH + KEPT_BYTES;
        self.kept_for_peer = self.is_fetched(now).then(|| self.log.kept_from(kept_bytes));
        Ok(())
    }

    /// Returns the job that is to be done now, if there is one.
    pub(super) fn take_job(&mut self) -> Option<Job<M, F>> {
        let under_way = Next::UnderWay { is_own: self.writes_own() };
        match std::mem::replace(&mut self.next, under_way) {
            Next::Due(job) => Some(job),
            other => {
                self.next = other;
                None
            }
        }
    }

    /// Adopts a snapshot of this node as the durable one. The next turns trim the log. It keeps the slots that the
    /// snapshot lacks. If these are less than [`KEPT_BYTES`], it also keeps slots before them, for peers that are a
    /// little behind, but none that the snapshot before replaces. If a peer fetched that snapshot when this one was
    /// begun, it keeps all that the log had grown by, as far as [`GROWTH_DURING_FETCH`] says.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn adopt_own(
        &mut self,
        below: Slot,
        file: F,
        storage: &mut impl Storage<SnapshotFile = F>,
    ) -> Result<(), StorageError> {
        let kept_from = self.log.kept_from(KEPT_BYTES);
        let kept_from = self.kept_for_peer.map_or(kept_from, |for_peer| for_peer.min(kept_from));
        self.trim_below = self.below().unwrap_or_default().max(below.min(kept_from));
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
        self.trim_below = below;
        self.adopt(below, file, storage)
    }

    fn adopt(
        &mut self,
        below: Slot,
        file: F,
        storage: &mut impl Storage<SnapshotFile = F>,
    ) -> Result<(), StorageError> {
        self.next = Next::None;
        self.log.trim(self.trim_below);
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
    /// Notes that a peer asks for chosen values from this slot on. If these are kept for a peer that has fetched a
    /// snapshot, the peer is given more time.
    pub(super) fn learns(&mut self, from: Slot, now: Now) {
        if self.is_fetched(now) && from < self.log.kept_from(KEPT_BYTES) {
            self.fetched_until = self.fetched_until.max(now + FETCH_PATIENCE);
        }
    }

    /// Returns the part that a peer asks for, if there is a durable snapshot. A peer that does not have a part yet waits
    /// while the node writes its next snapshot. Otherwise the peer would have to begin anew with that one. It waits once:
    /// a snapshot that is begun while it waits does not let it wait longer.
    ///
    /// # Errors
    /// The part cannot be read.
    pub(super) fn part(
        &mut self,
        below: Option<Slot>,
        offset: u64,
        now: Now,
    ) -> Result<Option<Packet>, StorageError> {
        let Some(durable) = &self.durable else { return Ok(None) };
        let restore = Duration::from_secs(self.bytes() / RESTORED_PER_SECOND);
        self.fetched_until = now + FETCH_PATIENCE + restore;
        if below.is_none() && self.writes_own() && self.kept_for_peer.is_none() {
            return Ok(None);
        }
        transfer::part(durable, below, offset, self.options.snapshot_part_bytes).map(Some)
    }

    /// The snapshot that arrives, if its first part has come: the peer, the slot below which it has the effect of every
    /// slot, and its bytes.
    pub(super) fn arriving(&self) -> Option<(NodeId, Slot, u64)> {
        let Next::Arrives(transfer) = &self.next else { return None };
        transfer.what().map(|(below, length)| (transfer.from(), below, length))
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
        let (transfer, first) = Transfer::begin(from, self.options.resend, now);
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
        if !transfer.is_late(now) {
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
    use std::io::Write;

    use paxos_store::{MemorySnapshot, MemoryStore, StoreId};

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
                let from = log.kept_from(KEPT_BYTES);
                let kept = (slot + 1 - from.0) * slot_bytes;
                assert!(kept < KEPT_BYTES + 8 * slot_bytes, "{kept} of {bytes}");
                assert!(from == Slot(0) || kept >= KEPT_BYTES - KEPT_PART, "{kept}");
            }
            let from = log.kept_from(KEPT_BYTES);
            assert!(from > Slot(0) && log.kept_from(2 * KEPT_BYTES) < from);
            let parts = log.ends.len();
            log.trim(from);
            assert!(log.kept_from(KEPT_BYTES) == from && log.ends.len() < parts);
            assert_eq!(log.kept_from(2 * KEPT_BYTES), Slot(0), "the rest is trimmed");
        }
    }

    /// The snapshots of a node with a durable one of this many bytes, below slot 1.
    fn with_durable(bytes: u64) -> (Snapshots<Counter, MemorySnapshot>, MemoryStore) {
        let mut store = MemoryStore::new(StoreId(1));
        let mut file = store.begin_snapshot().expect("there is memory");
        file.write_all(&vec![0; bytes as usize]).expect("there is memory");
        store.adopt_snapshot(Slot(1), file).expect("there is memory");
        let options = Options::builder().snapshot_slots(1).build().expect("options that work");
        (Snapshots::new(store.snapshot(), options), store)
    }

    /// A snapshot that a peer fetches or restores is replaced later, but not much later.
    #[test]
    fn a_fetched_snapshot_is_not_replaced_soon() {
        let bytes = 8 << 20;
        let (mut snapshots, _) = with_durable(bytes);
        let soon = bytes / GROWTH;
        snapshots.applied(Slot(1), soon);
        assert!(snapshots.is_due(Slot(2), Now::ZERO));
        let part = snapshots.part(None, 0, Now::ZERO).expect("there is memory");
        assert!(matches!(part, Some(Packet::Chunk { .. })));
        assert!(!snapshots.is_due(Slot(2), Now::ZERO));
        assert!(snapshots.is_due(Slot(2), FETCH_PATIENCE), "the peer has had time");
        snapshots.applied(Slot(2), bytes / GROWTH_DURING_FETCH - soon);
        assert!(snapshots.is_due(Slot(3), Now::ZERO), "the log would grow without a bound");
    }

    /// Begins a snapshot, and returns its job.
    fn begin(
        snapshots: &mut Snapshots<Counter, MemorySnapshot>,
        below: u64,
        store: &mut MemoryStore,
    ) -> Job<Counter, MemorySnapshot> {
        let state = Box::new(|_: &mut dyn Write| Ok(()));
        snapshots.begin(Slot(below), state, Now::ZERO, store).expect("there is memory");
        snapshots.take_job().expect("it has begun")
    }

    /// A peer that has no part of a snapshot yet waits for the next one, if that is being written. It does not wait for
    /// the one after it.
    #[test]
    fn a_peer_waits_for_the_next_snapshot() {
        let (mut snapshots, mut store) = with_durable(1);
        let is_sent = |snapshots: &mut Snapshots<_, _>, below| {
            snapshots.part(below, 0, Now::ZERO).expect("there is memory").is_some()
        };
        let job = begin(&mut snapshots, 2, &mut store);
        assert!(!is_sent(&mut snapshots, None));
        assert!(is_sent(&mut snapshots, Some(Slot(1))), "it has the first part");
        snapshots.adopt_own(Slot(2), job.file, &mut store).expect("there is memory");
        begin(&mut snapshots, 3, &mut store);
        assert!(is_sent(&mut snapshots, None));
    }

    /// A peer that has fetched a snapshot finds the log behind it, unless that has grown by much more than half the bytes
    /// of the snapshot. Slots that are applied while the next snapshot is written make no difference.
    #[test]
    fn the_log_behind_a_fetched_snapshot_is_kept() {
        let bytes = 3 * KEPT_BYTES;
        let trimmed_below = |is_fetched: bool, log_bytes: u64| {
            let (mut snapshots, mut store) = with_durable(bytes);
            if is_fetched {
                snapshots.part(None, 0, Now::ZERO).expect("there is memory");
            }
            let slots = log_bytes / KEPT_PART;
            let apply = |snapshots: &mut Snapshots<_, _>, slot| {
                snapshots.applied(Slot(slot), KEPT_PART - SLOT_BYTES);
            };
            (1..=slots).for_each(|slot| apply(&mut snapshots, slot));
            let job = begin(&mut snapshots, slots + 1, &mut store);
            (slots + 1..=2 * slots).for_each(|slot| apply(&mut snapshots, slot));
            snapshots.adopt_own(Slot(slots + 1), job.file, &mut store).expect("there is memory");
            snapshots.trims_now(Slot(1))
        };
        let half = bytes / 2;
        assert!(trimmed_below(false, half) > Some(Slot(1)), "peers are a little behind at most");
        assert_eq!(trimmed_below(true, half + KEPT_PART), None);
        assert!(trimmed_below(true, half + 2 * KEPT_BYTES) > Some(Slot(1)), "the log is bounded");
    }

    /// A peer that learns the log behind a snapshot is given more time, as long as no other peer would need that log.
    #[test]
    fn a_peer_has_time_to_learn_the_log_behind_a_snapshot() {
        let (mut snapshots, _) = with_durable(1);
        snapshots.part(None, 0, Now::ZERO).expect("there is memory");
        (1..100).for_each(|slot| snapshots.applied(Slot(slot), KEPT_PART - SLOT_BYTES));
        let later = FETCH_PATIENCE / 2;
        let mut has_time = |from| {
            snapshots.learns(Slot(from), later);
            snapshots.is_fetched(FETCH_PATIENCE)
        };
        assert!(!has_time(99), "it is a little behind");
        assert!(has_time(10));
    }
}
