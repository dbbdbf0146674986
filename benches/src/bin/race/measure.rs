//! Measures runs: processor time, wall time and syncs in this process; instructions and allocations in Valgrind.
//!
//! Valgrind counts instructions and allocations of a run in a process of its own. So counting costs a timed run
//! nothing, and other work on the machine does not change the counts. A second run without entries shows what the start
//! takes, which is subtracted.

use std::{
    env, hint,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use paxos_benches::process::{self, ProcessError};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::{
    contestants::Entrant,
    workload::{Commands, Fault, Work},
};

/// A child process that takes longer has failed.
const LIMIT: Duration = Duration::from_mins(5);

/// The cost of a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) cpu_seconds: f64,
    pub(crate) wall_seconds: f64,
    /// The syncs of all nodes.
    pub(crate) syncs: u64,
}

/// The cost of an entry in a column, which does not vary between runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Counts {
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
    /// The bytes that all nodes together still have allocated after the run.
    pub(crate) live_bytes: f64,
}

/// The reason for which nothing was counted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CountError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("the own program is not known: {0}")]
    Program(#[from] std::io::Error),
    #[error("valgrind --tool={tool} failed: {output}")]
    Failed { tool: &'static str, output: String },
    #[error("valgrind --tool={tool} did not print {label:?}: {output}")]
    Unreadable { tool: &'static str, label: &'static str, output: String },
}

impl CountError {
    /// Returns true if Valgrind is not installed.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Process(error) if error.is_missing())
    }
}

/// Starts a cluster and measures its work, without the start.
pub(crate) fn time(entrant: &Entrant, work: &Work, commands: &Commands) -> Result<Sample, Fault> {
    let directory = tempfile::tempdir()?;
    let mut cluster = (entrant.start)(work, directory.path())?;
    let syncs = cluster.syncs();
    let (cpu, wall) = (cpu_time(), Instant::now());
    work.run(cluster.as_mut(), commands)?;
    Ok(Sample {
        cpu_seconds: cpu_time() - cpu,
        wall_seconds: wall.elapsed().as_secs_f64(),
        syncs: cluster.syncs() - syncs,
    })
}

/// Does the work once and leaves the cluster allocated. Valgrind counts such a process.
pub(crate) fn run_to_be_counted(entrant: &Entrant, work: &Work) -> Result<(), Fault> {
    let directory = tempfile::tempdir()?;
    let commands = Commands::new(work.size);
    let mut cluster = (entrant.start)(work, directory.path())?;
    work.run(cluster.as_mut(), &commands)?;
    std::mem::forget(hint::black_box(cluster));
    Ok(())
}

/// Counts the cost of an entry. This program runs itself with `--count`.
pub(crate) fn count(variant: &str, work: &Work) -> Result<Counts, CountError> {
    let program = env::current_exe()?;
    // Not a power of two, since the capacity of a log that was just doubled is twice what it needs.
    let long = work.with_entries(12 * 1024);
    let start = work.with_entries(0);
    let instructions = |work: &Work| {
        let output = run_in_valgrind("cachegrind", &["--cache-sim=no"], &program, variant, work)?;
        number_after("cachegrind", &output, "I refs:", 0)
    };
    let heap = |work: &Work| {
        let output = run_in_valgrind("dhat", &[], &program, variant, work)?;
        let allocations = number_after("dhat", &output, "Total:", 1)?;
        Ok::<_, CountError>((allocations, number_after("dhat", &output, "At t-end:", 0)?))
    };
    #[expect(clippy::cast_precision_loss, reason = "no run has 2^53 of anything")]
    let of_entry =
        |long_run: u64, start: u64| (long_run as f64 - start as f64) / long.entries as f64;
    let (long_heap, start_heap) = (heap(&long)?, heap(&start)?);
    Ok(Counts {
        instructions: of_entry(instructions(&long)?, instructions(&start)?),
        allocations: of_entry(long_heap.0, start_heap.0),
        live_bytes: of_entry(long_heap.1, start_heap.1),
    })
}

fn run_in_valgrind(
    tool: &'static str,
    options: &[&str],
    program: &Path,
    variant: &str,
    work: &Work,
) -> Result<String, CountError> {
    let mut command = Command::new("valgrind");
    command.args([
        "--log-fd=1",
        &format!("--tool={tool}"),
        &format!("--{tool}-out-file=/dev/null"),
    ]);
    command.args(options).arg(program).args(["--count", variant, "--column", &work.to_string()]);
    command.args(["--count-entries", &work.entries.to_string()]);
    let measured = process::run(&mut command, LIMIT)?;
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

/// Returns the processor time of this thread in seconds. The contestants have no other threads.
#[expect(clippy::cast_precision_loss, reason = "a process does not run for 2^53 seconds")]
fn cpu_time() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
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
