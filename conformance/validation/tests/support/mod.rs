//! Recordings of simulated storms, which tests change.

use std::{collections::BTreeMap, fs, io::Read, path::Path, time::Duration};

use bytes::Bytes;
use paxos_node::{Frozen, Options, RestoreError, StateMachine};
use paxos_recording::{Body, Directory, FrameWriter, RecordingOptions, files::StartId};
use paxos_simulator::nodes::Simulation;
use paxos_validation::{order::Validator, report::Report};

/// Adds up the lengths of all commands.
#[derive(Default)]
pub(crate) struct Sum(u64);

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

/// Returns the options of nodes that record in a directory, and to which much happens in little time.
pub(crate) fn options(directory: &Path) -> Options {
    Options::builder()
        .election_timeout(Duration::from_millis(150))
        .heartbeat(Duration::from_millis(20))
        .resend(Duration::from_millis(40))
        .request_timeout(Duration::from_secs(3))
        .snapshot_slots(20)
        .recording(RecordingOptions::new(directory).file_bytes_max(20_000))
        .build()
        .expect("options with which a node can work")
}

/// Records a storm in a directory. The same seed gives the same frames, except for the numbers that nodes draw.
pub(crate) fn record(seed: u64, nodes: u32, directory: &Path) {
    let mut simulation = Simulation::with_options(seed, nodes, options(directory), Sum::default);
    simulation.network.link.loss = 0.05;
    simulation.network.link.duplication = 0.05;
    simulation.stall = 0.01;
    simulation.storm(150, |number| vec![0; number as usize % 10]);
    simulation.settle();
}

/// Validates the recordings in a directory.
pub(crate) fn validate(directory: &Path) -> Report {
    Validator::new(directory).finish().expect("the directory can be read")
}

/// The frames of each start.
pub(crate) type Run = BTreeMap<StartId, Vec<Body>>;

/// Reads all frames of a directory.
pub(crate) fn read(directory: &Path) -> Run {
    let starts = Directory::read(directory).expect("there are recordings");
    let frames = starts.iter().map(|start| {
        let frames = start.frames().map(|frame| frame.expect("it is whole").body);
        (start.start(), frames.collect())
    });
    frames.collect()
}

/// Writes frames as if the nodes had recorded them so. The chain is whole.
pub(crate) fn write(run: &Run, directory: &Path) {
    let _ = fs::remove_dir_all(directory);
    for (start, frames) in run {
        let options = RecordingOptions::new(directory);
        let mut writer = FrameWriter::create(options, *start).expect("a new file");
        for body in frames {
            writer.push(body);
        }
        writer.flush().expect("there is room");
    }
}
