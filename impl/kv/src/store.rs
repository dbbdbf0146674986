//! Keys and their values, in an order that is the same on every node.
//!
//! The *position* of a key is a hash that never changes. Keys are ordered by their positions. So a look-up compares
//! integers, and a client can walk through all keys with an integer as its cursor while keys are added and removed.
//!
//! The keys are in a persistent map. So a clone of the store takes the same short time for any number of keys. A change
//! copies the few nodes of the map that a clone still shares and that lead to the key. So a snapshot can be written from
//! a clone while the store changes.

use std::ops::ControlFlow;

use bytes::Bytes;
use imbl::OrdMap;
use siphasher::sip::SipHasher13;
use smallvec::{SmallVec, smallvec};

/// All keys and values of one database.
#[derive(Clone, Debug, Default)]
pub struct Store {
    /// The keys and values, by position. Invariant: each position in the map has at least one key, and its keys are in
    /// order.
    positions: OrdMap<u64, SmallVec<[Entry; 1]>>,
    len: usize,
    /// The bytes of all keys and values, and [`ENTRY_BYTES`] for each key.
    bytes: u64,
}

type Entry = (Bytes, Bytes);

/// The memory that a key and its value take beside their own bytes: an element of the map, and the heads of two
/// allocations that were shared with an answer.
pub const ENTRY_BYTES: u64 = 256;

/// The number of bits of a position. A cursor of `SCAN` is a position. Many clients keep a cursor in a floating-point
/// number, which is exact below 2^53. In tests there are few bits, so that keys often share a position.
const POSITION_BITS: u32 = if cfg!(test) { 3 } else { 53 };

/// Returns the position of a key. The hash has no secret, because all nodes must agree on it. An attacker who looks for
/// keys that share a position has as much work as with any hash of this length. Such keys cost only the time to compare
/// them.
fn position(key: &[u8]) -> u64 {
    SipHasher13::new().hash(key) >> (u64::BITS - POSITION_BITS)
}

impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl Eq for Store {}

impl Store {
    /// Returns the value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&Bytes> {
        let entries = self.positions.get(&position(key))?;
        entries.iter().find_map(|(other, value)| (other == key).then_some(value))
    }

    /// Sets the value of a key. Returns the earlier value.
    pub fn insert(&mut self, key: &[u8], value: Bytes) -> Option<Bytes> {
        let (position, added) = (position(key), value.len() as u64);
        let before = if let Some(entries) = self.positions.get_mut(&position) {
            match entries.binary_search_by(|(other, _)| other[..].cmp(key)) {
                Ok(index) => Some(std::mem::replace(&mut entries[index].1, value)),
                Err(index) => {
                    entries.insert(index, (Bytes::copy_from_slice(key), value));
                    None
                }
            }
        } else {
            self.positions.insert(position, smallvec![(Bytes::copy_from_slice(key), value)]);
            None
        };
        self.bytes += added;
        if let Some(before) = &before {
            self.bytes -= before.len() as u64;
        } else {
            self.len += 1;
            self.bytes += key.len() as u64 + ENTRY_BYTES;
        }
        before
    }

    /// Removes a key. Returns its value.
    pub fn remove(&mut self, key: &[u8]) -> Option<Bytes> {
        self.get(key)?; // For a missing key, no node of the map is copied.
        let position = position(key);
        let entries = self.positions.get_mut(&position)?;
        let index = entries.iter().position(|(other, _)| other == key)?;
        let (_, value) = entries.remove(index);
        if entries.is_empty() {
            self.positions.remove(&position);
        }
        self.len -= 1;
        self.bytes -= (key.len() + value.len()) as u64 + ENTRY_BYTES;
        Some(value)
    }

    /// Returns the number of keys.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns the bytes of all keys and values, and [`ENTRY_BYTES`] for each key.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns true if there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns all keys and values, in the order of their positions.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.positions.values().flatten().map(|(key, value)| (key, value))
    }

    /// Calls `show` once for each position from `cursor` on, with all keys of that position, until `show` breaks.
    /// Returns the position at which it broke, which is the next cursor. Returns 0 after the last position.
    ///
    /// # Errors
    /// Fails if `show` fails.
    pub fn scan<'a, E>(
        &'a self,
        cursor: u64,
        mut show: impl FnMut(&mut dyn Iterator<Item = &'a Bytes>) -> Result<ControlFlow<()>, E>,
    ) -> Result<u64, E> {
        for (position, entries) in self.positions.range(cursor..) {
            if show(&mut entries.iter().map(|(key, _)| key))?.is_break() {
                return Ok(*position);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, convert::Infallible};

    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Clients and snapshots depend on the order of keys.
    #[test]
    fn the_hash_never_changes() {
        assert_eq!(SipHasher13::new().hash(b"key"), 0xdf61_b30b_6842_17c0);
    }

    proptest! {
        /// A change of a store does not change its clone.
        #[test]
        fn a_clone_does_not_change(
            first in vec((0..50_u8, any::<u8>()), 0..60),
            then in vec((0..50_u8, any::<Option<u8>>()), 0..60),
        ) {
            let mut store = Store::default();
            for (key, value) in first {
                store.insert(&[key], vec![value].into());
            }
            let content = |store: &Store| -> Vec<(Bytes, Bytes)> {
                store.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
            };
            let (clone, before) = (store.clone(), content(&store));
            for (key, value) in then {
                match value {
                    Some(value) => store.insert(&[key], vec![value].into()),
                    None => store.remove(&[key]),
                };
            }
            prop_assert_eq!(content(&clone), before);
        }

        /// A walk shows every key that exists during the whole walk.
        #[test]
        fn a_walk_misses_nothing(
            stay in vec(0..200_u8, 0..60),
            come_and_go in vec((0..200_u8, any::<bool>()), 0..60),
            count in 1..8_usize,
        ) {
            let stay = BTreeSet::from_iter(stay);
            let mut store = Store::default();
            for key in &stay {
                store.insert(&[*key], Bytes::new());
            }
            let mut changes = come_and_go.iter().filter(|(key, _)| !stay.contains(key));
            let (mut seen, mut cursor) = (BTreeSet::new(), 0);
            loop {
                let mut shown = 0;
                let scanned = store.scan(cursor, |keys| {
                    if shown >= count {
                        return Ok::<_, Infallible>(ControlFlow::Break(()));
                    }
                    let keys: Vec<_> = keys.map(|key| key[0]).collect();
                    shown += keys.len();
                    seen.extend(keys);
                    Ok(ControlFlow::Continue(()))
                });
                let Ok(next) = scanned;
                cursor = next;
                if cursor == 0 {
                    break;
                }
                for (key, come) in changes.by_ref().take(3) {
                    if *come {
                        store.insert(&[*key], Bytes::new());
                    } else {
                        store.remove(&[*key]);
                    }
                }
            }
            prop_assert!(seen.is_superset(&stay));
            prop_assert_eq!(store.iter().count(), store.len());
            let bytes = store.iter().map(|(key, value)| (key.len() + value.len()) as u64 + ENTRY_BYTES);
            prop_assert_eq!(bytes.sum::<u64>(), store.bytes());
        }
    }
}
