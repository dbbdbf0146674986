//! A log indexed by slot, and batches of consecutive slots.

use std::collections::VecDeque;

use itertools::Itertools as _;

use crate::types::{Batch, Slot, Value};

/// At most one entry per slot, found by index. Slots without an entry cost one empty place; slots
/// that were trimmed cost nothing and stay empty.
///
/// Invariant: the last place is never empty, so that equal contents are equal logs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SlotLog<T> {
    /// The slot of the first place; all below are trimmed.
    trimmed: Slot,
    entries: VecDeque<Option<T>>,
}

impl<T> Default for SlotLog<T> {
    fn default() -> Self {
        Self::trimmed(Slot(0))
    }
}

impl<T> SlotLog<T> {
    /// An empty log in which nothing below `below` will ever be.
    pub(crate) fn trimmed(below: Slot) -> Self {
        Self { trimmed: below, entries: VecDeque::new() }
    }

    /// The place of a slot that is not trimmed.
    fn index(&self, slot: Slot) -> Option<usize> {
        usize::try_from(slot.0.checked_sub(self.trimmed.0)?).ok()
    }

    /// The entry of a slot, if it has one.
    pub fn get(&self, slot: Slot) -> Option<&T> {
        self.entries.get(self.index(slot)?)?.as_ref()
    }

    /// Puts an entry in its slot, in place of an earlier one; a slot that is trimmed takes none.
    /// Callers bound the slot: memory grows with the highest.
    pub fn insert(&mut self, slot: Slot, entry: T) {
        let Some(index) = self.index(slot) else { return };
        if index < self.entries.len() {
            self.entries[index] = Some(entry);
        } else {
            self.entries.resize_with(index, || None);
            self.entries.push_back(Some(entry));
        }
    }

    /// Forgets what is below a slot.
    pub fn trim(&mut self, below: Slot) {
        let Some(known) = self.index(below) else { return };
        self.entries.drain(..known.min(self.entries.len()));
        self.trimmed = below;
    }

    /// The slot after the last one that has an entry, or the first that is not trimmed.
    pub fn end(&self) -> Slot {
        self.trimmed.plus(self.entries.len() as u64)
    }

    /// All entries by rising slot.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Slot, &T)> {
        let slots = self.entries.iter().enumerate();
        slots.filter_map(|(place, entry)| Some((self.trimmed.plus(place as u64), entry.as_ref()?)))
    }
}

/// Cuts slots into batches of consecutive ones, none longer than `most`.
pub(crate) fn runs(
    slots: impl IntoIterator<Item = (Slot, Value)>,
    most: u64,
) -> impl Iterator<Item = (Slot, Batch)> {
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
