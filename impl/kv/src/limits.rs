//! Bounds on the memory and the time that one request may cost, and the meter that enforces them.
//!
//! Every replica executes every entry of the log. An entry that costs too much would stop the whole cluster, and would
//! stop it again after each restart. Two checks prevent this:
//!
//! 1. If the cost of a request follows from its text and exceeds a limit, the node refuses the request before it
//!    proposes it.
//! 2. If the cost depends on the values that the request finds, a meter counts it during the execution. A request that
//!    exceeds a fixed limit leaves the state as it was, and is answered with an error.
//!
//! The second check influences the state, so all replicas must come to the same result. Therefore the limits are
//! constants, or are in the entry ([`Entry::Within`](super::Entry::Within)), and the meter counts steps instead of
//! time. Such a step is a unit of cost, and not a [`Step`](super::Step) of a transaction. `docs/commands.md` lists the
//! bounds of each command.

use super::reply::Reply;
use paxos_node::machine::Answer as _;

/// The highest number of bytes of the arguments of a request, and of the steps of a transaction. The entry of the log
/// is a little longer, and must fit into one message.
pub const REQUEST_MAX: usize = 8 << 20;

/// The length of the longest value, in bytes.
pub const VALUE_MAX: usize = REQUEST_MAX;

/// The length of the longest answer to one request, in bytes, as [`Reply`] counts them
/// ([`Answer::size`](paxos_node::Answer::size)). Two of the longest values fit.
pub const ANSWER_MAX: usize = 2 * VALUE_MAX + (64 << 10);

/// The highest number of keys in one command.
pub const KEYS_MAX: usize = 25_000;

/// The highest cost of one request, one transaction or one entry of the log, in steps. A step is a unit of cost, and
/// takes between 5 ns and 100 ns. The private module `cost` has the number of steps of each action.
pub const STEPS_MAX: u64 = KEYS_MAX as u64 * cost::KEY;

/// The highest number of bytes of the name of a client or of its library.
pub(crate) const NAME_MAX: usize = 1 << 10;

/// The highest number of names in `COMMAND INFO` and `INFO`.
pub(crate) const NAMES_MAX: usize = 1 << 10;

/// The number of steps that an action takes.
pub(crate) mod cost {
    /// A key is looked up, inserted or removed.
    pub(crate) const KEY: u64 = 8;
    /// All keys are removed. A thread may be started that drops them.
    pub(crate) const CLEAR: u64 = 16 * KEY;
    /// A key is visited in a walk through all keys, and perhaps sorted.
    pub(crate) const VISIT: u64 = 2;
    /// The number of bytes that are copied in one step.
    pub(crate) const COPIED_BYTES: u64 = 1 << 10;
    /// The number of comparisons of a pattern with a text in one step.
    pub(crate) const COMPARISONS: u64 = 16;
}

/// Upper bounds on the cost of a request that follow from its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) steps: u64,
    /// The bytes of the answer.
    pub(crate) answer: usize,
    /// The bytes by which the state may grow.
    pub(crate) growth: u64,
}

impl Bounds {
    /// Returns the bounds of two requests together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            steps: self.steps.saturating_add(other.steps),
            answer: self.answer.saturating_add(other.answer),
            growth: self.growth.saturating_add(other.growth),
        }
    }
}

/// The ways in which the answer to an entry can take memory beside that of the state and of the entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// The answer contains whole values, which share memory with the state.
    pub(crate) answers_values: bool,
    /// The entry makes values grow. A value that an answer shares is then copied.
    pub(crate) grows_values: bool,
    /// The answer contains parts of values, which are copied.
    pub(crate) answers_parts: bool,
}

impl Copies {
    /// Returns the copies of two parts of an entry together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            answers_values: self.answers_values || other.answers_values,
            grows_values: self.grows_values || other.grows_values,
            answers_parts: self.answers_parts || other.answers_parts,
        }
    }

    /// Returns an upper bound on the number of copied bytes.
    pub fn bytes_max(self) -> usize {
        let copies = self.answers_parts || self.answers_values && self.grows_values;
        if copies { ANSWER_MAX } else { 0 }
    }
}

/// The limit that a request would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// [`ANSWER_MAX`].
    Answer,
    /// [`STEPS_MAX`].
    Steps,
    /// The limit of the whole state, in bytes.
    State(u64),
}

impl From<Exceeded> for Reply {
    /// Returns the error for the client. Clients of Redis know the code `OOM`.
    fn from(exceeded: Exceeded) -> Self {
        let text = match exceeded {
            Exceeded::Answer => format!(
                "ERR the answer would have more than {ANSWER_MAX} bytes; nothing was changed, ask for less at once"
            ),
            Exceeded::Steps => {
                "ERR the request takes too many steps; nothing was changed, ask for fewer keys or \
                                use SCAN"
                    .to_owned()
            }
            Exceeded::State(max) => format!(
                "OOM the state would have more than {max} bytes (--state-max); nothing was changed, delete keys \
                 first"
            ),
        };
        Self::Error(text.into())
    }
}

/// The steps and bytes that a request may still take.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    steps: u64,
    answer: usize,
    exceeded: bool,
}

impl Default for Meter {
    fn default() -> Self {
        Self { steps: STEPS_MAX, answer: ANSWER_MAX, exceeded: false }
    }
}

impl Meter {
    /// Returns true if a request with these bounds cannot exceed what is left.
    pub(crate) fn covers(&self, bounds: Bounds) -> bool {
        bounds.steps <= self.steps && bounds.answer <= self.answer
    }

    /// Returns the number of steps that are left.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// Returns true if a request has exceeded a limit of the meter. The limit of the whole state is none of these.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.exceeded
    }

    /// Counts steps.
    pub(crate) fn spend(&mut self, steps: u64) -> Result<(), Exceeded> {
        match self.steps.checked_sub(steps) {
            Some(left) => self.steps = left,
            None => return Err(self.exceed(Exceeded::Steps)),
        }
        Ok(())
    }

    /// Counts the steps of copying bytes.
    pub(crate) fn copy(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.spend(bytes as u64 / cost::COPIED_BYTES)
    }

    /// Counts the bytes of an answer or of a part of one, and returns it.
    pub(crate) fn answered(&mut self, reply: Reply) -> Result<Reply, Exceeded> {
        match self.answer.checked_sub(reply.size()) {
            Some(left) => self.answer = left,
            None => return Err(self.exceed(Exceeded::Answer)),
        }
        Ok(reply)
    }

    /// Records that a request would exceed this limit, and returns the limit.
    pub(crate) fn exceed(&mut self, limit: Exceeded) -> Exceeded {
        self.exceeded = true;
        limit
    }
}
