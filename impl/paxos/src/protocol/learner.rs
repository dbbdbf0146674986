//! The learner: the values that this node knows to be chosen.
//!
//! A crash loses these values, and the node learns them again from other nodes, by a snapshot, or from the driver's note of
//! its votes ([recovery](super::safety#recovery)).

use std::ops::Range;

use super::log::RunLog;
use crate::{
    batch::Batch,
    opaque::OpaqueValue,
    types::{Slot, Value},
};

/// The known chosen values, from the first slot that is not trimmed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Learner<V = Value> {
    /// The known values.
    pub chosen: RunLog<(), V>,
    /// The first slot that is not known to be chosen. Every value below this slot was released to be applied, or is
    /// in a snapshot.
    ///
    /// Invariant: `chosen` has an entry for every slot below this one that is not trimmed, and none for this slot.
    pub below: Slot,
}

impl<V> Default for Learner<V> {
    fn default() -> Self {
        Self { chosen: RunLog::default(), below: Slot(0) }
    }
}

impl<V: OpaqueValue> Learner<V> {
    /// Returns a learner that knows nothing but a snapshot of the slots below `below`.
    pub(crate) fn after_snapshot(below: Slot) -> Self {
        Self { chosen: RunLog::trimmed(below), below }
    }

    /// Drops the values of the slots below `below`, which a snapshot holds. The snapshot may fill a gap, so known
    /// values after it are then released.
    pub(crate) fn trim(&mut self, below: Slot, ready: &mut Vec<(Slot, Batch<V>)>) {
        self.chosen.trim(below);
        self.below = self.below.max(below);
        self.release(ready);
    }

    /// Learns that `values` are chosen in consecutive slots from `first` on, and releases the values that can now be
    /// applied. Ignores the slots that are known or trimmed.
    ///
    /// # Panics
    /// Panics if another value is known to be chosen in one of the slots. Agreement is then broken, and a node that
    /// continued would spread the damage.
    pub(crate) fn learn(
        &mut self,
        first: Slot,
        values: &Batch<V>,
        ready: &mut Vec<(Slot, Batch<V>)>,
    ) {
        let difference = self.chosen.difference(first, values, |()| true);
        if let Some((slot, known, value)) = difference {
            panic!("two values chosen in slot {slot}: {known:?} and {value:?}");
        }
        let _ = self.chosen.set(first, (), values, |known| known.is_none());
        self.release(ready);
    }

    /// Appends to `ready` the known values from slot `below` up to the first gap, and moves `below` to that gap
    /// (Paxos Made Moderately Complex, `perform` of the replica).
    fn release(&mut self, ready: &mut Vec<(Slot, Batch<V>)>) {
        for piece in self.chosen.pieces(self.below.0..self.chosen.end().0) {
            let Some(((), values)) = piece.values else { break };
            ready.push((self.below, values));
            self.below = Slot(piece.slots.end);
        }
    }

    /// Returns the value that is known to be chosen in a slot. Returns `None` if there is none, or if the slot is trimmed.
    pub fn value(&self, slot: Slot) -> Option<&V> {
        self.chosen.get(slot).map(|((), value)| value)
    }

    /// Returns the known values that are not trimmed, by rising slot.
    pub fn values(&self) -> impl Iterator<Item = (Slot, &V)> {
        self.chosen.iter().map(|(slot, (), value)| (slot, value))
    }

    /// Returns the slots below `end` that are not known to be chosen, as ranges.
    pub(crate) fn unknown(&self, end: Slot) -> impl Iterator<Item = Range<u64>> {
        let pieces = self.chosen.pieces(self.below.0..end.0);
        pieces.filter(|piece| piece.values.is_none()).map(|piece| piece.slots)
    }
}
