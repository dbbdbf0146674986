//! The command `paxos-conformance`: `cargo verify`, and its parts.
//!
//! Arguments, output and exit codes are decided here; what is true is decided by the libraries.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use paxos_conformance::{
    lockstep::Lockstep,
    spaces,
    verify::{KNOWN, KNOWN_DEEP, verify},
};
use paxos_model::{
    arguments::{BoundsArgs, RunArgs},
    explore::explore,
};

/// For arguments and input that cannot be used, as clap has it too.
const UNUSABLE: u8 = 2;
/// For a verdict that could not be delivered: nobody may take silence for success.
const UNDELIVERED: u8 = 3;

/// The production replica held against the model.
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
    /// All links of the chain: the specification, the model, and the lockstep.
    Verify(VerifyArgs),
    /// Model and production replicas side by side, in one space.
    Lockstep(LockstepArgs),
}

#[derive(Args)]
struct VerifyArgs {
    /// The table of spaces that fits a minute on two cores. The default.
    #[arg(long, conflicts_with = "deep")]
    quick: bool,
    /// Larger spaces as well: takes hours.
    #[arg(long)]
    deep: bool,
    /// Write all that was found to a file, as one JSON object.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How many spaces to explore at once [default: one per core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

#[derive(Args)]
struct LockstepArgs {
    #[command(flatten)]
    bounds: BoundsArgs,
    #[command(flatten)]
    run: RunArgs,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Verify(args) => run_verify(&args),
        Command::Lockstep(args) => run_lockstep(&args),
    }
}

fn run_verify(args: &VerifyArgs) -> ExitCode {
    // Opened before anything runs: a path that cannot be written is found now, not after an hour.
    let file = match args.json.as_ref().map(fs::File::create).transpose() {
        Ok(file) => file,
        Err(error) => {
            let path = args.json.as_deref().unwrap_or("".as_ref()).display();
            return unusable(&format!("cannot write {path}: {error}"));
        }
    };
    let mut table = spaces::DEFAULT.to_vec();
    let mut known = KNOWN.to_vec();
    if args.deep {
        table.extend_from_slice(spaces::DEEP);
        known.push(KNOWN_DEEP);
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let verification = verify(&table, &known, args.threads.unwrap_or(cores));
    let written = file.map_or(Ok(()), |mut file| {
        serde_json::to_writer(&mut file, &verification)?;
        writeln!(file)
    });
    deliver(written.and_then(|()| print(&verification)), verification.verdict.exit_code())
}

fn run_lockstep(args: &LockstepArgs) -> ExitCode {
    let pairs = match Lockstep::new(args.bounds.bounds()) {
        Ok(pairs) => pairs,
        Err(error) => return unusable(&error.to_string()),
    };
    let report = explore(&pairs, &args.run.options());
    let printed = if args.run.json {
        serde_json::to_string(&report).map_err(io::Error::from).and_then(|json| print(&json))
    } else {
        print(&report)
    };
    deliver(printed, report.verdict.exit_code())
}

fn print(what: &impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what}")?;
    out.flush()
}

fn deliver(delivered: io::Result<()>, code: u8) -> ExitCode {
    match delivered {
        Ok(()) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: the verdict could not be delivered: {error}");
            ExitCode::from(if code == 0 { UNDELIVERED } else { code })
        }
    }
}

fn unusable(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(UNUSABLE)
}
