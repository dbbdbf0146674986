//! The store as a replicated state machine.

use bytes::Bytes;

use super::{entry::Entry, limits::Meter, query::Question, reply::Reply, store::Store};
use crate::machine::{Answer as _, RestoreError, StateMachine};

/// An answer takes more bytes than there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// The bytes that it takes.
    pub bytes: usize,
}

/// Keys and values, changed by [`Entry`] alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kv {
    store: Store,
}

/// The version of the format of snapshots that is written, and the only one that is read.
const SNAPSHOT_VERSION: u8 = 1;

impl Kv {
    /// Answers a question about the present state.
    pub fn answer(&self, question: &Question) -> Reply {
        self.answer_within(question, &mut Meter::default())
    }

    /// Answers the first of several questions about the present state: as many as take no more than so many
    /// bytes, and no more steps than one request may take. At least one is answered.
    ///
    /// # Errors
    /// The first answer alone takes more bytes.
    pub fn answer_some(
        &self,
        questions: &[Question],
        bytes_max: usize,
    ) -> Result<Vec<Reply>, NoRoom> {
        let (mut replies, mut bytes, mut meter) = (Vec::new(), 0, Meter::default());
        for question in questions {
            let mut own = meter.clone();
            let reply = self.answer_within(question, &mut own);
            bytes += reply.size();
            if bytes > bytes_max && replies.is_empty() {
                return Err(NoRoom { bytes });
            }
            if (bytes > bytes_max || own.is_exceeded()) && !replies.is_empty() {
                break;
            }
            replies.push(reply);
            if own.is_exceeded() {
                break;
            }
            meter = own;
        }
        Ok(replies)
    }

    fn answer_within(&self, question: &Question, meter: &mut Meter) -> Reply {
        match question {
            Question::Query(query) => {
                let reply = query.answer(&self.store, meter);
                reply.and_then(|reply| meter.answered(reply)).unwrap_or_else(Reply::from)
            }
            Question::Transaction(entry) => match Entry::from_bytes(entry) {
                Some(entry) => entry.answer(&self.store, meter),
                None => Reply::error("ERR malformed transaction"),
            },
        }
    }

    /// All keys and values.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl StateMachine for Kv {
    type Answer = Reply;

    fn apply(&mut self, command: &[u8]) -> Reply {
        let Some(entry) = Entry::from_bytes(command) else {
            return Reply::error("ERR malformed entry in the log");
        };
        let (reply, cleared) = entry.execute(&mut self.store);
        drop_elsewhere(cleared);
        reply
    }

    fn state_bytes(&self) -> u64 {
        self.store.bytes()
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

/// Drops a store that may have millions of keys without keeping the log waiting.
fn drop_elsewhere(store: Store) {
    const FEW_KEYS: usize = 10_000;
    const FEW_BYTES: u64 = 16 << 20;
    if store.len() > FEW_KEYS || store.bytes() > FEW_BYTES {
        // Without a thread it is dropped at once, with the closure.
        let _ = std::thread::Builder::new().name("drop".into()).spawn(move || drop(store));
    }
}
