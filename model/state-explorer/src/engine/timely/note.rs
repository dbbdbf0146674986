//! The note that each worker sends to all workers at the end of a level.

use serde::{Deserialize, Serialize};

/// The note of one worker about one level.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Note {
    /// The receiving worker.
    pub(super) to: usize,
    /// The number of states of this level at the sender.
    pub(super) frontier: u64,
    /// The sender's counts so far, including this level.
    pub(super) totals: Totals,
    /// The states found in this level that settle a property.
    pub(super) found: Vec<Found>,
    /// A reason to end the search, if there is one.
    pub(super) stop: Option<String>,
}

/// The counts of a search, or of one worker.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Totals {
    /// The number of distinct states.
    pub(super) states: u64,
    /// The number of steps taken from these states.
    pub(super) transitions: u64,
    /// The number of actions taken, by kind.
    pub(super) actions: Vec<u64>,
    /// The number of all states that differ from an expanded state only by a renaming.
    pub(super) orbits: u64,
}

impl Totals {
    /// Returns counts that are all zero.
    pub(super) fn nothing(kinds: usize) -> Self {
        Self { actions: vec![0; kinds], ..Self::default() }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.states += other.states;
        self.transitions += other.transitions;
        self.orbits += other.orbits;
        for (mine, theirs) in self.actions.iter_mut().zip(&other.actions) {
            *mine += theirs;
        }
    }
}

/// A state that settles a property.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    /// The index of the property in the model's list.
    pub(super) property: usize,
    /// The packed state. Of several in one level, the least is kept, so that the result does not depend on the workers.
    pub(super) words: Vec<u64>,
    /// The depth of the state. Initial states have depth 1.
    pub(super) level: usize,
}

/// The merged notes of all workers about one level. The result is the same at each worker.
pub(super) struct Merged {
    /// The number of states of this level.
    pub(super) frontier: u64,
    /// The counts of all workers so far.
    pub(super) totals: Totals,
    /// A reason to end the search, if there is one.
    pub(super) stop: Option<String>,
}

/// Merges the notes of all workers about one level, and adds their findings to `found`.
pub(super) fn merge(notes: Vec<Note>, kinds: usize, found: &mut Vec<Found>) -> Merged {
    let mut merged = Merged { frontier: 0, totals: Totals::nothing(kinds), stop: None };
    let mut news: Vec<_> = Vec::new();
    for note in notes {
        merged.frontier += note.frontier;
        merged.totals.add(&note.totals);
        // The least reason is kept, since notes arrive in different orders at different workers.
        merged.stop = match (merged.stop, note.stop) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        news.extend(note.found);
    }
    news.sort();
    for it in news {
        if !found.iter().any(|earlier| earlier.property == it.property) {
            found.push(it);
        }
    }
    merged
}
