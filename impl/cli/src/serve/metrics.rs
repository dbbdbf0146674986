//! Metrics for Prometheus: the status and the traffic of the node, published once a second.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use paxos_kv::Kv;
use paxos_node::{
    ClientHandle, Packet, Status,
    tcp::{Depth, Depths, Traffic},
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::ServeError;

/// The buckets of the histogram of syncs, in seconds.
const SYNC_SECONDS: &[f64] =
    &[0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

/// The longest time for which a connection stays open.
const CONNECTION_TIME: Duration = Duration::from_secs(30);

/// Installs the recorder of metrics, and serves them on an address. At most `connections_max` connections are open at once: a
/// further connection closes the oldest.
pub(super) async fn listen(
    address: SocketAddr,
    connections_max: usize,
) -> Result<PrometheusHandle, ServeError> {
    let wrong = |error: &dyn std::fmt::Display| ServeError::Metrics(error.to_string());
    let listener = TcpListener::bind(address).await.map_err(|error| ServeError::Address {
        flag: "metrics",
        address: address.to_string(),
        error,
    })?;
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("paxos_sync_seconds".to_owned()), SYNC_SECONDS)
        .map_err(|error| wrong(&error))?
        .install_recorder()
        .map_err(|error| wrong(&error))?;
    describe();
    tracing::info!(address = %listener.local_addr()?, "serving metrics");
    tokio::spawn(accept(listener, metrics.clone(), connections_max));
    Ok(metrics)
}

/// Accepts connections and answers their requests.
///
/// The exporter has a listener of its own. It keeps any number of silent connections for ever, and would so take the
/// descriptors that peers and clients need.
async fn accept(listener: TcpListener, metrics: PrometheusHandle, connections_max: usize) {
    let mut connections = VecDeque::<AbortHandle>::new();
    loop {
        let connection = match listener.accept().await {
            Ok((connection, _)) => connection,
            Err(error) => {
                tracing::warn!(%error, "a connection for metrics could not be accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        connections.retain(|connection| !connection.is_finished());
        if connections.len() >= connections_max
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        connections.push_back(tokio::spawn(answer(connection, metrics.clone())).abort_handle());
    }
}

/// Answers the requests of one connection.
async fn answer(connection: TcpStream, metrics: PrometheusHandle) {
    let respond = service_fn(async |request: Request<Incoming>| {
        let text = match request.uri().path() {
            "/health" => "OK".to_owned(),
            _ => metrics.render(),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        let plain = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        Ok::<_, Infallible>(response)
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(connection), respond);
    // A connection that times out or breaks is closed. Neither is an error of the node.
    let _ = timeout(CONNECTION_TIME, served).await;
}

/// Registers the help text of each metric.
fn describe() {
    for (name, what) in [
        ("paxos_proposals_total", "Commands proposed as a leader."),
        ("paxos_batches_total", "Batches of commands proposed as a leader."),
        ("paxos_syncs_total", "Synced writes to the store."),
        ("paxos_applied_total", "Slots applied to the state machine."),
        ("paxos_campaigns_total", "Elections begun by this node."),
        ("paxos_snapshots_total", "Snapshots taken."),
        ("paxos_snapshots_installed_total", "Snapshots of peers installed."),
        ("paxos_packets_sent_total", "Packets sent, by kind; a packet to all peers counts once."),
        ("paxos_packets_received_total", "Packets received, by kind."),
        ("paxos_rejected_frames_total", "Invalid frames received; each closed its connection."),
        ("paxos_refused_handshakes_total", "Connections of peers refused in the handshake."),
        ("paxos_packets_dropped_total", "Packets dropped because the queue of a peer was full."),
        ("paxos_connections_total", "Connections made to peers."),
        (
            "paxos_unacknowledged_total",
            "Connections to peers closed and made again because the peer acknowledged nothing.",
        ),
        (
            "paxos_crowded_out_total",
            "Connections without a handshake closed in favour of newer ones.",
        ),
        (
            "paxos_implausible_total",
            "Packets refused because of a number that no correct cluster reaches.",
        ),
    ] {
        describe_counter!(name, what);
    }
    for (name, what) in [
        ("paxos_leads", "1 if this node leads and hears from a majority."),
        ("paxos_ballot_round", "The round of the highest ballot that this node has promised."),
        ("paxos_chosen_below", "Every slot below is known to be chosen."),
        ("paxos_applied_below", "Every slot below is applied."),
        (
            "paxos_apply_lag",
            "Slots that leaders have announced as chosen and this node has not applied.",
        ),
        ("paxos_trimmed_below", "Every slot below is trimmed: its effect is in a snapshot."),
        ("paxos_disk_bytes", "The size of the store on disk."),
        ("paxos_state_bytes", "The memory that keys and values take, as --state-max counts it."),
        (
            "paxos_halted",
            "1 if the state machine has panicked, so that the node answers no command.",
        ),
        ("paxos_sessions", "Open sessions of the whole cluster."),
        ("paxos_waiting", "Pending requests of this node's own clients: proposals or reads."),
        ("paxos_peer_queue_frames", "Frames that wait to be sent to a peer."),
        ("paxos_peer_queue_bytes", "Bytes of frames that wait to be sent to a peer."),
    ] {
        describe_gauge!(name, what);
    }
    describe_histogram!(
        "paxos_sync_seconds",
        Unit::Seconds,
        "The time that a synced write to the store took."
    );
}

/// Publishes all metrics once a second, until the node has stopped.
pub(super) async fn publish(
    node: ClientHandle<Kv>,
    traffic: Arc<Traffic>,
    depths: Depths,
    metrics: PrometheusHandle,
) {
    while let Some(status) = node.status().await {
        publish_status(&status);
        publish_traffic(&traffic);
        publish_depths(&depths);
        // Without upkeep the samples of histograms accumulate between two scrapes.
        metrics.run_upkeep();
        sleep(Duration::from_secs(1)).await;
    }
}

fn publish_status(status: &Status) {
    let counts = &status.counts;
    counter!("paxos_proposals_total").absolute(counts.proposals);
    counter!("paxos_batches_total").absolute(counts.batches);
    counter!("paxos_syncs_total").absolute(counts.syncs);
    counter!("paxos_applied_total").absolute(counts.applied);
    counter!("paxos_campaigns_total").absolute(counts.campaigns);
    counter!("paxos_snapshots_total").absolute(counts.snapshots);
    counter!("paxos_snapshots_installed_total").absolute(counts.installed);
    counter!("paxos_implausible_total").absolute(counts.implausible);
    for (kind, name) in Packet::KINDS.iter().enumerate() {
        counter!("paxos_packets_sent_total", "kind" => *name).absolute(counts.sent[kind]);
        counter!("paxos_packets_received_total", "kind" => *name).absolute(counts.received[kind]);
    }
    let leads = status.leader == Some(status.node);
    gauge!("paxos_leads").set(f64::from(u8::from(leads)));
    gauge!("paxos_ballot_round")
        .set(number(status.promised.map_or(0, |ballot| ballot.round.get())));
    gauge!("paxos_chosen_below").set(number(status.chosen_below.0));
    gauge!("paxos_applied_below").set(number(status.applied_below.0));
    let lag = status.chosen_elsewhere_below.0.saturating_sub(status.applied_below.0);
    gauge!("paxos_apply_lag").set(number(lag));
    gauge!("paxos_trimmed_below").set(number(status.trimmed_below.0));
    gauge!("paxos_disk_bytes").set(number(status.disk_bytes));
    gauge!("paxos_state_bytes").set(number(status.state_bytes));
    gauge!("paxos_halted").set(f64::from(u8::from(status.halted.is_some())));
    gauge!("paxos_sessions").set(number(status.sessions as u64));
    gauge!("paxos_waiting", "what" => "proposals").set(number(status.waiting_proposals as u64));
    gauge!("paxos_waiting", "what" => "reads").set(number(status.waiting_reads as u64));
}

fn publish_traffic(traffic: &Traffic) {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    counter!("paxos_rejected_frames_total").absolute(read(&traffic.rejected_frames));
    counter!("paxos_refused_handshakes_total").absolute(read(&traffic.refused_handshakes));
    counter!("paxos_packets_dropped_total").absolute(read(&traffic.dropped));
    counter!("paxos_connections_total").absolute(read(&traffic.connected));
    counter!("paxos_unacknowledged_total").absolute(read(&traffic.unacknowledged));
    counter!("paxos_crowded_out_total").absolute(read(&traffic.crowded_out));
}

fn publish_depths(depths: &Depths) {
    for Depth { peer, frames, bytes } in depths.read() {
        let peer = peer.to_string();
        gauge!("paxos_peer_queue_frames", "peer" => peer.clone()).set(number(frames as u64));
        gauge!("paxos_peer_queue_bytes", "peer" => peer).set(number(bytes as u64));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; no count comes near 2^52")]
fn number(number: u64) -> f64 {
    number as f64
}
