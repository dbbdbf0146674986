//! `paxos serve`: runs one node of a durable cluster, to which clients of Redis connect.

mod descriptors;
mod metrics;
mod settings;

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use paxos::Config;
use paxos_kv::{self, Kv};
use paxos_node::{
    self, Handshakes, NodeError, Running,
    tcp::{self, Addresses, Tcp},
};
use paxos_store::{Disk, Identity, StorageError};
use thiserror::Error;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};

pub(crate) use self::settings::{Args, Log};
use self::settings::{Settings, SettingsError};
use crate::{
    complain,
    log::{is_disk_fault, with_directory},
};

/// The longest time for which the process of a stopped node still sends answers to clients.
const FAREWELL: Duration = Duration::from_secs(1);

/// The reason why a node does not serve, or stopped serving.
#[derive(Debug, Error)]
enum ServeError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("`--{flag} {address}`: {error}")]
    Address { flag: &'static str, address: String, error: io::Error },
    #[error("{}", with_directory(.0, .1))]
    Data(PathBuf, StorageError),
    #[error(transparent)]
    Node(NodeError),
    #[error("metrics: {0}")]
    Metrics(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs a node until a signal stops it or until it fails, and returns the exit code.
pub(crate) fn main(args: Args) -> ExitCode {
    let settings = match Settings::gather(args) {
        Ok(settings) => settings,
        Err(error) => return fail(&error.into(), Log::Text),
    };
    let log = settings.log;
    start_logging(log, settings.log_level);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(serve(settings)));
    served.map_or_else(|error| fail(&error, log), |()| ExitCode::SUCCESS)
}

/// Prints the error, even if logging is off, and returns the exit code.
fn fail(error: &ServeError, log: Log) -> ExitCode {
    let text = error.to_string();
    match log {
        Log::Text => complain(format_args!("error: {text}")),
        Log::Json => {
            let line = serde_json::json!({ "level": "ERROR", "fields": { "message": text } });
            complain(format_args!("{line}"));
        }
    }
    match error {
        ServeError::Data(_, error) if is_disk_fault(error) => ExitCode::from(1),
        ServeError::Node(NodeError::Halted { .. }) | ServeError::Io(_) => ExitCode::from(1),
        _ => ExitCode::from(2),
    }
}

fn start_logging(log: Log, level: tracing::level_filters::LevelFilter) {
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        // tracing-subscriber would report an error of the log by a macro that panics if standard error is closed.
        .log_internal_errors(false)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match log {
        Log::Text => lines.with_target(false).init(),
        Log::Json => lines.json().init(),
    }
}

async fn serve(settings: Settings) -> Result<(), ServeError> {
    let bind = async |flag, address: &str| {
        let bound = TcpListener::bind(address).await;
        bound.map_err(|error| ServeError::Address { flag, address: address.to_owned(), error })
    };
    let peers = bind("listen", &settings.listen).await?;
    let clients = bind("client", &settings.client).await?;
    let identity = Identity { cluster: settings.cluster.clone(), node: settings.id };
    let store = Disk::open_or_create(&settings.data, &identity)
        .map_err(|error| ServeError::Data(settings.data.clone(), error))?;
    let nodes = settings.peers.keys().copied().chain([settings.id]);
    let config = Config::new(settings.id, nodes);
    if settings.peers.is_empty() {
        tracing::warn!(
            "no --peer is given: this node is a cluster of one. Its data has no copy, and no node can join it later. For \
             a cluster of several nodes, start with an empty --data and with --peer ID=ADDR for each other node"
        );
    }
    let shares = descriptors::divide(settings.peers.len(), settings.limits.clients_max);
    let limits = paxos_kv::Limits { clients_max: shares.clients, ..settings.limits };
    let addresses = Addresses {
        cluster: settings.cluster,
        id: settings.id,
        peers: settings.peers,
        ack_timeout: tcp::ack_timeout(settings.options.election_timeout()),
        handshakes_max: shares.handshakes,
    };
    let (transport, queues) = Tcp::new(&addresses);
    let (traffic, depths) = (queues.traffic(), transport.depths());
    let metrics = match settings.metrics {
        // The recorder must be installed before the node starts, because the node keeps the recorder that it finds at its start.
        Some(address) => Some(metrics::listen(address, shares.metrics).await?),
        None => None,
    };
    let (options, handshakes) = (settings.options, Handshakes::Made);
    let (running, node) =
        paxos_node::ready(config, options, handshakes, Kv::default(), store, transport)
            .map_err(|error| of_node(error, &settings.data))?;
    // The node runs on the same thread as the sockets, which costs less than passing requests between threads.
    tokio::spawn(node);
    if let Some(metrics) = metrics {
        tokio::spawn(metrics::publish(running.clients.clone(), traffic, depths, metrics));
    }
    let signals = Signals::new()?;
    // Scripts and tests wait for this line, and may send a signal at once.
    let (listen, client) = (peers.local_addr()?, clients.local_addr()?);
    tracing::info!(id = settings.id.0, %listen, %client, "serving");
    let data = &settings.data;
    until_stopped(addresses, peers, (clients, limits), queues, running, signals)
        .await?
        .map_err(|error| of_node(error, data))
}

async fn until_stopped(
    addresses: Addresses,
    peers: TcpListener,
    (clients, limits): (TcpListener, paxos_kv::Limits),
    queues: tcp::Queues,
    mut running: Running<Kv>,
    mut signals: Signals,
) -> Result<Result<(), NodeError>, io::Error> {
    let node = running.clients.clone();
    let mut stopped = std::mem::replace(&mut running.stopped, tokio::sync::oneshot::channel().1);
    // This task ends when the node has stopped.
    let mut serving = tokio::spawn(paxos_kv::serve(clients, node.clone(), limits));
    // The transport keeps running while the node hands over.
    let leaving = async {
        // Not within the macro, which does nothing at all if the level of the log is higher.
        let signal = signals.next().await;
        tracing::info!(signal, "stopping");
        tokio::select! {
            () = node.leave() => {}
            signal = signals.next() => tracing::info!(signal, "stopping at once"),
        }
    };
    let ended = tokio::select! {
        ended = &mut stopped => Some(ended),
        () = tcp::run(addresses, peers, queues, &running.peers, &running.handshake) => None,
        ended = &mut serving => { ended?; None }
        () = leaving => None,
    };
    node.stop().await;
    // All pending requests have their answers now. `serving` ends when each connection has sent them. The time is
    // limited, so that a client that does not read cannot keep the process running.
    if !serving.is_finished()
        && let Ok(ended) = tokio::time::timeout(FAREWELL, serving).await
    {
        ended?;
    }
    let ended = match ended {
        Some(ended) => ended,
        None => stopped.await,
    };
    ended.map_err(|_| io::Error::other("the node's thread has panicked"))
}

/// Adds the data directory to an error of the store.
fn of_node(error: NodeError, data: &Path) -> ServeError {
    match error {
        NodeError::Storage(error) => ServeError::Data(data.to_owned(), error),
        error => ServeError::Node(error),
    }
}

/// The signals that stop the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    /// Waits for the next signal, and returns its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
