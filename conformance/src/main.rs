//! The command `paxos-conformance`: `cargo verify`, and its parts.
//!
//! This file parses arguments, prints output and chooses exit codes. The libraries decide each verdict.

// `println!` and `eprintln!` panic if the reader is gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod mutated;
mod recorded;
mod replayed;
mod subject;

use std::{
    fs,
    io::{self, Write as _},
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use paxos_conformance::{
    spaces::Table,
    trace::cover::{self, CoverError},
    verify::verify,
};
use paxos_lockstep::pairs::Lockstep;
use paxos_model::{
    arguments::{BoundsArgs, RunArgs, threads},
    outputs,
};
use state_explorer::{Options, explore, refuse};
use verdict::{
    Interrupt,
    layout::{laid_out, terminal_width},
    memory::allocator_reserves_ahead,
    signals,
};

use self::{
    mutated::MutantsArgs,
    recorded::{Printed, ShowArgs, StreamArgs, Unusable, ValidateArgs, WatchArgs},
    replayed::ReplayArgs,
    subject::SubjectArgs,
};

/// A search allocates a path for each state that it queues. The system's allocator takes much longer for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code for unusable arguments or input; clap uses the same.
const UNUSABLE: u8 = 2;
/// The exit code if the verdict is `holds` and could not be printed, so that a lost report does not pass for success.
const UNDELIVERED: u8 = 3;

/// Compares the production replica with the model.
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
    /// All links of the chain: the proof, the specification, the refinement of the proved texts, the model, the lockstep, steps
    /// from any state, and recorded runs.
    Verify(VerifyArgs),
    /// Model and production replicas side by side, in one space.
    Lockstep(LockstepArgs),
    /// Every step of the production replica from any state, held against the model.
    Step(StepArgs),
    /// Mutants of the production replica, and the first space of `step --any` that shows each.
    Mutants(MutantsArgs),
    /// Write traces that together take every transition of a small space, as ITF files.
    Traces(TracesArgs),
    /// Validate the recordings of a cluster: decide whether its run was a behaviour of the model.
    Validate(ValidateArgs),
    /// Watch a running cluster that records, and raise an alarm at the first step that is not the model's.
    Watch(WatchArgs),
    /// Serve the recordings of the nodes on this machine, so that `watch --from` can copy them.
    Stream(StreamArgs),
    /// Print the recordings of a cluster.
    Show(ShowArgs),
    /// Judge an implementation of Paxos in any language, behind an adapter.
    Subject(SubjectArgs),
    /// Replay ITF traces of the model on production replicas, on nodes with stores, or on a foreign implementation.
    Replay(ReplayArgs),
}

#[derive(Args)]
struct TracesArgs {
    #[command(flatten)]
    bounds: BoundsArgs,
    /// The folder to write to; it must not hold traces yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Args)]
struct VerifyArgs {
    /// The usual table of spaces: some minutes of CPU time at most. The default.
    #[arg(long, conflicts_with = "deep")]
    quick: bool,
    /// Larger spaces as well: tens of minutes of CPU time.
    #[arg(long)]
    deep: bool,
    /// Write the results to a file, as one JSON object.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also print what each space shows and leaves out, and the number of transitions of each kind.
    #[arg(long, short)]
    verbose: bool,
    /// The number of spaces to explore at once [default: one per core].
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<NonZeroUsize>,
}

#[derive(Args)]
struct StepArgs {
    /// Begin at every state within the invariant of a node, reachable or not.
    #[arg(long, required = true)]
    any: bool,
    /// Larger spaces as well: some minutes of CPU time.
    #[arg(long)]
    deep: bool,
    /// Print the results as one JSON object.
    #[arg(long)]
    json: bool,
    /// The number of spaces to check at once [default: one per core].
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<NonZeroUsize>,
}

#[derive(Args)]
struct LockstepArgs {
    #[command(flatten)]
    bounds: BoundsArgs,
    #[command(flatten)]
    run: RunArgs,
}

fn main() -> ExitCode {
    allocator_reserves_ahead();
    let command = Cli::parse().command;
    if let Err(error) = signals::abort_is_inconclusive() {
        complain(&format!("warning: too little memory may end this with SIGABRT: {error}"));
    }
    match command {
        Command::Verify(args) => run_verify(&args, &interrupt()),
        Command::Lockstep(args) => run_lockstep(&args, &interrupt()),
        Command::Step(args) => run_step(&args, &interrupt()),
        Command::Mutants(args) => printed(mutated::mutants(&args, &interrupt())),
        // These commands have nothing to report if a signal ends them.
        Command::Traces(args) => run_traces(&args),
        Command::Replay(args) => printed(replayed::run(&args, &interrupt())),
        Command::Validate(args) => printed(recorded::validate(&args)),
        Command::Watch(args) => printed(recorded::watch(&args, &interrupt())),
        Command::Stream(args) => printed(recorded::stream(&args, &interrupt(), print)),
        Command::Subject(args) => printed(subject::subject(&args, &interrupt())),
        Command::Show(args) => printed(recorded::show(&args, print)),
    }
}

/// Prints the result of a command.
fn printed(result: Result<Printed, Unusable>) -> ExitCode {
    match result {
        Ok(Printed { text, code }) if text.is_empty() => ExitCode::from(code),
        Ok(Printed { text, code }) => deliver(print(&text), code),
        Err(error) => unusable(&error),
    }
}

/// Returns an interrupt that the first signal requests. The command then stops and reports its results so far.
fn interrupt() -> Interrupt {
    signals::interrupt().unwrap_or_else(|error| {
        complain(&format!("warning: signals will end this without a report: {error}"));
        Interrupt::default()
    })
}

fn run_verify(args: &VerifyArgs, interrupt: &Interrupt) -> ExitCode {
    if let Err(error) = outputs::try_files([("--json", &args.json)]) {
        return unusable(&error.to_string());
    }
    let table = if args.deep { Table::deep() } else { Table::quick() };
    let verification = verify(&table, count_of(args.threads), interrupt);
    let written = args.json.as_ref().map_or(Ok(()), |path| {
        let json = serde_json::to_string(&verification)? + "\n";
        outputs::write("--json", path, &json).map_err(io::Error::other)
    });
    let printed =
        written.and_then(|()| print(&laid_out(&verification, args.verbose, terminal_width())));
    deliver(printed, verification.verdict.exit_code())
}

fn run_step(args: &StepArgs, interrupt: &Interrupt) -> ExitCode {
    let table = if args.deep { Table::deep() } else { Table::quick() };
    let table = Table { steps: table.steps, ..Table::default() };
    let verification = verify(&table, count_of(args.threads), interrupt);
    let printed = if args.json {
        serde_json::to_string(&verification).map_err(io::Error::from).and_then(|json| print(&json))
    } else {
        print(&laid_out(&verification, false, terminal_width()))
    };
    deliver(printed, verification.verdict.exit_code())
}

/// Returns the number of threads: as many as asked for, or one for each core.
fn count_of(threads: Option<NonZeroUsize>) -> usize {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    threads.unwrap_or(cores).get()
}

fn run_lockstep(args: &LockstepArgs, interrupt: &Interrupt) -> ExitCode {
    let pairs = match Lockstep::new(args.bounds.bounds()) {
        Ok(pairs) => pairs,
        Err(error) => return unusable(&error.to_string()),
    };
    let options = Options { interrupt: interrupt.clone(), ..args.run.options() };
    if let Err(refusal) = refuse(&pairs, &options) {
        return unusable(&refusal.to_string());
    }
    let report = explore(&pairs, &options);
    let printed = if args.run.json {
        serde_json::to_string(&report).map_err(io::Error::from).and_then(|json| print(&json))
    } else {
        print(&laid_out(&report, args.run.verbose, terminal_width()))
    };
    deliver(printed, report.verdict.exit_code())
}

fn run_traces(args: &TracesArgs) -> ExitCode {
    if let Err(error) = outputs::try_folder("--out", &args.out) {
        return unusable(&error.to_string());
    }
    let new = !args.out.exists();
    match cover::write_all(args.bounds.bounds(), &args.out) {
        Ok(covered) => {
            let cover::Covered { traces, steps, transitions, states } = covered;
            let line = format!(
                "{traces} traces of {steps} steps in {}: all {transitions} transitions of {states} \
                 states",
                args.out.display()
            );
            deliver(print(&line), 0)
        }
        Err(error @ CoverError::Unwritten { .. }) => {
            complain(&format!("error: {error}"));
            ExitCode::from(UNDELIVERED)
        }
        Err(error) => {
            if new {
                // Removes the folder if it is empty.
                let _ = fs::remove_dir(&args.out);
            }
            unusable(&error.to_string())
        }
    }
}

fn print(what: &impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what}")?;
    out.flush()
}

/// Returns the exit code of a verdict that was to be delivered. Reports a failed delivery.
fn deliver(delivered: io::Result<()>, code: u8) -> ExitCode {
    match delivered {
        Ok(()) => ExitCode::from(code),
        Err(error) => {
            complain(&format!("error: the verdict could not be delivered: {error}"));
            ExitCode::from(if code == 0 { UNDELIVERED } else { code })
        }
    }
}

fn unusable(message: &str) -> ExitCode {
    complain(&format!("error: {message}"));
    ExitCode::from(UNUSABLE)
}

/// Prints a line on standard error. If that is closed, the exit code alone reports the error.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
