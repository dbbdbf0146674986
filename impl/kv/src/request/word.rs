//! One command of the table.

use std::cmp::Ordering;

use bytes::Bytes;

use super::Request;

/// Reads the arguments of a command.
pub(super) type Parse = fn(&[Bytes]) -> Request;

/// One command, or one part of a command that has several.
pub(super) struct Word {
    /// Its name in lower case.
    pub(super) name: &'static str,
    /// How many arguments it takes with its name, or, if less than zero, at least how many.
    pub(super) arity: i8,
    /// What it does to keys.
    pub(super) access: Access,
    /// Which of its arguments are keys.
    pub(super) keys: Keys,
    /// Its parts, if the second argument names one.
    pub(super) parts: &'static [Word],
    /// Reads the arguments, of which there are enough.
    pub(super) parse: Parse,
}

/// What a command does to keys.
#[derive(Clone, Copy)]
pub(super) enum Access {
    Reads,
    Writes,
    Neither,
}

/// Which arguments are keys: the first, the last (counted from the end if below zero), and how far
/// one is from the next.
#[derive(Clone, Copy)]
pub(super) struct Keys(pub(super) i8, pub(super) i8, pub(super) i8);

/// The entry of a table with this name, in whatever case.
pub(super) fn named(table: &'static [Word], name: &[u8]) -> Option<&'static Word> {
    let lower = || name.iter().map(u8::to_ascii_lowercase);
    let order = |word: &Word| -> Ordering { word.name.bytes().cmp(lower()) };
    Some(&table[table.binary_search_by(order).ok()?])
}

impl Word {
    /// True if it takes so many arguments, its name included.
    pub(super) fn takes(&self, arguments: usize) -> bool {
        let least = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { arguments >= least } else { arguments == least }
    }
}
