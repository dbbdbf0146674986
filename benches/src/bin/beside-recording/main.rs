//! Compares the puts of a cluster that records its steps with those of one that does not, and the processor time of the validation with
//! that of the recorded cluster.
//!
//! In each round both clusters are started with empty directories, one after the other, and `redis-benchmark` loads them.
//! The recorded one then ends in order, and `paxos-conformance validate` reads its recordings. The load generator and all
//! processes share the machine.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus},
    time::Duration,
};

use clap::Parser;
use comfy_table::{Table, presets};
use paxos_benches::{
    DebugBuild, beside, exit, median, optimized,
    process::{self, ProcessError},
    redis_benchmark::{self, Kind, Load, LoadError, Sample},
    servers::{self, NotReady, ServersError},
};
use serde::Serialize;

/// The least part of the puts that a recorded cluster has to serve.
const PUTS_MIN: f64 = 0.95;
/// The most processor time of the validation, in parts of that of the recorded cluster.
const VALIDATION_MAX: f64 = 0.2;
/// The longest time for the validation of one round.
const LIMIT: Duration = Duration::from_mins(10);

/// The cost of recording a cluster, and of validating its recordings
#[derive(Parser)]
#[command(
    version,
    after_help = "Needs redis-benchmark (package redis-tools), and paxos and paxos-conformance beside it: \
                  cargo build --profile dist -p paxos-cli -p paxos-conformance -p paxos-benches\n\n\
                  Exit codes: 0 all targets are met, 1 one is missed, 2 nothing can be compared."
)]
struct Args {
    /// The number of rounds; both clusters are loaded once in each. With an even number each is first equally often
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// The number of bytes of a value
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    bytes: u32,
    /// The number of clients
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1000))]
    clients: u32,
    /// The number of puts in a round
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2000..))]
    requests: u32,
    /// The directory for data and recordings [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print the comparison as one JSON object
    #[arg(long)]
    json: bool,
}

/// The reason for which there is no comparison.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Debug(#[from] DebugBuild),
    #[error(transparent)]
    Servers(#[from] ServersError),
    #[error(transparent)]
    NotReady(#[from] NotReady),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("the validation of a recorded run ended with {status}:\n{report}")]
    Invalid { status: ExitStatus, report: String },
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// A cluster in one round.
#[derive(Clone, Copy, Debug, Serialize)]
struct Loaded {
    #[serde(flatten)]
    sample: Sample,
    /// The processor time of all nodes for a put, in microseconds.
    cpu_us: f64,
}

/// Both clusters in one round.
#[derive(Clone, Copy, Debug, Serialize)]
struct Round {
    plain: Loaded,
    recorded: Loaded,
    /// The processor time of the validation for a put, in microseconds.
    validation_us: f64,
}

/// A ratio, as the median of the rounds, and its target.
#[derive(Debug, Serialize)]
struct Compared {
    what: &'static str,
    ratio: f64,
    target: Option<f64>,
    met: bool,
}

#[derive(Debug, Serialize)]
struct Comparison {
    ratios: [Compared; 3],
    rounds: Vec<Round>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    exit(compare(&args).and_then(|found| {
        let text = if args.json { serde_json::to_string(&found)? + "\n" } else { table(&found) };
        io::stdout().write_all(text.as_bytes())?;
        Ok(found.ratios.iter().all(|ratio| ratio.met))
    }))
}

fn compare(args: &Args) -> Result<Comparison, Unusable> {
    optimized()?;
    let (paxos, conformance) = (beside("paxos")?, beside("paxos-conformance")?);
    let mut rounds = Vec::new();
    for round in 1..=args.repeat {
        eprintln!("round {round} of {}", args.repeat);
        let directory = match &args.data {
            Some(data) => tempfile::tempdir_in(data)?,
            None => tempfile::tempdir()?,
        };
        let recordings = directory.path().join("recordings");
        let run = |records: bool| {
            let data = directory.path().join(if records { "recorded" } else { "plain" });
            let recordings = recordings.display().to_string();
            let flags = ["--record", &recordings];
            load(&paxos, &data, if records { &flags } else { &[] }, args)
        };
        // The two take turns to be first.
        let (plain, recorded) = if round % 2 == 0 {
            let plain = run(false)?;
            (plain, run(true)?)
        } else {
            let recorded = run(true)?;
            (run(false)?, recorded)
        };
        let mut validate = Command::new(&conformance);
        validate.arg("validate").arg(&recordings);
        let validated = process::run(&mut validate, LIMIT)?;
        if !validated.status.success() {
            let (status, report) = (validated.status, validated.stdout);
            return Err(Unusable::Invalid { status, report });
        }
        let validation_us = validated.cpu.as_secs_f64() * 1e6 / f64::from(args.requests);
        rounds.push(Round { plain, recorded, validation_us });
    }
    let ratio = |what, of: fn(&Round) -> f64, target: Option<f64>, is_met: fn(f64, f64) -> bool| {
        let ratio = median(rounds.iter().map(of).collect());
        Compared { what, ratio, target, met: target.is_none_or(|target| is_met(ratio, target)) }
    };
    let ratios = [
        ratio(
            "puts, recorded beside not recorded",
            |it| it.recorded.sample.per_second / it.plain.sample.per_second,
            Some(PUTS_MIN),
            |ratio, target| ratio >= target,
        ),
        ratio(
            "processor time of the nodes, recorded beside not recorded",
            |it| it.recorded.cpu_us / it.plain.cpu_us,
            None,
            |_, _| true,
        ),
        ratio(
            "processor time of the validation beside that of the recorded nodes",
            |it| it.validation_us / it.recorded.cpu_us,
            Some(VALIDATION_MAX),
            |ratio, target| ratio <= target,
        ),
    ];
    Ok(Comparison { ratios, rounds })
}

/// Loads a cluster, and stops it.
fn load(program: &Path, data: &Path, flags: &[&str], args: &Args) -> Result<Loaded, Unusable> {
    // Recordings are not synced. Without this, the next cluster would wait for the system to write them.
    rustix::fs::sync();
    let mut servers = servers::paxos(program, data, flags)?;
    servers.ready()?;
    let load = Load { clients: args.clients, pipeline: 1, keys: 1_000_000 };
    let before: Duration = servers.cpu()?.iter().sum();
    let leader = servers.leader()?;
    let sample = redis_benchmark::run(leader, Kind::Put, load, args.requests, args.bytes)?;
    let took = servers.cpu()?.iter().sum::<Duration>().saturating_sub(before);
    servers.terminate()?;
    Ok(Loaded { sample, cpu_us: took.as_secs_f64() * 1e6 / f64::from(args.requests) })
}

fn table(found: &Comparison) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["", "puts/s", "median ms", "p99 ms", "CPU µs a put"]);
    for (name, of) in [
        ("not recorded", (|it| it.plain) as fn(&Round) -> Loaded),
        ("recorded", |it: &Round| it.recorded),
    ] {
        let of = |value: fn(Loaded) -> f64| {
            median(found.rounds.iter().map(|round| value(of(round))).collect())
        };
        table.add_row([
            name.to_owned(),
            format!("{:.0}", of(|it| it.sample.per_second)),
            format!("{:.2}", of(|it| it.sample.median_ms)),
            format!("{:.2}", of(|it| it.sample.p99_ms)),
            format!("{:.1}", of(|it| it.cpu_us)),
        ]);
    }
    let validation = median(found.rounds.iter().map(|round| round.validation_us).collect());
    table.add_row(["validation", "", "", "", &format!("{validation:.1}")]);
    let mut ratios = Table::new();
    ratios.load_preset(presets::ASCII_MARKDOWN);
    ratios.set_header(["", "ratio", "target", ""]);
    for Compared { what, ratio, target, met } in &found.ratios {
        let verdict = target.map_or("", |_| if *met { "met" } else { "MISSED" });
        ratios.add_row([
            (*what).to_owned(),
            format!("{ratio:.3}"),
            target.map_or_else(String::new, |target| target.to_string()),
            verdict.to_owned(),
        ]);
    }
    format!("{table}\n\n{ratios}\n")
}
