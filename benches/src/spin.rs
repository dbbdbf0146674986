//! Spin on the same state space: `spin/paxos.pml`, as the program that Spin makes of it.
//!
//! Spin writes a verifier in C, `pan`, which is compiled for one number of ballots and then run. Both
//! happen in a directory that is removed with the [`Pan`]. How Spin is told to be exact and fast is said
//! by [`COMPILE`] and [`Pan::run`], and why in `RESULTS.md`.

use std::{fs, io, process::Command, time::Duration};

use tempfile::TempDir;

use crate::process::{self, Measured, ProcessError};

/// The model.
const PROMELA: &str = include_str!("../spin/paxos.pml");

/// The options that `pan.c` is compiled with, so that it visits every state once and keeps it whole:
/// neither hash compaction nor a bit per state, which lose states, nor partial-order reduction, which
/// leaves states out.
pub const COMPILE: [&str; 6] = ["-O3", "-w", "-DSAFETY", "-DNOREDUCE", "-DNOFAIR", "-DMEMLIM=8000"];

/// The most ballots that the model has steps for.
pub const MOST_BALLOTS: u8 = 4;

/// How long Spin or the compiler may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Which model to build.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variant {
    /// Lamport's Paxos.
    Correct,
    /// Proposers ignore what promises report.
    Bug,
}

/// A verifier, built for some number of ballots.
#[derive(Debug)]
pub struct Pan {
    directory: TempDir,
    ballots: u8,
}

/// What a verifier said, and what it took.
#[derive(Debug)]
pub struct Report {
    /// Distinct states, all of them stored.
    pub states: u64,
    /// Steps that change something.
    pub transitions: u64,
    /// Whether every reachable state was visited.
    pub complete: bool,
    /// The violated assertion, as Spin has it.
    pub violated: Option<String>,
    /// What it took.
    pub measured: Measured,
}

/// Why there is nothing to compare with.
#[derive(Debug, thiserror::Error)]
pub enum SpinError {
    /// Spin or the C compiler it needs is not here.
    #[error("{0} is not installed; with Debian or Ubuntu: apt-get install spin gcc")]
    Missing(&'static str),
    /// A program was not run to its end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// There is no place to build it.
    #[error("no place to build pan: {0}")]
    Place(#[from] io::Error),
    /// A program failed, or said what nobody expects.
    #[error("{program} did not do what was asked:\n{stdout}")]
    Unexpected {
        /// Which program.
        program: &'static str,
        /// What it said.
        stdout: String,
    },
}

impl Pan {
    /// Builds a verifier.
    ///
    /// # Errors
    /// If Spin or gcc is missing, or does not do it.
    pub fn build(ballots: u8, variant: Variant) -> Result<Self, SpinError> {
        let directory = tempfile::Builder::new().prefix("paxos-spin-").tempdir()?;
        fs::write(directory.path().join("paxos.pml"), PROMELA)?;
        let tool = |program: &'static str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(&directory);
            match process::run(&mut command, PATIENCE) {
                Ok(Measured { status, .. }) if status.success() => Ok(()),
                Ok(Measured { stdout, .. }) => Err(SpinError::Unexpected { program, stdout }),
                Err(error) if error.is_missing() => Err(SpinError::Missing(program)),
                Err(error) => Err(error.into()),
            }
        };
        // Spin calls gcc, too, and does not say it well if that is not here.
        tool("gcc", &["--version"])?;
        let bound = format!("-DB={ballots}");
        let mut arguments = vec!["-a", bound.as_str()];
        if variant == Variant::Bug {
            arguments.push("-DBUG");
        }
        arguments.push("paxos.pml");
        tool("spin", &arguments)?;
        tool("gcc", &[&COMPILE[..], &["-o", "pan", "pan.c"]].concat())?;
        Ok(Self { directory, ballots })
    }

    /// Visits all states, or those up to the first violation.
    ///
    /// # Errors
    /// If it does not end in time, or does not report in the words of Spin.
    pub fn run(&self, limit: Duration) -> Result<Report, SpinError> {
        let mut command = Command::new(self.directory.path().join("pan"));
        // No path is longer than the messages that are sent, 8 a ballot. The hash table has 2^w places: eight
        // times the states for four ballots, which is the fastest, and no more than needed below that.
        let places = if self.ballots < MOST_BALLOTS { "-w20" } else { "-w26" };
        command.args(["-m100", places]).current_dir(&self.directory);
        let measured = process::run(&mut command, limit)?;
        Report::read(measured).map_err(|stdout| SpinError::Unexpected { program: "pan", stdout })
    }
}

impl Report {
    /// Reads what `pan` prints, or gives it back.
    fn read(measured: Measured) -> Result<Self, String> {
        let text = &measured.stdout;
        let number = |what: &str| {
            let line = text.lines().find_map(|line| line.split_once(what))?;
            line.0.trim().parse::<u64>().ok()
        };
        let errors = text.lines().find_map(|line| line.split_once("errors: "));
        let errors = errors.and_then(|(_, count)| count.trim().parse::<u64>().ok());
        let violated = text.lines().find(|line| line.contains("assertion violated"));
        let complete =
            !["not completed", "search depth too small", "out of memory", "reached -DMEMLIM"]
                .iter()
                .any(|sign| text.contains(sign));
        let counts = (number(" states, stored"), number(" transitions (="), errors);
        match counts {
            // An error that is no assertion is one of the model: nothing else is looked for.
            (Some(states), Some(transitions), Some(errors))
                if (errors > 0) == violated.is_some() && measured.status.success() =>
            {
                Ok(Self {
                    states,
                    // Spin counts the arrival in the initial state as well.
                    transitions: transitions - 1,
                    complete,
                    violated: violated.map(str::to_owned),
                    measured,
                })
            }
            _ => Err(measured.stdout),
        }
    }
}
