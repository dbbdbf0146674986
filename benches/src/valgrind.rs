//! Counts instructions and allocations of a program in Valgrind.
//!
//! The counts do not depend on other work on the machine. They include the start of the program, so a caller compares two
//! runs.

use std::{path::Path, process::Command, time::Duration};

use crate::process::{self, ProcessError};

/// The reason for which nothing was counted.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// Valgrind could not be run.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The path of the running program is not known.
    #[error("the own program is not known: {0}")]
    Program(std::io::Error),
    /// The program failed, or Valgrind did.
    #[error("valgrind --tool={tool} failed: {output}")]
    Failed {
        /// The tool of Valgrind.
        tool: &'static str,
        /// The output of both.
        output: String,
    },
    /// Valgrind printed no count.
    #[error("valgrind --tool={tool} did not print {label:?}: {output}")]
    Unreadable {
        /// The tool of Valgrind.
        tool: &'static str,
        /// The words before the count.
        label: &'static str,
        /// The output.
        output: String,
    },
}

impl CountError {
    /// Returns true if Valgrind is not installed.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Process(error) if error.is_missing())
    }
}

/// The allocations of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heap {
    /// The number of allocations.
    pub allocations: u64,
    /// The bytes that are still allocated at the end.
    pub live_bytes: u64,
}

/// Returns the number of instructions that a program takes.
///
/// # Errors
/// Valgrind cannot be run, the program fails, or it takes longer than `limit`.
pub fn instructions(
    program: &Path,
    arguments: &[String],
    limit: Duration,
) -> Result<u64, CountError> {
    let output = run("cachegrind", &["--cache-sim=no"], program, arguments, limit)?;
    number_after("cachegrind", &output, "I refs:", 0)
}

/// Returns what a program allocates.
///
/// # Errors
/// As [`instructions`].
pub fn heap(program: &Path, arguments: &[String], limit: Duration) -> Result<Heap, CountError> {
    let output = run("dhat", &[], program, arguments, limit)?;
    let allocations = number_after("dhat", &output, "Total:", 1)?;
    Ok(Heap { allocations, live_bytes: number_after("dhat", &output, "At t-end:", 0)? })
}

fn run(
    tool: &'static str,
    options: &[&str],
    program: &Path,
    arguments: &[String],
    limit: Duration,
) -> Result<String, CountError> {
    let mut command = Command::new("valgrind");
    command.args([
        "--log-fd=1",
        &format!("--tool={tool}"),
        &format!("--{tool}-out-file=/dev/null"),
    ]);
    command.args(options).arg(program).args(arguments);
    let measured = process::run(&mut command, limit)?;
    if measured.status.success() {
        Ok(measured.stdout)
    } else {
        Err(CountError::Failed { tool, output: measured.stdout })
    }
}

/// Returns a number in the line that has the label: the first one after it, or a later one.
fn number_after(
    tool: &'static str,
    output: &str,
    label: &'static str,
    place: usize,
) -> Result<u64, CountError> {
    let number = output.lines().find_map(|line| {
        // Releases of Valgrind align their output differently.
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let rest = line.split_once(label)?.1.replace(',', "");
        rest.split_whitespace().filter_map(|word| word.parse().ok()).nth(place)
    });
    number.ok_or_else(|| CountError::Unreadable { tool, label, output: output.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valgrind_is_read() {
        let output =
            "==7== Total:     11,200 bytes in 1,056 blocks\n==7== At t-end: 7 bytes in 1 blocks";
        assert_eq!(number_after("dhat", output, "Total:", 1).unwrap(), 1056);
        assert_eq!(number_after("dhat", output, "At t-end:", 0).unwrap(), 7);
        assert!(number_after("dhat", output, "I refs:", 0).is_err());
        let cachegrind = "==7== I   refs:      24,499,287";
        assert_eq!(number_after("cachegrind", cachegrind, "I refs:", 0).unwrap(), 24_499_287);
    }
}
