//! `paxos vote`: clients ask for different values, and a simulated cluster chooses one.
//!
//! The command runs production replicas in virtual time, in one thread. Their disks and their network are simulated.
//!
//! # Modules, in reading order
//!
//! - `input`, `scenario`: the syntax of arguments, and the checks of all arguments together.
//! - `faults`: the planned crashes and partitions.
//! - `simulation`, `happening`: the simulation, and the events that it reports.
//! - `rows`, `picture`, `verdict`: the output, the diagram and the outcome.

mod faults;
mod happening;
mod input;
mod picture;
mod rows;
mod scenario;
mod simulation;
mod verdict;

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use thiserror::Error;

use self::{
    input::{Choice, Probability},
    picture::Picture,
    rows::Rows,
    scenario::{Delay, Scenario},
};
use crate::complain;
use crate::vote::faults::{Crash, Partition};

/// Simulate one decision: clients ask for different values, and replicas in one process choose one over an
/// unreliable network
///
/// Prints each message when it arrives or is lost. The last line is the outcome. Time is virtual: the same
/// arguments and seed give the same output, byte for byte.
///
/// Exit codes: 0 a node learned the chosen value, 1 a defect of the protocol let nodes disagree, 2 bad input or output, 3 no
/// node learned a value.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  paxos vote A=1 B=2 C=3
  paxos vote A=1 B=2 C=3 --loss 0.3 --duplicate 0.3 --corrupt 0.1 --seed 7 --diagram run.svg
  paxos vote A=tea B=coffee --nodes 5 --crash 1@20..300 --partition 1,2/3,4,5@50..200")]
pub(crate) struct Args {
    /// The clients and the values that they ask for; the first client asks node 1, the second node 2, and so on
    #[arg(required = true, value_name = "CLIENT=VALUE")]
    choices: Vec<Choice>,
    /// The number of nodes; their names are 1, 2, ...
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=paxos::config::NODES_MAX as i64))]
    nodes: u32,
    /// The probability that a message is lost
    #[arg(long, default_value_t, value_name = "P", allow_negative_numbers = true)]
    loss: Probability,
    /// The probability that a message arrives twice
    #[arg(long, default_value_t, value_name = "P", allow_negative_numbers = true)]
    duplicate: Probability,
    /// The probability that bits of a message flip; the receiver detects the damage and drops the message
    #[arg(long, default_value_t, value_name = "P", allow_negative_numbers = true)]
    corrupt: Probability,
    /// The delay of a message in ms: a range, or one number
    #[arg(long, default_value = "1..20", value_name = "LEAST..MOST")]
    delay: Delay,
    /// A time span, in ms, in which a node is down. The node keeps its records. Without `..UNTIL` the node stays down.
    /// Without FROM it is down from the start, as in `1@..300`. May be repeated
    #[arg(long = "crash", value_name = "NODE@FROM..UNTIL")]
    crashes: Vec<Crash>,
    /// Groups of nodes that cannot reach each other for a time, as in `1,2/3,4@100..400`. The nodes that are not
    /// named form one more group. Times are as for --crash. May be repeated
    #[arg(long = "partition", value_name = "GROUPS@FROM..UNTIL")]
    partitions: Vec<Partition>,
    /// The seed of all random decisions
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The virtual time after which the run gives up, in ms
    #[arg(long, default_value_t = 60_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=input::MS_MAX))]
    limit_ms: u64,
    /// Write the run as a space-time diagram: a lane per node, an arrow per message
    #[arg(long, visible_alias = "svg", value_name = "FILE.svg")]
    diagram: Option<PathBuf>,
    /// Write the run as a Mermaid sequence diagram; GitHub and similar sites draw it in documents
    #[arg(long, value_name = "FILE.mmd")]
    mermaid: Option<PathBuf>,
    /// Print one JSON object with the outcome, and nothing else
    #[arg(long)]
    json: bool,
}

/// A diagram or the output could not be written.
#[derive(Debug, Error)]
enum WriteError {
    #[error(
        "the diagram cannot be written to `{path}`: {error}; name a file in a folder that exists and can be written to"
    )]
    Diagram { path: PathBuf, error: io::Error },
    #[error("standard output cannot be written to: {0}")]
    Stdout(io::Error),
}

/// Runs the simulation and returns the exit code.
pub(crate) fn main(args: Args) -> ExitCode {
    run(args).unwrap_or_else(|error| {
        complain(format_args!("error: {error}"));
        ExitCode::from(2)
    })
}

fn run(args: Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let Args { diagram, mermaid, json, .. } = &args;
    let (diagram, mermaid, json) = (diagram.clone(), mermaid.clone(), *json);
    let scenario = Scenario::try_from(args)?;
    // The files are checked before the simulation, so that the command does not simulate a run that it cannot draw.
    let svg = diagram.map(DiagramFile::check).transpose()?;
    let mermaid = mermaid.map(DiagramFile::check).transpose()?;

    let mut rows = Rows::new(&scenario, io::BufWriter::new(io::stdout().lock()), !json);
    let mut picture = Picture::new(&scenario);
    rows.heading();
    let verdict = simulation::run(&scenario, &mut |at, happening| {
        rows.see(at, happening);
        picture.see(at, happening);
    });
    if json {
        rows.line(&verdict.json(&scenario));
    } else {
        rows.line("");
        rows.line(&verdict.statement(&scenario));
    }
    rows.finish().map_err(WriteError::Stdout)?;
    let diagram = picture.finish(&verdict);
    if let Some(file) = svg {
        file.write(&diagram.svg())?;
    }
    if let Some(file) = mermaid {
        file.write(&diagram.mermaid())?;
    }
    Ok(ExitCode::from(verdict.exit_code()))
}

/// A file for a diagram, checked to be writable.
struct DiagramFile {
    path: PathBuf,
}

impl DiagramFile {
    /// Checks that the file can be written. Leaves an existing file unchanged. Creates a missing file, and removes it again.
    fn check(path: PathBuf) -> Result<Self, WriteError> {
        match try_to_write(&path) {
            Ok(()) => Ok(Self { path }),
            Err(error) => Err(WriteError::Diagram { path, error }),
        }
    }

    /// Writes the file. If the write fails, removes the file unless it existed before.
    fn write(self, text: &str) -> Result<(), WriteError> {
        let Self { path } = self;
        let new = !path.exists();
        fs::write(&path, text).map_err(|error| {
            if new {
                // If the file cannot be removed either, the first error is the one to report.
                let _ = fs::remove_file(&path);
            }
            WriteError::Diagram { path, error }
        })
    }
}

fn try_to_write(path: &Path) -> io::Result<()> {
    match path.metadata() {
        // Pipes and devices are not opened, because opening a pipe waits for a reader.
        Ok(there) if !there.is_file() && !there.is_dir() => Ok(()),
        Ok(_) => OpenOptions::new().append(true).open(path).map(drop),
        Err(_) => {
            File::create_new(path)?;
            fs::remove_file(path)
        }
    }
}
