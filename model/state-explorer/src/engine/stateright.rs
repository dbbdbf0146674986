//! Breadth-first and depth-first search by stateright 0.31.0.
//!
//! A result of stateright alone does not say that a search was complete. This module adds what is missing:
//!
//! - stateright counts a search that reached a limit as done, and a single worker never checks the time limit. So this module
//!   checks the limits, and makes the workers stop.
//! - stateright may not report that a worker panicked. So this module joins the workers one by one.
//! - stateright does not report that it reached its depth limit. So the search goes one level deeper than the limit, to
//!   find out whether that level has states.
//! - stateright panics if a thread cannot be started. So this module first starts as many threads as a trial.
//! - stateright does not check memory before its tables double. So this module estimates the size of their next growth.
//! - stateright stores fingerprints of 64 bits instead of states. So the report has the expected number of missed states.
//!
//! # Fingerprints
//!
//! *Claim.* A search of `n` states is expected to miss about n²/2⁶⁵ of them.
//!
//! *Reason.* A state is missed only if an earlier state has the same fingerprint. There are n²/2 pairs of states, and the
//! fingerprints of two states are equal with a probability of 1/2⁶⁴, if the hash spreads them evenly. States that can be
//! reached only through a missed state may be missed as well; the number does not count these.
//!
//! *Without it* a search that looks complete may have a hole. A model with more states than 2³² would miss one. The report
//! says the number. Tests compare counts with those of the engine `timely`, which stores the states themselves.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use stateright::{Checker, HasDiscoveries, Model as _};
use verdict::memory::doubling_bytes;

use super::{
    Searched,
    instrumented::{CalledOff, ENDS, Instrumented},
    not_started, panic_message, threads_can_start, workers,
};
use crate::{
    Engine, Explorable, Options,
    limits::Limits,
    progress::{Numbers, Progress},
};

pub(super) fn search<M: Explorable>(
    model: &M,
    options: &Options,
    limits: &Limits,
    progress: Progress,
    sought: Option<&'static str>,
) -> Searched<M> {
    if let Err(why) = threads_can_start(options.threads.get()) {
        return not_started(ENGINE, why);
    }
    let called_off = Arc::new(AtomicBool::new(false));
    let instrumented =
        Instrumented::new(model.clone(), options.symmetry, sought, Arc::clone(&called_off));
    let mut builder = instrumented
        .checker()
        .threads(options.threads.get())
        .finish_when(HasDiscoveries::AnyFailures);
    if let Some(deepest) = options.max_depth {
        // stateright reaches the states at its depth limit, but does not evaluate them.
        builder = builder.target_max_depth(deepest.get().saturating_add(1));
    }
    match options.engine {
        Engine::Dfs => {
            let started = start(|| builder.spawn_dfs(), &called_off);
            started.map_or_else(
                |why| not_started(ENGINE, why),
                |it| run(it, options, limits, progress),
            )
        }
        Engine::Bfs | Engine::Timely => {
            let started = start(|| builder.spawn_bfs(), &called_off);
            started.map_or_else(
                |why| not_started(ENGINE, why),
                |it| run(it, options, limits, progress),
            )
        }
    }
}

const ENGINE: &str = "stateright";

/// Starts the workers. If memory has become scarce, the start can fail although the trial did not. The workers that were
/// started must then stop.
fn start<C>(spawn: impl FnOnce() -> C, called_off: &AtomicBool) -> Result<C, String> {
    catch_unwind(AssertUnwindSafe(spawn)).map_err(|panic| {
        called_off.store(true, Ordering::Relaxed);
        format!("the workers could not be started: {}", panic_message(&*panic))
    })
}

fn run<M: Explorable, C: Checker<Instrumented<M>>>(
    mut checker: C,
    options: &Options,
    limits: &Limits,
    mut progress: Progress,
) -> Searched<M> {
    let handles = checker.handles();
    let mut limit = None;
    let mut tables = Tables::of::<M>(options);
    // The pause grows, so that a short search ends at once and a long one is not disturbed.
    let mut pause = Duration::from_micros(100);
    while !handles.iter().all(thread::JoinHandle::is_finished) {
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
        if limit.is_some() {
            continue;
        }
        let states = checker.unique_state_count();
        let queue = (states as u64).saturating_sub(checker.model().expanded());
        limit = limits.reached(states, tables.doubling_bytes(states, queue as usize));
        if limit.is_some() {
            checker.model().call_off(true);
        }
        let depth = checker.max_depth() as u64;
        let numbers = || Numbers { states: states as u64, queue, depth };
        progress.show(numbers, || limits.memory_bytes());
    }
    let ends: Vec<_> = handles.into_iter().map(thread::JoinHandle::join).collect();
    drop(progress);

    // The counts are read before the discoveries, because a replay of their paths in the model adds to the counts.
    let model = checker.model();
    model.call_off(false);
    let actions = model.actions();
    let orbits = model.orbits();
    let initial = model.init_states().iter().filter(|state| model.within_boundary(state)).count();
    let too_deep = options.max_depth.filter(|deepest| checker.max_depth() > deepest.get());
    // If a state beyond the depth limit was reached, only the expanded states count.
    let (states, depth) = match too_deep {
        None => (checker.unique_state_count(), checker.max_depth()),
        Some(deepest) => (model.expanded() as usize, deepest.get()),
    };
    let ended = ends.iter().all(Result::is_ok);
    // A panic takes precedence over a limit that was reached meanwhile.
    let mut panics = ends.iter().filter_map(|end| end.as_ref().err());
    let panicked =
        panics.find(|panic| !panic.is::<CalledOff>()).map(|panic| panic_message(&**panic));
    let mut cut_short = match (panicked, limit) {
        (Some(message), _) => Some(format!("a worker panicked after {states} states: {message}")),
        (None, Some(limit)) if !ended => Some(format!("{limit}, after {states} states")),
        (None, None) if !ended => Some(format!("called off after {states} states")),
        (None, _) => too_deep.map(|deepest| {
            format!("the depth limit of {deepest} was reached, after {states} states")
        }),
    };
    let knows_depth =
        options.threads == NonZeroUsize::MIN && (options.engine == Engine::Bfs || M::GRADED);
    let order = if options.engine == Engine::Dfs { "depth-first" } else { "breadth-first" };
    let mut found: HashMap<_, _> = model.found().map(|property| (property.name, None)).collect();
    if let Some(path) = checker.discovery(ENDS) {
        match model.behaviour(path) {
            Some(behaviour) => {
                for name in model.settled_by(behaviour.last()) {
                    found.insert(name, Some(behaviour.clone()));
                }
            }
            None => cut_short = Some("the path to a failure could not be replayed".to_owned()),
        }
    }
    Searched {
        ran_out: cut_short.is_none(),
        cut_short,
        states,
        transitions: checker.state_count() - initial,
        depth: knows_depth.then_some(depth),
        actions,
        orbits,
        found,
        nearest: options.engine == Engine::Bfs && options.threads == NonZeroUsize::MIN,
        expected_missed: expected_missed(states),
        engine: format!("stateright, {order}, {}", workers(options.threads.get())),
        storage: "fingerprints of 64 bits".to_owned(),
    }
}

/// The estimated sizes of stateright's tables, which it does not expose.
struct Tables {
    /// The number of tables for fingerprints. Each grows on its own.
    shards: usize,
    fingerprint_bytes: usize,
    /// True if there is one queue, instead of one for each worker.
    one_queue: bool,
    queued_bytes: usize,
    queued_most: usize,
}

impl Tables {
    fn of<M: Explorable>(options: &Options) -> Self {
        // A queued state has a fingerprint, a path and a set of properties.
        let queued_bytes = size_of::<M::State>() + 96;
        // Breadth-first search also stores the predecessor of each state.
        let fingerprint_bytes = if options.engine == Engine::Dfs { 9 } else { 17 };
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let one_queue = options.threads == NonZeroUsize::MIN;
        // The default of dashmap.
        let shards = (4 * cores).next_power_of_two();
        Self { shards, fingerprint_bytes, one_queue, queued_bytes, queued_most: 0 }
    }

    /// Returns the bytes that the tables ask for when they grow next.
    fn doubling_bytes(&mut self, states: usize, queued: usize) -> u64 {
        self.queued_most = self.queued_most.max(queued);
        // Shards are not equally full. So some shards double later than the average one.
        let buckets = (states / self.shards * 31 / 32 * 8 / 7).next_power_of_two();
        let shard = doubling_bytes(
            states / self.shards,
            buckets / 8 * 7,
            self.fingerprint_bytes * 8 / 7 + 1,
        );
        let queue = if self.one_queue {
            doubling_bytes(queued, self.queued_most.next_power_of_two(), self.queued_bytes)
        } else {
            (queued * 2 * self.queued_bytes) as u64
        };
        shard * self.shards as u64 + queue
    }
}

/// Returns the expected number of collisions among this number of 64-bit fingerprints.
#[expect(clippy::cast_precision_loss, reason = "an estimate of an order of magnitude")]
fn expected_missed(states: usize) -> f64 {
    (states as f64).powi(2) / 2_f64.powi(65)
}
