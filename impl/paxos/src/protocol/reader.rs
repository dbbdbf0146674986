//! The reader: who waits until a leader knows that it still leads. Forgotten in a crash, and with the
//! lead.

use super::node_set::NodeSet;
use crate::{event::Token, types::Slot};

/// The reads of a leader, confirmed in rounds: one is under way, and who comes meanwhile waits for
/// the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reader {
    /// Where the log ended when this node began to lead: whatever an earlier leader got chosen, and
    /// may have told its clients, lies below.
    pub barrier: Slot,
    /// The last round that was begun; the first is 1.
    pub round: u64,
    /// Who confirmed it; nobody if none is under way.
    pub heard: NodeSet,
    /// What the reads of this round have to see: every slot below.
    pub index: Slot,
    /// The reads of this round.
    pub asked: Vec<Token>,
    /// The reads of the next.
    pub waiting: Vec<Token>,
}

impl Reader {
    /// Nobody reads yet.
    pub(crate) fn new(barrier: Slot) -> Self {
        Self { barrier, ..Self::default() }
    }

    /// Begins a round for all who wait; what they have to see is settled now.
    pub(crate) fn begin(&mut self, known_end: Slot, me: NodeSet) {
        self.round += 1;
        self.heard = me;
        self.index = known_end.max(self.barrier);
        self.asked = std::mem::take(&mut self.waiting);
    }

    /// Ends a round.
    pub(crate) fn finish(&mut self) -> (Vec<Token>, Slot) {
        self.heard = NodeSet::default();
        (std::mem::take(&mut self.asked), std::mem::take(&mut self.index))
    }

    /// Whether a node has still to confirm a round that is under way.
    pub(crate) fn awaits(&self, index: usize) -> bool {
        !self.heard.is_empty() && !self.heard.contains(index)
    }

    /// All who wait.
    pub(crate) fn into_tokens(self) -> impl Iterator<Item = Token> {
        self.asked.into_iter().chain(self.waiting)
    }
}
