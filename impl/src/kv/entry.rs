//! What becomes one entry of the log: a command, or a transaction, which is several at once.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{command::Command, query::Query, reply::Reply, store::Store};

/// One entry. A transaction does not contain another: reading an entry never goes deep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry<T = Bytes> {
    /// A command by itself.
    One(Command<T>),
    /// Steps between which nothing else happens. Each is answered, and one that fails does not keep
    /// the others from happening, as in Redis.
    Transaction(Vec<Step<T>>),
}

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step<T = Bytes> {
    /// Something is read.
    Read(Query<T>),
    /// Something is written.
    Write(Command<T>),
    /// A reply that is known already, as [`Reply::to_bytes`] writes it: the answer to a `PING`, or
    /// an error that has to wait for its turn.
    Say(T),
}

impl Entry {
    /// The entry as bytes.
    pub fn to_bytes(&self) -> Bytes {
        postcard::to_stdvec(self).expect("any entry can be written to memory").into()
    }
}

impl<'a> Entry<&'a [u8]> {
    /// The entry that these bytes are, if they are one and nothing more.
    pub(crate) fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        match postcard::take_from_bytes(bytes) {
            Ok((entry, [])) => Some(entry),
            _ => None,
        }
    }

    /// Does what it says and answers.
    pub(crate) fn execute(&self, store: &mut Store) -> Reply {
        match self {
            Self::One(command) => command.execute(store),
            Self::Transaction(steps) => {
                Reply::Array(steps.iter().map(|step| step.execute(store)).collect())
            }
        }
    }
}

impl Step<&[u8]> {
    fn execute(&self, store: &mut Store) -> Reply {
        match self {
            Self::Read(query) => query.answer(store),
            Self::Write(command) => command.execute(store),
            Self::Say(reply) => Reply::from_bytes(&Bytes::copy_from_slice(reply))
                .unwrap_or_else(|_| Reply::error("ERR malformed reply in a transaction")),
        }
    }
}
