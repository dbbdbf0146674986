//! The claims about a run, and the facts that contradict one.

use serde::Serialize;

/// A claim that does not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Contradiction {
    /// The claim.
    pub claim: &'static str,
    /// The facts that contradict it.
    pub facts: String,
}

pub(crate) type Checked<T = ()> = Result<T, Contradiction>;

pub(crate) fn contradicts<T>(claim: &'static str, facts: impl Into<String>) -> Checked<T> {
    Err(Contradiction { claim, facts: facts.into() })
}

/// The steps of a node are the steps of the model.
pub const MODEL_STEP: &str = "a node takes the step of the model";
/// The state of a node satisfies the invariant of the model.
pub const STATE: &str = "the state of a node satisfies the invariant of one node";
/// Each message that a node sends satisfies the invariant of messages.
pub const MESSAGES: &str = "a node sends only messages that satisfy the invariant of messages";
/// Each received message fits the state of its receiver.
pub const FITS: &str =
    "an answer is to a message of its receiver, and no message contradicts a value of its receiver";
/// Durable records survive a crash.
pub const DURABLE: &str =
    "a node that starts again has everything that was durable before it ended";
/// A node recovers only its own records.
pub const RECORDED: &str = "a node recovers only what its steps have recorded";
/// Messages leave after their records.
pub const AFTER_RECORDS: &str =
    "a message leaves only after the records on which it depends are durable";
/// Only messages of the replica leave.
pub const PRODUCED: &str = "a node sends only the messages that its replica has produced";
/// Each received message was sent.
pub const SENT_BEFORE: &str = "a message that a node receives was sent before";
/// Reads see what they have to see.
pub const READS: &str = "a read runs only on a state that has every slot that the read must see";
/// Snapshots contain only applied slots.
pub const SNAPSHOTS: &str =
    "a snapshot contains only slots that its node has applied, or is the snapshot of another node";
/// Only slots in a durable snapshot are trimmed.
pub const TRIMS: &str = "a node trims only slots whose effect is in a durable snapshot";
/// A recording has the frames of a node in order.
pub const FORM: &str = "a recording begins with a start; no two starts of a node have one number, and all have the same members";

/// One ballot has one value in each slot.
pub const ONE_VALUE: &str = "a ballot has one value in each slot";
/// A quorum of durable votes is behind each value that a node takes as chosen.
pub const QUORUM: &str =
    "a quorum of durable votes is behind each value that a node takes as chosen";
/// No two values are chosen in a slot.
pub const AGREEMENT: &str = "one value is chosen in each slot";
/// Nodes apply the chosen values.
pub const APPLIES_CHOSEN: &str =
    "a node applies the values that are chosen, each once and in the order of the log";
/// All nodes get the same results.
pub const DETERMINISM: &str = "all nodes get the same result when they apply the same log";
