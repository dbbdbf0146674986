//! The store as a replicated state machine.

use bytes::Bytes;

use super::{entry::Entry, query::Query, reply::Reply, store::Store};
use crate::machine::{RestoreError, StateMachine};

/// Keys and values, changed by [`Entry`] alone. Its answers are replies, to be read with
/// [`Reply::from_bytes`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kv {
    store: Store,
}

/// The version of the format of snapshots that is written, and the only one that is read.
const SNAPSHOT_VERSION: u8 = 1;

impl Kv {
    /// Answers a question about the present state.
    pub fn answer(&self, query: &Query) -> Reply {
        query.answer(&self.store)
    }

    /// All keys and values.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl StateMachine for Kv {
    fn apply(&mut self, command: &[u8]) -> Bytes {
        let reply = match Entry::from_bytes(command) {
            Some(entry) => entry.execute(&mut self.store),
            None => Reply::error("ERR malformed entry in the log"),
        };
        reply.to_bytes()
    }

    /// The version, and then each key and each value behind its length, in the order of the store.
    fn snapshot(&self) -> Vec<u8> {
        let size = |(key, value): (&Bytes, &Bytes)| key.len() + value.len() + 4;
        let mut bytes = Vec::with_capacity(1 + self.store.iter().map(size).sum::<usize>());
        bytes.push(SNAPSHOT_VERSION);
        for pair in self.store.iter() {
            postcard::to_io(&pair, &mut bytes).expect("any pair can be written to memory");
        }
        bytes
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), RestoreError> {
        let (version, mut rest) = snapshot.split_first().ok_or(RestoreError::new("it is empty"))?;
        if *version != SNAPSHOT_VERSION {
            let reason = format!("version {version} is not {SNAPSHOT_VERSION}");
            return Err(RestoreError::new(reason));
        }
        let mut kv = Self::default();
        while !rest.is_empty() {
            let (key, value): (&[u8], &[u8]);
            ((key, value), rest) = postcard::take_from_bytes(rest).map_err(|error| {
                RestoreError::new(format!("a key or a value is damaged: {error}"))
            })?;
            if kv.store.insert(key, Bytes::copy_from_slice(value)).is_some() {
                return Err(RestoreError::new("a key is there twice"));
            }
        }
        *self = kv;
        Ok(())
    }
}
