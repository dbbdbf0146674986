//! Explores the state space of `spin/paxos.pml` with Spin.
//!
//! Spin writes a verifier in C, `pan`, which is compiled for one number of ballots and then run. Dropping the [`Pan`]
//! removes its directory. [`COMPILE`] and [`Pan::run`] have the options that make Spin exact and fast. `RESULTS.md`
//! has the reasons for them.

use std::{fs, io, process::Command, time::Duration};

use tempfile::TempDir;

use crate::process::{self, Measured, ProcessError};

/// The model in Promela.
const PROMELA: &str = include_str!("../spin/paxos.pml");

/// The options with which `pan.c` is compiled. The verifier then visits each state once and stores it exactly: without
/// hash compaction or bit states, which lose states, and without partial-order reduction, which omits states.
pub const COMPILE: [&str; 6] = ["-O3", "-w", "-DSAFETY", "-DNOREDUCE", "-DNOFAIR", "-DMEMLIM=8000"];

/// The greatest number of ballots that the model supports.
pub const MOST_BALLOTS: u8 = 4;

/// The time limit for Spin and for the compiler.
const BUILD_LIMIT: Duration = Duration::from_mins(2);

/// The variant of the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variant {
    /// Lamport's Paxos.
    Correct,
    /// Proposers ignore the votes that promises report.
    Bug,
}

/// A compiled verifier for one number of ballots.
#[derive(Debug)]
pub struct Pan {
    directory: TempDir,
    ballots: u8,
}

/// The report of a verifier, and its cost.
#[derive(Debug)]
pub struct Report {
    /// The number of distinct states, all of them stored.
    pub states: u64,
    /// The number of steps that change the state.
    pub transitions: u64,
    /// True if each reachable state was visited.
    pub complete: bool,
    /// The violated assertion, in Spin's words.
    pub violated: Option<String>,
    /// The measurement of the process.
    pub measured: Measured,
}

/// The reason for which there is no report.
#[derive(Debug, thiserror::Error)]
pub enum SpinError {
    /// Spin, or the C compiler that it needs, is not installed.
    #[error("{0} is not installed; with Debian or Ubuntu: apt-get install spin gcc")]
    Missing(&'static str),
    /// A program could not be run to its end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The directory for the build could not be written.
    #[error("the directory to build pan in cannot be written: {0}")]
    Place(#[from] io::Error),
    /// A program failed, or its output is not as expected.
    #[error("{program} failed, or printed unexpected output:\n{stdout}")]
    Unexpected {
        /// The program.
        program: &'static str,
        /// Its standard output.
        stdout: String,
    },
}

impl Pan {
    /// Builds a verifier.
    ///
    /// # Errors
    /// Fails if Spin or gcc is missing, or if one of them fails.
    pub fn build(ballots: u8, variant: Variant) -> Result<Self, SpinError> {
        let directory = tempfile::Builder::new().prefix("paxos-spin-").tempdir()?;
        fs::write(directory.path().join("paxos.pml"), PROMELA)?;
        let tool = |program: &'static str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(&directory);
            match process::run(&mut command, BUILD_LIMIT) {
                Ok(Measured { status, .. }) if status.success() => Ok(()),
                Ok(Measured { stdout, .. }) => Err(SpinError::Unexpected { program, stdout }),
                Err(error) if error.is_missing() => Err(SpinError::Missing(program)),
                Err(error) => Err(error.into()),
            }
        };
        // Spin calls gcc itself, and reports a missing gcc badly. So gcc is checked first.
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

    /// Visits all states, or the states up to the first violation.
    ///
    /// # Errors
    /// Fails if the verifier does not end in time, or if its report cannot be read.
    pub fn run(&self, limit: Duration) -> Result<Report, SpinError> {
        let mut command = Command::new(self.directory.path().join("pan"));
        // A path sends each message at most once, and there are 8 for each ballot, so its length is below 100. The hash
        // table has 2^w entries. For four ballots, eight entries for each state are fastest. Fewer ballots need fewer.
        let table = if self.ballots < MOST_BALLOTS { "-w20" } else { "-w26" };
        command.args(["-m100", table]).current_dir(&self.directory);
        let measured = process::run(&mut command, limit)?;
        Report::read(measured).map_err(|stdout| SpinError::Unexpected { program: "pan", stdout })
    }
}

impl Report {
    /// Parses the output of `pan`, or returns the output if that is not possible.
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
            // The model checks assertions only, so any other error is unexpected.
            (Some(states), Some(transitions), Some(errors))
                if (errors > 0) == violated.is_some() && measured.status.success() =>
            {
                Ok(Self {
                    states,
                    // Spin also counts a transition into the initial state.
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
