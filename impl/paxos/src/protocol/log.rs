//! A log indexed by slot, and the division of slots into batches of consecutive ones.

use std::collections::VecDeque;

use itertools::Itertools as _;

use crate::types::{Batch, Slot};

/// A map from slots to entries, stored as an array. The array reaches from the first slot that is not trimmed to
/// the last slot with an entry. So a gap takes as much memory as entries do. Trimmed slots take none, and get no
/// entry again.
///
/// Invariant: the last element of `entries` is never `None`. So two logs are equal if they have the same entries and
/// are trimmed up to the same slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SlotLog<T> {
    /// The slot of the first element. All slots below are trimmed.
    trimmed: Slot,
    entries: VecDeque<Option<T>>,
}

impl<T> Default for SlotLog<T> {
    fn default() -> Self {
        Self::trimmed(Slot(0))
    }
}

impl<T> SlotLog<T> {
    /// Returns an empty log that is trimmed below `below`.
    pub fn trimmed(below: Slot) -> Self {
        Self { trimmed: below, entries: VecDeque::new() }
    }

    /// Returns the index of a slot in `entries`, or `None` if the slot is trimmed.
    fn index(&self, slot: Slot) -> Option<usize> {
        usize::try_from(slot.0.checked_sub(self.trimmed.0)?).ok()
    }

    /// Returns the entry of a slot.
    pub fn get(&self, slot: Slot) -> Option<&T> {
        self.entries.get(self.index(slot)?)?.as_ref()
    }

    /// Sets the entry of a slot. Does nothing if the slot is trimmed.
    ///
    /// The caller must check the slot against a limit first, because the memory grows with the highest slot.
    pub fn insert(&mut self, slot: Slot, entry: T) {
        let Some(index) = self.index(slot) else { return };
        if index < self.entries.len() {
            self.entries[index] = Some(entry);
        } else {
            self.entries.resize_with(index, || None);
            self.entries.push_back(Some(entry));
        }
    }

    /// Removes all entries below a slot, for good.
    pub fn trim(&mut self, below: Slot) {
        let Some(count) = self.index(below) else { return };
        self.entries.drain(..count.min(self.entries.len()));
        self.trimmed = below;
    }

    /// Returns the slot after the last entry, or the first slot that is not trimmed if there is no entry.
    pub fn end(&self) -> Slot {
        self.trimmed.plus(self.entries.len() as u64)
    }

    /// Returns all entries by rising slot.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Slot, &T)> {
        let slots = self.entries.iter().enumerate();
        slots.filter_map(|(index, entry)| Some((self.trimmed.plus(index as u64), entry.as_ref()?)))
    }
}

/// Divides values into batches of consecutive slots, each with its first slot. No batch has more than `most` slots.
///
/// The caller must pass the values by rising slot.
pub(crate) fn runs<V>(
    slots: impl IntoIterator<Item = (Slot, V)>,
    most: u64,
) -> impl Iterator<Item = (Slot, Batch<V>)> {
    let singles = slots.into_iter().map(|(slot, value)| (slot, vec![value]));
    let runs = singles.coalesce(move |(first, mut run), (slot, mut next)| {
        if first.plus(run.len() as u64) == slot && (run.len() as u64) < most {
            run.append(&mut next);
            Ok((first, run))
        } else {
            Err(((first, run), (slot, next)))
        }
    });
    runs.map(|(first, values)| (first, values.into()))
}
