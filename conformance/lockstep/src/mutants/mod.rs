//! Mutants: the production replica with one bug of the catalogue.
//!
//! The production code stays as it is. A mutant changes the events that go into the replica, the output that comes out, the
//! messages that leave early, or the records that it recovers from. From outside it behaves as if the bug were in the
//! code. The modules `steps` and `snapshots_and_reads` have the functions for the bugs.

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

/// The replica under test: the production replica, or a mutant of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TestedReplica {
    replica: Replica,
    mutant: Option<Bug>,
    /// The last ballot that was promised without a vote in it. Only [`Bug::AcceptDoesNotPromise`] uses it.
    prepared: Option<Ballot>,
    /// All proposals so far. Only [`Bug::MatchesByValue`] fills it, because an Accepted message does not name the value.
    proposed: Vec<(Ballot, Slot, Value)>,
}

impl TestedReplica {
    /// Returns a replica that has taken no step.
    ///
    /// # Errors
    /// Fails if the configuration cannot work.
    pub fn new(config: Config, mutant: Option<Bug>) -> Result<Self, ConfigError> {
        Ok(Self { replica: Replica::new(config)?, mutant, prepared: None, proposed: Vec::new() })
    }

    /// Returns a production replica, in any state, as a mutant of it. Of earlier steps, a mutant then remembers nothing.
    pub fn of(replica: Replica, mutant: Bug) -> Self {
        Self { replica, mutant: Some(mutant), prepared: None, proposed: Vec::new() }
    }

    /// Returns the production replica.
    pub fn into_production(self) -> Replica {
        self.replica
    }

    /// Returns the replica that recovers from these records after a crash.
    ///
    /// # Errors
    /// Fails if the records cannot be the replica's own.
    pub fn recover(&self, config: Config, mut records: Vec<Record>) -> Result<Self, RecoverError> {
        match self.mutant {
            Some(Bug::ReusesBallot) => steps::forget_own_promise(config.id, &mut records),
            Some(Bug::UnreadableIsEmpty) => records.clear(),
            _ => {}
        }
        let replica = Replica::recover(config, records)?;
        Ok(Self { replica, ..self.clone() })
    }

    /// Hashes every field but one: in a space without reads, the barrier of a leader is left out, because nothing depends on
    /// it there.
    pub(crate) fn hash_fields(&self, reads: bool, hasher: &mut impl Hasher) {
        let Parts { config, acceptor, role, learner } = self.replica.parts();
        (config, acceptor, learner, self.mutant, self.prepared, &self.proposed).hash(hasher);
        match role {
            Role::Leader(leader) if !reads => {
                let Leader { tally, reader } = leader;
                let Reader { barrier: _, round, heard, index, asked, waiting } = reader;
                (tally, round, heard, index, asked, waiting).hash(hasher);
            }
            role => role.hash(hasher),
        }
    }

    /// The production replica.
    pub fn production(&self) -> &Replica {
        &self.replica
    }

    /// The parts of the production replica.
    pub fn parts(&self) -> Parts<'_> {
        self.replica.parts()
    }

    /// Takes a step.
    pub fn step(&mut self, event: Event, output: &mut Output) {
        match self.mutant {
            None => self.replica.step(event, output),
            Some(bug) => self.mutated_step(bug, event, output),
        }
    }

    /// Removes and returns the messages of `output` that may leave before its records are durable.
    pub fn take_early(&self, output: &mut Output) -> Vec<Envelope> {
        match self.mutant {
            Some(Bug::ProposesTooEarly) => steps::take_proposals(output),
            Some(Bug::CountsOwnVoteEarly) => steps::take_with_own_vote(output),
            _ => output.take_early().collect(),
        }
    }
}
