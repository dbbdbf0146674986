//! Measures runs: processor time, wall time and syncs in this process; instructions and allocations in Valgrind.
//!
//! Valgrind counts instructions and allocations of a run in a process of its own. So counting costs a timed run
//! nothing, and other work on the machine does not change the counts. A second run without entries shows what the start
//! takes, which is subtracted.

use std::{
    env, hint,
    time::{Duration, Instant},
};

use paxos_benches::valgrind::{self, CountError};
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
    let program = env::current_exe().map_err(CountError::Program)?;
    // Not a power of two, since the capacity of a log that was just doubled is twice what it needs.
    let long = work.with_entries(12 * 1024);
    let start = work.with_entries(0);
    let instructions =
        |work: &Work| valgrind::instructions(&program, &arguments(variant, work), LIMIT);
    let heap = |work: &Work| valgrind::heap(&program, &arguments(variant, work), LIMIT);
    #[expect(clippy::cast_precision_loss, reason = "no run has 2^53 of anything")]
    let of_entry =
        |long_run: u64, start: u64| (long_run as f64 - start as f64) / long.entries as f64;
    let (long_heap, start_heap) = (heap(&long)?, heap(&start)?);
    Ok(Counts {
        instructions: of_entry(instructions(&long)?, instructions(&start)?),
        allocations: of_entry(long_heap.allocations, start_heap.allocations),
        live_bytes: of_entry(long_heap.live_bytes, start_heap.live_bytes),
    })
}

/// Returns the arguments with which this program runs a variant to be counted.
fn arguments(variant: &str, work: &Work) -> [String; 6] {
    let (column, entries) = (work.to_string(), work.entries.to_string());
    ["--count", variant, "--column", &column, "--count-entries", &entries].map(str::to_owned)
}

/// Returns the processor time of this thread in seconds. The contestants have no other threads.
#[expect(clippy::cast_precision_loss, reason = "a process does not run for 2^53 seconds")]
fn cpu_time() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}
