//! The code that the benches share. Running or checking Paxos needs none of it.
//!
//! - [`Cluster`]: three replicas in one thread, without disks or sockets. [`released`]: the effects of their steps.
//! - [`client`]: a client of `paxos serve`.
//! - [`process`]: runs a program, and measures its processor time and memory.
//! - [`valgrind`]: counts the instructions and allocations of a program.
//! - [`median`]: of the runs of a measurement.
//! - [`optimized`], [`beside`] and [`exit`]: the beginning and the end of a program that measures.
//! - [`redis_benchmark`]: loads a server.
//! - [`servers`]: clusters of server processes on loopback.
//! - [`spin`]: explores Lamport's Paxos with Spin.

pub mod client;
pub mod process;
pub mod redis_benchmark;
pub mod servers;
pub mod spin;
pub mod valgrind;

mod cluster;

use std::{
    env,
    fmt::Display,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

pub use cluster::{Cluster, released};

/// The program was built without optimizations.
#[derive(Debug, thiserror::Error)]
#[error("the times of a debug build mean nothing; add --profile dist")]
pub struct DebugBuild;

/// Refuses to measure times in a debug build.
///
/// # Errors
/// This is a debug build.
pub const fn optimized() -> Result<(), DebugBuild> {
    if cfg!(debug_assertions) { Err(DebugBuild) } else { Ok(()) }
}

/// Returns the path of a program that was built with this one.
///
/// # Errors
/// The system does not tell the path of this program.
pub fn beside(program: &str) -> io::Result<PathBuf> {
    Ok(env::current_exe()?.with_file_name(format!("{program}{}", env::consts::EXE_SUFFIX)))
}

/// Returns the exit code of a program that measures: 0 if all targets are met, 1 if one is missed, and 2 if nothing could be
/// measured. Prints the error in the last case.
pub fn exit(met: Result<bool, impl Display>) -> ExitCode {
    match met {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            // If standard error is closed, only the exit code reports the error.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Returns the middle one of some numbers, or the mean of the two in the middle.
///
/// # Panics
/// Panics if there is no number.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len() % 2 == 1 {
        numbers[middle]
    } else {
        f64::midpoint(numbers[middle - 1], numbers[middle])
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        for (numbers, middle) in
            [(vec![7.0], 7.0), (vec![3.0, 1.0, 2.0], 2.0), (vec![9.0, 1.0, 2.0, 4.0], 3.0)]
        {
            assert_eq!(median(numbers).to_bits(), f64::to_bits(middle));
        }
    }
}
