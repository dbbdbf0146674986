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
    kept::{Digest, Kept},
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
        /// The node, for each set of late messages that were not sent before. A bit of the index stands for a message.
        nodes: Box<[OnceLock<SharedNode>]>,
    },
}

/// The steps that were computed. There is none for a node and an action that changes nothing.
pub(super) type LocalSteps = Kept<Key, Option<Box<LocalStep>>>;

impl Key {
    pub(super) fn new(before: SharedNode, action: Action) -> Self {
        Self { before, action: action.to_word() }
    }
}

impl Digest for Key {
    #[inline]
    fn digest(&self) -> u64 {
        self.action ^ self.before.digest()
    }
}
