//! Batches: the values of consecutive slots.

use std::{fmt, hash, ops, sync::Arc};

use crate::types::{Slot, Value};

/// Values of consecutive slots, one value per slot.
///
/// Batches share their values: neither a clone nor a [`part`](Self::part) copies a value. So a proposal, the vote for it,
/// the record of the vote and the chosen values are parts of one allocation. It is freed when its last part is dropped.
///
/// Two batches are equal if they have the same values, whether they share them or not.
pub struct Batch<V = Value> {
    shared: Arc<[V]>,
    // The part of `shared`. Four bytes each, since a log has two batches for each run of slots.
    start: u32,
    end: u32,
}

impl<V> Batch<V> {
    /// Returns the number of values.
    #[inline]
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Returns true if there is no value.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Returns the values with these indices.
    ///
    /// # Panics
    /// Panics if there are not so many values.
    #[must_use]
    #[inline]
    pub fn part(&self, indices: ops::Range<usize>) -> Self {
        assert!(indices.start <= indices.end && indices.end <= self.len(), "a part of the batch");
        let place = |index: usize| self.start + index as u32;
        let (start, end) = (place(indices.start), place(indices.end));
        Self { shared: Arc::clone(&self.shared), start, end }
    }

    /// Returns the values of these slots, if the first value is that of slot `first`.
    ///
    /// # Panics
    /// As [`part`](Self::part).
    #[must_use]
    #[inline]
    pub fn of_slots(&self, first: Slot, slots: ops::Range<u64>) -> Self {
        self.part((slots.start - first.0) as usize..(slots.end - first.0) as usize)
    }

    /// Returns each value with its slot, if the first value is that of slot `first`.
    pub fn with_slots(&self, first: Slot) -> impl Iterator<Item = (Slot, &V)> {
        (first.0..).map(Slot).zip(self)
    }

    /// Drops the first `count` values.
    ///
    /// # Panics
    /// Panics if there are not so many values.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "a part of the batch");
        self.start += count as u32;
    }

    /// Returns true if both are the same part of one allocation. Then they are equal. Otherwise they may be equal, too.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
            && (self.start, self.end) == (other.start, other.end)
    }

    /// # Panics
    /// Panics if there are more than 2^32 - 1 values. They would take at least 4 GiB.
    fn whole(shared: Arc<[V]>) -> Self {
        let end = u32::try_from(shared.len()).expect("a batch has fewer than 2^32 values");
        Self { shared, start: 0, end }
    }
}

impl<V> ops::Deref for Batch<V> {
    type Target = [V];

    #[inline]
    fn deref(&self) -> &[V] {
        &self.shared[self.start as usize..self.end as usize]
    }
}

// A derived implementation would require that values can be cloned.
impl<V> Clone for Batch<V> {
    #[inline]
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), ..*self }
    }
}

impl<V> From<Vec<V>> for Batch<V> {
    fn from(values: Vec<V>) -> Self {
        Self::whole(values.into())
    }
}

impl<V: Clone> From<&[V]> for Batch<V> {
    fn from(values: &[V]) -> Self {
        Self::whole(values.into())
    }
}

impl<V, const N: usize> From<[V; N]> for Batch<V> {
    fn from(values: [V; N]) -> Self {
        Self::whole(values.into())
    }
}

/// Allocates once if the iterator knows its length exactly.
impl<V> FromIterator<V> for Batch<V> {
    fn from_iter<I: IntoIterator<Item = V>>(values: I) -> Self {
        Self::whole(values.into_iter().collect())
    }
}

impl<'a, V> IntoIterator for &'a Batch<V> {
    type Item = &'a V;
    type IntoIter = std::slice::Iter<'a, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<V: PartialEq> PartialEq for Batch<V> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<V: Eq> Eq for Batch<V> {}

impl<V: hash::Hash> hash::Hash for Batch<V> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<V: fmt::Debug> fmt::Debug for Batch<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// As a sequence of values.
#[cfg(feature = "serde")]
impl<V: serde::Serialize> serde::Serialize for Batch<V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

#[cfg(feature = "serde")]
impl<'de, V: serde::Deserialize<'de>> serde::Deserialize<'de> for Batch<V> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_their_values() {
        let batch: Batch<u8> = (0..6).collect();
        let part = batch.part(1..5).of_slots(Slot(10), 11..13);
        assert_eq!(*part, [2, 3]);
        assert!(part.is_same(&batch.part(2..4)) && !part.is_same(&batch.part(2..5)));
        assert!(!part.is_same(&[2, 3].into()));
        assert_eq!(part, [2, 3].into());
        let mut rest = part;
        rest.advance(1);
        assert_eq!((&*rest, rest.len(), rest.is_empty()), (&[3][..], 1, false));
        rest.advance(1);
        assert!(rest.is_empty() && rest == Batch::from(Vec::new()));
        // Only the parts hold the allocation.
        assert_eq!(Arc::strong_count(&batch.shared), 2);
    }

    #[test]
    #[should_panic(expected = "a part of the batch")]
    fn there_is_no_part_beyond_the_batch() {
        let batch: Batch<u8> = (0..6).collect();
        drop(batch.part(1..3).part(0..3));
    }
}
