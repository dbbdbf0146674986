//! Compares durable puts of three nodes of `paxos serve` with those of three nodes of etcd.
//!
//! In both clusters, clients talk to the leader. The load generator shares the machine with the nodes. It is
//! redis-benchmark for `paxos serve`, and [`grpc`] for etcd. Both clusters run all the time and are loaded in turns.
//! While one is loaded, the other one is idle.

mod clusters;
mod grpc;

use std::{
    env,
    fmt::{self, Write as _},
    io::{self, Write as _},
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use comfy_table::{Table, presets};
use paxos_benches::median;
use serde::Serialize;

use crate::clusters::Cluster;

/// The loads that are compared. The targets are for the default of `redis-benchmark -t set`, which puts under one
/// key. The load with many keys has no target.
const LOADS: [Load; 3] = [
    Load { clients: 64, keys: 1, target: Some(5.0) },
    Load { clients: 64, keys: 1_000_000, target: None },
    Load { clients: 1, keys: 1, target: Some(1.5) },
];

/// A number of clients that put without pauses.
#[derive(Clone, Copy, Debug, Serialize)]
struct Load {
    clients: u32,
    /// The number of keys.
    keys: u32,
    /// The least ratio of puts to those of etcd.
    target: Option<f64>,
}

/// One client, to check that a node accepts puts.
const ONE: Load = Load { clients: 1, keys: 1, target: None };

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |count: u32| if count == 1 { "" } else { "s" };
        let Self { clients, keys, .. } = *self;
        write!(f, "{clients} client{}, {keys} key{}", s(clients), s(keys))
    }
}

/// Durable puts of `paxos serve` and of etcd, side by side
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
    /// The number of puts in a round with 64 clients; with one client it is a twentieth of that
    #[arg(long, value_name = "N", default_value_t = 40_000, value_parser = clap::value_parser!(u32).range(2000..))]
    requests: u32,
    /// Print the comparison as one JSON object
    #[arg(long)]
    json: bool,
}

/// The reason for which there is no comparison.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("the times of a debug build mean nothing; add --profile dist")]
    Debug,
    #[error("{0} cannot be started: {1}")]
    Missing(String, io::Error),
    #[error("{0} was not ready after a minute")]
    NotReady(&'static str),
    #[error("no node of {0} leads")]
    NoLeader(&'static str),
    #[error("{0}")]
    Load(String),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("HTTP/2: {0}")]
    H2(#[from] h2::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// The result of one cluster in one round.
#[derive(Clone, Copy, Debug, Serialize)]
struct Sample {
    puts_per_second: f64,
    median_ms: f64,
}

/// All rounds of one load.
#[derive(Debug, Serialize)]
struct Comparison {
    #[serde(flatten)]
    load: Load,
    /// The median of the ratios of puts within each round.
    ratio: f64,
    /// The median of the ratios of median latencies within each round.
    latency_ratio: f64,
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
    match compared {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn compare(args: &Args) -> Result<Vec<Comparison>, Unusable> {
    if cfg!(debug_assertions) {
        return Err(Unusable::Debug);
    }
    let program = env::current_exe()?.with_file_name(format!("paxos{}", env::consts::EXE_SUFFIX));
    let (one, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let paxos = clusters::paxos(&program, one.path())?;
    let etcd = clusters::etcd(other.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let put_one = |address: &str| runtime.block_on(grpc::load(address, ONE, 1, 1)).map(drop);
    ready(&etcd, put_one)?;
    ready(&paxos, |address| redis_benchmark(address, ONE, 1, 1).map(drop))?;
    let mut all = Vec::new();
    for load in LOADS {
        let requests = if load.clients == 1 { args.requests / 20 } else { args.requests };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 1..=args.repeat {
            eprintln!("{load}, round {round} of {}", args.repeat);
            let bytes = args.bytes.into();
            let loaded = runtime.block_on(grpc::load(etcd.leader()?, load, requests, bytes));
            theirs.push(sample(loaded?));
            ours.push(redis_benchmark(paxos.leader()?, load, requests, args.bytes)?);
        }
        let of = |sample: fn(&Sample) -> f64| {
            let ratios =
                ours.iter().zip(&theirs).map(|(ours, theirs)| sample(ours) / sample(theirs));
            median(ratios.collect())
        };
        let (ratio, latency_ratio) = (of(|s| s.puts_per_second), of(|s| s.median_ms));
        let met = load.target.map(|target| ratio >= target && latency_ratio < 1.0);
        all.push(Comparison { load, ratio, latency_ratio, met, paxos: ours, etcd: theirs });
    }
    Ok(all)
}

/// Waits until each node accepts puts.
fn ready(cluster: &Cluster, put: impl Fn(&str) -> Result<(), Unusable>) -> Result<(), Unusable> {
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

#[expect(clippy::cast_precision_loss, reason = "a few thousand puts")]
fn sample((took, mut latencies): (Duration, Vec<Duration>)) -> Sample {
    latencies.sort_unstable();
    let median = latencies.get(latencies.len() / 2).copied().unwrap_or_default();
    Sample {
        puts_per_second: latencies.len() as f64 / took.as_secs_f64(),
        median_ms: median.as_secs_f64() * 1e3,
    }
}

/// Runs `redis-benchmark -t set`, with random keys if there are several.
fn redis_benchmark(
    address: &str,
    load: Load,
    requests: u32,
    bytes: u8,
) -> Result<Sample, Unusable> {
    let port = address.rsplit(':').next().unwrap_or_default();
    let numbers = [load.clients, requests, bytes.into(), load.keys];
    let [clients, requests, bytes, keys] = numbers.map(|number: u32| number.to_string());
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", port, "-t", "set", "--csv", "-c", &clients, "-n", &requests, "-d", &bytes]);
    if load.keys > 1 {
        command.args(["-r", &keys]);
    }
    let output = command.output();
    let output = output.map_err(|error| Unusable::Missing("redis-benchmark".to_owned(), error))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    read_csv(&text).ok_or_else(|| Unusable::Load(format!("redis-benchmark printed {text:?}")))
}

/// Parses the output of redis-benchmark: a line of names, then a line of `"SET"` and the values.
fn read_csv(text: &str) -> Option<Sample> {
    let words = |line: &str| -> Vec<String> {
        line.split(',').map(|word| word.trim().trim_matches('"').to_owned()).collect()
    };
    let head = words(text.lines().find(|line| line.contains("rps"))?);
    let row = words(text.lines().find(|line| line.starts_with("\"SET\""))?);
    let value = |name: &str| -> Option<f64> {
        row.get(head.iter().position(|column| column == name)?)?.parse().ok()
    };
    Some(Sample { puts_per_second: value("rps")?, median_ms: value("p50_latency_ms")? })
}

fn table(all: &[Comparison]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "clients",
        "keys",
        "puts/s paxos",
        "puts/s etcd",
        "ratio",
        "target",
        "median latency",
        "",
    ]);
    for comparison in all {
        let rates = |samples: &[Sample]| {
            let mut text = String::new();
            for sample in samples {
                let _ = write!(text, "{:.0} ", sample.puts_per_second);
            }
            text
        };
        table.add_row([
            comparison.load.clients.to_string(),
            comparison.load.keys.to_string(),
            rates(&comparison.paxos),
            rates(&comparison.etcd),
            format!("{:.2}", comparison.ratio),
            comparison.load.target.map_or("none".to_owned(), |target| target.to_string()),
            format!("{:.2} of etcd's", comparison.latency_ratio),
            comparison.met.map_or("", |met| if met { "met" } else { "MISSED" }).to_owned(),
        ]);
    }
    format!("{table}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_redis_benchmark_is_parsed() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\"\n\
                    \"SET\",\"1000.50\",\"0.5\",\"0.1\",\"0.25\"\n";
        let sample = read_csv(text).expect("the table is valid");
        assert!((sample.puts_per_second - 1000.5).abs() < 1e-9);
        assert!((sample.median_ms - 0.25).abs() < 1e-9);
        assert!(read_csv("ERR").is_none());
    }
}
