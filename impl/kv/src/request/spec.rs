//! The description of one command in the table.

use std::cmp::Ordering;

use bytes::Bytes;

use super::Request;

/// A function that parses the arguments of a command.
pub(super) type Parse = fn(&[Bytes]) -> Request;

/// A command or a subcommand.
pub(super) struct CommandSpec {
    /// The name in lower case.
    pub(super) name: &'static str,
    /// The number of arguments, the name included. A negative number `-n` stands for `n` or more arguments.
    pub(super) arity: i8,
    /// The kind of access to keys.
    pub(super) access: Access,
    /// The arguments that are keys.
    pub(super) keys: Keys,
    /// The subcommands. Empty if the second argument does not name a subcommand.
    pub(super) subcommands: &'static [CommandSpec],
    /// Parses the arguments. The caller must check their number first.
    pub(super) parse: Parse,
}

/// The kind of a command's access to keys.
#[derive(Clone, Copy)]
pub(super) enum Access {
    Reads,
    Writes,
    Neither,
}

/// The arguments that are keys: the index of the first key, the index of the last key, and the distance between keys. A
/// negative index counts from the end. All are 0 if no argument is a key.
#[derive(Clone, Copy)]
pub(super) struct Keys(pub(super) i8, pub(super) i8, pub(super) i8);

/// Finds a command by its name, in upper or lower case.
pub(super) fn named(table: &'static [CommandSpec], name: &[u8]) -> Option<&'static CommandSpec> {
    let lower = || name.iter().map(u8::to_ascii_lowercase);
    let order = |spec: &CommandSpec| -> Ordering { spec.name.bytes().cmp(lower()) };
    Some(&table[table.binary_search_by(order).ok()?])
}

impl CommandSpec {
    /// Returns true if the command takes this number of arguments, its name included.
    pub(super) fn takes(&self, arguments: usize) -> bool {
        let least = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { arguments >= least } else { arguments == least }
    }
}
