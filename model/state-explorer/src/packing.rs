//! Packs states into a few words, as digits of mixed radix.
//!
//! A digit of radix 10 takes log₂ 10 bits of a word, about 3.3, instead of 4. A digit never spans two words: if it
//! does not fit into the current word, it goes into the next. So reading a digit divides one word only.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use serde::{Deserialize, Serialize};
use serde_big_array::BigArray;
use smallvec::SmallVec;

/// The greatest number of words of a packed state.
pub const WORDS_MAX: usize = 8;

/// Writes the digits of one state.
#[derive(Clone, Debug)]
pub struct Packer {
    words: [u64; WORDS_MAX],
    /// The products of the radices in the words before the current one. A whole word has 0.
    radices: [u64; WORDS_MAX],
    at: usize,
    /// The value of the next digit's unit in the current word: the product of the radices in it.
    weight: u64,
    /// True if some digit was not below its radix.
    misfit: bool,
}

impl Default for Packer {
    fn default() -> Self {
        let (words, radices) = ([0; WORDS_MAX], [0; WORDS_MAX]);
        Self { words, radices, at: 0, weight: 1, misfit: false }
    }
}

impl Packer {
    /// Writes a digit below `radix`. If it is not below, the state cannot be packed.
    #[inline]
    pub fn push(&mut self, digit: u64, radix: u64) {
        self.misfit |= digit >= radix;
        let weight = self.weight.checked_mul(radix).unwrap_or_else(|| {
            self.end_word(self.weight);
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
            self.end_word(self.weight);
        }
        if let Some(place) = self.words.get_mut(self.at) {
            *place = word;
        }
        self.end_word(0);
    }

    fn end_word(&mut self, radix: u64) {
        if let Some(place) = self.radices.get_mut(self.at) {
            *place = radix;
        }
        self.at += 1;
        self.weight = 1;
    }

    /// Returns the digits so far as fewer digits with higher radices, one for each word. They can be pushed into the packer
    /// of a larger thing. Returns none if the digits cannot be packed.
    ///
    /// # Panics
    /// Panics if a whole word was written.
    pub fn digits(&self) -> Option<SmallVec<[(u64, u64); 2]>> {
        let Key(words) = self.finish::<WORDS_MAX>()?;
        let radix = |word| if word == self.at { self.weight } else { self.radices[word] };
        let digits: SmallVec<_> =
            (0..self.words()).map(|word| (words[word], radix(word))).collect();
        assert!(digits.iter().all(|(_, radix)| *radix > 0), "a whole word is no digit");
        Some(digits)
    }

    /// Declares that the state cannot be packed.
    pub const fn misfit(&mut self) {
        self.misfit = true;
    }

    /// Returns the number of words needed so far. It may exceed [`WORDS_MAX`].
    pub const fn words(&self) -> usize {
        self.at + (self.weight > 1) as usize
    }

    /// Returns the state in `N` words, or `None` if it needs more words or cannot be packed.
    #[inline]
    pub fn finish<const N: usize>(&self) -> Option<Key<N>> {
        let fits = self.words() <= N && !self.misfit;
        fits.then(|| Key(std::array::from_fn(|word| self.words[word])))
    }
}

/// Reads the digits of one state, in the order in which they were written.
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

    /// Reads a digit below `radix`.
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

/// A packed state. Different states of one model have different keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Key<const N: usize>(#[serde(with = "BigArray")] pub [u64; N]);

impl<const N: usize> Key<N> {
    /// Returns a hash of the key that is the same on each machine.
    #[inline]
    pub fn spread(&self) -> u64 {
        let mixed = self.0.iter().fold(0, |mixed, word| fold(mixed ^ word, 0x9E37_79B9_7F4A_7C15));
        fold(mixed, 0xD6E8_FEB8_6659_FD93)
    }
}

/// Returns the exclusive or of both halves of a product, so that each bit depends on each bit of `word`.
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

/// A hasher for [keys](Key) only, which uses their [spread](Key::spread) unchanged.
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
        /// Digits and whole words are read as they were written.
        #[test]
        fn digits_and_words_are_read_as_written(
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

    /// A part that is packed on its own and then pushed as fewer digits has the same information.
    #[test]
    fn the_digits_of_a_part_are_digits_of_the_whole() {
        let mut part = Packer::default();
        (0..30).for_each(|digit| part.push(digit % 10, 10));
        let digits = part.digits().expect("it fits");
        assert_eq!(
            digits.iter().map(|(_, radix)| *radix).collect::<Vec<_>>(),
            [10_u64.pow(19), 10_u64.pow(11)]
        );
        let mut whole = Packer::default();
        whole.push(1, 2);
        digits.iter().for_each(|&(digit, radix)| whole.push(digit, radix));
        let key = whole.finish::<3>().expect("it fits");
        let mut unpacker = Unpacker::new(&key);
        assert_eq!(unpacker.take(2), 1);
        let words: Vec<_> = digits.iter().map(|&(_, radix)| unpacker.take(radix)).collect();
        let key = Key([words[0], words[1]]);
        let mut unpacker = Unpacker::new(&key);
        (0..30).for_each(|digit| assert_eq!(unpacker.take(10), digit % 10));
        part.push(10, 10);
        assert_eq!(part.digits(), None);
    }

    #[test]
    fn states_that_do_not_fit_have_no_key() {
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
