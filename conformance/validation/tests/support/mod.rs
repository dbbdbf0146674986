//! Recordings of simulated storms, which tests change or copy.

#![allow(dead_code, reason = "each test uses its part")]

use std::{collections::BTreeMap, fs, path::Path};

use paxos_node::typed::{Typed, TypedMachine, encode};
use paxos_recording::{
    Body, FrameWriter, RecordingOptions, StartRecording, files::StartId, starts,
};
use paxos_simulator::nodes::{Simulation, options};
use paxos_validation::{order::Validator, report::Report};
use serde::{Deserialize, Serialize};

/// Adds up the commands, and answers each with the sum.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Sum(u64);

impl TypedMachine for Sum {
    type Command = u64;
    type Answer = u64;

    fn apply(&mut self, command: u64) -> u64 {
        self.0 += command;
        self.0
    }
}

/// Records a storm in a directory. The same seed gives the same frames, except for the numbers that nodes draw.
pub(crate) fn record(seed: u64, nodes: u32, directory: &Path) {
    record_storm(seed, nodes, 150, directory);
}

/// Records a storm with this number of random events.
pub(crate) fn record_storm(seed: u64, nodes: u32, events: u32, directory: &Path) {
    let recording = RecordingOptions::new(directory).file_bytes_max(20_000);
    let options = options().recording(recording).build().expect("a node can work with them");
    let machine = || Typed::new(Sum::default());
    let mut simulation = Simulation::with_options(seed, nodes, options, machine);
    simulation.network.link.loss = 0.05;
    simulation.network.link.duplication = 0.05;
    simulation.stall = 0.01;
    simulation.storm(events, |number| encode::<Sum>(&number).expect("a number has bytes"));
    simulation.settle();
}

/// Validates the recordings in a directory.
pub(crate) fn validate(directory: &Path) -> Report {
    Validator::new(directory).finish(|_| ()).expect("the directory can be read")
}

/// The frames of each start.
pub(crate) type Run = BTreeMap<StartId, Vec<Body>>;

/// Reads all frames of a directory.
pub(crate) fn read(directory: &Path) -> Run {
    let starts = starts(directory).expect("there are recordings");
    let frames = starts.into_iter().map(|start| {
        let frames = StartRecording::new(directory, start);
        (start, frames.map(|frame| frame.expect("it is whole").body).collect())
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
