//! The engines, and the types and functions that they share.

mod instrumented;
mod stateright;
pub(super) mod timely;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Mutex;
use std::thread;

use ::stateright::Model;
use itertools::Itertools as _;

pub use self::timely::CheckpointError;
use super::{Behaviour, Engine, Explorable, Options, Symmetry, limits::Limits, progress::Progress};

/// The result of one search.
pub(super) struct Searched<M: Model> {
    /// True if the search ended by itself: it found a failure, or no state was left.
    pub(super) ran_out: bool,
    /// The reason why the search was cut short, or none.
    pub(super) cut_short: Option<String>,
    /// The number of distinct states visited.
    pub(super) states: usize,
    /// The number of steps taken from them.
    pub(super) transitions: usize,
    /// The greatest depth of a state, if the search measures it.
    pub(super) depth: Option<usize>,
    /// The number of actions taken, by kind.
    pub(super) actions: Vec<u64>,
    /// The number of all states that differ from a visited state only by a renaming, if symmetry was used.
    pub(super) orbits: Option<u64>,
    /// The properties that some state has settled: an `always` property that is false in the state, or a `sometimes` property
    /// that is true. The entry is a path to the state if the state ended the search.
    pub(super) found: HashMap<&'static str, Option<Behaviour<M>>>,
    /// True if the paths in `found` are shortest paths.
    pub(super) nearest: bool,
    /// The expected number of states that were missed because of equal fingerprints.
    pub(super) expected_missed: f64,
    /// The engine, its order and its threads, in words.
    pub(super) engine: String,
    /// The storage of visited states, in words.
    pub(super) storage: String,
}

/// Searches until an `always` property fails. If `sought` is a `sometimes` property, also records a path to a state
/// where it is true.
pub(super) fn search<M: Explorable>(
    model: &M,
    options: &Options,
    limits: &Limits,
    progress: Progress,
    sought: Option<&'static str>,
) -> Searched<M> {
    // The limits are checked before the start of threads, because threads take memory.
    if let Some(limit) = limits.reached(0, 0) {
        return not_started("none", format!("{limit}, after 0 states"));
    }
    match options.engine {
        Engine::Bfs | Engine::Dfs => stateright::search(model, options, limits, progress, sought),
        Engine::Timely => timely::search(model, options, limits, progress, sought),
    }
}

/// Returns the symmetry of the model, if the search uses it.
fn symmetry<'m, M: Explorable>(
    model: &'m M,
    options: &Options,
) -> Option<&'m dyn Symmetry<M::State>> {
    model.symmetry().filter(|_| options.symmetry)
}

/// Returns the state that the search stores for `state`.
fn representative<S>(symmetry: Option<&dyn Symmetry<S>>, state: S) -> S {
    match symmetry {
        Some(symmetry) => symmetry.canonical(state),
        None => state,
    }
}

/// The identity of a search, by which processes and checkpoints recognize it.
pub(super) struct Identity {
    /// A text that is equal for two searches only if they search the same states for the same properties.
    pub(super) words: String,
    /// The options that make the search, if the model has any: see [`Explorable::settings`].
    pub(super) settings: Vec<(String, String)>,
}

pub(super) fn identity<M: Explorable>(model: &M, options: &Options) -> Identity {
    let mut settings = model.settings();
    if !settings.is_empty() {
        settings.push(("symmetry", flag("--symmetry", options.symmetry)));
    }
    let settings = settings.into_iter().map(|(name, words)| (name.to_owned(), words)).collect();
    Identity { words: identity_in_words(model, options), settings }
}

fn identity_in_words<M: Explorable>(model: &M, options: &Options) -> String {
    let up_to = symmetry(model, options)
        .map_or(String::new(), |it| format!(", up to the renaming of {}", it.what()));
    let properties = model.properties();
    let properties = properties.iter().map(|property| property.name).join(", ");
    format!("{}{up_to}; looking at: {properties}", model.identity())
}

/// Returns an option without a value as text: `--symmetry`, or `no --symmetry` if it is not given.
pub fn flag(option: &str, given: bool) -> String {
    if given { option.to_owned() } else { format!("no {option}") }
}

/// Returns the result of a search that did not begin.
fn not_started<M: Explorable>(engine: &str, why: String) -> Searched<M> {
    Searched {
        ran_out: false,
        cut_short: Some(why),
        states: 0,
        transitions: 0,
        depth: None,
        actions: vec![0; M::KINDS.len()],
        orbits: None,
        found: HashMap::new(),
        nearest: false,
        expected_missed: 0.0,
        engine: engine.to_owned(),
        storage: "none".to_owned(),
    }
}

/// Checks that the system can start this number of threads, by starting them. If it cannot, both engines would panic
/// or wait forever.
///
/// # Errors
/// Returns the reason in words.
fn threads_can_start(threads: usize) -> Result<(), String> {
    // Each thread ends only after the last was started.
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let _shut = gate.lock();
        (0..threads).try_for_each(|_| {
            thread::Builder::new().spawn_scoped(scope, || drop(gate.lock())).map(drop)
        })
    })
    .map_err(|error| {
        let threads = workers(threads);
        format!("{threads} could not be started ({error}); give fewer --threads, or more memory")
    })
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let message = payload.downcast_ref::<&str>().map(ToString::to_string);
    let message = message.or_else(|| payload.downcast_ref::<String>().cloned());
    message.unwrap_or_else(|| "no message".to_owned())
}

fn workers(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}
