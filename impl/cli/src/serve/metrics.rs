//! Metrics for Prometheus: what the node says of itself, once a second.

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

/// From a tenth of a millisecond to about a second.
const SYNC_SECONDS: &[f64] =
    &[0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

/// The longest time for which a connection stays open.
const CONNECTION_TIME: Duration = Duration::from_secs(30);

/// Serves metrics on an address, from now on. No more than `connections_max` connections are open at once: a further
/// one takes the place of the oldest.
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

/// Accepts connections and answers on them. The listener of the exporter keeps silent connections for ever, in any number, and so
/// takes the descriptors that peers and clients need.
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
    // The connection is closed at the end of its time or when it breaks; there is nothing to do about either.
    let _ = timeout(CONNECTION_TIME, served).await;
}

/// What each of them is.
fn describe() {
    for (name, what) in [
        ("paxos_proposals_total", "Commands proposed as a leader."),
        ("paxos_batches_total", "Batches in which they were proposed."),
        ("paxos_syncs_total", "Writes to the store that were waited for."),
        ("paxos_applied_total", "Slots applied to the state machine."),
        ("paxos_campaigns_total", "Elections begun by this node."),
        ("paxos_snapshots_total", "Snapshots taken."),
        ("paxos_snapshots_installed_total", "Snapshots of peers installed."),
        ("paxos_packets_sent_total", "Packets sent, by kind; one to all peers counts once."),
        ("paxos_packets_received_total", "Packets received, by kind."),
        ("paxos_rejected_frames_total", "Frames that could not be read; each cost its connection."),
        ("paxos_refused_greetings_total", "Connections of peers that were not let in."),
        ("paxos_packets_dropped_total", "Packets dropped, since too many waited for a peer."),
        ("paxos_connections_total", "Connections made to peers."),
        (
            "paxos_unacknowledged_total",
            "Connections to peers closed and made again because nothing was acknowledged.",
        ),
        (
            "paxos_crowded_out_total",
            "Connections that had not greeted when newer ones needed their places.",
        ),
        (
            "paxos_implausible_total",
            "Packets refused because of a number that no correct cluster reaches.",
        ),
    ] {
        describe_counter!(name, what);
    }
    for (name, what) in [
        ("paxos_leads", "1 if this node leads, and hears of enough others."),
        ("paxos_ballot_round", "The round of the highest ballot that it has promised."),
        ("paxos_chosen_below", "Every slot below is known to be chosen."),
        ("paxos_applied_below", "Every slot below is applied."),
        ("paxos_apply_lag", "Slots chosen, as far as leaders have told, and not applied here."),
        ("paxos_trimmed_below", "Every slot below is forgotten, but for its effect."),
        ("paxos_disk_bytes", "What its store takes on disk."),
        ("paxos_state_bytes", "What keys and values take in memory, as --state-max counts it."),
        ("paxos_halted", "1 if the state machine has panicked, so that the node answers nothing."),
        ("paxos_sessions", "Open sessions, over the whole cluster."),
        ("paxos_waiting", "Requests of its own clients that wait, by what."),
        ("paxos_peer_queue_frames", "Frames that wait to be sent to a peer."),
        ("paxos_peer_queue_bytes", "Bytes of frames that wait to be sent to a peer."),
    ] {
        describe_gauge!(name, what);
    }
    describe_histogram!("paxos_sync_seconds", Unit::Seconds, "How long a write to the store took.");
}

/// Tells them again and again, until the node has stopped.
pub(super) async fn tell(
    node: ClientHandle<Kv>,
    traffic: Arc<Traffic>,
    depths: Depths,
    metrics: PrometheusHandle,
) {
    while let Some(status) = node.status().await {
        tell_status(&status);
        tell_traffic(&traffic);
        tell_depths(&depths);
        // Otherwise the samples of histograms pile up between two scrapes.
        metrics.run_upkeep();
        sleep(Duration::from_secs(1)).await;
    }
}

fn tell_status(status: &Status) {
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

fn tell_traffic(traffic: &Traffic) {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    counter!("paxos_rejected_frames_total").absolute(read(&traffic.rejected_frames));
    counter!("paxos_refused_greetings_total").absolute(read(&traffic.refused_handshakes));
    counter!("paxos_packets_dropped_total").absolute(read(&traffic.dropped));
    counter!("paxos_connections_total").absolute(read(&traffic.connected));
    counter!("paxos_unacknowledged_total").absolute(read(&traffic.unacknowledged));
    counter!("paxos_crowded_out_total").absolute(read(&traffic.crowded_out));
}

fn tell_depths(depths: &Depths) {
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
