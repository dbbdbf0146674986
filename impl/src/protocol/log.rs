//! A log indexed by slot.

use crate::types::Slot;

/// At most one entry per slot, found by index. Slots without an entry cost one empty place.
///
/// Invariant: the last place is never empty, so that equal contents are equal logs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SlotLog<T> {
    entries: Vec<Option<T>>,
}

impl<T> Default for SlotLog<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T> SlotLog<T> {
    /// The entry of a slot, if it has one.
    pub fn get(&self, slot: Slot) -> Option<&T> {
        self.entries.get(usize::try_from(slot.0).ok()?)?.as_ref()
    }

    /// Puts an entry in its slot, in place of an earlier one. Callers bound the slot: memory grows
    /// with the highest.
    pub fn insert(&mut self, slot: Slot, entry: T) {
        let index = usize::try_from(slot.0).expect("slots are bounded by slots_ahead_max");
        if index >= self.entries.len() {
            self.entries.resize_with(index + 1, || None);
        }
        self.entries[index] = Some(entry);
    }

    /// The slot after the last one that has an entry.
    pub fn end(&self) -> Slot {
        Slot(self.entries.len() as u64)
    }

    /// All entries by rising slot.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Slot, &T)> {
        let slots = self.entries.iter().enumerate();
        slots.filter_map(|(index, entry)| Some((Slot(index as u64), entry.as_ref()?)))
    }
}
