//! The command `paxos-model`: checks the models of this package from the command line.
//!
//! Arguments, output and exit codes are decided here; what is true is decided by the library.
//! The report goes to standard output, progress and complaints to standard error.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use paxos_model::arguments::{BoundsArgs, RunArgs};
use paxos_model::cluster::Cluster;
use paxos_model::explore::{Explorable, Report, explore};
use paxos_model::synod::{Bounds, Synod};

/// For arguments that cannot be used, as clap has it too.
const UNUSABLE: u8 = 2;
/// For a verdict that could not be delivered: nobody may take silence for success.
const UNDELIVERED: u8 = 3;

/// Paxos, as models that can be explored to the last state.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 holds, 1 violated, 2 unusable arguments, 3 inconclusive."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Explore all states of a model within some bounds.
    #[command(subcommand)]
    Check(Check),
}

#[derive(Subcommand)]
enum Check {
    /// The specification: Lamport's Paxos as a set of messages.
    Synod(SynodArgs),
    /// Replicas as they are built, each step held against the specification.
    Cluster(ClusterArgs),
}

#[derive(Args)]
struct ClusterArgs {
    #[command(flatten)]
    bounds: BoundsArgs,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Args)]
struct SynodArgs {
    /// How many acceptors promise and vote.
    #[arg(long, default_value_t = 3)]
    acceptors: u8,
    /// How many values may be proposed.
    #[arg(long, default_value_t = 2)]
    values: u8,
    /// How many ballots may be started.
    #[arg(long, default_value_t = 3)]
    ballots: u8,
    /// How many promises allow a proposal [default: a majority].
    #[arg(long, value_name = "SIZE")]
    phase1_quorum: Option<u8>,
    /// How many votes choose a value [default: a majority].
    #[arg(long, value_name = "SIZE")]
    phase2_quorum: Option<u8>,
    #[command(flatten)]
    run: RunArgs,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check(Check::Cluster(args)) => {
            check(Cluster::new(args.bounds.bounds()), &args.run)
        }
        Command::Check(Check::Synod(args)) => {
            let bounds = Bounds {
                acceptors: args.acceptors,
                values: args.values,
                ballots: args.ballots,
                phase1_quorum: args.phase1_quorum,
                phase2_quorum: args.phase2_quorum,
            };
            check(Synod::new(bounds), &args.run)
        }
    }
}

/// Explores a model, if its bounds make one, and delivers the report.
fn check<M: Explorable, E: std::error::Error>(model: Result<M, E>, args: &RunArgs) -> ExitCode {
    let model = match model {
        Ok(model) => model,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(UNUSABLE);
        }
    };
    let report = explore(&model, &args.options());
    match deliver(&report, args.json) {
        Ok(()) => ExitCode::from(report.verdict.exit_code()),
        Err(error) => {
            eprintln!("error: the verdict is {}, but printing it failed: {error}", report.verdict);
            ExitCode::from(UNDELIVERED)
        }
    }
}

fn deliver(report: &Report, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    out.flush()
}
