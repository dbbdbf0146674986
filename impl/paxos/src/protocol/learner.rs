//! The learner: what this node knows to be chosen. Forgotten in a crash and learned again.

use super::log::SlotLog;
use crate::types::{Slot, Value};

/// Chosen values by slot, from the first that is not trimmed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Learner {
    /// What is known to be chosen.
    pub chosen: SlotLog<Value>,
    /// Every slot below is known, this one is not. Follows from `chosen`, whose end it is or which has
    /// a gap here; kept to be found at once.
    pub below: Slot,
}

impl Learner {
    /// What is known of a log whose slots below `below` are in a snapshot.
    pub(crate) fn after_snapshot(below: Slot) -> Self {
        Self { chosen: SlotLog::trimmed(below), below }
    }

    /// Forgets values that are in a snapshot, and hands out what can now be applied in order: the
    /// snapshot may hold what this node did not know.
    pub(crate) fn trim(&mut self, below: Slot, ready: &mut Vec<(Slot, Value)>) {
        self.chosen.trim(below);
        self.below = self.below.max(below);
        self.hand_out(ready);
    }

    /// Takes in that `value` is chosen in `slot`, and hands out what can now be applied in order.
    ///
    /// # Panics
    /// When another value is known to be chosen there: agreement is broken, and going on would
    /// only spread it.
    pub(crate) fn learn(&mut self, slot: Slot, value: &Value, ready: &mut Vec<(Slot, Value)>) {
        if let Some(known) = self.chosen.get(slot) {
            assert_eq!(known, value, "two values chosen in slot {slot}");
            return;
        }
        self.chosen.insert(slot, value.clone());
        self.hand_out(ready);
    }

    fn hand_out(&mut self, ready: &mut Vec<(Slot, Value)>) {
        while let Some(value) = self.chosen.get(self.below) {
            ready.push((self.below, value.clone()));
            self.below = self.below.plus(1);
        }
    }

    /// Whether the value of a slot is known.
    pub(crate) fn knows(&self, slot: Slot) -> bool {
        slot < self.below || self.chosen.get(slot).is_some()
    }
}
