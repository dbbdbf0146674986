//! The number of transitions that the model and production replicas take side by side in a given time.

use std::time::Duration;

use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use paxos_lockstep::pairs::{Lockstep, Pair};
use paxos_model::cluster::{Action, Bounds, Cluster};
use state_explorer::{Options, explore};
use verdict::Verdict;

const BOUNDS: Bounds = Bounds { unsynced: 1, chosen: false, ..Bounds::of(3, 1, 3) };
const PAIRS: usize = 334_637;
const TRANSITIONS: usize = 1_281_259;
/// The number of actions in the walk.
const WALK: usize = 50;

fn lockstep() -> Lockstep {
    Lockstep::new(BOUNDS).expect("the bounds are in range")
}

/// Returns a fixed walk. The walk chooses another position among the enabled actions at each step, so that it takes
/// many kinds of actions.
fn walk() -> Vec<Action> {
    let cluster = Cluster::new(BOUNDS).expect("the bounds are in range").checked();
    let mut state = lockstep().start().model;
    let mut walk = Vec::with_capacity(WALK);
    while walk.len() < WALK {
        let mut enabled = Vec::new();
        cluster.candidates(&state, |action| {
            enabled.extend(cluster.after(&state, &action).map(|next| (action, next)));
        });
        let choice = walk.len() * 7 % enabled.len().max(1);
        let (action, next) = enabled.into_iter().nth(choice).expect("the walk does not end early");
        walk.push(action);
        state = next;
    }
    walk
}

fn replay(lockstep: &Lockstep, walk: &[Action]) -> Pair {
    let pair = walk.iter().fold(lockstep.start(), |pair, &action| {
        lockstep.successor(&pair, action).expect("every action of the walk changes something")
    });
    assert_eq!(pair.divergence, None);
    pair
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("lockstep");

    group.throughput(Throughput::Elements(WALK as u64));
    let walk = walk();
    // The lockstep compares each distinct step once, so only the first walk pays for the comparisons.
    group.bench_function("walk, first time", |bencher| {
        let run = |lockstep: Lockstep| (replay(&lockstep, &walk), lockstep);
        bencher.iter_batched(lockstep, run, BatchSize::SmallInput);
    });
    group.bench_function("walk, again", |bencher| {
        let lockstep = lockstep();
        replay(&lockstep, &walk);
        bencher.iter_with_large_drop(|| replay(&lockstep, &walk));
    });

    group.sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(8));
    group.throughput(Throughput::Elements(TRANSITIONS as u64));
    group.bench_function("exploration", |bencher| {
        let run = |lockstep: Lockstep| {
            let report = explore(&lockstep, &Options::default());
            assert_eq!(report.verdict, Verdict::Holds);
            assert_eq!((report.states, report.transitions), (PAIRS, TRANSITIONS));
        };
        bencher.iter_batched(lockstep, run, BatchSize::PerIteration);
    });
    group.finish();
    criterion.final_summary();
}
