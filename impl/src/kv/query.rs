//! What is read from the store.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{glob, reply::Reply, store::Store};

/// One question. New kinds come last, as for [`Command`](super::Command): a transaction may contain
/// some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query<T = Bytes> {
    /// The value of a key.
    Get(T),
    /// The values of several.
    GetAll(Vec<T>),
    /// How many of these keys there are, each as often as it is named.
    Exists(Vec<T>),
    /// How long a value is.
    Length(T),
    /// A part of a value. Negative positions count from its end.
    Range {
        /// Of what.
        key: T,
        /// The first byte.
        first: i64,
        /// The last byte, which is included.
        last: i64,
    },
    /// Of what kind a value is.
    Type(T),
    /// How long a key has to live. For ever, if it is there.
    TimeToLive(T),
    /// How many keys there are.
    Size,
    /// All keys that a pattern allows, in order.
    Keys(T),
    /// Some keys, and where to go on.
    Scan {
        /// Where to begin.
        cursor: u64,
        /// How many keys to look at, more or less.
        count: u64,
        /// Which of them to show.
        pattern: Option<T>,
        /// Whether values of another kind are asked for, of which there are none.
        none: bool,
    },
}

impl<T: AsRef<[u8]>> Query<T> {
    /// The answer.
    pub(crate) fn answer(&self, store: &Store) -> Reply {
        match self {
            Self::Get(key) => get(store, key),
            Self::GetAll(keys) => Reply::Array(keys.iter().map(|key| get(store, key)).collect()),
            Self::Exists(keys) => {
                let there = keys.iter().filter(|key| store.get(key.as_ref()).is_some());
                Reply::count(there.count())
            }
            Self::Length(key) => Reply::count(store.get(key.as_ref()).map_or(0, Bytes::len)),
            Self::Range { key, first, last } => {
                let value = store.get(key.as_ref());
                Reply::Bulk(value.map(|value| part(value, *first, *last)).unwrap_or_default())
            }
            Self::Type(key) => match store.get(key.as_ref()) {
                Some(_) => Reply::simple("string"),
                None => Reply::simple("none"),
            },
            Self::TimeToLive(key) => match store.get(key.as_ref()) {
                Some(_) => Reply::Integer(-1),
                None => Reply::Integer(-2),
            },
            Self::Size => Reply::count(store.len()),
            Self::Keys(pattern) => {
                let mut keys: Vec<_> = store.iter().map(|(key, _)| key).cloned().collect();
                keys.retain(|key| glob::matches(pattern.as_ref(), key));
                keys.sort_unstable();
                Reply::Array(keys.into_iter().map(Reply::Bulk).collect())
            }
            Self::Scan { cursor, count, pattern, none } => {
                let mut keys = Vec::new();
                let count = usize::try_from(*count).unwrap_or(usize::MAX);
                let next = store.scan(*cursor, count, |key| {
                    let wanted = |pattern: &T| glob::matches(pattern.as_ref(), key);
                    if !none && pattern.as_ref().is_none_or(wanted) {
                        keys.push(Reply::Bulk(key.clone()));
                    }
                });
                let next = Bytes::copy_from_slice(itoa::Buffer::new().format(next).as_bytes());
                Reply::Array(vec![Reply::Bulk(next), Reply::Array(keys)])
            }
        }
    }
}

fn get(store: &Store, key: &impl AsRef<[u8]>) -> Reply {
    Reply::bulk_or_null(store.get(key.as_ref()).cloned())
}

fn part(value: &Bytes, first: i64, last: i64) -> Bytes {
    // What lies before the begin is the begin.
    let index = |position: i64| match usize::try_from(position) {
        Ok(position) => position,
        Err(_) => usize::try_from(position.unsigned_abs())
            .map_or(0, |before_end| value.len().saturating_sub(before_end)),
    };
    if first < 0 && last < 0 && first > last {
        return Bytes::new();
    }
    let (first, end) = (index(first), index(last).saturating_add(1).min(value.len()));
    if first < end { value.slice(first..end) } else { Bytes::new() }
}
