//! The reader: the reads that wait until a quorum confirms that this node still leads.
//!
//! The reader is part of a [`Leader`](super::proposer::Leader). It is lost when the node crashes or promises another
//! ballot.

use super::node_set::NodeSet;
use crate::{event::Token, types::Slot};

/// The reads of a leader, confirmed in rounds. At most one round is under way. Reads that arrive during a round
/// wait for the next one ([reads](super::safety#reads)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reader {
    /// The end of the log when this node began to lead. Every slot in which an earlier leader got a value chosen is
    /// below it.
    pub barrier: Slot,
    /// The number of the last round that was begun. The first is 1.
    pub round: u64,
    /// The nodes that have confirmed this round, this node included. Empty if no round is under way.
    pub heard: NodeSet,
    /// The reads of this round must be answered from a state with every slot below this one. Slot 0 if no round is
    /// under way.
    pub index: Slot,
    /// The reads of this round.
    pub asked: Vec<Token>,
    /// The reads of the next round.
    pub waiting: Vec<Token>,
}

impl Reader {
    /// Returns a reader without reads.
    pub(crate) fn new(barrier: Slot) -> Self {
        Self { barrier, ..Self::default() }
    }

    /// Begins a round for all waiting reads. They have to see all slots below `known_end`, the end of the slots known
    /// to be chosen, and below the barrier.
    pub(crate) fn begin(&mut self, known_end: Slot, own: NodeSet) {
        self.round += 1;
        self.heard = own;
        self.index = known_end.max(self.barrier);
        self.asked = std::mem::take(&mut self.waiting);
    }

    /// Ends the round. Returns its reads and the first slot that they need not see.
    pub(crate) fn finish(&mut self) -> (Vec<Token>, Slot) {
        self.heard = NodeSet::default();
        (std::mem::take(&mut self.asked), std::mem::take(&mut self.index))
    }

    /// Returns true if a round is under way that the node with this index has not confirmed.
    pub(crate) fn awaits(&self, index: usize) -> bool {
        !self.heard.is_empty() && !self.heard.contains(index)
    }

    /// Returns all reads, those of this round first.
    pub(crate) fn into_tokens(self) -> impl Iterator<Item = Token> {
        self.asked.into_iter().chain(self.waiting)
    }
}
