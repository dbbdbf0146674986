//! Measures how long requests wait while three nodes of `paxos serve` write snapshots of a large state.
//!
//! The program fills the store. Then clients overwrite random keys, one put at a time each, until each node has written
//! some snapshots. The program notes the latency of each put, and samples the memory of each node. A put counts as one
//! during a snapshot if any node wrote a snapshot at any time between the request and its answer.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::{Child, ExitCode},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use clap::Parser;
use comfy_table::{Table, presets};
use paxos_benches::{
    DebugBuild, beside,
    client::{self, Client, ClientError, number},
    exit, optimized,
    servers::{self, Servers, ServersError},
};
use serde::Serialize;
use tokio::{task::JoinSet, time::sleep};

/// The memory that a key and its value take beside their own bytes, as `paxos serve` counts it.
const ENTRY_BYTES: u64 = 256;
/// The bytes of a key.
const KEY_BYTES: u64 = 16;
/// The time between two samples of the memory of the nodes.
const SAMPLE: Duration = Duration::from_millis(20);

/// The latency of puts while nodes write snapshots of a large state
#[derive(Parser)]
#[command(
    version,
    after_help = "Needs paxos beside it: cargo build --profile dist -p paxos-cli -p paxos-benches\n\n\
                  Exit codes: 0 all targets are met, 1 one is missed, 2 nothing can be measured."
)]
struct Args {
    /// The size of the state in MiB, with 256 bytes for each key
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=65536))]
    state_mib: u64,
    /// The bytes of a value
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    value: u32,
    /// The number of clients that put while snapshots are written
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    clients: u32,
    /// The number of snapshots that each node writes
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    snapshots: u64,
    /// The directory for the data of the nodes [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The longest wait that meets the target, in ms
    #[arg(long, value_name = "MS", default_value_t = 50)]
    wait_max: u64,
    /// The most memory of a node, in parts of the state, that meets the target
    #[arg(long, value_name = "RATIO", default_value_t = 1.3)]
    memory_max: f64,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

/// The reason for which nothing was measured.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Debug(#[from] DebugBuild),
    #[error(transparent)]
    Servers(#[from] ServersError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("process {0} has no VmRSS")]
    NoMemory(u32),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// A put: the time of its answer since the start of the measurement, and its latency.
#[derive(Clone, Copy)]
struct Put {
    answered: Duration,
    took: Duration,
}

/// The state of all nodes at one moment.
struct Sample {
    at: Duration,
    /// True if a node writes a snapshot.
    in_progress: bool,
    /// The least number of snapshots that a node has written.
    snapshots: u64,
    /// The greatest resident memory of a node, in bytes.
    memory: u64,
}

/// Puts with or without a snapshot. Latencies are in milliseconds.
#[derive(Debug, Serialize)]
struct Latencies {
    puts: usize,
    median: f64,
    p99: f64,
    longest: f64,
    beyond_target: usize,
    /// The greatest resident memory of a node at that time, in parts of the state.
    memory: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    state_bytes: u64,
    during_snapshots: Latencies,
    otherwise: Latencies,
}

fn main() -> ExitCode {
    let args = Args::parse();
    exit(measure(&args))
}

fn measure(args: &Args) -> Result<bool, Unusable> {
    optimized()?;
    let program = beside("paxos")?;
    let data = match &args.data {
        Some(data) => tempfile::tempdir_in(data)?,
        None => tempfile::tempdir()?,
    };
    let state_max = (args.state_mib << 21).to_string();
    let servers = servers::paxos(&program, data.path(), &["--state-max", &state_max])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(load(args, &servers))?;
    let text =
        if args.json { serde_json::to_string(&report)? + "\n" } else { table(args, &report) };
    io::stdout().write_all(text.as_bytes())?;
    let during = &report.during_snapshots;
    Ok(during.beyond_target == 0 && during.memory <= args.memory_max)
}

async fn load(args: &Args, servers: &Servers) -> Result<Report, Unusable> {
    let mut watchers = Vec::new();
    for address in &servers.clients {
        watchers.push(client::ready(address).await?);
    }
    let leader = servers.leader()?.to_owned();
    let value = u64::from(args.value);
    let keys = (args.state_mib << 20).div_ceil(ENTRY_BYTES + KEY_BYTES + value);
    eprintln!("filling {keys} keys");
    client::fill(&leader, keys, args.value as usize).await?;
    let processes: Vec<u32> = servers.processes.iter().map(Child::id).collect();
    let begun = Instant::now();
    let state_bytes = number(&client::info(&mut watchers[0]).await?, "paxos_state_bytes")?;
    while sample(&mut watchers, &processes, begun).await?.in_progress {
        sleep(Duration::from_millis(100)).await;
    }
    eprintln!("putting");
    let begun = Instant::now();
    let (puts, mut samples) = (Arc::new(Mutex::new(Vec::new())), Vec::new());
    let mut clients = JoinSet::new();
    for client in 0..args.clients {
        let seed = u64::from(client) << 32;
        clients.spawn(overwrite(leader.clone(), seed, keys, args.value, begun, puts.clone()));
    }
    let first = sample(&mut watchers, &processes, begun).await?.snapshots;
    loop {
        let seen = sample(&mut watchers, &processes, begun).await?;
        let done = seen.snapshots >= first + args.snapshots && !seen.in_progress;
        samples.push(seen);
        if done {
            break;
        }
        tokio::select! {
            () = sleep(SAMPLE) => {}
            Some(ended) = clients.join_next() => ended.map_err(io::Error::other)??,
        }
    }
    clients.shutdown().await;
    let puts = std::mem::take(&mut *puts.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(report(args, state_bytes, &puts, &samples))
}

async fn sample(
    watchers: &mut [Client],
    processes: &[u32],
    begun: Instant,
) -> Result<Sample, Unusable> {
    let mut seen =
        Sample { at: Duration::ZERO, in_progress: false, snapshots: u64::MAX, memory: 0 };
    for (client, process) in watchers.iter_mut().zip(processes) {
        let text = client::info(client).await?;
        seen.in_progress |= number(&text, "paxos_snapshot_in_progress")? > 0;
        seen.snapshots = seen.snapshots.min(number(&text, "paxos_snapshots")?);
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        let kib = kib.ok_or(Unusable::NoMemory(*process))?;
        seen.memory = seen.memory.max(kib << 10);
    }
    seen.at = begun.elapsed();
    Ok(seen)
}

/// Sets random keys, one after the other, and notes each put.
async fn overwrite(
    address: String,
    mut seed: u64,
    keys: u64,
    value: u32,
    begun: Instant,
    puts: Arc<Mutex<Vec<Put>>>,
) -> Result<(), Unusable> {
    let mut client = Client::connect(&address).await?;
    let value = vec![b'y'; value as usize];
    loop {
        let key = client::key(scattered(seed) % keys);
        seed += 1;
        let asked = Instant::now();
        client.send(&[b"SET", key.as_bytes(), &value]);
        client.flush().await?;
        client::expect_ok(&client.answer().await?)?;
        let put = Put { answered: begun.elapsed(), took: asked.elapsed() };
        puts.lock().unwrap_or_else(PoisonError::into_inner).push(put);
    }
}

/// Permutes the numbers, so that consecutive ones become random keys (`SplitMix64`).
fn scattered(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[expect(clippy::cast_precision_loss, reason = "sizes of memory")]
fn report(args: &Args, state_bytes: u64, puts: &[Put], samples: &[Sample]) -> Report {
    // A put is judged by all samples from the last one before its request to the first one after its answer.
    let during = |put: &Put| {
        let from = samples.partition_point(|sample| sample.at + put.took < put.answered);
        let to = samples.partition_point(|sample| sample.at < put.answered);
        let seen = from.saturating_sub(1)..samples.len().min(to + 1);
        samples[seen].iter().any(|sample| sample.in_progress)
    };
    let (with, without): (Vec<&Put>, Vec<&Put>) = puts.iter().partition(|put| during(put));
    let of = |puts: &[&Put], in_progress| {
        let samples = samples.iter().filter(|sample| sample.in_progress == in_progress);
        let memory = samples.map(|sample| sample.memory).max().unwrap_or_default();
        latencies(args, puts, memory as f64 / state_bytes as f64)
    };
    Report { state_bytes, during_snapshots: of(&with, true), otherwise: of(&without, false) }
}

fn latencies(args: &Args, puts: &[&Put], memory: f64) -> Latencies {
    let mut took: Vec<Duration> = puts.iter().map(|put| put.took).collect();
    took.sort_unstable();
    let at =
        |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1)));
    let ms = |time: Option<&Duration>| time.copied().unwrap_or_default().as_secs_f64() * 1e3;
    let within = took.partition_point(|took| *took <= Duration::from_millis(args.wait_max));
    Latencies {
        puts: took.len(),
        median: ms(at(50)),
        p99: ms(at(99)),
        longest: ms(took.last()),
        beyond_target: took.len() - within,
        memory,
    }
}

fn table(args: &Args, report: &Report) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    let beyond = format!("beyond {} ms", args.wait_max);
    table.set_header(["", "puts", "median ms", "p99 ms", "longest ms", &beyond, "memory / state"]);
    for (name, puts) in [("snapshot", &report.during_snapshots), ("none", &report.otherwise)] {
        table.add_row([
            name.to_owned(),
            puts.puts.to_string(),
            format!("{:.1}", puts.median),
            format!("{:.1}", puts.p99),
            format!("{:.1}", puts.longest),
            puts.beyond_target.to_string(),
            format!("{:.2}", puts.memory),
        ]);
    }
    format!("state of {} MiB\n{table}\n", report.state_bytes >> 20)
}
