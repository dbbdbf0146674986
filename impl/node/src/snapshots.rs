//! The snapshots of a node: the durable one, and the next one, which is being written or arrives from a peer.
//!
//! A store holds one snapshot beside the durable one. So a node writes no snapshot of its own while that of a peer
//! arrives or is restored, and asks no peer for one while it writes its own.

use paxos::{NodeId, Slot};
use paxos_store::{SnapshotFile, Storage, StorageError};

use crate::{
    kept_log::{FETCH_GROWTH_DIVISOR, KeptLog, SLOT_BYTES},
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
const GROWTH_DIVISOR: u64 = 8;

/// The snapshots of a node.
pub(super) struct Snapshots<M: StateMachine, F> {
    /// The durable snapshot: it has the effect of every slot below.
    durable: Option<(Slot, F)>,
    /// Bytes of commands applied since the last snapshot was begun.
    applied_bytes: u64,
    log: KeptLog,
    next: Next<M, F>,
    /// The peers that get the first part of the next snapshot once it is durable.
    waiting: Vec<NodeId>,
    options: Options,
}

/// The next snapshot.
enum Next<M: StateMachine, F> {
    /// There is no next snapshot yet.
    None,
    /// A peer sends a snapshot.
    Arrives(Transfer<F>),
    /// A snapshot is to be written or restored, and synced.
    Due(Job<M, F>),
    /// The job has been handed out.
    Running { is_own: bool },
}

impl<M: StateMachine, F: SnapshotFile> Snapshots<M, F> {
    /// Returns the snapshots of a node that starts with this durable snapshot.
    pub(super) fn new(durable: Option<(Slot, F)>, options: Options) -> Self {
        Self {
            durable,
            applied_bytes: 0,
            log: KeptLog::default(),
            next: Next::None,
            waiting: Vec::new(),
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
            Next::Running { is_own } => *is_own,
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
        self.log.trims_now(trimmed)
    }

    /// Returns true if the state at this slot is to become the next snapshot.
    pub(super) fn is_due(&self, applied: Slot, now: Now) -> bool {
        let slots = applied.0.saturating_sub(self.below().unwrap_or_default().0);
        let is_long = slots >= self.options.snapshot_slots
            || self.applied_bytes >= self.options.snapshot_bytes;
        let divisor = if self.log.is_fetched(now) { FETCH_GROWTH_DIVISOR } else { GROWTH_DIVISOR };
        matches!(self.next, Next::None)
            && slots > 0
            && is_long
            && self.applied_bytes + slots * SLOT_BYTES >= self.bytes() / divisor
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
        self.log.note_begin(self.bytes(), now);
        Ok(())
    }

    /// Returns the job that is to be done now, if there is one.
    pub(super) fn take_job(&mut self) -> Option<Job<M, F>> {
        let running = Next::Running { is_own: self.writes_own() };
        match std::mem::replace(&mut self.next, running) {
            Next::Due(job) => Some(job),
            other => {
                self.next = other;
                None
            }
        }
    }

    /// Adopts a snapshot of this node as the durable one. The next turns trim the log, as far as it is not kept.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn adopt_own(
        &mut self,
        below: Slot,
        file: F,
        storage: &mut impl Storage<SnapshotFile = F>,
    ) -> Result<(), StorageError> {
        self.log.note_own_snapshot(self.below().unwrap_or_default(), below);
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
        self.log.note_peers_snapshot(below);
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

/// Snapshots sent to peers, and received from them.
impl<M: StateMachine, F: SnapshotFile> Snapshots<M, F> {
    /// Notes that a peer asks for chosen values from this slot on.
    pub(super) fn note_learn(&mut self, from: Slot, now: Now) {
        self.log.note_learn(from, now);
    }

    /// Returns the part that a peer asks for, if there is a durable snapshot. A peer that does not have a part yet waits
    /// while the node writes its next snapshot, unless a peer was fetching when that one was begun. Otherwise the peer would
    /// have to begin anew with that one.
    ///
    /// # Errors
    /// The part cannot be read.
    pub(super) fn part(
        &mut self,
        from: NodeId,
        below: Option<Slot>,
        offset: u64,
        now: Now,
    ) -> Result<Option<Packet>, StorageError> {
        let Some(durable) = &self.durable else { return Ok(None) };
        self.log.note_fetch(self.bytes(), now);
        if below.is_none() && self.writes_own() && !self.log.was_fetched() {
            if !self.waiting.contains(&from) {
                self.waiting.push(from);
            }
            return Ok(None);
        }
        transfer::part(durable, below, offset, self.options.snapshot_part_bytes).map(Some)
    }

    /// Returns the first part of the durable snapshot for each peer that has waited for it.
    ///
    /// # Errors
    /// The part cannot be read.
    pub(super) fn take_awaited(&mut self) -> Result<Vec<(NodeId, Packet)>, StorageError> {
        let waiting = std::mem::take(&mut self.waiting);
        let Some(durable) = self.durable.as_ref().filter(|_| !waiting.is_empty()) else {
            return Ok(Vec::new());
        };
        let first = transfer::part(durable, None, 0, self.options.snapshot_part_bytes)?;
        Ok(waiting.into_iter().map(|peer| (peer, first.clone())).collect())
    }

    /// The snapshot that arrives, if its first part has come: the peer, the slot below which it has the effect of every
    /// slot, and its bytes.
    pub(super) fn arriving(&self) -> Option<(NodeId, Slot, u64)> {
        let Next::Arrives(transfer) = &self.next else { return None };
        transfer.snapshot().map(|(below, length)| (transfer.from(), below, length))
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
    use std::{io::Write, time::Duration};

    use paxos_store::{MemorySnapshot, MemoryStore, StoreId};

    use super::*;
    use crate::machine::tests::Counter;

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
        let soon = bytes / GROWTH_DIVISOR;
        snapshots.applied(Slot(1), soon);
        assert!(snapshots.is_due(Slot(2), Now::ZERO));
        let part = snapshots.part(NodeId(2), None, 0, Now::ZERO).expect("there is memory");
        assert!(matches!(part, Some(Packet::Chunk { .. })));
        assert!(!snapshots.is_due(Slot(2), Now::ZERO));
        assert!(snapshots.is_due(Slot(2), Duration::from_mins(1)), "the peer has had time");
        snapshots.applied(Slot(2), bytes / FETCH_GROWTH_DIVISOR - soon);
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
            snapshots.part(NodeId(2), below, 0, Now::ZERO).expect("there is memory").is_some()
        };
        let job = begin(&mut snapshots, 2, &mut store);
        assert!(!is_sent(&mut snapshots, None));
        assert!(!is_sent(&mut snapshots, None), "it asks again");
        assert!(is_sent(&mut snapshots, Some(Slot(1))), "it has the first part");
        snapshots.adopt_own(Slot(2), job.file, &mut store).expect("there is memory");
        let awaited = snapshots.take_awaited().expect("there is memory");
        let [(NodeId(2), Packet::Chunk { below: Slot(2), offset: 0, .. })] = &awaited[..] else {
            panic!("{awaited:?}");
        };
        assert!(snapshots.take_awaited().expect("there is memory").is_empty());
        begin(&mut snapshots, 3, &mut store);
        assert!(is_sent(&mut snapshots, None));
    }
}
