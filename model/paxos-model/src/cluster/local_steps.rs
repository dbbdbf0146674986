//! The steps of single nodes, each computed once.
//!
//! A transition of the cluster is a step of one node. A step depends on the node and its input, and on nothing else of the
//! cluster. A search tries many millions of inputs, but few different ones: some thousand in a space with millions of
//! states. So the cluster keeps each step that it has computed.
//!
//! Claim: a search with kept steps finds the same states as a search that computes each step. A step is a pure function
//! of the [rules](super::node::rules), the node and the action, and the key of a kept step consists of the last two,
//! compared by value. The part that depends on the network is not kept: [`Cluster`](super::Cluster) decides for each
//! transition which messages are new.

use std::sync::OnceLock;

use super::{
    action::Action,
    state::{Answer, Live, Message, SharedNode},
};

/// All that a step depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// The node before the step.
    before: SharedNode,
    /// The [word](Action::to_word) of the action. It names the node, too.
    action: u64,
}

/// A step of one node that changes the node or sends messages.
pub(super) struct LocalStep {
    /// The node after the step.
    pub(super) after: After,
    /// The read that is confirmed.
    pub(super) answer: Option<Answer>,
}

/// The node after a step, and the messages that it sends.
pub(super) enum After {
    /// The records of the step are durable at once.
    Durable {
        /// The node.
        node: SharedNode,
        /// The messages.
        messages: Vec<Message>,
    },
    /// The step waits for its sync.
    Waiting {
        /// The node as it runs.
        live: Live,
        /// True if the step changes what must survive a crash.
        records: bool,
        /// The messages that leave at once.
        early: Vec<Message>,
        /// The messages that leave after the sync.
        late: Vec<Message>,
    },
}

/// The number of steps for which there is room: a power of two, and more than any known space has.
const ROOM: usize = 1 << 14;
/// The number of places in which a step may be kept.
const TRIES: usize = 8;

/// The steps that were computed. Each place is written at most once, so threads read without a lock. A step that changes
/// nothing needs no space but its key.
pub(super) struct LocalSteps(Box<[OnceLock<(Key, Option<Box<LocalStep>>)>]>);

impl Default for LocalSteps {
    fn default() -> Self {
        Self((0..ROOM).map(|_| OnceLock::new()).collect())
    }
}

impl LocalSteps {
    /// Passes a step to `look`, or none if the step changes nothing. Computes the step unless it is kept, and keeps it if
    /// there is room.
    #[inline]
    pub(super) fn with<T>(
        &self,
        key: Key,
        compute: impl FnOnce() -> Option<LocalStep>,
        look: impl FnOnce(Option<&LocalStep>) -> T,
    ) -> T {
        let first = key.spread();
        for place in 0..TRIES {
            let place = &self.0[(first + place) % ROOM];
            match place.get() {
                Some((known, step)) if *known == key => return look(step.as_deref()),
                Some(_) => {}
                None => {
                    // Another thread may fill the place first, with the same step or with another one.
                    let step = compute();
                    let result = look(step.as_ref());
                    let _ = place.set((key, step.map(Box::new)));
                    return result;
                }
            }
        }
        look(compute().as_ref())
    }
}

impl Key {
    #[inline]
    pub(super) fn new(before: SharedNode, action: Action) -> Self {
        Self { before, action: action.to_word() }
    }

    /// Returns a number that depends on each part of the key.
    #[inline]
    fn spread(&self) -> usize {
        let mixed = self.action.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ self.before.digest();
        (mixed.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32) as usize
    }
}
