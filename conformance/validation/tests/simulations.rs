//! Simulated storms are recorded and validated: what the nodes do is what the model allows.

use std::{io::Read, path::Path, time::Duration};

use bytes::Bytes;
use paxos_node::{Frozen, Options, RestoreError, StateMachine};
use paxos_recording::RecordingOptions;
use paxos_simulator::nodes::Simulation;
use paxos_validation::{order::Validator, report::Report};
use verdict::Verdict;

/// Adds up the lengths of all commands.
#[derive(Default)]
struct Sum(u64);

impl StateMachine for Sum {
    type Answer = Bytes;

    fn apply(&mut self, command: &[u8]) -> Bytes {
        self.0 += command.len() as u64;
        Bytes::copy_from_slice(&self.0.to_le_bytes())
    }

    fn snapshot(&self) -> Frozen {
        let sum = self.0;
        Box::new(move |file| file.write_all(&sum.to_le_bytes()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        let mut bytes = [0; 8];
        snapshot.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

fn simulation(seed: u64, nodes: u32, directory: &Path) -> Simulation<Sum> {
    let options = Options::builder()
        .election_timeout(Duration::from_millis(150))
        .heartbeat(Duration::from_millis(20))
        .resend(Duration::from_millis(40))
        .request_timeout(Duration::from_secs(3))
        .snapshot_slots(20)
        .recording(RecordingOptions::new(directory).file_bytes_max(20_000))
        .build()
        .expect("options with which a node can work");
    Simulation::with_options(seed, nodes, options, Sum::default)
}

fn validate(directory: &Path) -> Report {
    Validator::new(directory).finish().expect("the directory can be read")
}

#[test]
fn storms_are_behaviours_of_the_model() {
    for seed in 0..20 {
        let directory = tempfile::tempdir().expect("a directory");
        let nodes = if seed % 4 == 3 { 5 } else { 3 };
        let mut simulation = simulation(seed, nodes, directory.path());
        simulation.network.link.loss = 0.05;
        simulation.network.link.duplication = 0.05;
        simulation.stall = 0.01;
        simulation.storm(150, |number| vec![0; number as usize % 10]);
        simulation.settle();
        drop(simulation);
        let report = validate(directory.path());
        println!("seed {seed}\n{report:#}");
        assert_eq!(report.verdict, Verdict::Holds, "seed {seed}\n{report}");
    }
}
