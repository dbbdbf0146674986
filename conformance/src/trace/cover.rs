//! Traces that together take every transition of a space.
//!
//! This module enumerates the space itself, independently of the search that checks it. Each walk starts at the initial
//! state, goes to the nearest state with a transition that no walk has taken, and takes as many such transitions as it can.

use std::{
    collections::{HashMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
};

use paxos_model::cluster::{Action, Bounds, BoundsError, CheckedCluster, CheckedState, Cluster};
use stateright::Model as _;
use thiserror::Error;

use super::{EXTENSION, Trace};

/// The most steps of a trace, unless the way to its first new transition is longer.
pub const LONGEST: usize = 100;

/// The most transitions of a space that is written to files.
pub const MOST_TRANSITIONS: usize = 1_000_000;

/// The most states that the search for the next new transition visits.
const DETOUR: usize = 500;

/// The size of a cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// Number of traces.
    pub traces: usize,
    /// Number of steps of all traces.
    pub steps: usize,
    /// Number of distinct transitions, which are all of the space.
    pub transitions: usize,
    /// Number of distinct states, which are all of the space.
    pub states: usize,
}

/// The reason for which traces were not written.
#[derive(Debug, Error)]
pub enum CoverError {
    /// Bounds that are out of range.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
    /// The space is too large.
    #[error(
        "the space of {bounds} has more than {MOST_TRANSITIONS} transitions; choose smaller bounds"
    )]
    TooLarge {
        /// The bounds of the space.
        bounds: Box<Bounds>,
    },
    /// The folder contains other traces already.
    #[error("{folder} has traces in it; choose a folder that is empty or not there yet")]
    Occupied {
        /// The folder.
        folder: PathBuf,
    },
    /// A file or folder that cannot be written.
    #[error("{path} cannot be written: {error}")]
    Unwritten {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
}

/// A space as a graph; state 0 is the initial one.
struct Graph {
    edges: Vec<Vec<(Action, usize)>>,
    /// The state and action by which each state is first reached.
    parents: Vec<Option<(usize, Action)>>,
    transitions: usize,
}

impl Graph {
    fn of(cluster: &CheckedCluster) -> Result<Self, CoverError> {
        let start = cluster.init_states().remove(0);
        let mut known: HashMap<CheckedState, usize> = HashMap::from([(start.clone(), 0)]);
        let mut queue = VecDeque::from([start]);
        let (mut edges, mut parents, mut transitions) = (Vec::new(), vec![None], 0);
        while let Some(state) = queue.pop_front() {
            let mut from_here = Vec::new();
            cluster.candidates(&state, |action| {
                let Some(next) = cluster.after(&state, &action) else { return };
                let number = *known.entry(next).or_insert_with_key(|next| {
                    queue.push_back(next.clone());
                    parents.push(Some((edges.len(), action)));
                    parents.len() - 1
                });
                from_here.push((action, number));
            });
            transitions += from_here.len();
            if transitions > MOST_TRANSITIONS {
                return Err(CoverError::TooLarge { bounds: Box::new(*cluster.bounds()) });
            }
            edges.push(from_here);
        }
        Ok(Self { edges, parents, transitions })
    }

    /// The shortest path from the initial state.
    fn way_to(&self, state: usize) -> Vec<Action> {
        let steps = std::iter::successors(self.parents[state], |&(from, _)| self.parents[from]);
        let mut way: Vec<_> = steps.map(|(_, action)| action).collect();
        way.reverse();
        way
    }
}

/// The walks through a graph. The transitions that no walk has taken are, for each state, the first `left` of its list.
struct Walker<'g> {
    graph: &'g mut Graph,
    left: Vec<usize>,
}

impl Walker<'_> {
    /// Takes a transition that no walk has taken, if there is one. Prefers a transition after which the walk can take another.
    fn take(&mut self, state: usize) -> Option<(Action, usize)> {
        let last = self.left[state].checked_sub(1)?;
        let edges = &mut self.graph.edges[state];
        let leads_on = |&(_, to): &(Action, usize)| self.left[to] > 0;
        let choice = edges[..=last].iter().rposition(leads_on).unwrap_or(last);
        edges.swap(choice, last);
        self.left[state] = last;
        Some(edges[last])
    }

    /// Returns a short path to a state with a transition that no walk has taken, and that state.
    fn detour(&self, from: usize, longest: usize) -> Option<(Vec<Action>, usize)> {
        let mut seen: HashMap<usize, Option<(usize, Action)>> = HashMap::from([(from, None)]);
        let mut queue = VecDeque::from([(from, 0)]);
        while let Some((state, length)) = queue.pop_front() {
            if self.left[state] > 0 {
                let steps = std::iter::successors(seen[&state], |(from, _)| seen[from]);
                let mut way: Vec<_> = steps.map(|(_, action)| action).collect();
                way.reverse();
                return Some((way, state));
            }
            if seen.len() < DETOUR && length < longest {
                for &(action, to) in &self.graph.edges[state] {
                    seen.entry(to).or_insert_with(|| {
                        queue.push_back((to, length + 1));
                        Some((state, action))
                    });
                }
            }
        }
        None
    }
}

/// Finds walks that together take every transition of a space, and passes each of them to `visit`.
///
/// # Errors
/// Fails if the bounds are out of range, if the space is too large, or if `visit` fails.
pub fn cover(
    bounds: Bounds,
    mut visit: impl FnMut(&[Action]) -> Result<(), CoverError>,
) -> Result<Covered, CoverError> {
    let cluster = Cluster::new(bounds)?.checked();
    let mut graph = Graph::of(&cluster)?;
    let mut covered =
        Covered { states: graph.edges.len(), transitions: graph.transitions, ..Covered::default() };
    let left = graph.edges.iter().map(Vec::len).collect();
    let mut walker = Walker { graph: &mut graph, left };
    // States are numbered by their distance, so the next unfinished one is the nearest.
    for start in 0..covered.states {
        while walker.left[start] > 0 {
            let mut walk = walker.graph.way_to(start);
            let mut state = start;
            loop {
                while let Some((action, to)) = walker.take(state) {
                    walk.push(action);
                    state = to;
                    if walk.len() >= LONGEST {
                        break;
                    }
                }
                let Some(room) = LONGEST.checked_sub(walk.len() + 2) else { break };
                let Some((way, to)) = walker.detour(state, room) else { break };
                walk.extend(way);
                state = to;
            }
            covered.traces += 1;
            covered.steps += walk.len();
            visit(&walk)?;
        }
    }
    Ok(covered)
}

/// Returns walks that together take every transition of a space.
///
/// # Errors
/// Fails as [`cover`] does.
pub fn traces(bounds: Bounds) -> Result<Vec<Vec<Action>>, CoverError> {
    let mut all = Vec::new();
    cover(bounds, |walk| {
        all.push(walk.to_vec());
        Ok(())
    })?;
    Ok(all)
}

/// Writes the walks into a folder, one file each.
///
/// # Errors
/// Fails as [`cover`] does, and if the folder has traces already or cannot be written.
pub fn write_all(bounds: Bounds, folder: &Path) -> Result<Covered, CoverError> {
    let unwritten = |path: &Path| {
        let path = path.to_owned();
        move |error| CoverError::Unwritten { path, error }
    };
    let cluster = Cluster::new(bounds)?.checked();
    fs::create_dir_all(folder).map_err(unwritten(folder))?;
    if super::in_folder(folder).is_ok() {
        return Err(CoverError::Occupied { folder: folder.to_owned() });
    }
    let mut number = 0;
    cover(bounds, |walk| {
        number += 1;
        let description = format!("walk {number} of those that take every transition of {bounds}");
        let trace = Trace::record(&cluster, &description, walk).expect("a walk through the space");
        let path = folder.join(format!("walk-{number:05}{EXTENSION}"));
        fs::write(&path, trace.to_itf()).map_err(unwritten(&path))
    })
}
