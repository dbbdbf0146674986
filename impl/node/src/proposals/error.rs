//! The reasons for which a command has no answer.

use std::time::Duration;

use thiserror::Error;

use crate::status::forming;
use paxos::types::{NodeId, Slot};

/// The reason for which a command has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// The time was up. The command may have been applied, or may be applied later.
    #[error("no answer within {} ms; the command may be applied, now or later", .0.as_millis())]
    Timeout(Duration),
    /// The time was up before the command was sent to a leader. The command will not be applied, unless the client has
    /// also sent it to another node.
    #[error("no leader was found within {} ms; the command was not sent", .0.as_millis())]
    Unsent(Duration),
    /// The cluster is forming: these nodes have not met this node yet. The command was not sent to the cluster.
    #[error("{}", forming(.0))]
    Forming(Vec<NodeId>),
    /// The session does not exist, or has expired because too many other sessions were used since. The command may have
    /// been applied before that.
    #[error(
        "there is no such session, or it has expired; the command may have been applied before that"
    )]
    Expired,
    /// The answer is not kept: the client has confirmed it, or it was dropped because too many answers were kept.
    #[error("no answer to this command is kept; it may have been applied")]
    Forgotten,
    /// The node has stopped. The command may have been applied, or may be applied later.
    #[error("the node has stopped; the command may be applied, now or later")]
    Stopped,
    /// The node leaves, or had stopped before it got the command. The command will not be applied, unless the client
    /// has also sent it to another node.
    #[error("the node has stopped; it did not get the command")]
    StoppedBefore,
    /// The state machine of this node has panicked. Until the node has restored the snapshot of a peer, it refuses all
    /// requests of its clients.
    #[error(
        "the state machine of this node has halted at slot {slot}{}", if *.may_be_applied {
            "; the command may be applied, now or later"
        } else {
            "; the command was not sent"
        }
    )]
    Halted {
        /// The slot whose command has panicked.
        slot: Slot,
        /// True if the command may have been sent to the cluster before.
        may_be_applied: bool,
    },
    /// The command is too long. It was not sent to the cluster.
    #[error("the command has {found} bytes; at most {most} are allowed")]
    TooLong {
        /// The length of the command in bytes.
        found: usize,
        /// The most bytes that are allowed.
        most: usize,
    },
}

impl ProposeError {
    /// Returns true if the command may have been applied, or may still be applied.
    pub fn may_be_applied(&self) -> bool {
        !matches!(
            self,
            Self::TooLong { .. }
                | Self::Unsent(_)
                | Self::Forming(_)
                | Self::StoppedBefore
                | Self::Halted { may_be_applied: false, .. }
        )
    }

    /// Returns true if the same request would fail again with the same error.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::Expired | Self::Forgotten)
    }
}
