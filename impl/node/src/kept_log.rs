//! The log that a node keeps behind its snapshots, for peers that are behind.
//!
//! A peer that lacks slots of the kept log learns them. A peer that lacks trimmed slots fetches the durable snapshot, and
//! then learns the log behind it: it is a reader, until it has not asked for a while. For a reader the node keeps more
//! of the log, and replaces its snapshot later.

use std::{collections::VecDeque, time::Duration};

use paxos::Slot;

use crate::timers::Now;

/// A snapshot that a peer fetches is not replaced before the log has grown by its size, divided by this number. The log
/// behind it is then kept for the peer.
pub(super) const GROWTH_DURING_FETCH: u64 = 2;

/// The bytes that a slot of the log takes beside its command.
pub(super) const SLOT_BYTES: u64 = 256;

/// A reader asks again within this time. A reader that restores the snapshot takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bytes of a snapshot that a slow reader restores in a second.
const RESTORED_PER_SECOND: u64 = 64 << 20;

/// The bytes of the log up to which a node keeps slots that its snapshot replaces, for peers that are a little behind.
const KEPT_BYTES: u64 = 32 << 20;

/// The bytes of the parts in which the kept log is measured. A node keeps up to one part less than [`KEPT_BYTES`].
const KEPT_PART: u64 = KEPT_BYTES / 8;

/// The most slots that a turn trims. It takes some milliseconds to give back their memory.
const TRIMMED_MAX: u64 = 10_000;

/// The applied log, as far as it is kept.
#[derive(Default)]
pub(super) struct KeptLog {
    /// The slot after each part that is not trimmed, the last part first.
    ends: VecDeque<Slot>,
    /// The bytes after the last part.
    bytes: u64,
    /// The slot below which the log is trimmed, some slots in each turn.
    trim_below: Slot,
    /// There is a reader until this time, as far as this node knows.
    read_until: Now,
    /// The slot from which on the log is kept for a reader when the next snapshot is adopted. `None` if there was no
    /// reader when that snapshot was begun.
    kept_for_reader: Option<Slot>,
}

impl KeptLog {
    /// Counts the bytes of the command that was applied in a slot.
    pub(super) fn applied(&mut self, slot: Slot, bytes: u64) {
        self.bytes += bytes + SLOT_BYTES;
        if self.bytes >= KEPT_PART {
            self.bytes = 0;
            self.ends.push_front(slot.plus(1));
        }
    }

    /// Returns the slot from which on the log has less than this many bytes, which are at least [`KEPT_BYTES`].
    fn kept_from(&self, bytes: u64) -> Slot {
        let parts = (bytes / KEPT_PART) as usize;
        self.ends.get(parts - 1).copied().unwrap_or_default()
    }

    /// Returns the slot below which this turn trims the log, if there are slots to trim. All slots below `trimmed` are
    /// trimmed already.
    pub(super) fn trims_now(&self, trimmed: Slot) -> Option<Slot> {
        let below = self.trim_below.min(trimmed.plus(TRIMMED_MAX));
        (below > trimmed).then_some(below)
    }

    /// Notes that the next snapshot replaces the durable one, which has this many bytes.
    pub(super) fn snapshot_begins(&mut self, durable_bytes: u64, now: Now) {
        let kept_bytes = durable_bytes / GROWTH_DURING_FETCH + KEPT_BYTES;
        self.kept_for_reader = self.has_reader(now).then(|| self.kept_from(kept_bytes));
    }

    /// Notes that a snapshot of this node has the effect of all slots below `below`, and replaces the one of all slots below
    /// `durable`. The log keeps the slots that the new one lacks. If these are less than [`KEPT_BYTES`], it also keeps slots
    /// before them, for peers that are a little behind, but none that both replace. If there was a reader when the new one
    /// was begun, it keeps all that the log had grown by, as far as [`GROWTH_DURING_FETCH`] says.
    pub(super) fn replaced_by_own(&mut self, durable: Slot, below: Slot) {
        let kept_from = self.kept_from(KEPT_BYTES);
        let kept_from = self.kept_for_reader.map_or(kept_from, |reader| reader.min(kept_from));
        self.trim(durable.max(below.min(kept_from)));
    }

    /// Notes that the snapshot of a peer replaces all slots below this one.
    pub(super) fn replaced_by_peers(&mut self, below: Slot) {
        self.trim(below);
    }

    fn trim(&mut self, below: Slot) {
        self.trim_below = below;
        let kept = self.ends.partition_point(|end| *end >= below);
        self.ends.truncate(kept);
    }
}

/// The readers.
impl KeptLog {
    /// Returns true if a peer fetches or restores the durable snapshot, or learns the log behind it, as far as this node
    /// knows.
    pub(super) fn has_reader(&self, now: Now) -> bool {
        now < self.read_until
    }

    /// Returns true if there was a reader when the last snapshot was begun.
    pub(super) fn is_kept_for_reader(&self) -> bool {
        self.kept_for_reader.is_some()
    }

    /// Notes that a peer asks for a part of the durable snapshot, which has this many bytes. The peer is a reader, and
    /// is given the time to restore the snapshot.
    pub(super) fn snapshot_is_read(&mut self, durable_bytes: u64, now: Now) {
        let restore = Duration::from_secs(durable_bytes / RESTORED_PER_SECOND);
        self.read_until = now + PATIENCE + restore;
    }

    /// Notes that a peer asks for chosen values from this slot on. If they are kept for a reader only, the peer is the
    /// reader, and is given more time.
    pub(super) fn is_read(&mut self, from: Slot, now: Now) {
        if self.has_reader(now) && from < self.kept_from(KEPT_BYTES) {
            self.read_until = self.read_until.max(now + PATIENCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    /// A turn trims a bounded number of slots, and none that is trimmed already.
    #[test]
    fn a_turn_trims_few_slots() {
        let mut log = KeptLog::default();
        assert_eq!(log.trims_now(Slot(0)), None);
        log.replaced_by_peers(Slot(TRIMMED_MAX + 5));
        assert_eq!(log.trims_now(Slot(0)), Some(Slot(TRIMMED_MAX)));
        assert_eq!(log.trims_now(Slot(TRIMMED_MAX)), Some(Slot(TRIMMED_MAX + 5)));
        for trimmed in [TRIMMED_MAX + 5, TRIMMED_MAX + 6] {
            assert_eq!(log.trims_now(Slot(trimmed)), None);
        }
    }

    /// A log keeps nearly as many bytes as it may, whatever the length of its commands.
    #[test]
    fn the_kept_log_is_bounded() {
        for bytes in [0, 16, 1000, KEPT_BYTES / 100] {
            let (mut log, slot_bytes) = (KeptLog::default(), bytes + SLOT_BYTES);
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

    /// Applies slots, each of which is a part.
    fn apply(log: &mut KeptLog, slots: Range<u64>) {
        slots.for_each(|slot| log.applied(Slot(slot), KEPT_PART - SLOT_BYTES));
    }

    /// A peer that has fetched a snapshot finds the log behind it, unless that has grown by much more than half the bytes
    /// of the snapshot. Slots that are applied while the next snapshot is written make no difference.
    #[test]
    fn the_log_behind_a_fetched_snapshot_is_kept() {
        let bytes = 3 * KEPT_BYTES;
        let trimmed_below = |is_fetched: bool, log_bytes: u64| {
            let mut log = KeptLog::default();
            if is_fetched {
                log.snapshot_is_read(bytes, Now::ZERO);
            }
            let below = 1 + log_bytes / KEPT_PART;
            apply(&mut log, 1..below);
            log.snapshot_begins(bytes, Now::ZERO);
            apply(&mut log, below..2 * below);
            log.replaced_by_own(Slot(1), Slot(below));
            log.trims_now(Slot(1))
        };
        let half = bytes / 2;
        assert!(trimmed_below(false, half) > Some(Slot(1)), "peers are a little behind at most");
        assert_eq!(trimmed_below(true, half + KEPT_PART), None);
        assert!(trimmed_below(true, half + 2 * KEPT_BYTES) > Some(Slot(1)), "the log is bounded");
    }

    /// A reader has time to restore the snapshot, and then to learn the log that is kept for it.
    #[test]
    fn a_reader_has_time() {
        let mut log = KeptLog::default();
        log.snapshot_is_read(5 * RESTORED_PER_SECOND, Now::ZERO);
        let restored = Duration::from_secs(5);
        assert!(log.has_reader(restored + PATIENCE / 2));
        assert!(!log.has_reader(restored + PATIENCE));
        apply(&mut log, 1..100);
        let mut has_time = |from| {
            log.is_read(Slot(from), restored + PATIENCE / 2);
            log.has_reader(restored + PATIENCE)
        };
        assert!(!has_time(99), "a peer that is a little behind is no reader");
        assert!(has_time(10));
    }
}
