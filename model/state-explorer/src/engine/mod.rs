//! What the engines have in common: what they are asked, and what they answer.

mod stateright;
pub(super) mod timely;
mod watched;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Mutex;
use std::thread;

use ::stateright::Model;
use itertools::Itertools as _;

pub use self::timely::CheckpointError;
use super::{Behaviour, Engine, Explorable, Options, Symmetry, limits::Limits, progress::Progress};

/// What one search did.
pub(super) struct Searched<M: Model> {
    /// Whether it ended by itself: it found a failure, or nothing was left.
    pub(super) ran_out: bool,
    /// Why it did not, if it did not.
    pub(super) cut_short: Option<String>,
    /// Distinct states visited.
    pub(super) states: usize,
    /// Steps taken from them.
    pub(super) transitions: usize,
    /// The depth of the deepest, if it is known.
    pub(super) depth: Option<usize>,
    /// How often each kind of action was taken, kind by kind.
    pub(super) actions: Vec<u64>,
    /// How many states those visited can be renamed to, if symmetry was used.
    pub(super) orbits: Option<u64>,
    /// Each property that some state has settled: that it failed, or that it was seen; and a way to such a
    /// state, where it ended the search.
    pub(super) found: HashMap<&'static str, Option<Behaviour<M>>>,
    /// Whether no such state is nearer.
    pub(super) nearest: bool,
    /// How many states were taken for others, as may be expected: none if they were kept themselves.
    pub(super) expected_missed: f64,
    /// What searched.
    pub(super) engine: String,
    /// How it knew the states that it had visited.
    pub(super) storage: String,
}

/// Searches until an `always` property fails, or until `sought` is seen, if that is a `sometimes`.
pub(super) fn search<M: Explorable>(
    model: &M,
    options: &Options,
    limits: &Limits,
    progress: Progress,
    sought: Option<&'static str>,
) -> Searched<M> {
    // Threads take memory, too.
    if let Some(limit) = limits.reached(0, 0) {
        return nothing("none", format!("{limit}, after 0 states"));
    }
    match options.engine {
        Engine::Bfs | Engine::Dfs => stateright::search(model, options, limits, progress, sought),
        // It sees nearest states first, and knows ways to them afterwards.
        Engine::Timely => timely::search(model, options, limits, progress, sought),
    }
}

/// What can be renamed in a search.
fn symmetry<'m, M: Explorable>(
    model: &'m M,
    options: &Options,
) -> Option<&'m dyn Symmetry<M::State>> {
    model.symmetry().filter(|_| options.symmetry)
}

/// The state that a search keeps for another.
fn representative<S>(symmetry: Option<&dyn Symmetry<S>>, state: S) -> S {
    match symmetry {
        Some(symmetry) => symmetry.canonical(state),
        None => state,
    }
}

/// What is searched.
pub(super) struct Identity {
    /// In words: equal for searches that do the same.
    pub(super) words: String,
    /// The options that make it so, as far as there are any: see [`Explorable::settings`].
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

/// An option without a value, given or not.
pub fn flag(option: &str, given: bool) -> String {
    if given { option.to_owned() } else { format!("no {option}") }
}

/// A search that did not begin.
fn nothing<M: Explorable>(engine: &str, why: String) -> Searched<M> {
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

/// Makes sure that so many threads can be started, which takes memory and may be limited in other ways: both
/// engines panic, or wait for ever, where only some can.
///
/// # Errors
/// Why not, in words.
fn threads_can_start(threads: usize) -> Result<(), String> {
    // Each of them ends only after the last was started.
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

/// What a worker said when it panicked.
fn panic_message(payload: &(dyn Any + Send)) -> String {
    let message = payload.downcast_ref::<&str>().map(ToString::to_string);
    let message = message.or_else(|| payload.downcast_ref::<String>().cloned());
    message.unwrap_or_else(|| "no message".to_owned())
}

fn workers(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}
