//! Entries of the log as text, mostly in a form that a user could type.

use std::fmt;

use itertools::Itertools as _;

use super::{
    command::{Command, SetAnswer, When},
    entry::{Entry, Step},
    query::Query,
};

/// Describes an entry of the log. Returns `None` if the bytes are not an entry of this store.
pub fn describe(entry: &[u8]) -> Option<String> {
    Entry::from_bytes(entry).map(|entry| entry.to_string())
}

/// A text in quotes.
struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

fn quoted(texts: &[&[u8]]) -> String {
    texts.iter().map(|text| Quoted(text)).join(" ")
}

/// Writes a transaction with `MULTI` and `EXEC`. Writes semicolons between steps and between the entries of a pipeline.
impl fmt::Display for Entry<&[u8]> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(command) => command.fmt(f),
            Self::Transaction(steps) => {
                write!(f, "MULTI; ")?;
                steps.iter().try_for_each(|step| write!(f, "{step}; "))?;
                write!(f, "EXEC")
            }
            Self::Pipeline(entries) => {
                // An entry within an entry of the same kind is invalid. It is written as bytes, so that this function
                // does not recurse deeply.
                let described = |entry: &&[u8]| match Entry::from_bytes(entry) {
                    None | Some(Entry::Pipeline(_) | Entry::Within { .. }) => quoted(&[entry]),
                    Some(entry) => entry.to_string(),
                };
                write!(f, "{}", entries.iter().map(described).join("; "))
            }
            Self::Within { entry, .. } => match Entry::from_bytes(entry) {
                None | Some(Entry::Within { .. }) => write!(f, "{}", quoted(&[entry])),
                Some(entry) => entry.fmt(f),
            },
            Self::Read(query) => query.fmt(f),
        }
    }
}

impl fmt::Display for Step<&[u8]> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(query) => query.fmt(f),
            Self::Write(command) => command.fmt(f),
            Self::Known(_) => write!(f, "(answered before)"),
        }
    }
}

impl fmt::Display for Command<&[u8]> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { key, value, when, answer } => {
                write!(f, "SET {}", quoted(&[key, value]))?;
                match when {
                    When::Always => {}
                    When::Missing => write!(f, " NX")?,
                    When::Present => write!(f, " XX")?,
                    When::Equal(old) => write!(f, " IFEQ {}", Quoted(old))?,
                }
                match answer {
                    SetAnswer::Done => Ok(()),
                    SetAnswer::Old => write!(f, " GET"),
                }
            }
            Self::SetAll { pairs, new } => {
                let texts: Vec<_> = pairs.iter().flat_map(|(key, value)| [*key, value]).collect();
                write!(f, "{} {}", if *new { "MSETNX" } else { "MSET" }, quoted(&texts))
            }
            Self::Delete(keys) => write!(f, "DEL {}", quoted(keys)),
            Self::Take(key) => write!(f, "GETDEL {}", Quoted(key)),
            Self::Add { key, by } => write!(f, "INCRBY {} {by}", Quoted(key)),
            Self::Append { key, value } => write!(f, "APPEND {}", quoted(&[key, value])),
            Self::Clear => write!(f, "FLUSHALL"),
        }
    }
}

impl fmt::Display for Query<&[u8]> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get(key) => write!(f, "GET {}", Quoted(key)),
            Self::GetAll(keys) => write!(f, "MGET {}", quoted(keys)),
            Self::Exists(keys) => write!(f, "EXISTS {}", quoted(keys)),
            Self::Length(key) => write!(f, "STRLEN {}", Quoted(key)),
            Self::Range { key, first, last } => {
                write!(f, "GETRANGE {} {first} {last}", Quoted(key))
            }
            Self::Type(key) => write!(f, "TYPE {}", Quoted(key)),
            Self::TimeToLive(key) => write!(f, "TTL {}", Quoted(key)),
            Self::Size => write!(f, "DBSIZE"),
            Self::Keys(pattern) => write!(f, "KEYS {}", Quoted(pattern)),
            Self::Scan { cursor, .. } => write!(f, "SCAN {cursor}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::*;
    use crate::{Action, Client, resp};

    /// Returns the last entry that a client with this input writes to the log.
    fn entry(lines: &str) -> Bytes {
        let (mut decoder, mut client) = (resp::Decoder::default(), Client::new(1));
        let mut input = BytesMut::from(lines);
        let mut last = None;
        while let Some(arguments) = decoder.decode(&mut input).unwrap() {
            if let Action::Write { entry, .. } = client.handle(&arguments) {
                last = Some(entry);
            }
        }
        last.unwrap()
    }

    #[test]
    fn entries_are_described_as_a_user_could_type_them() {
        for line in [
            "SET \"key\" \"a value\"",
            "SET \"key\" \"\\x00\\n\" NX GET",
            "SET \"key\" \"new\" IFEQ \"old\"",
            "SET \"key\" \"new\" XX",
            "MSET \"a\" \"1\" \"b\" \"2\"",
            "MSETNX \"a\" \"1\"",
            "DEL \"a\" \"b\"",
            "GETDEL \"a\"",
            "INCRBY \"n\" -7",
            "APPEND \"a\" \"b\"",
            "FLUSHALL",
        ] {
            assert_eq!(describe(&entry(&format!("{line}\r\n"))).as_deref(), Some(line));
        }
        let within = super::super::Entry::Within { state_max: 7, entry: entry("FLUSHALL\r\n") };
        assert_eq!(describe(&within.to_bytes()).as_deref(), Some("FLUSHALL"));
        let transaction = "MULTI; GET \"a\"; (answered before); INCRBY \"a\" 1; EXEC";
        let lines = "MULTI\r\nGET a\r\nPING\r\nINCR a\r\nEXEC\r\n";
        assert_eq!(describe(&entry(lines)).as_deref(), Some(transaction));
        let parts = ["DEL a\r\n", "FLUSHALL\r\n"].map(entry).to_vec();
        let pipeline = super::super::Entry::Pipeline(parts).to_bytes();
        assert_eq!(describe(&pipeline).as_deref(), Some("DEL \"a\"; FLUSHALL"));
        assert_eq!(describe(b"no entry"), None);
        let mut deep = pipeline;
        for _ in 0..20_000 {
            deep = super::super::Entry::Pipeline(vec![deep]).to_bytes();
        }
        assert!(describe(&deep).is_some_and(|text| text.starts_with('"')));
    }
}
