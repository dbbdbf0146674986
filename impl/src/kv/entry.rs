//! What becomes one entry of the log: a command, or a transaction, which is several at once.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{command::Command, query::Query, reply::Reply, store::Store};

/// One entry. None contains another of its kind: reading an entry never goes deep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry<T = Bytes> {
    /// A command by itself.
    One(Command<T>),
    /// Steps between which nothing else happens. Each is answered, and one that fails does not keep
    /// the others from happening, as in Redis.
    Transaction(Vec<Step<T>>),
    /// Entries that a client sent without waiting for the answer to any, each as
    /// [`to_bytes`](Entry::to_bytes) writes it: one after the other, so that nothing puts them into
    /// another order.
    Pipeline(Vec<T>),
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
            Self::Pipeline(entries) => {
                let reply = |bytes: &&[u8]| match Entry::from_bytes(bytes) {
                    None | Some(Entry::Pipeline(_)) => {
                        Reply::error("ERR malformed entry in a pipeline")
                    }
                    Some(entry) => entry.execute(store),
                };
                Reply::Array(entries.iter().map(reply).collect())
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

/// Steps of a transaction that is not complete yet, as the bytes that they become: however long it
/// grows, it holds nothing of the buffers in which its parts arrived, and its size is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    count: usize,
    bytes: Vec<u8>,
}

impl Steps {
    pub(crate) fn push(&mut self, step: &Step) {
        postcard::to_io(step, &mut self.bytes).expect("any step can be written to memory");
        self.count += 1;
    }

    /// How many bytes they take.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What [`Entry::to_bytes`] makes of a transaction with these steps: which kind of entry it is,
    /// how many steps there are, and these one after the other.
    pub(crate) fn to_entry(&self) -> Bytes {
        const TRANSACTION: u32 = 1;
        let head = postcard::to_stdvec(&(TRANSACTION, self.count));
        let mut entry = head.expect("two numbers can be written to memory");
        entry.extend_from_slice(&self.bytes);
        entry.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_make_up_an_entry() {
        for count in [0, 1, 2, 127, 128, 300] {
            let step = |at: usize| match at % 3 {
                0 => Step::Read(Query::Get(at.to_string().into())),
                1 => Step::Write(Command::Add { key: "n".into(), by: -1 }),
                _ => Step::Say(Reply::ok().to_bytes()),
            };
            let mut steps = Steps::default();
            (0..count).for_each(|at| steps.push(&step(at)));
            let entry = Entry::Transaction((0..count).map(step).collect());
            assert_eq!(steps.to_entry(), entry.to_bytes());
        }
    }
}
