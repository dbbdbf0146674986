//! The things that can happen in a cluster.

use std::fmt;

use super::state::{Ballot, Message, NodeId, Slot, Value};

/// A thing that can happen in a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A node tries to become the leader.
    Campaign(NodeId),
    /// A client asks a leader to propose its value in each of the next free slots.
    Propose {
        /// The leader.
        node: NodeId,
        /// The number of slots.
        count: u8,
    },
    /// A message arrives.
    Deliver {
        /// The receiver.
        to: NodeId,
        /// The message.
        message: Message,
    },
    /// A refusal arrives.
    Nack {
        /// The receiver.
        to: NodeId,
        /// The ballot that the refusing node has promised.
        promised: Ballot,
    },
    /// News of a chosen value arrives.
    Chosen {
        /// The receiver.
        to: NodeId,
        /// The slot.
        slot: Slot,
        /// The ballot in which a quorum voted.
        ballot: Ballot,
        /// The value.
        value: Value,
    },
    /// A client asks a leader to read.
    Read(NodeId),
    /// A snapshot becomes durable at a node. The node took it, or another node sent it.
    Snapshot {
        /// The node.
        to: NodeId,
        /// The end of the snapshot: it contains the effect of every slot below this one.
        below: Slot,
    },
    /// The oldest waiting step of a node becomes durable, and its messages leave.
    Sync(NodeId),
    /// A node loses everything but its disk, and starts again.
    Crash(NodeId),
}

impl Action {
    /// Returns the node that takes the action.
    pub const fn node(self) -> NodeId {
        let (Self::Campaign(node)
        | Self::Propose { node, .. }
        | Self::Deliver { to: node, .. }
        | Self::Nack { to: node, .. }
        | Self::Chosen { to: node, .. }
        | Self::Read(node)
        | Self::Snapshot { to: node, .. }
        | Self::Sync(node)
        | Self::Crash(node)) = self;
        node
    }

    /// Returns the action as one word. Different actions have different words.
    #[inline]
    pub(super) fn to_word(self) -> u64 {
        // A message leaves the last byte free, and its first byte is below 6.
        let word = u64::from_be_bytes(match self {
            Self::Deliver { message, .. } => message.to_word().to_be_bytes(),
            Self::Campaign(_) => [6, 0, 0, 0, 0, 0, 0, 0],
            Self::Propose { count, .. } => [7, count, 0, 0, 0, 0, 0, 0],
            Self::Nack { promised, .. } => [8, promised.0, 0, 0, 0, 0, 0, 0],
            Self::Chosen { slot, ballot, value, .. } => [9, slot.0, ballot.0, value.0, 0, 0, 0, 0],
            Self::Read(_) => [10, 0, 0, 0, 0, 0, 0, 0],
            Self::Snapshot { below, .. } => [11, below.0, 0, 0, 0, 0, 0, 0],
            Self::Sync(_) => [12, 0, 0, 0, 0, 0, 0, 0],
            Self::Crash(_) => [13, 0, 0, 0, 0, 0, 0, 0],
        });
        word | u64::from(self.node().0)
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Campaign(node) => write!(f, "{node:?} campaigns"),
            Self::Propose { node, count } => write!(f, "{node:?} proposes in {count} slots"),
            Self::Deliver { to, message } => write!(f, "{to:?} gets {message:?}"),
            Self::Nack { to, promised } => {
                write!(f, "{to:?} is refused: {promised:?} was promised")
            }
            Self::Chosen { to, slot, ballot, value } => {
                write!(f, "{to:?} hears that {ballot:?} got {value:?} chosen in {slot:?}")
            }
            Self::Read(node) => write!(f, "{node:?} is asked to read"),
            Self::Snapshot { to, below } => write!(f, "{to:?} has a snapshot below {below:?}"),
            Self::Sync(node) => write!(f, "{node:?} syncs"),
            Self::Crash(node) => write!(f, "{node:?} crashes and starts again"),
        }
    }
}
