//! Runs a child process with a time limit, and measures it as a whole.
//!
//! CPU time is the user and system time of the child and of the children that it waited for. Other work on the machine
//! affects CPU time only through shared caches. Peak memory is the greatest resident memory of the whole process. It is
//! never less than that of the measuring process, a few megabytes.

use std::{
    io::{self, Read as _},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use wait4::Wait4 as _;

/// The result of a child process, and its cost.
#[derive(Debug)]
pub struct Measured {
    /// The exit status of the child.
    pub status: ExitStatus,
    /// The standard output of the child.
    pub stdout: String,
    /// The processor time of the child and its children.
    pub cpu: Duration,
    /// The peak of the memory, in bytes.
    pub peak: u64,
}

/// The reason for which a program could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program could not be started.
    #[error("{program} cannot be started: {error}")]
    Start {
        /// The program.
        program: String,
        /// The error of the system.
        error: io::Error,
    },
    /// The program was not done within the time limit, and was killed.
    #[error("{program} was not done after {} seconds", limit.as_secs())]
    TooLong {
        /// The program.
        program: String,
        /// The time limit.
        limit: Duration,
    },
    /// The program was started, but its output or its exit could not be read.
    #[error("the output or exit of {program} could not be read: {error}")]
    Lost {
        /// The program.
        program: String,
        /// The error of the system.
        error: io::Error,
    },
}

impl ProcessError {
    /// Returns true if the program is not installed.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Start { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Runs a child to its end, or kills it after `limit`. Its standard error is that of this process.
///
/// # Errors
/// Fails if the child cannot be started, is not done in time, or its output or exit cannot be read. A child that fails
/// is not an error: see [`Measured::status`].
pub fn run(command: &mut Command, limit: Duration) -> Result<Measured, ProcessError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let lost = |error| ProcessError::Lost { program: program.clone(), error };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| ProcessError::Start { program: program.clone(), error })?;

    // Waits for the end of the output in place of the end of the child, because this wait can have a limit. A child
    // that ends closes its output. The thread then ends, too.
    let mut output = child.stdout.take().expect("it is piped");
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        let mut stdout = String::new();
        let read = output.read_to_string(&mut stdout).map(|_| stdout);
        // After the time limit there is no receiver.
        let _ = done.send(read);
    });
    let read = wait.recv_timeout(limit);
    if read.is_err() {
        child.kill().map_err(lost)?;
    }
    // `Child::wait` would reap the child without its resource usage.
    let end = child.wait4().map_err(lost)?;
    let Ok(stdout) = read else { return Err(ProcessError::TooLong { program, limit }) };
    Ok(Measured {
        status: end.status,
        stdout: stdout.map_err(lost)?,
        cpu: end.rusage.utime + end.rusage.stime,
        peak: end.rusage.maxrss,
    })
}
