//! The learner: the values that this node knows to be chosen.
//!
//! A crash loses these values, and the node learns them again from other nodes or by a snapshot.

use super::log::SlotLog;
use crate::{
    opaque::OpaqueValue,
    types::{Slot, Value},
};

/// The known chosen values, from the first slot that is not trimmed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Learner<V = Value> {
    /// The known values.
    pub chosen: SlotLog<V>,
    /// The first slot that is not known to be chosen. Every value below this slot was released to be applied, or is
    /// in a snapshot.
    ///
    /// Invariant: `chosen` has an entry for every slot below this one that is not trimmed, and none for this slot.
    pub below: Slot,
}

impl<V> Default for Learner<V> {
    fn default() -> Self {
        Self { chosen: SlotLog::default(), below: Slot(0) }
    }
}

impl<V: OpaqueValue> Learner<V> {
    /// Returns a learner that knows nothing but a snapshot of the slots below `below`.
    pub(crate) fn after_snapshot(below: Slot) -> Self {
        Self { chosen: SlotLog::trimmed(below), below }
    }

    /// Drops the values of the slots below `below`, which a snapshot holds. The snapshot may fill a gap, so known
    /// values after it are then released.
    pub(crate) fn trim(&mut self, below: Slot, ready: &mut Vec<(Slot, V)>) {
        self.chosen.trim(below);
        self.below = self.below.max(below);
        self.release(ready);
    }

    /// Learns that `value` is chosen in `slot`, and releases the values that can now be applied. Does nothing if
    /// the slot is known or trimmed.
    ///
    /// # Panics
    /// Panics if another value is known to be chosen in the slot. Agreement is then broken, and a node that
    /// continued would spread the damage.
    pub(crate) fn learn(&mut self, slot: Slot, value: &V, ready: &mut Vec<(Slot, V)>) {
        if let Some(known) = self.chosen.get(slot) {
            assert_eq!(known, value, "two values chosen in slot {slot}");
            return;
        }
        self.chosen.insert(slot, value.clone());
        self.release(ready);
    }

    /// Appends to `ready` the known values from slot `below` up to the first gap, and moves `below` to that gap
    /// (Paxos Made Moderately Complex, `perform` of the replica).
    fn release(&mut self, ready: &mut Vec<(Slot, V)>) {
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
