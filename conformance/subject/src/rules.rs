//! The cluster under test: its nodes, its quorums, and what its messages say.

use std::{collections::BTreeSet, rc::Rc};

use crate::protocol::{Ballot, BallotForm, Capabilities, QuorumSize, Setup, Value, value};

/// The cluster under test, and what its nodes can do.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) caps: Capabilities,
    pub(crate) setup: Setup,
    pub(crate) quorum: usize,
    /// The values of the subject that stand for no command.
    pub(crate) noops: BTreeSet<Value>,
}

impl Rules {
    pub(crate) fn new(caps: Capabilities, setup: Setup) -> Self {
        let acceptors = setup.acceptors.len();
        let quorum = match caps.quorum {
            QuorumSize::Majority => acceptors / 2 + 1,
            QuorumSize::N => acceptors,
        };
        let noops = caps.noop.iter().map(value).collect();
        Self { caps, setup, quorum, noops }
    }

    /// Returns true if two proposers may prepare the same ballot, as long as no quorum promises it to both.
    pub(crate) fn ballots_are_shared(&self) -> bool {
        self.caps.ballot == BallotForm::IntShared
    }

    /// Returns a ballot as text.
    pub(crate) fn text(&self, ballot: &Ballot) -> String {
        ballot.text(&self.setup.proposers)
    }
}

/// The name of a node.
pub(crate) type Name = Rc<str>;

/// Returns true unless two values are known and differ. A message may leave its value out.
pub(crate) fn may_be_same(one: Option<&Value>, other: Option<&Value>) -> bool {
    one.is_none() || other.is_none() || one == other
}
