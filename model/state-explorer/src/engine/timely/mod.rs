//! Search level by level on many threads and processes, with timely.
//!
//! A state belongs to one worker, by its key. Each worker goes on from its own states of the current
//! level and sends what it finds to whom it belongs; timely tells when all of a level have arrived. Between
//! two levels the workers tell each other what they found ([`note`]), so that all of them decide alike
//! whether there is another one. A state is thus first met at its depth, and the first failure is a nearest.
//!
//! Keys are states, not what stands for them. Where each step leads one level down, a state can only be met
//! again within its level, and only that is kept.
//!
//! What it is not: it does not survive the loss of a worker. When one process is lost all others
//! end; what is on disk ([`checkpoint`]) lets a later run go on.

mod checkpoint;
mod hosts;
mod note;
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

/// How many words a packed state of a model takes: 1, 2, 4 or 8. Nothing if it cannot be packed.
pub(crate) fn words<M: Explorable>(model: &M) -> Option<usize> {
    let packing = model.packing()?;
    let mut packer = Packer::default();
    packing.pack(model.init_states().first()?, &mut packer);
    let words = packer.words().next_power_of_two();
    (words <= WORDS_MAX).then_some(words)
}

/// What workers of this process share with each other and with whoever watches them.
#[derive(Default)]
struct Shared {
    /// Why the search should stop, once it should.
    stop: Mutex<Option<String>>,
    stopping: AtomicBool,
    /// Whether other processes cannot be reached any more, so that nothing is worth waiting for.
    lost: AtomicBool,
    states: AtomicU64,
    expanded: AtomicU64,
    depth: AtomicUsize,
    /// The memory that the tables of each worker ask for when they grow next, in bytes.
    doubling: Vec<AtomicU64>,
    ended: Mutex<Vec<Option<Ended>>>,
}

impl Shared {
    /// Asks all workers of this process to stop; the first reason counts.
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

    /// Says that a worker is gone, here or elsewhere.
    fn lose(&self, whom: &str) {
        self.stop(format!("{whom} was lost"));
        self.lost.store(true, Ordering::Relaxed);
    }

    fn lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// The memory that the tables of all workers of this process ask for when they grow next, in bytes.
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

/// What the workers of one process are to do.
struct Job<M: Explorable, const N: usize> {
    model: M,
    options: Options,
    saved: Saved,
    /// Where it begins.
    level: usize,
    /// What all have found before that.
    found: Vec<Found>,
    /// How many states there are in that level, if an earlier run has counted them.
    states: Option<u64>,
    /// Where an earlier run was, for whoever comes first.
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

    /// The key of the state that stands for `state`.
    fn key(&self, state: M::State) -> Option<Key<N>> {
        let mut packer = Packer::default();
        self.packing().pack(&representative(self.symmetry(), state), &mut packer);
        packer.finish()
    }

    /// What is wrong if a run begins with so many states: to lose them at the start would look like
    /// a search that is soon done.
    fn missing(&self, states: u64) -> Option<String> {
        match self.states {
            None => (states == 0).then(|| "there was no state to begin with".to_owned()),
            Some(kept) => (states != kept)
                .then(|| format!("of {kept} states that were kept, {states} have arrived")),
        }
    }

    fn state(&self, key: &Key<N>) -> M::State {
        self.packing().unpack(&mut Unpacker::new(key))
    }
}

/// `sought` is a property to which a way is wanted, though it fails nowhere.
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
        None => nothing("the states of this model cannot be packed".to_owned()),
    }
}

/// A search that did not begin.
fn nothing<M: Explorable>(why: String) -> Searched<M> {
    super::nothing("timely", why)
}

/// The same, by states of `N` words.
fn search_in<M: Explorable, const N: usize>(
    model: &M,
    options: &Options,
    limits: &Limits,
    mut progress: Progress,
    sought: Option<&'static str>,
) -> Searched<M> {
    if let Err(why) = threads_can_start(options.threads.get()) {
        return nothing(why);
    }
    let doubling = (0..options.threads.get()).map(|_| AtomicU64::new(0)).collect();
    let shared = Arc::new(Shared { doubling, ..Shared::default() });
    let saved = Saved { identity: super::identity(model, options), words: N, graded: M::GRADED };
    let resumed = match checkpoint::resume::<N>(options, &saved, limits) {
        Ok(resumed) => resumed,
        Err(error) => return nothing(error.to_string()),
    };
    let (level, found) =
        resumed.as_ref().map_or((1, Vec::new()), |resumed| (resumed.level, resumed.found.clone()));
    let (builders, guard) =
        match hosts::connect(options, &saved.identity.words, level, limits, &shared) {
            Ok(net) => net,
            Err(error) => return nothing(error),
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
        Err(error) => return nothing(format!("the workers cannot be started: {error}")),
    };

    let mut nap = Duration::from_micros(100);
    while shared.ended() < options.threads.get() {
        thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(10));
        let states = shared.states.load(Ordering::Relaxed);
        if !shared.stopping() {
            // States are spread evenly, so that this process stands for all.
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
    // All that is left is to take leave of the other processes, which may not be there any more: threads
    // that wait for one would wait for ever.
    let leaving = thread::Builder::new().spawn(move || drop(guards));
    // If that thread cannot be started, the guards are dropped here, which takes leave as well.
    while leaving.as_ref().is_ok_and(|leaving| !leaving.is_finished()) && !shared.lost() {
        thread::sleep(Duration::from_millis(1));
    }
    let ended = mem::take(&mut *shared.ended.lock().unwrap_or_else(PoisonError::into_inner));
    let ended = ended.into_iter().flatten().next();
    searched(model, options, &shared, ended, N, sought, limits)
}

/// What came of it, and the ways to what was found.
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
        let why = shared.why().unwrap_or_else(|| "the workers ended without a word".to_owned());
        let depth = shared.depth.load(Ordering::Relaxed);
        let why = format!("{why}, after {states} states in this process, at depth {depth}");
        let states = usize::try_from(states).unwrap_or(usize::MAX);
        return Searched { states, engine, storage, ..nothing(why) };
    };
    let Totals { states, transitions, actions, orbits } = totals;
    let mut cut_short = stop.map(|why| format!("{why}, after {states} states, at depth {level}"));
    let properties = model.properties();
    let mut ways = HashMap::new();
    for Found { property, words, level } in found {
        let Property { name, expectation, .. } = &properties[property];
        let wanted = *expectation == Expectation::Always || sought == Some(name);
        let state = wanted.then(|| unpacked(model, &words));
        let way = state.map(|state| retrace::way(model, &state, level, limits)).transpose();
        let way = match way.map(Option::flatten) {
            Ok(None) if wanted => Err(format!("there is no way to where {name} was found")),
            Ok(way) => Ok(way),
            Err(limit) => Err(format!("{limit}, on the way to where {name} was found")),
        };
        let way = match way {
            Ok(way) => way,
            Err(why) => {
                // It is no claim without one.
                cut_short = Some(why);
                continue;
            }
        };
        ways.insert(*name, way);
    }
    Searched {
        ran_out: cut_short.is_none(),
        cut_short,
        states: usize::try_from(states).unwrap_or(usize::MAX),
        transitions: usize::try_from(transitions).unwrap_or(usize::MAX),
        depth: Some(level),
        actions,
        orbits: options.symmetry.then_some(orbits),
        found: ways,
        nearest: true,
        expected_missed: 0.0,
        engine,
        storage,
    }
}

/// The state whose key has these words.
fn unpacked<M: Explorable>(model: &M, words: &[u64]) -> M::State {
    let key = Key::<WORDS_MAX>(std::array::from_fn(|i| words.get(i).copied().unwrap_or(0)));
    let packing = model.packing().expect("only models that pack are searched");
    packing.unpack(&mut Unpacker::new(&key))
}
