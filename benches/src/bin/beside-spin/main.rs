//! Explores one state space with Spin and with each engine of `paxos-model`, and compares their time and memory.
//!
//! The programs run in turns and are measured as whole processes. Nothing is compared unless all of them did the same
//! work. This program builds `pan`, the verifier that Spin writes. It expects `paxos-model` in its own directory,
//! which is the case if both were built with the same profile.

mod comparison;
mod contenders;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::{Command, ExitCode},
    time::Duration,
};

use clap::{Parser, builder::PossibleValuesParser};
use paxos_benches::{
    DebugBuild, beside, exit, optimized,
    process::{self, Measured, ProcessError},
    spin::{MOST_BALLOTS, Pan, SpinError, Variant},
};
use serde::Deserialize;

use crate::{
    comparison::{Comparison, Sample},
    contenders::{CONTENDERS, Contender},
};

/// Lamport's Paxos explored by paxos-model and by Spin, side by side.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 all targets are met, 1 one is missed or the counts differ, \
                  2 nothing can be compared."
)]
struct Args {
    /// The number of ballots; the targets are for four.
    #[arg(
        long,
        value_name = "N",
        default_value_t = MOST_BALLOTS,
        value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_BALLOTS))
    )]
    ballots: u8,
    /// The number of rounds; each program runs once in each.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// Measure only these engines beside Spin.
    #[arg(
        long,
        value_name = "ENGINE",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(CONTENDERS.map(|contender| contender.name))
    )]
    only: Vec<String>,
    /// Give up when a program is not done after this number of seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// Print the comparison as one JSON object.
    #[arg(long)]
    json: bool,
}

/// The reason for which there is no comparison.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Debug(#[from] DebugBuild),
    #[error(transparent)]
    Spin(#[from] SpinError),
    #[error("spin did not visit all states, or found an error in the model")]
    SpinFailed,
    #[error("{0} does not exist; build it: cargo build --profile dist -p paxos-model")]
    ModelMissing(PathBuf),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("paxos-model failed for {0}: {1}")]
    ModelFailed(&'static str, String),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// The part of a report of `paxos-model` that is read.
#[derive(Deserialize)]
struct Report {
    verdict: String,
    complete: bool,
    states: u64,
    transitions: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    exit(compare(&args).and_then(|comparison| {
        let mut out = io::stdout().lock();
        if args.json {
            serde_json::to_writer(&mut out, &comparison)?;
            writeln!(out)?;
        } else {
            write!(out, "{comparison}")?;
        }
        out.flush()?;
        Ok(comparison.is_good())
    }))
}

fn compare(args: &Args) -> Result<Comparison, Unusable> {
    optimized()?;
    let model = beside("paxos-model")?;
    if !model.is_file() {
        return Err(Unusable::ModelMissing(model));
    }
    let limit = Duration::from_secs(args.timeout);
    let pan = Pan::build(args.ballots, Variant::Correct)?;
    let asked = |contender: &&Contender| {
        args.only.is_empty() || args.only.iter().any(|o| o == contender.name)
    };
    let mut others: Vec<_> = CONTENDERS.iter().filter(asked).map(|c| (c, Vec::new())).collect();
    let mut spin = Vec::new();
    for round in 1..=args.repeat {
        let say = |who: &str| {
            let _ = writeln!(io::stderr(), "round {round} of {}: {who}", args.repeat);
        };
        say("spin");
        spin.push(run_spin(&pan, limit)?);
        for (contender, samples) in &mut others {
            say(contender.name);
            let mut command = Command::new(&model);
            command.args(["check", "synod", "--acceptors", "3", "--values", "2", "--ballots"]);
            command.arg(args.ballots.to_string()).args(["--json", "--quiet"]);
            command.args(contender.arguments);
            samples.push(run_model(contender, &mut command, limit)?);
        }
    }
    Ok(Comparison::new(args.ballots, &spin, &others))
}

fn run_spin(pan: &Pan, limit: Duration) -> Result<Sample, Unusable> {
    let report = pan.run(limit)?;
    if !report.complete || report.violated.is_some() {
        return Err(Unusable::SpinFailed);
    }
    let Measured { cpu, peak, .. } = report.measured;
    Ok(Sample { states: report.states, transitions: report.transitions, cpu, peak })
}

fn run_model(
    contender: &Contender,
    command: &mut Command,
    limit: Duration,
) -> Result<Sample, Unusable> {
    let Measured { status, stdout, cpu, peak } = process::run(command, limit)?;
    let failed = |what| Unusable::ModelFailed(contender.name, what);
    if !status.success() {
        return Err(failed(format!("{status} {stdout}")));
    }
    let report: Report = serde_json::from_str(&stdout)?;
    if report.verdict != "holds" || !report.complete {
        return Err(failed(stdout));
    }
    Ok(Sample { states: report.states, transitions: report.transitions, cpu, peak })
}
