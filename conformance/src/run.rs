//! A simulated cluster of production nodes that records, and the validation of its recordings.
//!
//! The nodes run the production driver in virtual time, over a network that loses and repeats messages, and on disks that stall
//! and lose what is not synced. A simulation has no TCP and no real disk; the storms of real processes are recorded and
//! validated by the tests of the command `paxos`.

use std::{
    io::{self, Read},
    time::Duration,
};

use bytes::Bytes;
use paxos_node::{Frozen, Options, RestoreError, StateMachine};
use paxos_recording::RecordingOptions;
use paxos_simulator::nodes::Simulation;
use paxos_validation::{order::Validator, report::Report};

/// The number of random events in a run.
const EVENTS: u32 = 150;

/// A run of a cluster. The seed decides about all faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The number of nodes.
    pub nodes: u32,
    /// The seed of the simulation.
    pub seed: u64,
}

/// Answers each command with the number of bytes of all commands so far.
#[derive(Default)]
struct Length(u64);

impl StateMachine for Length {
    type Answer = Bytes;

    fn apply(&mut self, command: &[u8]) -> Bytes {
        self.0 += command.len() as u64;
        Bytes::copy_from_slice(&self.0.to_le_bytes())
    }

    fn snapshot(&self) -> Frozen {
        let length = self.0;
        Box::new(move |file| file.write_all(&length.to_le_bytes()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        let mut bytes = [0; 8];
        snapshot.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

impl Run {
    /// Records the run in a temporary directory, and validates the recordings.
    ///
    /// # Errors
    /// The directory cannot be created or read.
    pub(crate) fn validate(self) -> io::Result<Report> {
        let directory = tempfile::tempdir()?;
        let options = Options::builder()
            .election_timeout(Duration::from_millis(150))
            .heartbeat(Duration::from_millis(20))
            .resend(Duration::from_millis(40))
            .request_timeout(Duration::from_secs(3))
            .snapshot_slots(20)
            .recording(RecordingOptions::new(directory.path()));
        let options = options.build().expect("options with which a node can work");
        let mut simulation =
            Simulation::with_options(self.seed, self.nodes, options, Length::default);
        simulation.network.link.loss = 0.05;
        simulation.network.link.duplication = 0.05;
        simulation.stall = 0.01;
        simulation.storm(EVENTS, |number| vec![0; number as usize % 10]);
        simulation.settle();
        drop(simulation);
        Validator::new(directory.path()).finish().map_err(io::Error::other)
    }
}
