//! Entries of the log: one command, one query, a transaction of several steps, or a pipeline of several entries.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    command::Command,
    execution::Execution,
    limits::{Bounds, Copies, Exceeded, Meter, cost},
    query::Query,
    reply::Reply,
    store::Store,
};

/// One entry of the log. No entry contains another entry of its own kind, so that the code that reads it never recurses
/// deeply.
///
/// New kinds must come last, because entries of a log outlive the code that wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry<T = Bytes> {
    /// A command by itself.
    One(Command<T>),
    /// Steps that execute without another change in between. Each step has an answer, and a step that fails does not
    /// stop the others, as in Redis. If the transaction exceeds a limit, none of its steps takes effect, and its only
    /// answer is an error.
    Transaction(Vec<Step<T>>),
    /// Entries that a client sent without waiting for answers, each as [`to_bytes`](Entry::to_bytes) writes it. They
    /// execute in this order.
    ///
    /// All entries of the pipeline share one limit on the cost and one on the length of the answers. The entry that
    /// exceeds what is left is undone, and the pipeline ends before it. So the pipeline may have fewer answers than
    /// entries, and the entries without an answer have no effect. If the first entry alone exceeds one of these two
    /// limits, it is undone, its answer is an error, and the pipeline ends after it. An entry that exceeds the limit
    /// of the whole state is undone and answered with an error, and the pipeline continues.
    Pipeline(Vec<T>),
    /// An entry of another kind, and the limit of the whole state. The node that proposes the entry writes its own
    /// limit into it, so that all nodes check the entry against the same limit.
    Within {
        /// The highest number of bytes of the state after a change that makes it grow ([`Store::bytes`]).
        state_max: u64,
        /// The entry, as [`to_bytes`](Entry::to_bytes) writes it.
        entry: T,
    },
    /// A query between the writes of a pipeline.
    Read(Query<T>),
}

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step<T = Bytes> {
    /// A query.
    Read(Query<T>),
    /// A change.
    Write(Command<T>),
    /// A reply that does not depend on the store, as [`Reply::to_bytes`] writes it: for example the answer to a `PING`,
    /// or an error in the arguments of a step.
    Known(T),
}

impl Entry {
    /// Returns the entry as bytes.
    pub fn to_bytes(&self) -> Bytes {
        postcard::to_stdvec(self).expect("any entry can be written to memory").into()
    }
}

impl<'a> Entry<&'a [u8]> {
    /// Decodes an entry. Returns `None` if the bytes are anything but one entry.
    pub(crate) fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        match postcard::take_from_bytes(bytes) {
            Ok((entry, [])) => Some(entry),
            _ => None,
        }
    }

    /// Executes the entry. Returns its answer, and a store that the entry has cleared or an empty one. To drop this
    /// store may take long.
    pub(crate) fn execute(&self, store: &mut Store) -> (Reply, Store) {
        match self {
            Self::Within { state_max, entry } => match Entry::from_bytes(entry) {
                None | Some(Entry::Within { .. }) => malformed(),
                Some(entry) => entry.execute_within(store, *state_max),
            },
            _ => self.execute_within(store, u64::MAX),
        }
    }

    fn execute_within(&self, store: &mut Store, state_max: u64) -> (Reply, Store) {
        let Self::Pipeline(entries) = self else {
            let mut meter = Meter::default();
            return self.execute_alone(store, state_max, &mut meter);
        };
        let (mut meter, mut replies, mut dropped) =
            (Meter::default(), Vec::new(), Store::default());
        for entry in entries {
            let mut own = meter.clone();
            let (reply, cleared) = match Entry::from_bytes(entry) {
                Some(entry) => entry.execute_alone(store, state_max, &mut own),
                None => malformed(),
            };
            // An entry that exceeds what the earlier ones have left was undone, and has no answer. The server proposes
            // it again in another entry of the log, where it has the full limits.
            if own.is_exceeded() && !replies.is_empty() {
                break;
            }
            replies.push(reply);
            if dropped.is_empty() {
                dropped = cleared;
            }
            if own.is_exceeded() {
                break;
            }
            meter = own;
        }
        (Reply::Array(replies), dropped)
    }

    /// Executes an entry that contains no other entries. If it exceeds a limit, its changes are undone.
    fn execute_alone(
        &self,
        store: &mut Store,
        state_max: u64,
        meter: &mut Meter,
    ) -> (Reply, Store) {
        // Changes are recorded, so that they can be undone, only if the entry may exceed a limit.
        let bounds = self.bounds();
        let fits = meter.covers(bounds) && store.bytes().saturating_add(bounds.growth) <= state_max;
        let mut on = Execution::new(store, state_max, meter, !fits);
        let reply = match self {
            Self::One(command) => on.write(command),
            Self::Read(query) => on.read(query),
            Self::Transaction(steps) => on.transaction(steps),
            Self::Pipeline(_) | Self::Within { .. } => return malformed(),
        };
        match reply {
            Ok(reply) => (reply, on.keep()),
            Err(exceeded) => {
                debug_assert!(!fits, "{bounds:?} are no bounds: {exceeded:?}");
                on.undo();
                (exceeded.into(), Store::default())
            }
        }
    }

    /// Returns upper bounds on the cost of an entry that contains no other entries.
    fn bounds(&self) -> Bounds {
        match self {
            Self::One(command) => command.bounds(),
            Self::Read(query) => query.bounds(),
            Self::Transaction(steps) => {
                steps.iter().map(Step::bounds).fold(Bounds::default(), Bounds::and)
            }
            Self::Pipeline(_) | Self::Within { .. } => Bounds::default(),
        }
    }

    /// Answers a transaction that only reads. Any other entry is answered with an error.
    pub(crate) fn answer(&self, store: &Store, meter: &mut Meter) -> Reply {
        let step = |step: &Step<&[u8]>| match step {
            Step::Read(query) => {
                let reply = query.answer(store, meter)?;
                meter.answered(reply)
            }
            Step::Known(reply) => meter.answered(known(reply)),
            Step::Write(_) => Ok(malformed().0),
        };
        let Self::Transaction(steps) = self else { return malformed().0 };
        let replies: Result<_, Exceeded> = steps.iter().map(step).collect();
        replies.map_or_else(Reply::from, Reply::Array)
    }
}

impl<T: AsRef<[u8]>> Step<T> {
    /// Returns upper bounds on the cost of the step.
    fn bounds(&self) -> Bounds {
        let step = Bounds { steps: 1, ..Bounds::default() };
        step.and(match self {
            Self::Read(query) => query.bounds(),
            Self::Write(command) => command.bounds(),
            // The answer to a malformed reply is an error, which may be longer.
            Self::Known(reply) => {
                Bounds { answer: reply.as_ref().len() * Reply::HEAD_BYTES, ..Bounds::default() }
                    .and(Bounds { answer: 2 * Reply::HEAD_BYTES, ..Bounds::default() })
            }
        })
    }
}

impl Execution<'_> {
    fn write(&mut self, command: &Command<&[u8]>) -> Result<Reply, Exceeded> {
        let reply = command.execute(self)?;
        self.meter.answered(reply)
    }

    fn read(&mut self, query: &Query<&[u8]>) -> Result<Reply, Exceeded> {
        let reply = query.answer(self.store, self.meter)?;
        self.meter.answered(reply)
    }

    fn transaction(&mut self, steps: &[Step<&[u8]>]) -> Result<Reply, Exceeded> {
        let replies = steps.iter().map(|step| {
            self.meter.spend(1)?;
            match step {
                Step::Read(query) => self.read(query),
                Step::Write(command) => self.write(command),
                Step::Known(reply) => self.meter.answered(known(reply)),
            }
        });
        Ok(Reply::Array(replies.collect::<Result<_, _>>()?))
    }
}

fn known(reply: &[u8]) -> Reply {
    Reply::from_bytes(&Bytes::copy_from_slice(reply))
        .unwrap_or_else(|_| Reply::error("ERR malformed reply in a transaction"))
}

/// Returns the answer to bytes that no node of this version writes.
fn malformed() -> (Reply, Store) {
    (Reply::error("ERR malformed entry in the log"), Store::default())
}

/// The steps of a transaction that is not complete yet, as the bytes that its entry will have. So the transaction does
/// not hold the buffers in which its parts arrived, and its length is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    count: usize,
    bytes: Vec<u8>,
    /// A lower bound on the cost of the execution, in the unit of [`STEPS_MAX`](super::limits::STEPS_MAX).
    least: u64,
    copies: Copies,
    writes: bool,
}

impl Steps {
    pub(crate) fn push(&mut self, step: &Step) {
        postcard::to_io(step, &mut self.bytes).expect("any step can be written to memory");
        self.count += 1;
        let (keys, copies) = match step {
            Step::Read(query) => (query.keys(), query.copies()),
            Step::Write(command) => (command.keys(), command.copies()),
            Step::Known(_) => (0, Copies::default()),
        };
        self.least += keys as u64 * cost::KEY + 1;
        self.copies = self.copies.and(copies);
        self.writes |= matches!(step, Step::Write(_));
    }

    /// Returns the number of bytes that the steps take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns a lower bound on the cost of the execution, in the unit of
    /// [`STEPS_MAX`](super::limits::STEPS_MAX).
    pub(crate) fn least_steps(&self) -> u64 {
        self.least
    }

    /// Returns the ways in which the answer may take further memory.
    pub(crate) fn copies(&self) -> Copies {
        self.copies
    }

    /// Returns true if a step may change the store.
    pub(crate) fn writes(&self) -> bool {
        self.writes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the bytes that [`Entry::to_bytes`] returns for a transaction with these steps: the kind of entry,
    /// the number of steps, and the steps.
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
    fn steps_have_the_bytes_of_a_transaction() {
        for count in [0, 1, 2, 127, 128, 300] {
            let step = |at: usize| match at % 3 {
                0 => Step::Read(Query::Get(at.to_string().into())),
                1 => Step::Write(Command::Add { key: "n".into(), by: -1 }),
                _ => Step::Known(Reply::ok().to_bytes()),
            };
            let mut steps = Steps::default();
            (0..count).for_each(|at| steps.push(&step(at)));
            let entry = Entry::Transaction((0..count).map(step).collect());
            assert_eq!(steps.to_entry(), entry.to_bytes());
        }
    }
}
