//! The log that a node keeps behind its snapshots, for peers that are behind.
//!
//! A peer that lacks slots of the kept log learns them. A peer that lacks trimmed slots fetches the durable snapshot, and
//! then learns the log behind it. It counts as a fetching peer until it has not asked for a while. For such a peer the
//! node keeps more of the log, and replaces its snapshot later.

use std::{collections::VecDeque, time::Duration};

use paxos::Slot;

use crate::timers::Now;

/// A snapshot that a peer fetches is not replaced before the log has grown by its size, divided by this number. The log
/// behind it is then kept for the peer.
pub(super) const FETCH_GROWTH_DIVISOR: u64 = 2;

/// The bytes that a slot of the log takes beside its command.
pub(super) const SLOT_BYTES: u64 = 256;

/// A fetching peer asks again within this time, which is above the longest timeout of its [window](crate::window). A peer
/// that restores the snapshot takes longer.
const PATIENCE: Duration = Duration::from_mins(1);

/// The bytes of a snapshot that a slow peer restores in a second.
const RESTORED_PER_SECOND: u64 = 64 << 20;

/// The bytes of the log up to which a node keeps slots that its snapshot replaces, for peers that are a little behind.
const KEPT_BYTES: u64 = 32 << 20;

/// The bytes of the segments in which the kept log is measured. A long log has at most one segment less than
/// [`KEPT_BYTES`].
const SEGMENT_BYTES: u64 = KEPT_BYTES / 8;

/// The most slots that a turn trims. It takes some milliseconds to give back their memory.
const TRIMMED_MAX: u64 = 10_000;

/// The applied log, as far as it is kept.
#[derive(Default)]
pub(super) struct KeptLog {
    /// The slot after each segment that is not trimmed, the last segment first.
    ends: VecDeque<Slot>,
    /// The bytes after the last segment.
    bytes: u64,
    /// The slot below which the log is trimmed, some slots in each turn.
    trim_below: Slot,
    /// A peer counts as fetching until this time.
    fetched_until: Now,
    /// The slot from which on the log is kept for a fetching peer when the next snapshot is adopted. `None` if no peer was
    /// fetching when that snapshot was begun.
    kept_for_fetching: Option<Slot>,
}

impl KeptLog {
    /// Counts the bytes of the command that was applied in a slot.
    pub(super) fn applied(&mut self, slot: Slot, bytes: u64) {
        self.bytes += bytes + SLOT_BYTES;
        if self.bytes >= SEGMENT_BYTES {
            self.bytes = 0;
            self.ends.push_front(slot.plus(1));
        }
    }

    /// Returns the slot from which on the log has less than this many bytes, which are at least [`KEPT_BYTES`].
    fn kept_from(&self, bytes: u64) -> Slot {
        let segments = (bytes / SEGMENT_BYTES) as usize;
        self.ends.get(segments - 1).copied().unwrap_or_default()
    }

    /// Returns the slot below which this turn trims the log, if there are slots to trim. All slots below `trimmed` are
    /// trimmed already.
    pub(super) fn trims_now(&self, trimmed: Slot) -> Option<Slot> {
        let below = self.trim_below.min(trimmed.plus(TRIMMED_MAX));
        (below > trimmed).then_some(below)
    }

    /// Notes that a snapshot is begun that will replace the durable one, which has this many bytes.
    pub(super) fn note_begin(&mut self, durable_bytes: u64, now: Now) {
        let kept_bytes = durable_bytes / FETCH_GROWTH_DIVISOR + KEPT_BYTES;
        self.kept_for_fetching = self.is_fetched(now).then(|| self.kept_from(kept_bytes));
    }

    /// Notes that a snapshot of all slots below `below` replaces the one of all slots below `durable`. Both are of this node.
    /// The log keeps every slot from `below` on. It keeps up to [`KEPT_BYTES`] of earlier slots for peers that are a little
    /// behind, but none below `durable`. If a peer was fetching when the snapshot was begun, it keeps all slots from `durable` on that
    /// were applied before. These have half the bytes of the snapshot before, and [`KEPT_BYTES`] more, at most.
    pub(super) fn note_own_snapshot(&mut self, durable: Slot, below: Slot) {
        let kept_from = self.kept_from(KEPT_BYTES);
        let kept_from = self.kept_for_fetching.map_or(kept_from, |from| from.min(kept_from));
        self.trim(durable.max(below.min(kept_from)));
    }

    /// Notes that the snapshot of a peer replaces all slots below this one.
    pub(super) fn note_peers_snapshot(&mut self, below: Slot) {
        self.trim(below);
    }

    fn trim(&mut self, below: Slot) {
        self.trim_below = below;
        let kept = self.ends.partition_point(|end| *end >= below);
        self.ends.truncate(kept);
    }
}

/// The fetching peers.
impl KeptLog {
    /// Returns true if a peer fetches or restores the durable snapshot, or learns the log behind it, as far as this node
    /// knows.
    pub(super) fn is_fetched(&self, now: Now) -> bool {
        now < self.fetched_until
    }

    /// Returns true if a peer was fetching when the last snapshot was begun.
    pub(super) fn was_fetched(&self) -> bool {
        self.kept_for_fetching.is_some()
    }

    /// Notes that a peer asks for a part of the durable snapshot, which has this many bytes. The peer is given the time to
    /// restore the snapshot.
    pub(super) fn note_fetch(&mut self, durable_bytes: u64, now: Now) {
        let restore = Duration::from_secs(durable_bytes / RESTORED_PER_SECOND);
        self.fetched_until = now + PATIENCE + restore;
    }

    /// Notes that a peer asks for chosen values from this slot on. If they are kept for a fetching peer only, the peer is
    /// given more time.
    pub(super) fn note_learn(&mut self, from: Slot, now: Now) {
        if self.is_fetched(now) && from < self.kept_from(KEPT_BYTES) {
            self.fetched_until = self.fetched_until.max(now + PATIENCE);
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
        log.note_peers_snapshot(Slot(TRIMMED_MAX + 5));
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
                assert!(from == Slot(0) || kept >= KEPT_BYTES - SEGMENT_BYTES, "{kept}");
            }
            let from = log.kept_from(KEPT_BYTES);
            assert!(from > Slot(0) && log.kept_from(2 * KEPT_BYTES) < from);
            let segments = log.ends.len();
            log.trim(from);
            assert!(log.kept_from(KEPT_BYTES) == from && log.ends.len() < segments);
            assert_eq!(log.kept_from(2 * KEPT_BYTES), Slot(0), "the rest is trimmed");
        }
    }

    /// Applies slots, each of which is a segment.
    fn apply(log: &mut KeptLog, slots: Range<u64>) {
        slots.for_each(|slot| log.applied(Slot(slot), SEGMENT_BYTES - SLOT_BYTES));
    }

    /// A peer that has fetched a snapshot finds the log behind it, unless that has grown by much more than half the bytes
    /// of the snapshot. Slots that are applied while the next snapshot is written make no difference.
    #[test]
    fn the_log_behind_a_fetched_snapshot_is_kept() {
        let bytes = 3 * KEPT_BYTES;
        let trimmed_below = |is_fetched: bool, log_bytes: u64| {
            let mut log = KeptLog::default();
            if is_fetched {
                log.note_fetch(bytes, Now::ZERO);
            }
            let below = 1 + log_bytes / SEGMENT_BYTES;
            apply(&mut log, 1..below);
            log.note_begin(bytes, Now::ZERO);
            apply(&mut log, below..2 * below);
            log.note_own_snapshot(Slot(1), Slot(below));
            log.trims_now(Slot(1))
        };
        let half = bytes / 2;
        assert!(trimmed_below(false, half) > Some(Slot(1)), "peers are a little behind at most");
        assert_eq!(trimmed_below(true, half + SEGMENT_BYTES), None);
        assert!(trimmed_below(true, half + 2 * KEPT_BYTES) > Some(Slot(1)), "the log is bounded");
    }

    /// A fetching peer has time to restore the snapshot, and then to learn the log that is kept for it.
    #[test]
    fn a_fetching_peer_has_time() {
        let mut log = KeptLog::default();
        log.note_fetch(5 * RESTORED_PER_SECOND, Now::ZERO);
        let restored = Duration::from_secs(5);
        assert!(log.is_fetched(restored + PATIENCE / 2));
        assert!(!log.is_fetched(restored + PATIENCE));
        apply(&mut log, 1..100);
        let mut has_time = |from| {
            log.note_learn(Slot(from), restored + PATIENCE / 2);
            log.is_fetched(restored + PATIENCE)
        };
        assert!(!has_time(99), "it may be another peer, which is a little behind");
        assert!(has_time(10));
    }
}
