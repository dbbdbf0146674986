//! The store as a replicated state machine: it applies entries, answers questions, and writes snapshots.

use std::io::{self, Read, Write};

use bytes::Bytes;

use super::{
    entry::Entry,
    limits::{Meter, REQUEST_MAX, VALUE_MAX},
    query::Question,
    reply::Reply,
    store::Store,
};
use paxos_node::machine::{Answer as _, Frozen, RestoreError, StateMachine};

/// The error of an answer that is longer than the caller allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerTooLong {
    /// The length of the answer in bytes.
    pub bytes: usize,
}

/// The replicated state machine. Its keys and values change only by an [`Entry`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kv {
    store: Store,
}

/// The version of the format of snapshots. The program reads no other one.
const SNAPSHOT_VERSION: u8 = 2;

impl Kv {
    /// Answers a question about the present state.
    pub fn answer(&self, question: &Question) -> Reply {
        self.answer_within(question, &mut Meter::default())
    }

    /// Answers several questions about the present state: the first, and as many of the next ones as fit. All answers
    /// together take at most `bytes_max` bytes, and cost at most as much as one request may cost. If the first question
    /// alone costs more, its answer is an error.
    ///
    /// # Errors
    /// Fails if the first answer alone has more than `bytes_max` bytes.
    pub fn answer_some(
        &self,
        questions: &[Question],
        bytes_max: usize,
    ) -> Result<Vec<Reply>, AnswerTooLong> {
        let (mut replies, mut bytes, mut meter) = (Vec::new(), 0, Meter::default());
        for question in questions {
            let mut own = meter.clone();
            let reply = self.answer_within(question, &mut own);
            bytes += reply.size();
            if bytes > bytes_max && replies.is_empty() {
                return Err(AnswerTooLong { bytes });
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

    /// Returns all keys and values.
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

    fn snapshot(&self) -> Frozen {
        let store = self.store.clone();
        Box::new(move |file| write(&store, file))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        self.store = read(snapshot)?;
        Ok(())
    }
}

/// Writes a snapshot: the version, the number of keys, and for each key the two lengths, the key and the value, in
/// the order of the store. All numbers are little-endian.
fn write(store: &Store, file: &mut dyn Write) -> io::Result<()> {
    file.write_all(&[SNAPSHOT_VERSION])?;
    file.write_all(&(store.len() as u64).to_le_bytes())?;
    for (key, value) in store.iter() {
        for text in [key, value] {
            let length = u32::try_from(text.len()).expect("keys and values have a limit");
            file.write_all(&length.to_le_bytes())?;
        }
        file.write_all(key)?;
        file.write_all(value)?;
    }
    Ok(())
}

fn read(file: &mut dyn Read) -> Result<Store, RestoreError> {
    let [version] = array(file)?;
    if version != SNAPSHOT_VERSION {
        let reason = format!("version {version} is not {SNAPSHOT_VERSION}");
        return Err(RestoreError::new(reason));
    }
    let (mut store, count) = (Store::default(), u64::from_le_bytes(array(file)?));
    for _ in 0..count {
        let lengths =
            [array(file)?, array(file)?].map(|length| u32::from_le_bytes(length) as usize);
        let [key, value] = lengths;
        if key > REQUEST_MAX || value > VALUE_MAX {
            let reason = format!("a key of {key} bytes with a value of {value} bytes is too long");
            return Err(RestoreError::new(reason));
        }
        let [key, value] = [text(file, key)?, text(file, value)?];
        if store.insert(&key, value).is_some() {
            return Err(RestoreError::new("a key is there twice"));
        }
    }
    Ok(store)
}

fn array<const N: usize>(file: &mut dyn Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn text(file: &mut dyn Read, length: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(bytes.into())
}

/// Drops a store, on another thread if that may take long. So the next entries of the log do not wait.
fn drop_elsewhere(store: Store) {
    const FEW_KEYS: usize = 10_000;
    const FEW_BYTES: u64 = 16 << 20;
    if store.len() > FEW_KEYS || store.bytes() > FEW_BYTES {
        // If no thread can be started, the closure and the store are dropped here.
        let _ = std::thread::Builder::new().name("drop".into()).spawn(move || drop(store));
    }
}
