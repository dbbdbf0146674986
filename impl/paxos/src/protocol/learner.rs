//! The learner: the values that this node knows to be chosen.
//!
//! A crash loses them, and the node learns them again from other nodes.

use super::log::SlotLog;
use crate::types::{Slot, Value};

/// Chosen values by slot, from the first that is not trimmed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Learner {
    /// The known values.
    pub chosen: SlotLog<Value>,
    /// The first slot that is not known to be chosen. All values below were released to be applied, or are in a
    /// snapshot.
    ///
    /// Invariant: `chosen` has an entry for every slot below that is not trimmed, and none for this slot.
    pub below: Slot,
}

impl Learner {
    /// Returns a learner that knows nothing but a snapshot of the slots below `below`.
    pub(crate) fn after_snapshot(below: Slot) -> Self {
        Self { chosen: SlotLog::trimmed(below), below }
    }

    /// Forgets the values that are in a snapshot. Releases values that follow the snapshot, since the snapshot may
    /// fill a gap.
    pub(crate) fn trim(&mut self, below: Slot, ready: &mut Vec<(Slot, Value)>) {
        self.chosen.trim(below);
        self.below = self.below.max(below);
        self.release(ready);
    }

    /// Learns that `value` is chosen in `slot`, and releases the values that can now be applied. Does nothing if
    /// the slot is known or trimmed.
    ///
    /// # Panics
    /// If another value is known to be chosen there. Agreement is broken then, and to go on would spread the damage.
    pub(crate) fn learn(&mut self, slot: Slot, value: &Value, ready: &mut Vec<(Slot, Value)>) {
        if let Some(known) = self.chosen.get(slot) {
            assert_eq!(known, value, "two values chosen in slot {slot}");
            return;
        }
        self.chosen.insert(slot, value.clone());
        self.release(ready);
    }

    /// Appends to `ready` the known values from `below` up to the first gap, in the order of the log (Paxos Made
    /// Moderately Complex, `perform` of the replica).
    fn release(&mut self, ready: &mut Vec<(Slot, Value)>) {
        while let Some(value) = self.chosen.get(self.below) {
            ready.push((self.below, value.clone()));
            self.below = self.below.plus(1);
        }
    }

    /// Returns true if the slot is known to be chosen.
    pub(crate) fn knows(&self, slot: Slot) -> bool {
        slot < self.below || self.chosen.get(slot).is_some()
    }
}
