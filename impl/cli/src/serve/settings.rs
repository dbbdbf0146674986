//! The settings of a node, from flags and from a file. Flags take precedence.

use std::{collections::BTreeMap, fs, path::PathBuf, str::FromStr, time::Duration};

use paxos::NodeId;
use paxos_node::{Options, OptionsError};
use paxos_recording::RecordingOptions;
use serde::Deserialize;
use thiserror::Error;
use tracing::level_filters::LevelFilter;

use crate::address::with_port;

/// The highest `--snapshot-bytes`. With more, the log between snapshots would not fit into a Promise message
/// ([`paxos_node::wire::PAYLOAD_MAX`]).
const SNAPSHOT_BYTES_MAX: u64 = 1 << 28;

/// The lowest `--state-max`. Less would not hold one key.
const STATE_MAX_LEAST: u64 = 1 << 16;

/// The length of the longest name of a cluster in bytes. The name is a part of each handshake.
const CLUSTER_BYTES_MAX: usize = 255;

/// Run one node of a durable cluster. Clients of Redis can connect to any node
///
/// A new node creates its data directory. A cluster is formed once all its nodes have met. From then on any majority of
/// them is enough, and a node that has lost its data directory is refused.
///
/// SIGTERM and Ctrl-C stop the node. Before it stops, the node lets another node lead if it leads, and answers pending
/// requests. That takes at most an election timeout. A second signal stops the node at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example, one command for each of three terminals:
  paxos serve --id 1 --data d1 --listen 127.0.0.1:7101 --client 127.0.0.1:7001 --peer 2=127.0.0.1:7102 --peer 3=127.0.0.1:7103
  paxos serve --id 2 --data d2 --listen 127.0.0.1:7102 --client 127.0.0.1:7002 --peer 1=127.0.0.1:7101 --peer 3=127.0.0.1:7103
  paxos serve --id 3 --data d3 --listen 127.0.0.1:7103 --client 127.0.0.1:7003 --peer 1=127.0.0.1:7101 --peer 2=127.0.0.1:7102

The same as a file, for --config:
  id = 1
  data = \"d1\"
  listen = \"127.0.0.1:7101\"
  client = \"127.0.0.1:7001\"
  [peers]
  2 = \"127.0.0.1:7102\"
  3 = \"127.0.0.1:7103\"

Exit codes: 0 stopped by a signal; 1 its disk or thread failed; 2 bad input.")]
pub(crate) struct Args {
    /// A file with the same settings; flags take precedence
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
    /// Another node, and the address at which it listens for this one. May be repeated. Without it, the node is a
    /// cluster of one
    #[arg(long = "peer", value_name = "ID=ADDR")]
    peers: Vec<Peer>,
}

/// Settings that flags and a file share.
#[derive(Debug, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct Given {
    /// The number of this node in its cluster
    #[arg(long, value_name = "N")]
    id: Option<u32>,
    /// The name of the cluster; nodes of other clusters are refused [default: paxos]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// The data directory; the node creates it if it does not exist
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The address at which this node listens for the other nodes
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The address at which this node listens for clients
    #[arg(long, value_name = "ADDR")]
    client: Option<String>,
    /// The address for metrics of Prometheus; without it no metrics are served
    #[arg(long, value_name = "ADDR")]
    metrics: Option<std::net::SocketAddr>,
    /// The form of the log on standard error [default: text]
    #[arg(long, value_enum, value_name = "FORM")]
    log: Option<Log>,
    /// The level of the log: off, error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<Level>,
    /// The shortest time without a leader after which a follower campaigns, in ms [default: 1000]
    #[arg(long, value_name = "MS")]
    election_timeout_ms: Option<Within<10, 600_000>>,
    /// The time between two heartbeats of a leader, in ms [default: a tenth of the election timeout]
    #[arg(long, value_name = "MS")]
    heartbeat_ms: Option<Within<1, 60_000>>,
    /// The longest time that a client waits for an answer, in ms [default: 10000]
    #[arg(long, value_name = "MS")]
    request_timeout_ms: Option<Within<1, 3_600_000>>,
    /// The growth of the log, in bytes, after which a snapshot is taken [default: 8388608]
    #[arg(long, value_name = "N")]
    snapshot_bytes: Option<Within<1024, SNAPSHOT_BYTES_MAX>>,
    /// The highest number of clients that are connected at once [default: 10000]
    #[arg(long, value_name = "N")]
    clients_max: Option<Within<1, 1_000_000>>,
    /// The memory for all keys and values, in bytes; writes beyond it are refused [default: 1073741824]
    #[arg(long, value_name = "N")]
    state_max: Option<Within<STATE_MAX_LEAST, { 1 << 44 }>>,
    /// The seed for the random part of timeouts [default: a random number]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Record each step of the node in this directory, for `paxos-conformance validate`. Nodes may share it
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Record commands themselves, and not only their digests [default: off]
    #[arg(long)]
    record_values: bool,
}

/// The content of a file of settings.
#[derive(Debug, Default, Deserialize)]
struct SettingsFile {
    #[serde(default)]
    peers: BTreeMap<String, String>,
    #[serde(flatten)]
    rest: toml::Table,
}

/// The form of a node's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Log {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object on each line
    Json,
}

/// A number from `MIN` to `MAX`, on the command line or in the file.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u64")]
struct Within<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> TryFrom<u64> for Within<MIN, MAX> {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        let within = (MIN..=MAX).contains(&number);
        within.then_some(Self(number)).ok_or_else(|| format!("{number} is not in {MIN}..={MAX}"))
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Within<MIN, MAX> {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        word.parse::<u64>().map_err(|error| error.to_string())?.try_into()
    }
}

/// A level of logging.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Level(LevelFilter);

impl FromStr for Level {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = ["off", "error", "warn", "info", "debug", "trace"].contains(&word);
        let level = known.then(|| word.parse().ok()).flatten();
        level.map(Self).ok_or_else(|| "not one of off, error, warn, info, debug, trace".to_owned())
    }
}

impl TryFrom<String> for Level {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        word.parse().map_err(|error| format!("log-level `{word}`: {error}"))
    }
}

/// Another node.
#[derive(Clone, Debug)]
struct Peer {
    id: NodeId,
    address: String,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, address) =
            text.split_once('=').ok_or("not of the form ID=ADDR, as in 2=127.0.0.1:7102")?;
        Self::new(id, address)
    }
}

impl Peer {
    fn new(id: &str, address: &str) -> Result<Self, String> {
        let number = id.parse().map_err(|_| format!("`{id}` is not the number of a node"))?;
        Ok(Self { id: NodeId(number), address: with_port(address)? })
    }
}

/// The complete settings of a node.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) id: NodeId,
    pub(super) cluster: String,
    pub(super) data: PathBuf,
    pub(super) listen: String,
    pub(super) client: String,
    pub(super) metrics: Option<std::net::SocketAddr>,
    pub(super) peers: BTreeMap<NodeId, String>,
    pub(super) log: Log,
    pub(super) log_level: LevelFilter,
    pub(super) options: Options,
    pub(super) limits: paxos_kv::Limits,
}

/// Settings that cannot be used.
#[derive(Debug, Error)]
pub(super) enum SettingsError {
    #[error("`{}` cannot be read: {error}", file.display())]
    Unreadable { file: PathBuf, error: std::io::Error },
    #[error("`{}`: {error}", file.display())]
    File { file: PathBuf, error: String },
    #[error("`--{0}` is missing (or `{0}` in the file of `--config`)")]
    Missing(&'static str),
    #[error("the name of the cluster has {0} bytes; it must have 1 to {CLUSTER_BYTES_MAX}")]
    Cluster(usize),
    #[error("node {0} is given twice as a peer")]
    PeerTwice(NodeId),
    #[error("node {0} is given as its own peer")]
    OwnPeer(NodeId),
    #[error(transparent)]
    Options(#[from] OptionsError),
}

impl Settings {
    /// Combines flags and the file, and fills in defaults.
    pub(super) fn gather(args: Args) -> Result<Self, SettingsError> {
        let (file, mut peers) = match &args.config {
            None => (Given::default(), Vec::new()),
            Some(path) => read(path)?,
        };
        if !args.peers.is_empty() {
            peers = args.peers;
        }
        let flags = args.given;
        let id = flags.id.or(file.id).ok_or(SettingsError::Missing("id"))?;
        let id = NodeId(id);
        let cluster = flags.cluster.or(file.cluster).unwrap_or_else(|| "paxos".to_owned());
        if !(1..=CLUSTER_BYTES_MAX).contains(&cluster.len()) {
            return Err(SettingsError::Cluster(cluster.len()));
        }
        let mut by_id = BTreeMap::new();
        for peer in peers {
            if peer.id == id {
                return Err(SettingsError::OwnPeer(id));
            }
            if by_id.insert(peer.id, peer.address).is_some() {
                return Err(SettingsError::PeerTwice(peer.id));
            }
        }
        let election_timeout = flags.election_timeout_ms.or(file.election_timeout_ms);
        let election_timeout = election_timeout.map_or(1000, |ms| ms.0);
        let heartbeat = flags.heartbeat_ms.or(file.heartbeat_ms);
        let heartbeat = heartbeat.map_or((election_timeout / 10).max(1), |ms| ms.0);
        let mut options = Options::builder()
            .election_timeout(Duration::from_millis(election_timeout))
            .heartbeat(Duration::from_millis(heartbeat))
            .command_bytes_max(paxos_kv::REQUEST_MAX * 2)
            .seed(flags.seed.or(file.seed).unwrap_or_else(random_seed));
        if let Some(ms) = flags.request_timeout_ms.or(file.request_timeout_ms) {
            options = options.request_timeout(Duration::from_millis(ms.0));
        }
        if let Some(bytes) = flags.snapshot_bytes.or(file.snapshot_bytes) {
            options = options.snapshot_bytes(bytes.0);
        }
        let values = flags.record_values || file.record_values;
        match flags.record.or(file.record) {
            Some(directory) => {
                options = options.recording(RecordingOptions::new(directory).with_values(values));
            }
            None if values => return Err(SettingsError::Missing("record")),
            None => {}
        }
        let options = options.build()?;
        let mut limits = paxos_kv::Limits::default();
        if let Some(clients) = flags.clients_max.or(file.clients_max) {
            limits.clients_max = clients.0 as usize;
        }
        if let Some(state) = flags.state_max.or(file.state_max) {
            limits.state_max = state.0;
        }
        Ok(Self {
            id,
            cluster,
            data: flags.data.or(file.data).ok_or(SettingsError::Missing("data"))?,
            listen: flags.listen.or(file.listen).ok_or(SettingsError::Missing("listen"))?,
            client: flags.client.or(file.client).ok_or(SettingsError::Missing("client"))?,
            metrics: flags.metrics.or(file.metrics),
            peers: by_id,
            log: flags.log.or(file.log).unwrap_or_default(),
            log_level: flags
                .log_level
                .or(file.log_level)
                .map_or(LevelFilter::INFO, |level| level.0),
            options,
            limits,
        })
    }
}

/// Returns a random seed, or else the process id. The seeds of two nodes should differ, so that they do not campaign at the
/// same moments.
fn random_seed() -> u64 {
    getrandom::u64().unwrap_or_else(|_| std::process::id().into())
}

/// Reads the settings and the peers from a file.
fn read(path: &PathBuf) -> Result<(Given, Vec<Peer>), SettingsError> {
    let text = fs::read_to_string(path)
        .map_err(|error| SettingsError::Unreadable { file: path.clone(), error })?;
    let wrong = |error: String| SettingsError::File { file: path.clone(), error };
    let written: SettingsFile = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let given = Given::deserialize(written.rest).map_err(|error| wrong(error.to_string()))?;
    let peers = written.peers.iter().map(|(id, address)| Peer::new(id, address));
    Ok((given, peers.collect::<Result<_, _>>().map_err(wrong)?))
}
