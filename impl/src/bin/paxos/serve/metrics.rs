//! Metrics for Prometheus: what the node says of itself, once a second.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::{counter, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use paxos::{
    kv::Kv,
    runtime::{Handle, Packet, Status, tcp::Traffic},
};

use super::ServeError;

/// From a tenth of a millisecond to about a second.
const SYNC_SECONDS: &[f64] =
    &[0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

/// Serves metrics on an address.
pub(super) fn listen(address: SocketAddr) -> Result<(), ServeError> {
    let wrong = |error: &dyn std::fmt::Display| ServeError::Metrics(error.to_string());
    PrometheusBuilder::new()
        .with_http_listener(address)
        .set_buckets_for_metric(Matcher::Full("paxos_sync_seconds".to_owned()), SYNC_SECONDS)
        .map_err(|error| wrong(&error))?
        .install()
        .map_err(|error| wrong(&error))
}

/// Tells them again and again, until the node has stopped.
pub(super) async fn tell(node: Handle<Kv>, traffic: Arc<Traffic>) {
    while let Some(status) = node.status().await {
        tell_status(&status);
        tell_traffic(&traffic);
        tokio::time::sleep(Duration::from_secs(1)).await;
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
    for (kind, name) in Packet::KINDS.iter().enumerate() {
        counter!("paxos_packets_sent_total", "kind" => *name).absolute(counts.sent[kind]);
        counter!("paxos_packets_received_total", "kind" => *name).absolute(counts.received[kind]);
    }
    let leads = status.leader == Some(status.node);
    gauge!("paxos_leads").set(f64::from(u8::from(leads)));
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; no count comes near 2^52")]
    let number = |number: u64| number as f64;
    gauge!("paxos_ballot_round")
        .set(number(status.promised.map_or(0, |ballot| ballot.round.get())));
    gauge!("paxos_chosen_below").set(number(status.chosen_below.0));
    gauge!("paxos_applied_below").set(number(status.applied_below.0));
    gauge!("paxos_apply_lag").set(number(status.log_end.0.saturating_sub(status.applied_below.0)));
    gauge!("paxos_trimmed_below").set(number(status.trimmed_below.0));
    gauge!("paxos_disk_bytes").set(number(status.disk_bytes));
    gauge!("paxos_sessions").set(number(status.sessions as u64));
    gauge!("paxos_waiting", "what" => "proposals").set(number(status.waiting_proposals as u64));
    gauge!("paxos_waiting", "what" => "reads").set(number(status.waiting_reads as u64));
}

fn tell_traffic(traffic: &Traffic) {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    counter!("paxos_rejected_frames_total").absolute(read(&traffic.rejected_frames));
    counter!("paxos_refused_greetings_total").absolute(read(&traffic.refused_greetings));
    counter!("paxos_packets_dropped_total").absolute(read(&traffic.dropped));
    counter!("paxos_connections_total").absolute(read(&traffic.connected));
}
