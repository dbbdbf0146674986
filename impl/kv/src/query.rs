//! Queries: questions about the store that do not change it.

use std::ops::ControlFlow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    glob,
    limits::{ANSWER_MAX, Bounds, Copies, Exceeded, Meter, VALUE_MAX, cost},
    reply::Reply,
    store::Store,
};

/// A question about one state of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// One query.
    Query(Query),
    /// A transaction that only reads, as [`Entry::to_bytes`](super::Entry::to_bytes) writes it.
    Transaction(Bytes),
}

/// One query. New kinds must come last, as for [`Command`](super::Command), because entries of the log may have
/// queries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query<T = Bytes> {
    /// The value of a key.
    Get(T),
    /// The values of several keys.
    GetAll(Vec<T>),
    /// The number of these keys that exist. A key that is named twice counts twice.
    Exists(Vec<T>),
    /// The length of a value.
    Length(T),
    /// A part of a value. A negative position counts from the end of the value.
    Range {
        /// The key of the value.
        key: T,
        /// The position of the first byte.
        first: i64,
        /// The position of the last byte, which is included.
        last: i64,
    },
    /// The kind of a value.
    Type(T),
    /// The time that a key has to live. A key never expires.
    TimeToLive(T),
    /// The number of keys.
    Size,
    /// All keys that match a pattern, in order.
    Keys(T),
    /// Some keys, and the next cursor.
    Scan {
        /// The position at which the scan begins.
        cursor: u64,
        /// The number of keys to visit, approximately.
        count: u64,
        /// The pattern that keys have to match.
        pattern: Option<T>,
        /// True if the client asks for values of another kind than strings. There are none, so no key matches.
        none: bool,
    },
}

impl<T: AsRef<[u8]>> Query<T> {
    /// Returns upper bounds on the cost of the query.
    pub(crate) fn bounds(&self) -> Bounds {
        let keys = self.keys().max(1) as u64 * cost::KEY;
        let value = VALUE_MAX + Reply::HEAD_BYTES;
        let (steps, answer) = match self {
            Self::Get(_) => (keys, value),
            Self::Range { .. } => (keys + VALUE_MAX as u64 / cost::COPIED_BYTES, value),
            Self::GetAll(_) => (keys, usize::MAX),
            // A pattern can take any number of steps.
            Self::Keys(_) | Self::Scan { .. } => (u64::MAX, usize::MAX),
            _ => (keys, 2 * Reply::HEAD_BYTES),
        };
        Bounds { steps, answer, growth: 0 }
    }

    /// Returns the ways in which the answer may take further memory.
    pub(crate) fn copies(&self) -> Copies {
        let answers_values = matches!(self, Self::Get(_) | Self::GetAll(_));
        let answers_parts = matches!(self, Self::Range { .. });
        Copies { answers_values, answers_parts, ..Copies::default() }
    }

    /// Returns the number of keys that the query names.
    pub(crate) fn keys(&self) -> usize {
        match self {
            Self::GetAll(keys) | Self::Exists(keys) => keys.len(),
            Self::Size | Self::Keys(_) | Self::Scan { .. } => 0,
            _ => 1,
        }
    }

    /// Returns true if the query costs so little that it may be in the log between two writes.
    pub fn is_light(&self) -> bool {
        !matches!(self, Self::Keys(_) | Self::Scan { .. }) && self.keys() <= LIGHT_KEYS_MAX
    }

    /// Returns the answer.
    ///
    /// # Errors
    /// Fails with the limit that the query would exceed.
    pub(crate) fn answer(&self, store: &Store, meter: &mut Meter) -> Result<Reply, Exceeded> {
        let get = |key: &T, meter: &mut Meter| {
            meter.spend(cost::KEY)?;
            Ok::<_, Exceeded>(store.get(key.as_ref()))
        };
        Ok(match self {
            Self::Get(key) => Reply::bulk_or_null(get(key, meter)?.cloned()),
            Self::GetAll(keys) => {
                let (mut replies, mut bytes) = (Vec::with_capacity(keys.len()), 0);
                for key in keys {
                    let value = get(key, meter)?.cloned();
                    bytes += value.as_ref().map_or(0, Bytes::len);
                    // A key that is named twice has its value in the answer twice.
                    if bytes > ANSWER_MAX {
                        return Err(meter.exceed(Exceeded::Answer));
                    }
                    replies.push(Reply::bulk_or_null(value));
                }
                Reply::Array(replies)
            }
            Self::Exists(keys) => {
                let mut count = 0;
                for key in keys {
                    count += usize::from(get(key, meter)?.is_some());
                }
                Reply::count(count)
            }
            Self::Length(key) => Reply::count(get(key, meter)?.map_or(0, Bytes::len)),
            Self::Range { key, first, last } => {
                let value = get(key, meter)?;
                let part = value.map(|value| part(value, *first, *last)).unwrap_or_default();
                meter.copy(part.len())?;
                Reply::Bulk(part)
            }
            Self::Type(key) => match get(key, meter)? {
                Some(_) => Reply::simple("string"),
                None => Reply::simple("none"),
            },
            Self::TimeToLive(key) => match get(key, meter)? {
                Some(_) => Reply::Integer(-1),
                None => Reply::Integer(-2),
            },
            Self::Size => Reply::count(store.len()),
            Self::Keys(pattern) => Reply::Array(all_keys(store, pattern.as_ref(), meter)?),
            Self::Scan { cursor, count, pattern, none } => {
                let pattern = pattern.as_ref().map(AsRef::as_ref);
                let (next, keys) = some_keys(store, (*cursor, *count), pattern, *none, meter)?;
                let next = Bytes::copy_from_slice(itoa::Buffer::new().format(next).as_bytes());
                Reply::Array(vec![Reply::Bulk(next), Reply::Array(keys)])
            }
        })
    }
}

/// The highest number of keys in a query that may be in the log between two writes.
const LIGHT_KEYS_MAX: usize = 16;

/// Returns all keys that match a pattern, in order.
fn all_keys(store: &Store, pattern: &[u8], meter: &mut Meter) -> Result<Vec<Reply>, Exceeded> {
    // A walk that would exceed the limit in any case is not begun.
    if store.len() as u64 * cost::VISIT > meter.steps() {
        return Err(meter.exceed(Exceeded::Steps));
    }
    let (mut keys, mut bytes) = (Vec::new(), 0);
    for (key, _) in store.iter() {
        meter.spend(cost::VISIT)?;
        if glob::matches(pattern, key, meter)? {
            bytes += key.len() + Reply::HEAD_BYTES;
            if bytes > ANSWER_MAX {
                return Err(meter.exceed(Exceeded::Answer));
            }
            keys.push(key.clone());
        }
    }
    keys.sort_unstable();
    Ok(keys.into_iter().map(Reply::Bulk).collect())
}

/// A scan stops early when its keys have more bytes than this, or when it has taken an eighth of the steps that it may
/// take. The client then continues with the next cursor.
const SCAN_BYTES: usize = 1 << 20;

/// Visits about `count` keys, or fewer if these cost too much. Returns the next cursor, and the keys that match.
fn some_keys(
    store: &Store,
    (cursor, count): (u64, u64),
    pattern: Option<&[u8]>,
    none: bool,
    meter: &mut Meter,
) -> Result<(u64, Vec<Reply>), Exceeded> {
    let (mut keys, mut visited, mut bytes) = (Vec::new(), 0, 0);
    let enough = meter.steps() - meter.steps() / 8;
    let next = store.scan(cursor, |keys_at_position| {
        if visited >= count || bytes > SCAN_BYTES || meter.steps() < enough {
            return Ok(ControlFlow::Break(()));
        }
        for key in keys_at_position {
            visited += 1;
            meter.spend(cost::VISIT)?;
            let matches = match pattern {
                Some(pattern) if !none => glob::matches(pattern, key, meter)?,
                _ => !none,
            };
            if matches {
                bytes += key.len();
                keys.push(Reply::Bulk(key.clone()));
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((next, keys))
}

fn part(value: &Bytes, first: i64, last: i64) -> Bytes {
    // A position before the beginning stands for the beginning.
    let index = |position: i64| match usize::try_from(position) {
        Ok(position) => position,
        Err(_) => usize::try_from(position.unsigned_abs())
            .map_or(0, |before_end| value.len().saturating_sub(before_end)),
    };
    if first < 0 && last < 0 && first > last {
        return Bytes::new();
    }
    let (first, end) = (index(first), index(last).saturating_add(1).min(value.len()));
    match value.get(first..end) {
        Some(part) if part.len() == value.len() => value.clone(),
        // The part is copied, because a shared part would keep the memory of the whole value.
        Some(part) => Bytes::copy_from_slice(part),
        None => Bytes::new(),
    }
}
