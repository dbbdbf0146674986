//! A log indexed by slot, and batches of consecutive slots.

use std::cmp::Ordering;

use itertools::Itertools as _;

use crate::types::{Batch, Slot, Value};

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
        match index.cmp(&self.entries.len()) {
            Ordering::Less => self.entries[index] = Some(entry),
            Ordering::Equal => self.entries.push(Some(entry)),
            Ordering::Greater => {
                self.entries.resize_with(index, || None);
                self.entries.push(Some(entry));
            }
        }
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
