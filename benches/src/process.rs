//! A child process, bounded and measured as a whole.
//!
//! CPU time is what the child and the children it waited for took, in user and in system mode. It is
//! not wall time, so other work on the machine makes it worse only as far as it takes the caches. Peak
//! memory is that of the whole process, not of what some allocator counts; it is never less than what
//! the process that measures had itself, a few megabytes.

use std::{
    io::{self, Read as _},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use wait4::Wait4 as _;

/// What came of a child process, and what it took.
#[derive(Debug)]
pub struct Measured {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// How long it had a processor, together with its children.
    pub cpu: Duration,
    /// The most memory it had at a time, in bytes.
    pub peak: u64,
}

/// Why there is nothing to measure.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("{program} cannot be started: {error}")]
    Start {
        /// Which program.
        program: String,
        /// Why not.
        error: io::Error,
    },
    /// It took too long, and was killed.
    #[error("{program} was not done after {} seconds", limit.as_secs())]
    TooLong {
        /// Which program.
        program: String,
        /// How long it had.
        limit: Duration,
    },
    /// It was started, and then lost.
    #[error("{program} could not be followed to its end: {error}")]
    Lost {
        /// Which program.
        program: String,
        /// Why.
        error: io::Error,
    },
}

impl ProcessError {
    /// Whether the program is not installed at all.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Start { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Runs a child to its end, or kills it when it is still writing or silent after `limit`. What it
/// complains about on standard error is passed on.
///
/// # Errors
/// If it cannot be started, or is not done in time. That it failed is no error here.
pub fn run(command: &mut Command, limit: Duration) -> Result<Measured, ProcessError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let lost = |error| ProcessError::Lost { program: program.clone(), error };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| ProcessError::Start { program: program.clone(), error })?;

    // A child that ends closes its output, so to wait for that is to wait for the child, and this wait
    // can be bounded. The thread ends with the child as well.
    let mut output = child.stdout.take().expect("it is piped");
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        let mut stdout = String::new();
        let read = output.read_to_string(&mut stdout).map(|_| stdout);
        // Nobody listens any more if it took too long.
        let _ = done.send(read);
    });
    let read = wait.recv_timeout(limit);
    if read.is_err() {
        child.kill().map_err(lost)?;
    }
    // Not `Child::wait`, which reaps the child and forgets what it took.
    let end = child.wait4().map_err(lost)?;
    let Ok(stdout) = read else { return Err(ProcessError::TooLong { program, limit }) };
    Ok(Measured {
        status: end.status,
        stdout: stdout.map_err(lost)?,
        cpu: end.rusage.utime + end.rusage.stime,
        peak: end.rusage.maxrss,
    })
}
