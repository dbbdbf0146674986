//! Measures the time in which a node of `paxos serve` catches up that was down, and the use of the link to it.
//!
//! The program starts three nodes, kills the last one and fills the store. Then it starts the node again. The node has to
//! fetch a snapshot. Meanwhile a client may put at a steady rate, and the link to the node may be slow. The node has caught
//! up once it has applied all that the leader had applied when the node was started, and lacks no more than a few slots.

mod link;

use std::{
    io::{self, Write as _},
    net::TcpListener,
    path::Path,
    process::ExitCode,
    sync::Arc,
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
use tokio::time::sleep;

use self::link::Link;

/// The number of the node that is behind.
const BEHIND: usize = 2;
/// The time between two looks at the node.
const LOOK: Duration = Duration::from_millis(20);
/// A node that lacks so many slots at most has caught up.
const LACKS_MAX: u64 = 200;
const MIB: u64 = 1 << 20;

/// The time in which a node catches up that was down
#[derive(Parser)]
#[command(
    version,
    after_help = "Needs paxos beside it: cargo build --profile dist -p paxos-cli -p paxos-benches\n\n\
                  Exit codes: 0 the node has caught up, 1 it has not, 2 nothing can be measured."
)]
struct Args {
    /// The size of the values in MiB, all together
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=16384))]
    state_mib: u64,
    /// The bytes of a value
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    value: u32,
    /// The bytes in MB that the link to the node passes in a second [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    link: Option<u64>,
    /// The time of a round trip over the link, in ms
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    round_trip: u64,
    /// The bytes in kB that a client puts in a second while the node catches up
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    puts: u64,
    /// The longest time that is waited for the node, in seconds
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    limit: u64,
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
    Client(#[from] ClientError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

#[derive(Debug, Serialize)]
struct Report {
    /// The time from the start of the node. `None` if it has not caught up.
    caught_up_s: Option<f64>,
    /// The bytes of the leader's state at the end.
    state_bytes: u64,
    /// The number of snapshots that the node has fetched.
    fetched: u64,
    /// The bytes that have passed over the link to the node.
    link_bytes: u64,
    /// The share of the bytes that the link could have passed. `None` if the link has no limit.
    link_use: Option<f64>,
}

fn main() -> ExitCode {
    exit(measure(&Args::parse()))
}

fn measure(args: &Args) -> Result<bool, Unusable> {
    optimized()?;
    let program = beside("paxos")?;
    let data = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(catch_up(args, &program, data.path()))?;
    let text = if args.json { serde_json::to_string(&report)? + "\n" } else { table(&report) };
    io::stdout().write_all(text.as_bytes())?;
    Ok(report.caught_up_s.is_some())
}

async fn catch_up(args: &Args, program: &Path, data: &Path) -> Result<Report, Unusable> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let proxy = listener.local_addr()?.to_string();
    let delay = Duration::from_millis(args.round_trip) / 2;
    let link = Arc::new(Link::new(args.link.map(|mb| mb * 1_000_000), delay));
    let state_max = (args.state_mib * 4 * MIB).max(64 * MIB).to_string();
    let flags = ["--state-max", &state_max];
    let (mut servers, node) = servers::paxos_behind(program, data, &flags, Some(proxy))?;
    let serving = tokio::spawn(link.clone().serve(listener, node));
    for address in &servers.clients {
        client::ready(address).await?;
    }
    servers.kill(BEHIND)?;
    let address = leader(&servers).await?;
    let mut leader = Client::connect(&address).await?;
    let keys = (args.state_mib * MIB).div_ceil(args.value.into());
    eprintln!("filling {keys} keys");
    client::fill(&address, keys, args.value as usize).await?;
    let puts =
        (args.puts > 0).then(|| tokio::spawn(put(address, args.puts * 1_000, args.value, keys)));

    eprintln!("starting the node");
    let target = number(&client::info(&mut leader).await?, "paxos_applied_below")?;
    let (begun, passed) = (Instant::now(), link.passed());
    servers.start_again(BEHIND)?;
    let limit = Duration::from_secs(args.limit);
    let (mut caught_up, mut fetched) = (None, 0);
    while caught_up.is_none() && begun.elapsed() < limit {
        sleep(LOOK).await;
        // The node may not listen yet.
        let Ok(mut behind) = Client::connect(&servers.clients[BEHIND]).await else { continue };
        let seen = client::info(&mut behind).await?;
        let applied = number(&seen, "paxos_applied_below")?;
        fetched = number(&seen, "paxos_installed")?;
        let leads = number(&client::info(&mut leader).await?, "paxos_applied_below")?;
        if applied >= target && leads.saturating_sub(applied) <= LACKS_MAX {
            caught_up = Some(begun.elapsed());
        }
    }
    let link_bytes = link.passed() - passed;
    if let Some(puts) = puts {
        if puts.is_finished() {
            puts.await.map_err(io::Error::other)??;
        } else {
            puts.abort();
        }
    }
    serving.abort();
    let state_bytes = number(&client::info(&mut leader).await?, "paxos_state_bytes")?;
    let link_use = args.link.map(|mb| share(link_bytes, mb, caught_up.unwrap_or(limit)));
    let caught_up_s = caught_up.map(|took| took.as_secs_f64());
    Ok(Report { caught_up_s, state_bytes, fetched, link_bytes, link_use })
}

/// Returns the share of the bytes that a link of this rate in MB a second could have passed in this time.
#[expect(clippy::cast_precision_loss, reason = "bytes of a measurement")]
fn share(bytes: u64, rate_mb: u64, took: Duration) -> f64 {
    bytes as f64 / (rate_mb as f64 * 1e6 * took.as_secs_f64())
}

/// Waits until one of the nodes that are up leads. Returns its address for clients.
async fn leader(servers: &Servers) -> Result<String, Unusable> {
    let begun = Instant::now();
    loop {
        match servers.leader() {
            Err(ServersError::NoLeader(_)) if begun.elapsed() < Duration::from_mins(1) => {
                sleep(LOOK).await;
            }
            leader => return Ok(leader?.to_owned()),
        }
    }
}

/// Puts values at a steady rate in bytes a second, one put at a time.
async fn put(address: String, rate: u64, value: u32, keys: u64) -> Result<(), ClientError> {
    let mut client = Client::connect(&address).await?;
    let (begun, content) = (Instant::now(), vec![b'y'; value as usize]);
    for count in 0_u64.. {
        client.send(&[b"SET", client::key(count % keys).as_bytes(), &content]);
        client.flush().await?;
        client::expect_ok(&client.answer().await?)?;
        let due = Duration::from_micros(count * u64::from(value) * 1_000_000 / rate);
        sleep(due.saturating_sub(begun.elapsed())).await;
    }
    Ok(())
}

fn table(report: &Report) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["caught up after", "state", "snapshots", "over the link", "of its rate"]);
    table.add_row([
        report.caught_up_s.map_or_else(|| "not".to_owned(), |seconds| format!("{seconds:.2} s")),
        format!("{} MiB", report.state_bytes / MIB),
        report.fetched.to_string(),
        format!("{} MB", report.link_bytes / 1_000_000),
        report.link_use.map_or_else(|| "no limit".to_owned(), |part| format!("{part:.2}")),
    ]);
    format!("{table}\n")
}
