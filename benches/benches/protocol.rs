//! The number of entries that a cluster of three chooses and applies in a given time, without disks and a network.

use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use paxos_benches::Cluster;

/// The number of entries for each new cluster. The log is not trimmed, so its growth is part of the cost.
const ENTRIES: u64 = 20_000;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("protocol");
    group.throughput(Throughput::Elements(ENTRIES));
    for size in [16, 1024] {
        let command = Bytes::from(vec![b'x'; size]);
        for outstanding in [1, 64, 1024] {
            let id = BenchmarkId::new(format!("{size} B"), outstanding);
            group.bench_function(id, |bencher| {
                let run = |mut cluster: Cluster| {
                    cluster.apply(ENTRIES, outstanding, &command);
                    // Each node has one record for its promise and one for each round.
                    assert_eq!(cluster.records(), 3 + 3 * ENTRIES.div_ceil(outstanding));
                    cluster
                };
                bencher.iter_batched(|| Cluster::led(3), run, BatchSize::PerIteration);
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
