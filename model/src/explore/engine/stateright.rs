//! Breadth-first and depth-first search by stateright 0.31.0, without taking its word for anything.
//!
//! - A search with a limit counts as done when it hits it, and its own time limit is never looked
//!   at by a single worker. So limits are watched from outside, and the workers called off.
//! - A worker that panics may go unnoticed. So workers are joined one by one.
//! - A depth limit is not reported. So one more level is visited, to see whether there is one.
//! - Visited states are fingerprints of 64 bits. So it is said how many are expected to have been
//!   mistaken for others.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use stateright::{Checker, HasDiscoveries, Model as _};

use super::{
    Searched, panic_message,
    watched::{CalledOff, ENDS, Watched},
    workers,
};
use crate::explore::{
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
    let mut builder = Watched::new(model.clone(), options.symmetry, sought)
        .checker()
        .threads(options.threads.get())
        .finish_when(HasDiscoveries::AnyFailures);
    if let Some(deepest) = options.max_depth {
        // States at the depth that stateright is given are met, but not looked at.
        builder = builder.target_max_depth(deepest.get().saturating_add(1));
    }
    match options.engine {
        Engine::Dfs => watch(builder.spawn_dfs(), options, limits, progress),
        Engine::Bfs | Engine::Timely => watch(builder.spawn_bfs(), options, limits, progress),
    }
}

fn watch<M: Explorable, C: Checker<Watched<M>>>(
    mut checker: C,
    options: &Options,
    limits: &Limits,
    mut progress: Progress,
) -> Searched<M> {
    let handles = checker.handles();
    let mut limit = None;
    // Short searches are not to wait for a long nap, nor long ones to be woken all the time.
    let mut nap = Duration::from_micros(100);
    while !handles.iter().all(thread::JoinHandle::is_finished) {
        thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(10));
        if limit.is_some() {
            continue;
        }
        limit = limits.reached(checker.unique_state_count());
        if limit.is_some() {
            checker.model().call_off(true);
        }
        let numbers = || {
            let states = checker.unique_state_count() as u64;
            let queue = states.saturating_sub(checker.model().expanded());
            Numbers { states, queue, depth: checker.max_depth() as u64 }
        };
        progress.show(numbers, || limits.memory_bytes());
    }
    let ends: Vec<_> = handles.into_iter().map(thread::JoinHandle::join).collect();
    drop(progress);

    // The counts come before the discoveries, whose paths are replayed through the model.
    let model = checker.model();
    model.call_off(false);
    let actions = model.actions();
    let orbits = model.orbits();
    let initial = model.init_states().iter().filter(|state| model.within_boundary(state)).count();
    let too_deep = options.max_depth.filter(|deepest| checker.max_depth() > deepest.get());
    // What is too deep was met, but it is beyond what was asked for.
    let (states, depth) = match too_deep {
        None => (checker.unique_state_count(), checker.max_depth()),
        Some(deepest) => (model.expanded() as usize, deepest.get()),
    };
    let ended = ends.iter().all(Result::is_ok);
    // A panic weighs more than a limit that was hit meanwhile.
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
            None => cut_short = Some("the path that was found cannot be taken again".to_owned()),
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

/// Expected number of collisions among as many fingerprints of 64 bits.
#[expect(clippy::cast_precision_loss, reason = "an estimate of an order of magnitude")]
fn expected_missed(states: usize) -> f64 {
    (states as f64).powi(2) / 2_f64.powi(65)
}
