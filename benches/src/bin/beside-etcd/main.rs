//! Compares durable puts and linearizable reads of three nodes of `paxos serve` with those of three nodes of etcd.
//!
//! In both clusters, clients talk to the leader. The load generator shares the machine with the nodes. It is
//! redis-benchmark for `paxos serve`, and [`grpc`] for etcd. Both clusters run all the time and are loaded in turns.
//! While one is loaded, the other one is idle.

mod grpc;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use comfy_table::{Table, presets};
use paxos_benches::{
    DebugBuild, beside, exit, median, optimized,
    redis_benchmark::{self, Kind, Load, LoadError, Sample},
    servers::{self, Servers, ServersError},
};
use serde::Serialize;

/// The loads that are compared, with the least ratio of the rate to that of etcd. Most loads use one key, which is the
/// default of `redis-benchmark`. The load with many keys has no target.
const LOADS: [(Kind, Load, Option<f64>); 5] = [
    (Kind::Put, load(64, 1), Some(8.0)),
    (Kind::Put, load(64, 1_000_000), None),
    (Kind::Put, load(1, 1), Some(3.0)),
    (Kind::Read, load(64, 1), Some(3.0)),
    (Kind::Read, load(1, 1), Some(3.0)),
];

const fn load(clients: u32, keys: u32) -> Load {
    Load { clients, pipeline: 1, keys }
}

/// Durable puts and linearizable reads of `paxos serve` and of etcd, side by side
#[derive(Parser)]
#[command(
    version,
    after_help = "Needs etcd (package etcd-server) and redis-benchmark (package redis-tools), and \
                  paxos beside it: cargo build --profile dist -p paxos-cli -p paxos-benches\n\n\
                  Exit codes: 0 all targets are met, 1 one is missed, 2 nothing can be compared."
)]
struct Args {
    /// The number of rounds; both clusters are loaded once in each
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// The number of bytes of a value
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=100))]
    bytes: u8,
    /// The number of requests in a round with 64 clients; with one client it is a twentieth of that
    #[arg(long, value_name = "N", default_value_t = 40_000, value_parser = clap::value_parser!(u32).range(2000..))]
    requests: u32,
    /// Print the comparison as one JSON object
    #[arg(long)]
    json: bool,
}

/// The reason for which there is no comparison.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Debug(#[from] DebugBuild),
    #[error("{0} was not ready after a minute")]
    NotReady(&'static str),
    #[error(transparent)]
    Servers(#[from] ServersError),
    #[error("{0}")]
    Answer(String),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("HTTP/2: {0}")]
    H2(#[from] h2::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// All rounds of one load.
#[derive(Debug, Serialize)]
struct Comparison {
    kind: Kind,
    #[serde(flatten)]
    load: Load,
    /// The median of the ratios of the rates within each round.
    ratio: f64,
    /// The median of the ratios of the median latencies, and of the 99th percentiles, within each round.
    median_ratio: f64,
    p99_ratio: f64,
    target: Option<f64>,
    /// True if the target is met, and the median latency is below that of etcd. `None` without a target.
    met: Option<bool>,
    paxos: Vec<Sample>,
    etcd: Vec<Sample>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let compared = compare(&args).and_then(|all| {
        let text = if args.json { serde_json::to_string(&all)? + "\n" } else { table(&all) };
        io::stdout().write_all(text.as_bytes())?;
        Ok(all.iter().all(|comparison| comparison.met != Some(false)))
    });
    exit(compared)
}

fn compare(args: &Args) -> Result<Vec<Comparison>, Unusable> {
    optimized()?;
    let program = beside("paxos")?;
    let (one, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let paxos = servers::paxos(&program, one.path(), &[])?;
    let etcd = servers::etcd(other.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let one = load(1, 1);
    let put_one =
        |address: &str| runtime.block_on(grpc::load(address, Kind::Put, one, 1, 1)).map(drop);
    ready(&etcd, put_one)?;
    ready(&paxos, |address| Ok(redis_benchmark::run(address, Kind::Put, one, 1, 1).map(drop)?))?;
    let mut all = Vec::new();
    for (kind, load, target) in LOADS {
        let requests = if load.clients == 1 { args.requests / 20 } else { args.requests };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 1..=args.repeat {
            eprintln!("{kind} of {load}, round {round} of {}", args.repeat);
            let bytes = args.bytes.into();
            let loaded = runtime.block_on(grpc::load(etcd.leader()?, kind, load, requests, bytes));
            theirs.push(sample(loaded?));
            let leader = paxos.leader()?;
            ours.push(redis_benchmark::run(leader, kind, load, requests, args.bytes.into())?);
        }
        let of = |sample: fn(&Sample) -> f64| {
            let ratios =
                ours.iter().zip(&theirs).map(|(ours, theirs)| sample(ours) / sample(theirs));
            median(ratios.collect())
        };
        let (ratio, median_ratio) = (of(|s| s.per_second), of(|s| s.median_ms));
        let p99_ratio = of(|s| s.p99_ms);
        let met = target.map(|target| ratio >= target && median_ratio < 1.0);
        let (paxos, etcd) = (ours, theirs);
        all.push(Comparison {
            kind,
            load,
            ratio,
            median_ratio,
            p99_ratio,
            target,
            met,
            paxos,
            etcd,
        });
    }
    Ok(all)
}

/// Waits until each node accepts puts.
fn ready(cluster: &Servers, put: impl Fn(&str) -> Result<(), Unusable>) -> Result<(), Unusable> {
    let begun = Instant::now();
    for address in &cluster.clients {
        while put(address).is_err() {
            if begun.elapsed() > Duration::from_mins(1) {
                return Err(Unusable::NotReady(cluster.name));
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
fn sample((took, mut latencies): (Duration, Vec<Duration>)) -> Sample {
    latencies.sort_unstable();
    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied();
    let ms = |percent| at(percent).unwrap_or_default().as_secs_f64() * 1e3;
    let per_second = latencies.len() as f64 / took.as_secs_f64();
    Sample { per_second, median_ms: ms(50), p99_ms: ms(99) }
}

fn table(all: &[Comparison]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header([
        "requests",
        "clients",
        "keys",
        "paxos /s",
        "etcd /s",
        "ratio",
        "target",
        "median, ratio",
        "p99 ms paxos",
        "p99 ms etcd",
        "p99, ratio",
        "",
    ]);
    for comparison in all {
        let of = |samples: &[Sample], value: fn(&Sample) -> f64| {
            median(samples.iter().map(value).collect())
        };
        let rate = |samples: &[Sample]| format!("{:.0}", of(samples, |sample| sample.per_second));
        let p99 = |samples: &[Sample]| format!("{:.1}", of(samples, |sample| sample.p99_ms));
        table.add_row([
            comparison.kind.to_string(),
            comparison.load.clients.to_string(),
            comparison.load.keys.to_string(),
            rate(&comparison.paxos),
            rate(&comparison.etcd),
            format!("{:.2}", comparison.ratio),
            comparison.target.map_or("none".to_owned(), |target| target.to_string()),
            format!("{:.2}", comparison.median_ratio),
            p99(&comparison.paxos),
            p99(&comparison.etcd),
            format!("{:.2}", comparison.p99_ratio),
            comparison.met.map_or("", |met| if met { "met" } else { "MISSED" }).to_owned(),
        ]);
    }
    format!("{table}\n")
}
