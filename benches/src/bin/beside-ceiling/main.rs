//! Compares puts of three nodes of `paxos serve` with those of a ceiling. The ceiling is a server in one process, with the
//! same parser and store. It replicates nothing, and syncs once for all requests that have arrived.
//!
//! `redis-benchmark` loads both in turns. While one is loaded, the other one is idle. The load generator and all
//! processes share the machine.

mod ceiling;

use std::{
    env,
    io::{self, Write as _},
    path::PathBuf,
    process::{Command, ExitCode},
};

use clap::{Parser, Subcommand};
use comfy_table::{Table, presets};
use paxos_benches::{
    DebugBuild, beside, exit, median, optimized,
    redis_benchmark::{self, Kind, Load, LoadError, Sample},
    servers::{self, NotReady, Servers, ServersError},
};
use serde::Serialize;

/// The loads, each with the least part of the ceiling's puts that meets the target.
const LOADS: [(Load, f64); 2] = [
    (Load { clients: 64, pipeline: 1, keys: 1_000_000 }, 0.8),
    (Load { clients: 64, pipeline: 16, keys: 1_000_000 }, 0.6),
];

/// Puts of `paxos serve`, in parts of those of a server without replication
#[derive(Parser)]
#[command(
    version,
    after_help = "Needs redis-benchmark (package redis-tools), and paxos beside it: \
                  cargo build --profile dist -p paxos-cli -p paxos-benches\n\n\
                  Exit codes: 0 all targets are met, 1 one is missed, 2 nothing can be compared."
)]
struct Args {
    #[command(subcommand)]
    command: Option<Serve>,
    /// The number of rounds; both servers are loaded once in each
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// The number of bytes of a value
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    bytes: u32,
    /// The number of puts in a round without pipelines; with pipelines it is four times that
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2000..))]
    requests: u32,
    /// The directory for the data of both servers [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print the comparison as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Serve {
    /// Serve as the ceiling
    Serve {
        /// The directory for the log
        data: PathBuf,
        /// The address for clients
        address: String,
    },
}

/// The reason for which there is no comparison.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Debug(#[from] DebugBuild),
    #[error(transparent)]
    Servers(#[from] ServersError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    NotReady(#[from] NotReady),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// A server in one round.
#[derive(Clone, Debug, Serialize)]
struct Round {
    #[serde(flatten)]
    sample: Sample,
    /// The processor time of a put in microseconds, for each process. The first process leads.
    cpu_us: Vec<f64>,
}

/// All rounds of one load.
#[derive(Debug, Serialize)]
struct Comparison {
    #[serde(flatten)]
    load: Load,
    /// The median of the ratios of puts within each round.
    ratio: f64,
    target: f64,
    met: bool,
    paxos: Vec<Round>,
    ceiling: Vec<Round>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let compared = match &args.command {
        Some(Serve::Serve { data, address }) => {
            ceiling::serve(address, data).map(|()| true).map_err(Unusable::from)
        }
        None => compare(&args).and_then(|all| {
            let text = if args.json { serde_json::to_string(&all)? + "\n" } else { table(&all) };
            io::stdout().write_all(text.as_bytes())?;
            Ok(all.iter().all(|comparison| comparison.met))
        }),
    };
    exit(compared)
}

fn compare(args: &Args) -> Result<Vec<Comparison>, Unusable> {
    optimized()?;
    let this = env::current_exe()?;
    let program = beside("paxos")?;
    let directory = || match &args.data {
        Some(data) => tempfile::tempdir_in(data),
        None => tempfile::tempdir(),
    };
    let (one, other) = (directory()?, directory()?);
    let paxos = servers::paxos(&program, one.path(), &[])?;
    let mut serve = Command::new(this);
    serve.arg("serve").arg(other.path());
    let ceiling = servers::single("the ceiling", serve)?;
    for servers in [&paxos, &ceiling] {
        servers.ready()?;
    }
    let mut all = Vec::new();
    for (load, target) in LOADS {
        let requests = if load.pipeline > 1 { args.requests * 4 } else { args.requests };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 1..=args.repeat {
            eprintln!("{load}, round {round} of {}", args.repeat);
            theirs.push(measure(&ceiling, load, requests, args.bytes)?);
            ours.push(measure(&paxos, load, requests, args.bytes)?);
        }
        let ratios = ours.iter().zip(&theirs);
        let ratios = ratios.map(|(ours, theirs)| ours.sample.per_second / theirs.sample.per_second);
        let ratio = median(ratios.collect());
        all.push(Comparison {
            load,
            ratio,
            target,
            met: ratio >= target,
            paxos: ours,
            ceiling: theirs,
        });
    }
    Ok(all)
}

fn measure(servers: &Servers, load: Load, requests: u32, bytes: u32) -> Result<Round, Unusable> {
    let leader = servers.leader()?;
    let before = servers.cpu()?;
    let sample = redis_benchmark::run(leader, Kind::Put, load, requests, bytes)?;
    let took =
        servers.cpu()?.into_iter().zip(before).map(|(after, before)| after.saturating_sub(before));
    let mut cpu_us: Vec<_> =
        took.map(|took| took.as_secs_f64() * 1e6 / f64::from(requests)).collect();
    let first = servers.clients.iter().position(|address| address == leader);
    cpu_us.swap(0, first.unwrap_or_default());
    Ok(Round { sample, cpu_us })
}

fn table(all: &[Comparison]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header([
        "clients",
        "pipeline",
        "server",
        "puts/s",
        "median ms",
        "p99 ms",
        "CPU µs a put",
        "ratio",
        "target",
        "",
    ]);
    for comparison in all {
        for (name, rounds) in [("ceiling", &comparison.ceiling), ("paxos", &comparison.paxos)] {
            let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
            let processes = rounds.first().map_or(0, |round| round.cpu_us.len());
            let cpu = (0..processes).map(|process| {
                format!("{:.1}", median(rounds.iter().map(|round| round.cpu_us[process]).collect()))
            });
            let mut row = vec![
                comparison.load.clients.to_string(),
                comparison.load.pipeline.to_string(),
                name.to_owned(),
                format!("{:.0}", of(|round| round.sample.per_second)),
                format!("{:.2}", of(|round| round.sample.median_ms)),
                format!("{:.2}", of(|round| round.sample.p99_ms)),
                cpu.collect::<Vec<_>>().join(" + "),
            ];
            if name == "paxos" {
                row.push(format!("{:.2}", comparison.ratio));
                row.push(comparison.target.to_string());
                row.push(if comparison.met { "met" } else { "MISSED" }.to_owned());
            }
            table.add_row(row);
        }
    }
    format!("{table}\n")
}
