//! Search level by level on many threads and processes, with timely.
//!
//! Each state belongs to one worker, which its key determines. In each level, a worker expands its own states and
//! sends their successors to the workers that they belong to. timely reports when all states of the next level have
//! arrived. Between two levels, each worker sends a [`note`] to all workers, so that all of them make the same
//! decision whether to go on. So a state is first reached at its depth, and the first failure has a shortest
//! counterexample.
//!
//! Keys are packed states, not fingerprints, so no state is missed. In a graded model a state is reached again only
//! within its level, so only one level is kept.
//!
//! The search does not survive the loss of a worker. If one process is lost, all others end. A later run can resume from a
//! [`checkpoint`].

mod checkpoint;
mod note;
mod processes;
mod retrace;
mod worker;

use std::collections::HashMap;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ::stateright::{Expectation, Property};
use timely::WorkerConfig;
use timely::execute::execute_from;

pub use self::checkpoint::CheckpointError;
pub(crate) use self::checkpoint::inspect;
use self::{
    checkpoint::{Resumed, Saved},
    note::{Found, Totals},
    worker::Ended,
};
use super::{Searched, panic_message, representative, symmetry, threads_can_start, workers};
use crate::{
    Explorable, Options, Packing, Symmetry,
    limits::Limits,
    packing::{Key, Packer, Unpacker, WORDS_MAX},
    progress::{Numbers, Progress},
};

/// Returns the number of words of a packed state: 1, 2, 4 or 8. Returns `None` if the states cannot be packed.
pub(crate) fn words<M: Explorable>(model: &M) -> Option<usize> {
    let packing = model.packing()?;
    let mut packer = Packer::default();
    packing.pack(model.init_states().first()?, &mut packer);
    packer.finish::<WORDS_MAX>()?;
    Some(packer.words().next_power_of_two())
}

/// The data that the workers of this process share with each other and with the thread that checks limits.
#[derive(Default)]
struct Shared {
    /// The first reason to end the search.
    stop: Mutex<Option<String>>,
    stopping: AtomicBool,
    /// True once a worker or another process is lost, so that waiting for messages is useless.
    lost: AtomicBool,
    states: AtomicU64,
    expanded: AtomicU64,
    depth: AtomicUsize,
    /// The memory that the tables of each worker ask for when they grow next, in bytes.
    doubling: Vec<AtomicU64>,
    ended: Mutex<Vec<Option<Ended>>>,
}

impl Shared {
    /// Asks all workers of this process to end. Keeps the first reason.
    fn stop(&self, why: impl Into<String>) {
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        stop.get_or_insert_with(|| why.into());
        self.stopping.store(true, Ordering::Relaxed);
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn why(&self) -> Option<String> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records that a worker or another process, named by `whom`, is gone.
    fn lose(&self, whom: &str) {
        self.stop(format!("{whom} was lost"));
        self.lost.store(true, Ordering::Relaxed);
    }

    fn lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Returns the bytes that the tables of all workers of this process ask for when they grow next.
    fn doubling_bytes(&self) -> u64 {
        self.doubling.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum()
    }

    fn end(&self, ended: Option<Ended>) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push(ended);
    }

    fn ended(&self) -> usize {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The search, as the workers of one process share it.
struct Job<M: Explorable, const N: usize> {
    model: M,
    options: Options,
    saved: Saved,
    /// The first level.
    level: usize,
    /// The findings in earlier levels, from the checkpoint.
    found: Vec<Found>,
    /// The number of states in the first level, if a checkpoint has counted them.
    states: Option<u64>,
    /// The states of the checkpoint. The first worker that asks takes them.
    resumed: Mutex<Option<Resumed<N>>>,
    shared: Arc<Shared>,
}

impl<M: Explorable, const N: usize> Job<M, N> {
    fn packing(&self) -> &dyn Packing<M::State> {
        self.model.packing().expect("only models that pack are searched")
    }

    fn symmetry(&self) -> Option<&dyn Symmetry<M::State>> {
        symmetry(&self.model, &self.options)
    }

    /// Returns the key of the representative of `state`.
    fn key(&self, state: M::State) -> Option<Key<N>> {
        let mut packer = Packer::default();
        self.packing().pack(&representative(self.symmetry(), state), &mut packer);
        packer.finish()
    }

    /// Returns an error message if a run must not begin with this number of states. Without the check, states lost at
    /// the start would look like a search that ends soon.
    fn missing(&self, states: u64) -> Option<String> {
        match self.states {
            None => {
                (states == 0).then(|| "the model has no initial state within its bounds".to_owned())
            }
            Some(kept) => (states != kept)
                .then(|| format!("only {states} of {kept} states in the checkpoint have arrived")),
        }
    }

    fn state(&self, key: &Key<N>) -> M::State {
        self.packing().unpack(&mut Unpacker::new(key))
    }
}

/// Searches level by level. `sought` is a `sometimes` property for which the caller wants a shortest path.
pub(super) fn search<M: Explorable>(
    model: &M,
    options: &Options,
    limits: &Limits,
    progress: Progress,
    sought: Option<&'static str>,
) -> Searched<M> {
    match words(model) {
        Some(1) => search_in::<M, 1>(model, options, limits, progress, sought),
        Some(2) => search_in::<M, 2>(model, options, limits, progress, sought),
        Some(4) => search_in::<M, 4>(model, options, limits, progress, sought),
        Some(_) => search_in::<M, 8>(model, options, limits, progress, sought),
        None => not_started("the states of this model cannot be packed".to_owned()),
    }
}

fn not_started<M: Explorable>(why: String) -> Searched<M> {
    super::not_started("timely", why)
}

/// Searches states of `N` words.
fn search_in<M: Explorable, const N: usize>(
    model: &M,
    options: &Options,
    limits: &Limits,
    mut progress: Progress,
    sought: Option<&'static str>,
) -> Searched<M> {
    if let Err(why) = threads_can_start(options.threads.get()) {
        return not_started(why);
    }
    let doubling = (0..options.threads.get()).map(|_| AtomicU64::new(0)).collect();
    let shared = Arc::new(Shared { doubling, ..Shared::default() });
    let saved = Saved { identity: super::identity(model, options), words: N, graded: M::GRADED };
    let resumed = match checkpoint::resume::<N>(options, &saved, limits) {
        Ok(resumed) => resumed,
        Err(error) => return not_started(error.to_string()),
    };
    let (level, found) =
        resumed.as_ref().map_or((1, Vec::new()), |resumed| (resumed.level, resumed.found.clone()));
    let (builders, guard) =
        match processes::connect(options, &saved.identity.words, level, limits, &shared) {
            Ok(net) => net,
            Err(error) => return not_started(error),
        };
    let job = Job::<M, N> {
        model: model.clone(),
        options: options.clone(),
        saved,
        level,
        found,
        states: resumed.as_ref().map(|resumed| resumed.states),
        resumed: Mutex::new(resumed),
        shared: Arc::clone(&shared),
    };
    let work = move |worker: &mut timely::worker::Worker| {
        let worked = catch_unwind(AssertUnwindSafe(|| worker::work(worker, &job)));
        let ended = worked.unwrap_or_else(|panic| {
            job.shared.lose(&format!("a worker panicked ({}), and", panic_message(&*panic)));
            None
        });
        if ended.is_none() {
            for dataflow in worker.installed_dataflows() {
                worker.drop_dataflow(dataflow);
            }
        }
        job.shared.end(ended);
    };
    let guards = match execute_from(builders, guard, WorkerConfig::default(), work) {
        Ok(guards) => guards,
        Err(error) => return not_started(format!("the workers cannot be started: {error}")),
    };

    let mut pause = Duration::from_micros(100);
    while shared.ended() < options.threads.get() {
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
        let states = shared.states.load(Ordering::Relaxed);
        if !shared.stopping() {
            // States are spread evenly, so the total is estimated from this process.
            let of_all = usize::try_from(states).unwrap_or(usize::MAX);
            let of_all = of_all.saturating_mul(options.processes());
            if let Some(limit) = limits.reached(of_all, shared.doubling_bytes()) {
                shared.stop(limit);
            }
        }
        let numbers = || Numbers {
            states,
            queue: states.saturating_sub(shared.expanded.load(Ordering::Relaxed)),
            depth: shared.depth.load(Ordering::Relaxed) as u64,
        };
        progress.show(numbers, || limits.memory_bytes());
    }
    drop(progress);
    // Dropping the guards closes the connections, which waits for the other processes. If one is lost, it waits for
    // ever, so another thread drops them.
    let leaving = thread::Builder::new().spawn(move || drop(guards));
    // If that thread cannot be started, the guards are dropped here.
    while leaving.as_ref().is_ok_and(|leaving| !leaving.is_finished()) && !shared.lost() {
        thread::sleep(Duration::from_millis(1));
    }
    let ended = mem::take(&mut *shared.ended.lock().unwrap_or_else(PoisonError::into_inner));
    let ended = ended.into_iter().flatten().next();
    searched(model, options, &shared, ended, N, sought, limits)
}

/// Returns the result of the search, with shortest behaviours to the found states.
fn searched<M: Explorable>(
    model: &M,
    options: &Options,
    shared: &Shared,
    ended: Option<Ended>,
    words: usize,
    sought: Option<&'static str>,
    limits: &Limits,
) -> Searched<M> {
    let processes = options.processes();
    let across =
        if processes > 1 { format!(" in each of {processes} processes") } else { String::new() };
    let engine = format!("timely, level by level, {}{across}", workers(options.threads.get()));
    let storage = format!("states themselves, in {} bytes each", 8 * words);
    let Some(Ended { totals, level, stop, found }) = ended else {
        let states = shared.states.load(Ordering::Relaxed);
        let why = shared.why().unwrap_or_else(|| "the workers ended without a reason".to_owned());
        let depth = shared.depth.load(Ordering::Relaxed);
        let why = format!("{why}, after {states} states in this process, at depth {depth}");
        let states = usize::try_from(states).unwrap_or(usize::MAX);
        return Searched { states, engine, storage, ..not_started(why) };
    };
    let Totals { states, transitions, actions, orbits } = totals;
    let mut cut_short = stop.map(|why| format!("{why}, after {states} states, at depth {level}"));
    let properties = model.properties();
    let mut behaviours = HashMap::new();
    for Found { property, words, level } in found {
        let Property { name, expectation, .. } = &properties[property];
        let wanted = *expectation == Expectation::Always || sought == Some(name);
        let state = wanted.then(|| unpacked(model, &words));
        let behaviour = state
            .map(|state| retrace::shortest_behaviour(model, &state, level, limits))
            .transpose();
        let behaviour = match behaviour.map(Option::flatten) {
            Ok(None) if wanted => {
                Err(format!("no path was found to the state that settles {name}"))
            }
            Ok(behaviour) => Ok(behaviour),
            Err(limit) => {
                Err(format!("{limit}, in the search for a path to the state that settles {name}"))
            }
        };
        let behaviour = match behaviour {
            Ok(behaviour) => behaviour,
            Err(why) => {
                // A finding without a path to it is not reported.
                cut_short = Some(why);
                continue;
            }
        };
        behaviours.insert(*name, behaviour);
    }
    Searched {
        ran_out: cut_short.is_none(),
        cut_short,
        states: usize::try_from(states).unwrap_or(usize::MAX),
        transitions: usize::try_from(transitions).unwrap_or(usize::MAX),
        depth: Some(level),
        actions,
        orbits: options.symmetry.then_some(orbits),
        found: behaviours,
        nearest: true,
        expected_missed: 0.0,
        engine,
        storage,
    }
}

fn unpacked<M: Explorable>(model: &M, words: &[u64]) -> M::State {
    let key = Key::<WORDS_MAX>(std::array::from_fn(|i| words.get(i).copied().unwrap_or(0)));
    let packing = model.packing().expect("only models that pack are searched");
    packing.unpack(&mut Unpacker::new(&key))
}
