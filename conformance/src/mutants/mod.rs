//! The production replica, and ways to break it on purpose.
//!
//! The production code stays as it is. What goes into it, what comes out of it and when, and what it is built
//! from again is changed, so that from outside it behaves as if the bug were in it.

mod snapshots_and_reads;
mod steps;

use std::hash::{Hash, Hasher};

use paxos::{
    Ballot, Config, ConfigError, Envelope, Event, Output, Record, RecoverError, Replica, Slot,
    Value,
    protocol::{
        Parts,
        proposer::{Leader, Role},
        reader::Reader,
    },
};
use paxos_model::cluster::Bug;

/// A production replica, broken or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TestedReplica {
    replica: Replica,
    bug: Option<Bug>,
    /// What was promised other than by a vote; kept for [`Bug::AcceptDoesNotPromise`] alone.
    prepared: Option<Ballot>,
    /// What it ever proposed; kept for [`Bug::MatchesByValue`] alone, since votes do not name their value.
    proposed: Vec<(Ballot, Slot, Value)>,
}

impl TestedReplica {
    /// A replica that has never run.
    ///
    /// # Errors
    /// A configuration that cannot work.
    pub fn new(config: Config, bug: Option<Bug>) -> Result<Self, ConfigError> {
        Ok(Self { replica: Replica::new(config)?, bug, prepared: None, proposed: Vec::new() })
    }

    /// The replica after a crash.
    ///
    /// # Errors
    /// Records that cannot be its own.
    pub fn recover(&self, config: Config, mut records: Vec<Record>) -> Result<Self, RecoverError> {
        match self.bug {
            Some(Bug::ReusesBallot) => steps::forget_own_promise(config.id, &mut records),
            Some(Bug::UnreadableIsEmpty) => records.clear(),
            _ => {}
        }
        let replica = Replica::recover(config, records)?;
        Ok(Self { replica, ..self.clone() })
    }

    /// Hashes every field of it. Where nobody reads, nothing depends on a leader's barrier, and it is left
    /// out: the model does not have it there.
    pub(crate) fn hash_fields(&self, reads: bool, hasher: &mut impl Hasher) {
        let Parts { config, acceptor, role, learner } = self.replica.parts();
        (config, acceptor, learner, self.bug, self.prepared, &self.proposed).hash(hasher);
        match role {
            Role::Leader(leader) if !reads => {
                let Leader { first, votes, reader } = leader;
                let Reader { barrier: _, round, heard, index, asked, waiting } = reader;
                (first, votes, round, heard, index, asked, waiting).hash(hasher);
            }
            role => role.hash(hasher),
        }
    }

    /// The replica, to be looked at.
    pub fn production(&self) -> &Replica {
        &self.replica
    }

    /// The parts of the production replica.
    pub fn parts(&self) -> Parts<'_> {
        self.replica.parts()
    }

    /// Takes a step.
    pub fn step(&mut self, event: Event, output: &mut Output) {
        match self.bug {
            None => self.replica.step(event, output),
            Some(bug) => self.misstep(bug, event, output),
        }
    }

    /// Takes out what leaves before the records are durable.
    pub fn take_early(&self, output: &mut Output) -> Vec<Envelope> {
        match self.bug {
            Some(Bug::ProposesTooEarly) => steps::take_proposals(output),
            Some(Bug::CountsOwnVoteEarly) => steps::take_with_own_vote(output),
            _ => output.take_early().collect(),
        }
    }
}
