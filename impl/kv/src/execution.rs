//! The execution of one request on the store. A meter counts its cost. If the request exceeds a limit of the meter, or
//! the limit of the whole state, its changes are undone.

use bytes::{Bytes, BytesMut};

use super::{
    limits::{Exceeded, Meter, VALUE_MAX, cost},
    store::Store,
};

/// A request in execution.
pub(crate) struct Execution<'a> {
    pub(crate) store: &'a mut Store,
    /// The highest number of bytes of the store after a change that makes it grow.
    state_max: u64,
    /// Counts the cost of the request.
    pub(crate) meter: &'a mut Meter,
    /// The changes so far, to be undone in reverse order. `None` if changes are not recorded, because the request
    /// cannot exceed a limit.
    undo: Option<Vec<Undo>>,
    /// A store that was cleared and is not needed to undo anything.
    cleared: Store,
}

/// A change, with the state before it.
enum Undo {
    /// The value of a key was set or removed. Has the value before.
    Put(Bytes, Option<Bytes>),
    /// The value of a key has grown at its end. Has the length before.
    Grown(Bytes, usize),
    /// All keys were removed. Has the store before.
    Cleared(Store),
}

impl<'a> Execution<'a> {
    pub(crate) fn new(
        store: &'a mut Store,
        state_max: u64,
        meter: &'a mut Meter,
        undoable: bool,
    ) -> Self {
        let undo = undoable.then(Vec::new);
        Self { store, state_max, meter, undo, cleared: Store::default() }
    }

    /// Returns the value of a key.
    pub(crate) fn get(&mut self, key: &[u8]) -> Result<Option<&Bytes>, Exceeded> {
        self.meter.spend(cost::KEY)?;
        Ok(self.store.get(key))
    }

    /// Sets the value of a key, and returns the value before.
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<Option<Bytes>, Exceeded> {
        self.meter.spend(cost::KEY)?;
        self.meter.copy(value.len())?;
        let before = self.store.insert(key, Bytes::copy_from_slice(value));
        let grows = before.as_ref().is_none_or(|before| before.len() < value.len());
        if grows && self.store.bytes() > self.state_max {
            match before {
                Some(before) => self.store.insert(key, before),
                None => self.store.remove(key),
            };
            return Err(Exceeded::State(self.state_max));
        }
        self.record(|| Undo::Put(Bytes::copy_from_slice(key), before.clone()));
        Ok(before)
    }

    /// Removes a key, and returns its value.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Result<Option<Bytes>, Exceeded> {
        self.meter.spend(cost::KEY)?;
        let before = self.store.remove(key);
        if before.is_some() {
            self.record(|| Undo::Put(Bytes::copy_from_slice(key), before.clone()));
        }
        Ok(before)
    }

    /// Appends to a value, and returns the new length. Changes nothing and returns `None` if the value would be longer
    /// than [`VALUE_MAX`].
    pub(crate) fn append(&mut self, key: &[u8], end: &[u8]) -> Result<Option<usize>, Exceeded> {
        let length = match self.get(key)? {
            Some(value) => value.len(),
            None => return self.put(key, end).map(|_| Some(end.len())),
        };
        let Some(sum) = appended(length, end.len()) else { return Ok(None) };
        if !end.is_empty() && self.store.bytes() + end.len() as u64 > self.state_max {
            return Err(Exceeded::State(self.state_max));
        }
        // A copy is counted on every node, so that all replicas stop at the same cost. A node that still holds an
        // answer with the value really copies it, and another node may not.
        self.meter.copy(sum)?;
        // A value that an answer still shares is copied. Any other value grows in its allocation. The store gives up
        // the value for this time, because a shared value cannot grow.
        let value = self.store.insert(key, Bytes::new()).unwrap_or_default();
        let mut value = value.try_into_mut().unwrap_or_else(|shared| {
            let mut copy = BytesMut::with_capacity(sum);
            copy.extend_from_slice(&shared);
            copy
        });
        value.extend_from_slice(end);
        self.store.insert(key, value.freeze());
        self.record(|| Undo::Grown(Bytes::copy_from_slice(key), length));
        Ok(Some(sum))
    }

    /// Removes all keys. The time does not depend on their number, because another thread drops a large store.
    pub(crate) fn clear(&mut self) -> Result<(), Exceeded> {
        self.meter.spend(cost::CLEAR)?;
        let cleared = std::mem::take(self.store);
        match &mut self.undo {
            Some(undo) => undo.push(Undo::Cleared(cleared)),
            // Only the first store can be large: a later one has only the keys that this request has written.
            None if self.cleared.is_empty() => self.cleared = cleared,
            None => drop(cleared),
        }
        Ok(())
    }

    /// Undoes all changes.
    pub(crate) fn undo(&mut self) {
        while let Some(undo) = self.undo.as_mut().and_then(Vec::pop) {
            match undo {
                Undo::Put(key, Some(value)) => drop(self.store.insert(&key, value)),
                Undo::Put(key, None) => drop(self.store.remove(&key)),
                Undo::Grown(key, length) => {
                    // The part is copied, because a shared part would keep the memory of the grown value.
                    let value = self.store.get(&key);
                    let value = value.map(|value| Bytes::copy_from_slice(&value[..length]));
                    self.store.insert(&key, value.unwrap_or_default());
                }
                Undo::Cleared(store) => *self.store = store,
            }
        }
    }

    /// Keeps all changes. Returns the first store that was cleared, or an empty one. To drop it may take long.
    pub(crate) fn keep(self) -> Store {
        let cleared = self.undo.into_iter().flatten().filter_map(|undo| match undo {
            Undo::Cleared(store) => Some(store),
            _ => None,
        });
        // Only the first can be large, because each later one has only the keys that this request has written.
        cleared.reduce(|first, _| first).unwrap_or(self.cleared)
    }

    fn record(&mut self, change: impl FnOnce() -> Undo) {
        if let Some(undo) = &mut self.undo {
            undo.push(change());
        }
    }
}

/// Returns the length of a value after `more` bytes are appended, if a value may be so long.
fn appended(length: usize, more: usize) -> Option<usize> {
    length.checked_add(more).filter(|sum| *sum <= VALUE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ENTRY_BYTES;

    #[test]
    fn the_length_of_values_is_limited() {
        assert_eq!(appended(VALUE_MAX - 1, 1), Some(VALUE_MAX));
        assert_eq!(appended(VALUE_MAX, 1), None);
        assert_eq!(appended(usize::MAX, 1), None);
    }

    #[test]
    fn changes_are_undone_in_reverse() {
        let (mut store, mut meter) = (Store::default(), Meter::default());
        let mut fill = Execution::new(&mut store, u64::MAX, &mut meter, false);
        for (key, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
            fill.put(key.as_bytes(), value.as_bytes()).unwrap();
        }
        assert!(fill.keep().is_empty());
        let before = store.clone();
        let mut execution = Execution::new(&mut store, u64::MAX, &mut meter, true);
        execution.put(b"a", b"other").unwrap();
        execution.append(b"b", b"more").unwrap();
        execution.append(b"b", b"and more").unwrap();
        execution.append(b"new", b"x").unwrap();
        execution.remove(b"c").unwrap();
        execution.put(b"c", b"again").unwrap();
        execution.clear().unwrap();
        execution.put(b"a", b"1").unwrap();
        execution.clear().unwrap();
        execution.undo();
        assert_eq!(store, before);
    }

    #[test]
    fn a_cleared_store_is_returned() {
        for undoable in [false, true] {
            let (mut store, mut meter) = (Store::default(), Meter::default());
            store.insert(b"a", "1".into());
            let mut execution = Execution::new(&mut store, u64::MAX, &mut meter, undoable);
            execution.clear().unwrap();
            execution.clear().unwrap();
            assert_eq!(execution.keep().len(), 1);
            assert!(store.is_empty());
        }
    }

    /// A value whose growth was undone takes no more memory than before.
    #[test]
    fn an_undone_append_takes_no_memory() {
        let (mut store, mut meter) = (Store::default(), Meter::default());
        store.insert(b"k", "1".into());
        let mut execution = Execution::new(&mut store, u64::MAX, &mut meter, true);
        execution.append(b"k", &[b'x'; 10_000]).unwrap();
        execution.undo();
        let value = store.remove(b"k").unwrap().try_into_mut().unwrap();
        assert_eq!(value, "1");
        assert!(value.capacity() < 1000, "{} bytes", value.capacity());
    }

    #[test]
    fn the_state_has_a_limit() {
        let (mut store, mut meter) = (Store::default(), Meter::default());
        let pair = ENTRY_BYTES + 2;
        let mut execution = Execution::new(&mut store, 2 * pair, &mut meter, false);
        for key in [b"a", b"b"] {
            execution.put(key, b"1").unwrap();
        }
        assert_eq!(execution.put(b"c", b""), Err(Exceeded::State(2 * pair)));
        assert_eq!(execution.put(b"a", b"22"), Err(Exceeded::State(2 * pair)));
        assert_eq!(execution.append(b"a", b"2"), Err(Exceeded::State(2 * pair)));
        assert_eq!(execution.put(b"a", b"2"), Ok(Some("1".into())), "it does not grow");
        assert_eq!(execution.put(b"a", b""), Ok(Some("2".into())), "it shrinks");
        assert_eq!(execution.append(b"b", b"2"), Ok(Some(2)), "the state is below its limit again");
        assert_eq!(store.bytes(), 2 * pair);
    }
}
