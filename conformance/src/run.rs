//! A simulated cluster of production nodes that records, and the validation of its recordings.
//!
//! The nodes run the production driver in virtual time, over a network that loses and repeats messages, and on disks that stall
//! and lose what is not synced. A simulation has no TCP and no real disk; the storms of real processes are recorded and
//! validated by the tests of the command `paxos`.

use std::io;

use paxos_node::typed::{Typed, TypedMachine, encode};
use paxos_recording::RecordingOptions;
use paxos_simulator::nodes::{Simulation, options};
use paxos_validation::{order::Validator, report::Report};
use serde::{Deserialize, Serialize};

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

/// Adds up the commands, and answers each with the sum.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Sum(u64);

impl TypedMachine for Sum {
    type Command = u64;
    type Answer = u64;

    fn apply(&mut self, command: u64) -> u64 {
        self.0 += command;
        self.0
    }
}

impl Run {
    /// Records the run in a temporary directory, and validates the recordings.
    ///
    /// # Errors
    /// The directory cannot be created or read.
    pub(crate) fn validate(self) -> io::Result<Report> {
        let directory = tempfile::tempdir()?;
        let options = options().recording(RecordingOptions::new(directory.path()));
        let options = options.build().expect("options with which a node can work");
        let machine = || Typed::new(Sum::default());
        let mut simulation = Simulation::with_options(self.seed, self.nodes, options, machine);
        simulation.network.link.loss = 0.05;
        simulation.network.link.duplication = 0.05;
        simulation.stall = 0.01;
        simulation.storm(EVENTS, |number| encode::<Sum>(&number).expect("a number has bytes"));
        simulation.settle();
        drop(simulation);
        Validator::new(directory.path()).finish(|_| ()).map_err(io::Error::other)
    }
}
