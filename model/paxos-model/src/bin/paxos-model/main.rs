//! The command `paxos-model`: checks models and proves specifications.
//!
//! The command handles arguments, output and exit codes. The library decides the verdicts.
//! Reports go to standard output, progress and errors to standard error.

// `println!` and `eprintln!` panic if the reader is gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod broken;
mod check;
mod explore;
mod keep;
mod mutants;
mod prove;
mod trace;

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use serde::Serialize;
use verdict::{
    Interrupt, Verdict,
    layout::{laid_out, terminal_width},
    memory::allocator_reserves_ahead,
    signals,
};

/// A search allocates a path for each state that it queues. With the system's allocator, these allocations take a sixth of
/// the time of a breadth-first search.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code for arguments that cannot be used. clap uses the same.
const UNUSABLE: u8 = 2;
/// The exit code for a verdict that could not be delivered, so that a lost report does not pass for success.
const UNDELIVERED: u8 = 3;

/// Paxos, as models that can be explored to the last state, and as specifications that are proved.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 holds, 1 violated, 2 unusable arguments or input, 3 inconclusive."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Explore all states of a model within some bounds.
    #[command(subcommand)]
    Check(check::Check),
    /// Prove a specification, for any number of acceptors, ballots, values and slots.
    Prove(prove::ProveArgs),
    /// Explore small clusters with each known bug of Paxos, and report the check that detects the bug and its harm.
    Mutants(mutants::MutantsArgs),
    Trace(trace::TraceArgs),
    #[command(subcommand)]
    Explore(explore::Explore),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    allocator_reserves_ahead();
    if let Err(error) = signals::abort_is_inconclusive() {
        complain(&format!("warning: too little memory may end this with SIGABRT: {error}"));
    }
    match command {
        Command::Check(check) => check::run(check, &interrupt()),
        Command::Prove(args) => prove::run(&args, &interrupt()),
        Command::Mutants(args) => mutants::run(&args, &interrupt()),
        // These commands have nothing to report if a signal ends them.
        Command::Trace(args) => trace::run(&args),
        Command::Explore(explore) => explore::run(explore),
    }
}

/// Returns an interrupt that the first signal requests. The command then stops and reports its results so far.
fn interrupt() -> Interrupt {
    signals::interrupt().unwrap_or_else(|error| {
        complain(&format!("warning: signals will end this without a report: {error}"));
        Interrupt::default()
    })
}

/// The form of a printed report.
#[derive(Clone, Copy)]
enum Form {
    Json,
    Text { verbose: bool },
}

impl Form {
    const fn of(json: bool, verbose: bool) -> Self {
        if json { Self::Json } else { Self::Text { verbose } }
    }
}

/// Prints a report, and returns the exit code of its verdict.
fn deliver<R: Serialize + Display>(report: &R, verdict: &Verdict, form: Form) -> ExitCode {
    let print = || {
        let mut out = io::stdout().lock();
        match form {
            Form::Json => {
                serde_json::to_writer(&mut out, report)?;
                writeln!(out)?;
            }
            Form::Text { verbose } => {
                write!(out, "{}", laid_out(report, verbose, terminal_width()))?;
            }
        }
        out.flush()
    };
    match print() {
        Ok(()) => ExitCode::from(verdict.exit_code()),
        Err(error) => {
            complain(&format!("error: the verdict is {verdict}, but printing it failed: {error}"));
            ExitCode::from(UNDELIVERED)
        }
    }
}

fn unusable(error: &dyn Display) -> ExitCode {
    complain(&format!("error: {error}"));
    ExitCode::from(UNUSABLE)
}

/// Prints a message on standard error. If that is closed, only the exit code reports the failure.
fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "{what}");
}
