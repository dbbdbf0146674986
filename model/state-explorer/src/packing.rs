//! States as a few words: digits of mixed radix, one after the other.
//!
//! A digit that can be one of ten takes a tenth of what is left of a word, not four bits of it. A word
//! that has no room for the next digit is left as it is, so that reading never divides more than one
//! word.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use serde::{Deserialize, Serialize};
use serde_big_array::BigArray;

/// The most words that a packed state may take.
pub const WORDS_MAX: usize = 8;

/// Where a state is written.
#[derive(Clone, Debug)]
pub struct Packer {
    words: [u64; WORDS_MAX],
    at: usize,
    /// What one more is worth in the current word: the product of the radices in it.
    weight: u64,
    /// Whether something was no digit.
    misfit: bool,
}

impl Default for Packer {
    fn default() -> Self {
        Self { words: [0; WORDS_MAX], at: 0, weight: 1, misfit: false }
    }
}

impl Packer {
    /// Writes one of `radix` possibilities. If `digit` is not one of them, the state cannot be packed.
    #[inline]
    pub fn push(&mut self, digit: u64, radix: u64) {
        self.misfit |= digit >= radix;
        let weight = self.weight.checked_mul(radix).unwrap_or_else(|| {
            self.at += 1;
            self.weight = 1;
            radix
        });
        if let Some(word) = self.words.get_mut(self.at) {
            *word = word.wrapping_add(digit.wrapping_mul(self.weight));
        }
        self.weight = weight;
    }

    /// Writes a whole word.
    #[inline]
    pub fn push_word(&mut self, word: u64) {
        if self.weight > 1 {
            self.at += 1;
        }
        if let Some(place) = self.words.get_mut(self.at) {
            *place = word;
        }
        self.at += 1;
        self.weight = 1;
    }

    /// Says that there are no digits for this state.
    pub const fn misfit(&mut self) {
        self.misfit = true;
    }

    /// How many words were begun; more than [`WORDS_MAX`] if there was no room.
    pub const fn words(&self) -> usize {
        self.at + (self.weight > 1) as usize
    }

    /// What was written, in `N` words; nothing if it takes more, or could not be written.
    #[inline]
    pub fn finish<const N: usize>(&self) -> Option<Key<N>> {
        let fits = self.words() <= N && !self.misfit;
        fits.then(|| Key(std::array::from_fn(|word| self.words[word])))
    }
}

/// Where a state is read.
#[derive(Clone, Debug)]
pub struct Unpacker<'a> {
    words: &'a [u64],
    at: usize,
    rest: u64,
    weight: u64,
}

impl<'a> Unpacker<'a> {
    /// Reads a key from its beginning.
    #[inline]
    pub fn new<const N: usize>(key: &'a Key<N>) -> Self {
        Self { words: &key.0, at: 0, rest: key.0.first().copied().unwrap_or(0), weight: 1 }
    }

    /// Reads one of `radix` possibilities.
    #[inline]
    pub fn take(&mut self, radix: u64) -> u64 {
        self.weight = self.weight.checked_mul(radix).unwrap_or_else(|| {
            self.next_word();
            radix
        });
        let digit = self.rest % radix;
        self.rest /= radix;
        digit
    }

    /// Reads a whole word.
    #[inline]
    pub fn take_word(&mut self) -> u64 {
        if self.weight > 1 {
            self.next_word();
        }
        let word = self.rest;
        self.next_word();
        self.weight = 1;
        word
    }

    fn next_word(&mut self) {
        self.at += 1;
        self.rest = self.words.get(self.at).copied().unwrap_or(0);
    }
}

/// A packed state: the state itself, and nothing that stands for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Key<const N: usize>(#[serde(with = "BigArray")] pub [u64; N]);

impl<const N: usize> Key<N> {
    /// A number that is spread evenly over all numbers, and the same on every machine.
    #[inline]
    pub fn spread(&self) -> u64 {
        let mixed = self.0.iter().fold(0, |mixed, word| fold(mixed ^ word, 0x9E37_79B9_7F4A_7C15));
        fold(mixed, 0xD6E8_FEB8_6659_FD93)
    }
}

/// Both halves of a product, one on the other: every bit of it depends on every bit of `word`.
#[inline]
const fn fold(word: u64, by: u64) -> u64 {
    let product = (word ^ 0xA076_1D64_78BD_642F) as u128 * by as u128;
    (product as u64) ^ (product >> 64) as u64
}

impl<const N: usize> Hash for Key<N> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.spread());
    }
}

/// Takes the [spread](Key::spread) of a key as its hash.
#[derive(Default, Clone, Copy, Debug)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a key is hashed as one word");
    }

    #[inline]
    fn write_u64(&mut self, spread: u64) {
        self.0 = spread;
    }
}

/// A set of keys.
pub type KeySet<const N: usize> = std::collections::HashSet<Key<N>, BuildHasherDefault<Spread>>;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is written is read again, words in between included.
        #[test]
        fn what_is_written_is_read(
            digits in prop::collection::vec((1..=u64::MAX, any::<u64>(), prop::bool::weighted(0.1)), 0..24),
        ) {
            let mut packer = Packer::default();
            for &(radix, digit, whole) in &digits {
                if whole { packer.push_word(digit) } else { packer.push(digit % radix, radix) }
            }
            prop_assume!(packer.words() <= WORDS_MAX);
            let key = packer.finish::<WORDS_MAX>().expect("it fits");
            let mut unpacker = Unpacker::new(&key);
            for (radix, digit, whole) in digits {
                if whole {
                    prop_assert_eq!(unpacker.take_word(), digit);
                } else {
                    prop_assert_eq!(unpacker.take(radix), digit % radix);
                }
            }
        }
    }

    #[test]
    fn small_digits_share_a_word() {
        let mut packer = Packer::default();
        (0..19).for_each(|_| packer.push(9, 10));
        assert_eq!(packer.words(), 1);
        packer.push(9, 10);
        assert_eq!(packer.words(), 2);
        assert_eq!(packer.finish::<2>(), Some(Key([9_999_999_999_999_999_999, 9])));
    }

    #[test]
    fn what_does_not_fit_is_not_cut() {
        let mut packer = Packer::default();
        packer.push(10, 10);
        assert_eq!(packer.finish::<8>(), None);
        let mut packer = Packer::default();
        packer.push_word(1);
        packer.push_word(2);
        assert_eq!(packer.finish::<1>(), None);
        (0..7).for_each(|_| packer.push_word(3));
        assert_eq!(packer.finish::<8>(), None);
    }
}
