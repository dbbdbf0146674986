//! A log by runs of slots, and the division of slots into batches.
//!
//! Slots that were proposed together are accepted, chosen, recorded and sent together. So a log keeps them as one run: a
//! shared batch of values with one tag. A step on many slots costs as much as a step on one, as long as all have the same
//! history.
//!
//! Invariant: the division into runs has no effect. Two logs are equal if they have the same tag and value in each slot,
//! and no method returns anything that depends on the division, except [`RunLog::pieces`]. A caller of `pieces` must
//! do the same for two pieces as for one piece of both.

use std::{
    collections::VecDeque,
    hash::{Hash, Hasher},
    iter,
    ops::Range,
    ptr,
};

use itertools::{Either, Itertools as _};

use crate::{batch::Batch, types::Slot};

/// The number of runs for which a log keeps its memory, so that a log that is trimmed often does not allocate each time.
const CAPACITY_KEPT: usize = 64;

/// A map from slots to values with tags. The tag of a vote is its ballot; that of a chosen value is `()`. A log is
/// trimmed below a slot: these slots have no value, and get none again.
#[derive(Clone, Debug)]
pub struct RunLog<T, V> {
    /// All slots below this one are trimmed.
    trimmed: Slot,
    /// By rising slot. No run is empty, and no two have a slot in common.
    runs: VecDeque<Run<T, V>>,
}

/// Values with one tag in consecutive slots.
#[derive(Clone, Debug)]
struct Run<T, V> {
    first: Slot,
    tag: T,
    values: Batch<V>,
}

impl<T, V> Run<T, V> {
    #[inline]
    fn slots(&self) -> Range<u64> {
        self.first.range(self.values.len())
    }

    /// Returns the values of these slots, which must be slots of the run.
    #[inline]
    fn part(&self, slots: Range<u64>) -> Batch<V> {
        self.values.of_slots(self.first, slots)
    }
}

/// Consecutive slots that have values of one tag, or that have no value.
#[derive(Debug)]
pub struct Piece<T, V> {
    /// The slots. There is at least one.
    pub slots: Range<u64>,
    /// The tag, and one value per slot.
    pub values: Option<(T, Batch<V>)>,
}

impl<T, V> Default for RunLog<T, V> {
    fn default() -> Self {
        Self::trimmed(Slot(0))
    }
}

impl<T, V> RunLog<T, V> {
    /// Returns an empty log that is trimmed below `below`.
    pub fn trimmed(below: Slot) -> Self {
        Self { trimmed: below, runs: VecDeque::new() }
    }

    fn entries(&self) -> impl DoubleEndedIterator<Item = (Slot, &T, &V)> {
        self.runs.iter().flat_map(|run| {
            let values = run.values.iter().enumerate();
            values.map(|(index, value)| (run.first.plus(index as u64), &run.tag, value))
        })
    }
}

impl<T: Copy, V> RunLog<T, V> {
    /// Returns the slot after the last one with a value, or the first slot that is not trimmed if no slot has a value.
    #[inline]
    pub fn end(&self) -> Slot {
        self.runs.back().map_or(self.trimmed, |run| Slot(run.slots().end))
    }

    /// Returns the tag and the value of a slot.
    pub fn get(&self, slot: Slot) -> Option<(T, &V)> {
        let run = self.runs.get(self.first_after(slot.0))?;
        let value = run.values.get(usize::try_from(slot.0.checked_sub(run.first.0)?).ok()?)?;
        Some((run.tag, value))
    }

    /// Returns all slots with a value, by rising slot.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Slot, T, &V)> {
        self.entries().map(|(slot, tag, value)| (slot, *tag, value))
    }

    /// Returns true if the log has a value with this tag.
    pub fn any_with(&self, tag: &T) -> bool
    where
        T: PartialEq,
    {
        self.runs.iter().rev().any(|run| run.tag == *tag)
    }

    /// Divides these slots into pieces, by rising slot. The pieces of a value are parts of the batch that it came with.
    #[inline]
    pub fn pieces(&self, slots: Range<u64>) -> impl Iterator<Item = Piece<T, V>> {
        let (mut next, mut index) = (slots.start, self.first_after(slots.start));
        iter::from_fn(move || {
            if next >= slots.end {
                return None;
            }
            let (end, values) = match self.runs.get(index) {
                Some(run) if run.first.0 <= next => {
                    index += 1;
                    let end = run.slots().end.min(slots.end);
                    (end, Some((run.tag, run.part(next..end))))
                }
                Some(run) => (run.first.0.min(slots.end), None),
                None => (slots.end, None),
            };
            let piece = Piece { slots: next..end, values };
            next = end;
            Some(piece)
        })
    }

    /// Returns the first slot in which the log has another value than `values`, with both values. The slots are
    /// consecutive, from `first` on. Slots count only if `counts` agrees to their tag.
    pub(crate) fn difference(
        &self,
        first: Slot,
        values: &Batch<V>,
        counts: impl Fn(T) -> bool,
    ) -> Option<(Slot, V, V)>
    where
        V: Clone + PartialEq,
    {
        let slots = first.range(values.len());
        self.pieces(slots.start..slots.end.min(self.end().0)).find_map(|piece| {
            let (_, stored) = piece.values.filter(|(tag, _)| counts(*tag))?;
            let others = &values[(piece.slots.start - first.0) as usize..];
            if ptr::eq(&raw const stored[..], &raw const others[..stored.len()]) {
                return None; // Both are the same part of one batch.
            }
            let mut both = piece.slots.zip(stored.iter().zip(others));
            let (slot, (stored, other)) = both.find(|(_, (stored, other))| stored != other)?;
            Some((Slot(slot), stored.clone(), other.clone()))
        })
    }

    /// Returns the values of these slots in batches of consecutive slots, each with its first slot. No batch has more
    /// than `most` slots. Slots without a value are left out.
    pub fn batches(&self, slots: Range<u64>, most: u64) -> impl Iterator<Item = (Slot, Batch<V>)>
    where
        V: Clone,
    {
        let batches = self.stretches(slots).flat_map(move |stretch| {
            let starts = stretch.clone().step_by(usize::try_from(most).unwrap_or(usize::MAX));
            starts.map(move |start| start..start.saturating_add(most).min(stretch.end))
        });
        batches.map(|batch| {
            let mut parts = self.pieces(batch.clone()).filter_map(|piece| Some(piece.values?.1));
            let first = parts.next().expect("each slot of a stretch has a value");
            let values = match parts.next() {
                None => first,
                Some(second) => {
                    let parts = [first, second].into_iter().chain(parts);
                    parts.flat_map(|part| part.to_vec()).collect()
                }
            };
            (Slot(batch.start), values)
        })
    }

    /// Returns the longest ranges of slots that all have a value.
    fn stretches(&self, slots: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let pieces = self.pieces(slots).filter(|piece| piece.values.is_some());
        joined(pieces.map(|piece| piece.slots))
    }

    /// Sets the values of consecutive slots from `first` on, in each slot in which `replaces` agrees. Its argument is the
    /// present tag of the slot. Returns the slots that were set, as ranges that are as long as possible. Ignores trimmed
    /// slots.
    #[inline]
    pub fn set<F: Fn(Option<T>) -> bool>(
        &mut self,
        first: Slot,
        tag: T,
        values: &Batch<V>,
        replaces: F,
    ) -> impl Iterator<Item = Range<u64>> + use<T, V, F> {
        let slots = first.max(self.trimmed).0..first.range(values.len()).end;
        let run = |slots: &Range<u64>| {
            let values = values.of_slots(first, slots.clone());
            Run { first: Slot(slots.start), tag, values }
        };
        if !slots.is_empty() && slots.start >= self.end().0 && replaces(None) {
            self.runs.push_back(run(&slots));
            return Either::Left(iter::once(slots));
        }
        let pieces = self.pieces(slots);
        let pieces = pieces.filter(|piece| replaces(piece.values.as_ref().map(|(tag, _)| *tag)));
        let set = joined(pieces.map(|piece| piece.slots)).collect_vec();
        for slots in &set {
            self.replace(slots, run(slots));
        }
        Either::Right(set.into_iter())
    }

    /// Puts a run in the place of everything that these slots have.
    fn replace(&mut self, slots: &Range<u64>, run: Run<T, V>) {
        self.cut(slots.start);
        self.cut(slots.end);
        let start = self.first_after(slots.start);
        let end = self.runs.partition_point(|run| run.first.0 < slots.end);
        self.runs.drain(start..end);
        self.runs.insert(start, run);
    }

    /// Divides the run that has this slot, so that a run begins with the slot.
    fn cut(&mut self, slot: u64) {
        let index = self.first_after(slot);
        if let Some(run) = self.runs.get_mut(index)
            && run.first.0 < slot
        {
            let (before, after) = (run.first.0..slot, slot..run.slots().end);
            let after = Run { first: Slot(slot), tag: run.tag, values: run.part(after) };
            run.values = run.part(before);
            self.runs.insert(index + 1, after);
        }
    }

    /// Removes the values of all slots below `below`, for good. Gives memory back once the log is much shorter than it
    /// was.
    pub fn trim(&mut self, below: Slot) {
        if below <= self.trimmed {
            return;
        }
        self.cut(below.0);
        self.runs.drain(..self.first_after(below.0));
        self.trimmed = below;
        let capacity = self.runs.capacity();
        if capacity > CAPACITY_KEPT && self.runs.len() < capacity / 4 {
            self.runs.shrink_to(CAPACITY_KEPT.max(2 * self.runs.len()));
        }
    }

    /// Returns the index of the first run that has `slot` or a later slot.
    #[inline]
    fn first_after(&self, slot: u64) -> usize {
        // Most questions are about the last run, or about slots after it.
        match self.runs.back() {
            Some(last) if last.slots().end <= slot => self.runs.len(),
            Some(last) if last.first.0 <= slot => self.runs.len() - 1,
            _ => self.runs.partition_point(|run| run.slots().end <= slot),
        }
    }
}

impl<T: PartialEq, V: PartialEq> PartialEq for RunLog<T, V> {
    fn eq(&self, other: &Self) -> bool {
        self.trimmed == other.trimmed && self.entries().eq(other.entries())
    }
}

impl<T: Eq, V: Eq> Eq for RunLog<T, V> {}

impl<T: Hash, V: Hash> Hash for RunLog<T, V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.trimmed.hash(state);
        for entry in self.entries() {
            entry.hash(state);
        }
    }
}

/// Joins ranges that follow each other without a gap. The ranges must rise.
pub(crate) fn joined(ranges: impl Iterator<Item = Range<u64>>) -> impl Iterator<Item = Range<u64>> {
    ranges.coalesce(|range, next| {
        if range.end == next.start { Ok(range.start..next.end) } else { Err((range, next)) }
    })
}

/// Divides values into batches of consecutive slots with one tag, each with its first slot. No batch has more than `most`
/// slots.
///
/// The caller must pass the values by rising slot, or gets more batches than needed.
pub(crate) fn batches<T: PartialEq, V>(
    slots: impl IntoIterator<Item = (Slot, T, V)>,
    most: u64,
) -> impl Iterator<Item = (Slot, T, Batch<V>)> {
    let mut slots = slots.into_iter().peekable();
    iter::from_fn(move || {
        let (first, tag, value) = slots.next()?;
        let (mut values, mut count) = (vec![value], 1);
        while count < most
            && let Some((_, _, value)) =
                slots.next_if(|(slot, other, _)| *slot == first.plus(count) && *other == tag)
        {
            values.push(value);
            count += 1;
        }
        Some((first, tag, values.into()))
    })
}
