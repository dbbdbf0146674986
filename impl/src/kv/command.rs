//! What changes the store, and how.
//!
//! A command is read twice: from a client, when its texts share the client's buffer, and from the
//! log, when they are borrowed from the entry. So `T` is whatever holds a text.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{number::integer, reply::Reply, request::errors, store::Store};

/// One change. New kinds come last, since entries of a log outlive the code that wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command<T = Bytes> {
    /// Gives a key a value, on a condition.
    Set {
        /// Of what.
        key: T,
        /// The value.
        value: T,
        /// Only then.
        when: When<T>,
        /// What the client wants to know.
        answer: Answer,
    },
    /// Gives several keys values: all of them or, if only new keys are meant, none when one exists.
    SetAll {
        /// Keys and values.
        pairs: Vec<(T, T)>,
        /// Whether only new keys are meant.
        new: bool,
    },
    /// Removes keys, and counts those that there were.
    Delete(Vec<T>),
    /// Removes a key, and answers its value.
    Take(T),
    /// Adds to a number.
    Add {
        /// Of what; 0 if it is not there.
        key: T,
        /// How much.
        by: i64,
    },
    /// Adds to the end of a text.
    Append {
        /// Of what; empty if it is not there.
        key: T,
        /// The end.
        value: T,
    },
    /// Removes everything.
    Clear,
}

/// When a value is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When<T = Bytes> {
    /// In any case.
    Always,
    /// If there is none.
    Missing,
    /// If there is one.
    Present,
    /// If it is this one: compare and set.
    Equal(T),
}

/// What is answered when a value was to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Whether it was.
    Done,
    /// The value before, whether or not it was.
    Old,
}

/// The longest value in bytes, as in Redis.
const VALUE_MAX: usize = 512 << 20;

impl<T: AsRef<[u8]>> Command<T> {
    /// Makes the change and answers.
    pub(crate) fn execute(&self, store: &mut Store) -> Reply {
        match self {
            Self::Set { key, value, when, answer } => {
                set(store, key.as_ref(), value.as_ref(), when, *answer)
            }
            Self::SetAll { pairs, new } => {
                if *new && pairs.iter().any(|(key, _)| store.get(key.as_ref()).is_some()) {
                    return Reply::Integer(0);
                }
                for (key, value) in pairs {
                    store.insert(key.as_ref(), Bytes::copy_from_slice(value.as_ref()));
                }
                if *new { Reply::Integer(1) } else { Reply::ok() }
            }
            Self::Delete(keys) => {
                Reply::count(keys.iter().filter_map(|key| store.remove(key.as_ref())).count())
            }
            Self::Take(key) => Reply::bulk_or_null(store.remove(key.as_ref())),
            Self::Add { key, by } => add(store, key.as_ref(), *by),
            Self::Append { key, value } => append(store, key.as_ref(), value.as_ref()),
            Self::Clear => {
                store.clear();
                Reply::ok()
            }
        }
    }
}

fn set<T: AsRef<[u8]>>(
    store: &mut Store,
    key: &[u8],
    value: &[u8],
    when: &When<T>,
    answer: Answer,
) -> Reply {
    let met = match when {
        When::Always => true,
        When::Missing => store.get(key).is_none(),
        When::Present => store.get(key).is_some(),
        When::Equal(expected) => store.get(key).is_some_and(|value| value == expected.as_ref()),
    };
    let old = if met {
        store.insert(key, Bytes::copy_from_slice(value))
    } else {
        store.get(key).cloned()
    };
    match answer {
        Answer::Old => Reply::bulk_or_null(old),
        Answer::Done if met => Reply::ok(),
        Answer::Done => Reply::Null,
    }
}

fn add(store: &mut Store, key: &[u8], by: i64) -> Reply {
    let Some(number) = store.get(key).map_or(Some(0), |value| integer(value)) else {
        return errors::not_an_integer();
    };
    let Some(sum) = number.checked_add(by) else {
        return Reply::error("ERR increment or decrement would overflow");
    };
    store.insert(key, Bytes::copy_from_slice(itoa::Buffer::new().format(sum).as_bytes()));
    Reply::Integer(sum)
}

fn append(store: &mut Store, key: &[u8], end: &[u8]) -> Reply {
    let length = store.get(key).map_or(0, Bytes::len);
    let Some(sum) = appended(length, end.len()) else {
        return Reply::error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    };
    // Taken out for a moment, since nobody else may hold a text that grows where it is.
    let value = store.insert(key, Bytes::new()).unwrap_or_default();
    let mut value = value.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    value.extend_from_slice(end);
    store.insert(key, value.freeze());
    Reply::count(sum)
}

/// How long a value becomes, if it may.
fn appended(length: usize, more: usize) -> Option<usize> {
    length.checked_add(more).filter(|sum| *sum <= VALUE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_do_not_grow_for_ever() {
        assert_eq!(appended(VALUE_MAX - 1, 1), Some(VALUE_MAX));
        assert_eq!(appended(VALUE_MAX, 1), None);
        assert_eq!(appended(usize::MAX, 1), None);
    }

    /// Somebody still holds what was answered before.
    #[test]
    fn an_answer_does_not_change_with_the_value() {
        let mut store = Store::default();
        let append = |end| Command::Append { key: "k", value: end };
        append("a").execute(&mut store);
        let before = store.get(b"k").cloned().unwrap();
        append("b").execute(&mut store);
        append("c").execute(&mut store);
        assert_eq!((before, store.get(b"k").cloned().unwrap()), ("a".into(), "abc".into()));
    }
}
