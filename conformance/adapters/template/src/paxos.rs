//! Single-decree Paxos with separate roles, after "Paxos Made Simple", section 2. Replace it with your implementation.
//!
//! Acceptors and proposers are numbered from 0. A method returns what its node sends, or `None` if it sends nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A round, and the number of the proposer that owns the ballot. Rounds begin with 1.
pub type Ballot = (u64, usize);

/// The value that an acceptor accepted, in the ballot of its vote.
pub type Vote = (Ballot, String);

/// An acceptor. All of it must be durable before its answer leaves.
#[derive(Default, Serialize, Deserialize)]
pub struct Acceptor {
    pub promised: Option<Ballot>,
    pub accepted: Option<Vote>,
}

impl Acceptor {
    /// Phase 1b: promises a ballot above all earlier ones, and reports the vote. Fails with the promise that forbids it.
    pub fn prepare(&mut self, ballot: Ballot) -> Result<Option<Vote>, Ballot> {
        match self.promised {
            Some(promised) if promised >= ballot => Err(promised),
            _ => {
                self.promised = Some(ballot);
                Ok(self.accepted.clone())
            }
        }
    }

    /// Phase 2b: votes, which also promises the ballot. Fails with the promise that forbids it.
    pub fn accept(&mut self, ballot: Ballot, value: String) -> Result<(), Ballot> {
        match self.promised {
            Some(promised) if promised > ballot => Err(promised),
            _ => {
                self.promised = Some(ballot);
                self.accepted = Some((ballot, value));
                Ok(())
            }
        }
    }
}

/// A proposer of one value. The round of its ballot must be durable before its Prepare message leaves.
#[derive(Serialize, Deserialize)]
pub struct Proposer {
    quorum: usize,
    /// No ballot above this one was begun by this proposer.
    pub ballot: Ballot,
    value: Option<String>,
    phase: Phase,
}

#[derive(Serialize, Deserialize)]
enum Phase {
    Idle,
    /// Phase 1: the acceptors that promised, each with its vote.
    Prepare(BTreeMap<usize, Option<Vote>>),
    /// Phase 2: the acceptors that accepted.
    Accept(BTreeSet<usize>),
    Done,
}

impl Proposer {
    /// Returns a proposer that began no ballot above this one before it restarted.
    pub fn new(quorum: usize, ballot: Ballot) -> Self {
        Self { quorum, ballot, value: None, phase: Phase::Idle }
    }

    /// Begins a ballot for a value, unless the proposer has a value already.
    pub fn propose(&mut self, value: String) -> Option<Ballot> {
        if self.value.is_some() {
            return None;
        }
        self.value = Some(value);
        Some(self.retry())
    }

    /// Phase 1a: begins the next ballot.
    pub fn retry(&mut self) -> Ballot {
        self.ballot.0 += 1;
        self.phase = Phase::Prepare(BTreeMap::new());
        self.ballot
    }

    /// Returns true if the proposer has a value and does not know that its ballot has succeeded.
    pub fn is_busy(&self) -> bool {
        self.value.is_some() && !matches!(self.phase, Phase::Done)
    }

    /// Phase 2a: with a quorum of promises, proposes the value of the highest vote, or its own if there is no vote.
    pub fn promise(&mut self, from: usize, ballot: Ballot, vote: Option<Vote>) -> Option<String> {
        let Phase::Prepare(promises) = &mut self.phase else { return None };
        if ballot != self.ballot {
            return None;
        }
        promises.insert(from, vote);
        if promises.len() < self.quorum {
            return None;
        }
        let highest = promises.values().flatten().max();
        let value = highest.map(|(_, value)| value.clone()).or(self.value.clone());
        self.phase = Phase::Accept(BTreeSet::new());
        value
    }

    /// Counts a vote. The proposer is done once a quorum has accepted.
    pub fn accepted(&mut self, from: usize, ballot: Ballot) {
        if let Phase::Accept(votes) = &mut self.phase
            && ballot == self.ballot
        {
            votes.insert(from);
            if votes.len() >= self.quorum {
                self.phase = Phase::Done;
            }
        }
    }

    /// Abandons the present ballot if an acceptor has promised a higher one. The next ballot is above that one.
    pub fn nack(&mut self, promised: Ballot) {
        if promised > self.ballot && self.is_busy() {
            self.ballot.0 = promised.0;
            self.phase = Phase::Idle;
        }
    }
}

/// A learner.
#[derive(Serialize, Deserialize)]
pub struct Learner {
    quorum: usize,
    votes: BTreeSet<(Ballot, usize)>,
    pub decided: Option<String>,
}

impl Learner {
    pub fn new(quorum: usize) -> Self {
        Self { quorum, votes: BTreeSet::new(), decided: None }
    }

    /// Counts a vote. The value is decided once a quorum has accepted it in one ballot.
    pub fn accepted(&mut self, from: usize, ballot: Ballot, value: String) {
        self.votes.insert((ballot, from));
        let votes = self.votes.iter().filter(|vote| vote.0 == ballot).count();
        if votes >= self.quorum {
            self.decided.get_or_insert(value);
        }
    }
}
