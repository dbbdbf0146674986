//! The number of distinct states that the explorer visits in a given time.

use std::time::Duration;

use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput,
    measurement::WallTime,
};
use paxos_model::{
    cluster::{self, Cluster},
    synod::{self, Synod},
};
use state_explorer::{Engine, Explorable, Options, explore};
use verdict::Verdict;

fn bench<M: Explorable>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    states: usize,
    model: impl Fn() -> M,
) {
    group.throughput(Throughput::Elements(states as u64));
    for (order, engine) in [("breadth-first", Engine::Bfs), ("depth-first", Engine::Dfs)] {
        let options = Options { engine, ..Options::default() };
        group.bench_function(BenchmarkId::new(name, order), |bencher| {
            let run = |model: M| {
                let report = explore(&model, &options);
                assert_eq!((report.verdict, report.states), (Verdict::Holds, states));
            };
            bencher.iter_batched(&model, run, BatchSize::PerIteration);
        });
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(8))
        .configure_from_args();
    let mut group = criterion.benchmark_group("exploration");
    group.sampling_mode(SamplingMode::Flat);
    bench(&mut group, "synod 3,2,3", 185_369, || {
        let bounds = synod::Bounds {
            acceptors: 3,
            values: 2,
            ballots: 3,
            phase1_quorum: None,
            phase2_quorum: None,
        };
        Synod::new(bounds).expect("the bounds are in range")
    });
    bench(&mut group, "cluster 3,1,3", 162_522, || {
        Cluster::new(cluster::Bounds::of(3, 1, 3)).expect("the bounds are in range").checked()
    });
    group.finish();
    criterion.final_summary();
}
