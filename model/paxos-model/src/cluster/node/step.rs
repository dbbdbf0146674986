//! The inputs of a node, and the step that it takes on one.

use smallvec::SmallVec;

use super::{message::Message, state::Live, universe::Universe};

/// An input of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<U: Universe> {
    /// The node tries to become the leader.
    Campaign,
    /// A client of the node asks for values in the next free slots.
    Propose {
        /// The values, one for each slot.
        request: U::Request,
    },
    /// A message arrives.
    Message(Message<U>),
    /// A refusal arrives.
    Nack {
        /// The ballot that is refused.
        ballot: U::Ballot,
        /// The higher ballot that the acceptor has promised.
        promised: U::Ballot,
    },
    /// News arrives that a value is chosen.
    Chosen {
        /// The slot.
        slot: U::Slot,
        /// The value.
        value: U::Value,
    },
    /// A snapshot becomes durable at the node. The node took it, or another node sent it.
    Snapshot {
        /// The end of the snapshot: it contains the effect of every slot below this one.
        below: U::Slot,
    },
    /// A client of the node asks to read.
    Read,
}

/// A refusal that a node sends to the owner of a ballot. The network does not keep refusals. The lockstep compares them with
/// those of the implementation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack<U: Universe> {
    /// The ballot that is refused.
    pub ballot: U::Ballot,
    /// The higher ballot that the acceptor has promised.
    pub promised: U::Ballot,
}

/// The step that a node takes on an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<U: Universe> {
    /// The node after the step.
    pub live: Live<U>,
    /// The messages that it sends, its own promise and votes included.
    pub messages: SmallVec<[Message<U>; 4]>,
    /// The refusal that it sends.
    pub nack: Option<Nack<U>>,
    /// The slots whose value the node has found to be chosen by counting votes. The node announces them to other nodes.
    pub announced: SmallVec<[U::Slot; 4]>,
    /// The read that is confirmed.
    pub answer: Option<Answer<U>>,
}

/// A read that is confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<U: Universe> {
    /// The round that confirmed it, counted from 1.
    pub round: U::ReadRound,
    /// The end of the part of the log that the answer must see.
    pub index: U::Slot,
}

impl<U: Universe> Step<U> {
    /// Returns the step that changes nothing.
    pub(super) fn of(live: Live<U>) -> Self {
        Self {
            live,
            messages: SmallVec::new(),
            nack: None,
            announced: SmallVec::new(),
            answer: None,
        }
    }

    /// Refuses a ballot, and names the ballot that the node has promised.
    pub(super) fn refuse(&mut self, ballot: U::Ballot) {
        self.nack = self.live.acceptor.promised.map(|promised| Nack { ballot, promised });
    }
}
