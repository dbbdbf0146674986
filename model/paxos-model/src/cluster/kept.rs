//! A table of results, each of which is computed once.
//!
//! A search computes the same few results many million times. The table keeps them. It has room for a fixed number of
//! results, and a result that finds no room is computed again each time. So the table changes the speed of a search, and
//! nothing else. Each place is written at most once, so threads read without a lock.

use std::sync::{LazyLock, OnceLock};

/// A key of the table. Different keys need not have different digests, but should.
pub(super) trait Digest: Eq {
    fn digest(&self) -> u64;
}

/// A word is its own digest.
impl Digest for u64 {
    #[inline]
    fn digest(&self) -> u64 {
        *self
    }
}

/// The number of results for which there is room: a power of two. The usual spaces have some thousand results.
const ROOM: usize = 1 << 14;
/// The number of places in which a result may be kept.
const TRIES: usize = 8;

/// A table of results by their keys. It takes no memory before its first use.
pub(super) struct Kept<K, V>(LazyLock<Box<Places<K, V>>>);

type Places<K, V> = [OnceLock<(K, V)>];

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(LazyLock::new(|| (0..ROOM).map(|_| OnceLock::new()).collect()))
    }
}

impl<K: Digest, V> Kept<K, V> {
    /// Passes the result of a key to `look`. Calls `compute` unless the result is kept. `compute` must return the same result
    /// for equal keys.
    #[inline]
    pub(super) fn with<T>(
        &self,
        key: K,
        compute: impl FnOnce(&K) -> V,
        look: impl FnOnce(&V) -> T,
    ) -> T {
        // The exclusive or of both halves of the product depends on each bit of the digest.
        let mixed = u128::from(key.digest()) * 0x9E37_79B9_7F4A_7C15;
        let first = (mixed ^ mixed >> u64::BITS) as usize % ROOM;
        let places = &**self.0;
        for nth in 0..TRIES {
            let place = &places[(first + nth) % ROOM];
            match place.get() {
                Some((known, value)) if *known == key => return look(value),
                Some(_) => {}
                None => {
                    let value = compute(&key);
                    let result = look(&value);
                    // If another thread has just filled the place, this result is not kept.
                    let _ = place.set((key, value));
                    return result;
                }
            }
        }
        look(&compute(&key))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[derive(PartialEq, Eq)]
    struct Number(u64);

    /// Many numbers have the same digest.
    impl Digest for Number {
        fn digest(&self) -> u64 {
            self.0 % 100
        }
    }

    #[test]
    fn each_key_has_its_own_result() {
        let (kept, computed) = (Kept::default(), Cell::new(0));
        let squared = |key: u64| {
            let compute = |_: &Number| {
                computed.set(computed.get() + 1);
                key * key
            };
            kept.with(Number(key), compute, |square| *square)
        };
        (0..10_000).for_each(|key| assert_eq!(squared(key), key * key));
        assert_eq!(computed.get(), 10_000);
        (0..10_000).for_each(|key| assert_eq!(squared(key), key * key));
        assert!(computed.get() < 20_000, "some results were kept");
        assert!(computed.get() > 10_000, "some results found no room");
    }
}
