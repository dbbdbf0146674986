//! The ways in which a step of the cluster can fail to refine the specification.

use std::fmt;

use state_explorer::Names;

use super::state::{Ballot, NodeId, Slot};
use crate::synod::{Acceptor, Action};

/// A step of the cluster that does not refine the specification.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fault {
    /// The first slot in which the step does not refine the specification.
    pub slot: Slot,
    /// The node that took the step.
    pub node: NodeId,
    /// The reason.
    pub reason: Reason,
}

impl Fault {
    /// Returns the fault with its nodes renamed.
    pub(super) fn renamed(self, names: &Names) -> Self {
        let of = |Acceptor(acceptor)| Acceptor(names.of(usize::from(acceptor)));
        let reason = match self.reason {
            Reason::NotEnabled(Action::Promise(a, b)) => {
                Reason::NotEnabled(Action::Promise(of(a), b))
            }
            Reason::NotEnabled(Action::Vote(a, b)) => Reason::NotEnabled(Action::Vote(of(a), b)),
            reason => reason,
        };
        Self { node: NodeId(names.of(usize::from(self.node.0))), reason, ..self }
    }
}

/// The reason why a step does not refine the specification.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// This step of `synod` is not enabled.
    NotEnabled(Action),
    /// A promise does not report the acceptor's highest vote below the ballot, or not the end of its trimmed log.
    WrongReport(Ballot),
    /// A message contradicts an earlier message of the same ballot.
    Contradicts(Ballot),
    /// The vote on the disk is not the acceptor's last vote.
    WrongVoteOnDisk,
    /// The promise on the disk is lower than the messages imply, or lower than before.
    PromiseFell,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, node, reason } = self;
        write!(f, "in {slot:?}, {node:?}: ")?;
        match reason {
            Reason::NotEnabled(action) => match action {
                Action::Prepare(b) => write!(f, "may not prepare b{}", b.0),
                Action::Promise(_, b) => write!(f, "may not promise b{}", b.0),
                Action::Propose(b, v) => write!(f, "may not propose v{} in b{}", v.0, b.0),
                Action::Vote(_, b) => write!(f, "may not vote in b{}", b.0),
            },
            Reason::WrongReport(b) => {
                write!(f, "its promise of b{} does not report its last vote", b.0)
            }
            Reason::Contradicts(b) => write!(f, "contradicts what it said before in b{}", b.0),
            Reason::WrongVoteOnDisk => write!(f, "its disk does not hold its last vote"),
            Reason::PromiseFell => write!(f, "its promise fell"),
        }
    }
}
