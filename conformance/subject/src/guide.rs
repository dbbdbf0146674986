//! Schedules in the words of Paxos, which come from a model. A subject takes them as far as its messages agree.

use serde::{Deserialize, Serialize};

use crate::{
    cluster::{Cluster, Input, MessageId, Node},
    findings::{Findings, Schedule},
    protocol::{Ballot, Kind},
    search::BrokenAt,
    walk::Walk,
};

/// A step of a schedule. Nodes are counted from 0, and each is an acceptor and a proposer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guide {
    /// A node begins a ballot. Ballots are counted in the order of these steps.
    Begin {
        /// The node.
        node: usize,
    },
    /// A message of a ballot arrives.
    Deliver {
        /// The kind of the message.
        kind: Kind,
        /// The ballot, by its place.
        ballot: usize,
        /// The sender.
        from: usize,
        /// The receiver.
        to: usize,
    },
    /// A node crashes, and starts again.
    Restart {
        /// The node.
        node: usize,
    },
}

/// A schedule for a number of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Guidance {
    /// The number of nodes. A quorum is a majority of them.
    pub nodes: usize,
    /// The steps.
    pub steps: Vec<Guide>,
}

/// The numbers of steps that a subject has taken, and of those that its messages do not offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Guided {
    /// The number of schedules.
    pub schedules: u64,
    /// The steps that were taken.
    pub taken: u64,
    /// The steps that were left out.
    pub left_out: u64,
}

/// A schedule for three acceptors and two proposers, in which each crash would lose something: first a promise, then a vote and
/// the round of a proposer.
pub(crate) const CRASHES: [Guide; 15] = [
    Guide::Begin { node: 0 },
    Guide::Begin { node: 1 },
    deliver(Kind::Prepare, 0, 0, 2),
    deliver(Kind::Promise, 0, 2, 0),
    deliver(Kind::Prepare, 1, 1, 2),
    Guide::Restart { node: 2 },
    // The acceptor has promised a higher ballot.
    deliver(Kind::Accept, 0, 0, 2),
    deliver(Kind::Promise, 1, 2, 1),
    deliver(Kind::Accept, 1, 1, 2),
    Guide::Restart { node: 2 },
    Guide::Restart { node: 0 },
    // The proposer has begun a ballot before.
    Guide::Begin { node: 0 },
    // The acceptor has voted.
    deliver(Kind::Prepare, 2, 0, 2),
    deliver(Kind::Promise, 2, 2, 0),
    deliver(Kind::Accept, 2, 0, 2),
];

const fn deliver(kind: Kind, ballot: usize, from: usize, to: usize) -> Guide {
    Guide::Deliver { kind, ballot, from, to }
}

/// Takes the steps of a model that the subject offers, and returns them. Stops at a finding that ends the judgement.
pub(crate) fn follow(
    cluster: &mut Cluster,
    schedule: &[Guide],
    guided: &mut Guided,
    found: &mut Findings,
) -> Result<Schedule, BrokenAt> {
    let mut follower = Follower { walk: Walk::new(cluster), ballots: Vec::new(), found };
    guided.schedules += 1;
    for step in schedule {
        if follower.found.is_final() {
            break;
        }
        let taken = match *step {
            Guide::Begin { node } => follower.begin(node)?,
            Guide::Deliver { kind, ballot, from, to } => {
                let ballot = follower.ballots.get(ballot).cloned().flatten();
                match ballot {
                    Some(ballot) => follower.deliver(kind, &ballot, from, to)?,
                    None => false,
                }
            }
            Guide::Restart { node } => follower.restart(node)?,
        };
        *(if taken { &mut guided.taken } else { &mut guided.left_out }) += 1;
    }
    Ok(follower.walk.schedule)
}

struct Follower<'a> {
    walk: Walk<'a>,
    /// The ballots of the subject, in the order in which they began.
    ballots: Vec<Option<Ballot>>,
    found: &'a mut Findings,
}

impl Follower<'_> {
    fn named(&self, names: &[String], place: usize) -> Option<Node> {
        let name = names.get(place)?;
        (0..self.walk.cluster.nodes()).find(|node| **self.walk.cluster.name(*node) == **name)
    }

    fn acceptor(&self, place: usize) -> Option<Node> {
        self.named(&self.walk.cluster.rules.setup.acceptors, place)
    }

    fn proposer(&self, place: usize) -> Option<Node> {
        self.named(&self.walk.cluster.rules.setup.proposers, place)
    }

    /// Lets a client ask, or a timer fire, or both, until the proposer prepares.
    fn begin(&mut self, place: usize) -> Result<bool, BrokenAt> {
        let mut begun = None;
        for is_first in [true, false] {
            let Some(node) = self.proposer(place).filter(|_| begun.is_none()) else { break };
            let inputs = self.walk.own_inputs(node);
            let wish = inputs.iter().find(|it| matches!(it, Input::Propose(_)) && is_first);
            let input = wish.or_else(|| inputs.iter().find(|it| matches!(it, Input::Timer(_))));
            let Some(input) = input.copied() else { break };
            let sent = self.walk.take(node, input, self.found)?;
            let prepare = sent.iter().map(|id| &self.walk.cluster.message(*id).message);
            begun = prepare.filter(|it| it.kind == Kind::Prepare).find_map(|it| it.ballot.clone());
        }
        self.ballots.push(begun.clone());
        let Some(ballot) = begun else { return Ok(false) };
        // A node of the model promises its own ballot in place. Here it does so only if the messages leave it.
        self.deliver(Kind::Prepare, &ballot, place, place)?;
        self.deliver(Kind::Promise, &ballot, place, place)?;
        Ok(true)
    }

    fn deliver(
        &mut self,
        kind: Kind,
        ballot: &Ballot,
        from: usize,
        to: usize,
    ) -> Result<bool, BrokenAt> {
        let to_acceptor = matches!(kind, Kind::Prepare | Kind::Accept);
        let (sender, receiver) = if to_acceptor {
            (self.proposer(from), self.acceptor(to))
        } else {
            (self.acceptor(from), self.proposer(to))
        };
        let (Some(sender), Some(receiver)) = (sender, receiver) else { return Ok(false) };
        let sent = self.take(kind, ballot, sender, receiver)?;
        let Some(sent) = sent else { return Ok(false) };
        if kind == Kind::Accepted {
            for node in 0..self.walk.cluster.nodes() {
                if self.walk.cluster.only_learns(node) {
                    self.take(kind, ballot, sender, node)?;
                }
            }
        }
        // A leader of the model votes for its own proposal in place.
        let kinds = sent.iter().map(|id| self.walk.cluster.message(*id).message.kind);
        if !to_acceptor && kinds.into_iter().any(|it| it == Kind::Accept) {
            self.deliver(Kind::Accept, ballot, to, to)?;
            self.deliver(Kind::Accepted, ballot, to, to)?;
        }
        Ok(true)
    }

    /// Delivers a message, if it was sent. Returns the messages that follow.
    fn take(
        &mut self,
        kind: Kind,
        ballot: &Ballot,
        from: Node,
        to: Node,
    ) -> Result<Option<Vec<MessageId>>, BrokenAt> {
        let is_meant = |id: &MessageId| {
            let sent = self.walk.cluster.message(*id);
            (sent.from, sent.to, sent.message.kind) == (from, to, kind)
                && sent.message.ballot.as_ref() == Some(ballot)
                && self.walk.cluster.may_take(self.walk.state.locals[to], *id)
        };
        let meant = self.walk.state.messages.iter().copied().find(is_meant);
        meant.map(|id| self.walk.take(to, Input::Deliver(id), self.found)).transpose()
    }

    fn restart(&mut self, place: usize) -> Result<bool, BrokenAt> {
        let mut nodes: Vec<_> =
            self.acceptor(place).into_iter().chain(self.proposer(place)).collect();
        nodes.dedup();
        let mut taken = false;
        for node in nodes {
            if self.walk.own_inputs(node).contains(&Input::Restart) {
                self.walk.take(node, Input::Restart, self.found)?;
                taken = true;
            }
        }
        Ok(taken)
    }
}
