//! Commands: changes of the store.
//!
//! `T` is the type of the texts of a command. In a command from a client, they share the client's buffer. In a command
//! from the log, they are borrowed from the entry.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    execution::Execution,
    limits::{Bounds, Copies, Exceeded, VALUE_MAX, cost},
    number::integer,
    reply::Reply,
    request::errors,
    store::ENTRY_BYTES,
};

/// One change. New kinds must come last, because entries of a log outlive the code that wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command<T = Bytes> {
    /// Sets the value of a key, if a condition holds.
    Set {
        /// The key.
        key: T,
        /// The new value.
        value: T,
        /// The condition.
        when: When<T>,
        /// The kind of answer.
        answer: SetAnswer,
    },
    /// Sets the values of several keys. If `new` is true and one of the keys exists, sets none of them.
    SetAll {
        /// The keys and their new values.
        pairs: Vec<(T, T)>,
        /// True if all keys have to be new.
        new: bool,
    },
    /// Removes keys. The answer is the number of keys that existed.
    Delete(Vec<T>),
    /// Removes a key. The answer is its value.
    Take(T),
    /// Adds to a number. The answer is the sum.
    Add {
        /// The key of the number. A missing key counts as 0.
        key: T,
        /// The summand.
        by: i64,
    },
    /// Appends to a value. The answer is the new length.
    Append {
        /// The key of the value. A missing key counts as empty.
        key: T,
        /// The bytes to append.
        value: T,
    },
    /// Removes all keys.
    Clear,
}

/// The condition for setting a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When<T = Bytes> {
    /// No condition.
    Always,
    /// The key is missing.
    Missing,
    /// The key exists.
    Present,
    /// The key has this value: compare and set.
    Equal(T),
}

/// The kind of answer to [`Command::Set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetAnswer {
    /// `OK` if the value was set, and null if not.
    Done,
    /// The value before, whether the new one was set or not.
    Old,
}

/// The highest number of characters of a number: its digits and its sign.
const DIGITS_MAX: usize = 20;

impl<T: AsRef<[u8]>> Command<T> {
    /// Returns upper bounds on the cost of the command.
    pub(crate) fn bounds(&self) -> Bounds {
        let written =
            |key: &T, value: &[u8]| (key.as_ref().len() + value.len()) as u64 + ENTRY_BYTES;
        let copied = |value: &[u8]| value.len() as u64 / cost::COPIED_BYTES;
        let (keys, copied, growth) = match self {
            Self::Set { key, value, .. } => {
                (2, copied(value.as_ref()), written(key, value.as_ref()))
            }
            Self::SetAll { pairs, new } => {
                let all = pairs.iter().map(|(_, value)| copied(value.as_ref())).sum();
                let growth = pairs.iter().map(|(key, value)| written(key, value.as_ref())).sum();
                (pairs.len() as u64 * (1 + u64::from(*new)), all, growth)
            }
            Self::Delete(keys) => (keys.len() as u64, 0, 0),
            Self::Take(_) => (1, 0, 0),
            Self::Clear => (cost::CLEAR / cost::KEY, 0, 0),
            Self::Add { key, .. } => (2, 0, written(key, &[0; DIGITS_MAX])),
            Self::Append { key, value } => {
                (2, VALUE_MAX as u64 / cost::COPIED_BYTES, written(key, value.as_ref()))
            }
        };
        let answer = if self.copies().answers_values { VALUE_MAX } else { 0 };
        // An answer may be an error, which is longer than the other short answers.
        let answer = answer + 4 * Reply::HEAD_BYTES;
        Bounds { steps: keys * cost::KEY + copied, answer, growth }
    }

    /// Returns the ways in which the answer may take further memory.
    pub(crate) fn copies(&self) -> Copies {
        let answers_values =
            matches!(self, Self::Set { answer: SetAnswer::Old, .. } | Self::Take(_));
        let grows_values = matches!(self, Self::Append { .. });
        Copies { answers_values, grows_values, ..Copies::default() }
    }

    /// Returns the number of keys that the command names.
    pub(crate) fn keys(&self) -> usize {
        match self {
            Self::SetAll { pairs, .. } => pairs.len(),
            Self::Delete(keys) => keys.len(),
            Self::Clear => 0,
            _ => 1,
        }
    }

    /// Makes the change and returns the answer.
    ///
    /// # Errors
    /// Fails with the limit that the command would exceed. The caller must undo the changes that the command has made
    /// so far.
    pub(crate) fn execute(&self, on: &mut Execution<'_>) -> Result<Reply, Exceeded> {
        match self {
            Self::Set { key, value, when, answer } => {
                set(on, key.as_ref(), value.as_ref(), when, *answer)
            }
            Self::SetAll { pairs, new } => {
                if *new {
                    for (key, _) in pairs {
                        if on.get(key.as_ref())?.is_some() {
                            return Ok(Reply::Integer(0));
                        }
                    }
                }
                for (key, value) in pairs {
                    on.put(key.as_ref(), value.as_ref())?;
                }
                Ok(if *new { Reply::Integer(1) } else { Reply::ok() })
            }
            Self::Delete(keys) => {
                let mut count = 0;
                for key in keys {
                    count += usize::from(on.remove(key.as_ref())?.is_some());
                }
                Ok(Reply::count(count))
            }
            Self::Take(key) => Ok(Reply::bulk_or_null(on.remove(key.as_ref())?)),
            Self::Add { key, by } => add(on, key.as_ref(), *by),
            Self::Append { key, value } => {
                Ok(on.append(key.as_ref(), value.as_ref())?.map_or(TOO_LONG, Reply::count))
            }
            Self::Clear => on.clear().map(|()| Reply::ok()),
        }
    }
}

/// The error of Redis for values beyond its own limit.
const TOO_LONG: Reply =
    Reply::error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

fn set<T: AsRef<[u8]>>(
    on: &mut Execution<'_>,
    key: &[u8],
    value: &[u8],
    when: &When<T>,
    answer: SetAnswer,
) -> Result<Reply, Exceeded> {
    let met = match when {
        When::Always => true,
        When::Missing => on.get(key)?.is_none(),
        When::Present => on.get(key)?.is_some(),
        When::Equal(expected) => on.get(key)?.is_some_and(|old| old == expected.as_ref()),
    };
    let old = if met { on.put(key, value)? } else { on.get(key)?.cloned() };
    Ok(match answer {
        SetAnswer::Old => Reply::bulk_or_null(old),
        SetAnswer::Done if met => Reply::ok(),
        SetAnswer::Done => Reply::Null,
    })
}

fn add(on: &mut Execution<'_>, key: &[u8], by: i64) -> Result<Reply, Exceeded> {
    let Some(number) = on.get(key)?.map_or(Some(0), |value| integer(value)) else {
        return Ok(errors::not_an_integer());
    };
    let Some(sum) = number.checked_add(by) else {
        return Ok(Reply::error("ERR increment or decrement would overflow"));
    };
    on.put(key, itoa::Buffer::new().format(sum).as_bytes())?;
    Ok(Reply::Integer(sum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::Meter, store::Store};

    /// An earlier answer shares the memory of the value.
    #[test]
    fn an_answer_does_not_change_with_the_value() {
        let mut store = Store::default();
        let mut append = |end| {
            let mut meter = Meter::default();
            let mut on = Execution::new(&mut store, u64::MAX, &mut meter, false);
            Command::Append { key: "k", value: end }.execute(&mut on).unwrap();
            store.get(b"k").cloned().unwrap()
        };
        let before = append("a");
        append("b");
        assert_eq!((before, append("c")), ("a".into(), "abc".into()));
    }
}
