//! The production replica, and ways to break it on purpose.

use paxos::{Config, ConfigError, Event, Output, Record, RecoverError, Replica};
use paxos_model::cluster::Bug;

/// A production replica, broken or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    replica: Replica,
    bug: Option<Bug>,
}

impl Subject {
    /// A replica that has never run.
    ///
    /// # Errors
    /// A configuration that cannot work.
    pub fn new(config: Config, bug: Option<Bug>) -> Result<Self, ConfigError> {
        Ok(Self { replica: Replica::new(config)?, bug })
    }

    /// The replica after a crash.
    ///
    /// # Errors
    /// Records that cannot be its own.
    pub fn recover(&self, config: Config, records: Vec<Record>) -> Result<Self, RecoverError> {
        Ok(Self { replica: Replica::recover(config, records)?, bug: self.bug })
    }

    /// The replica, to be looked at.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Takes a step.
    pub fn step(&mut self, event: Event, output: &mut Output) {
        self.replica.step(event, output);
    }
}
