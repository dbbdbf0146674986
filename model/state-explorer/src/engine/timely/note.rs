//! What a worker tells all others when it is done with a level.

use serde::{Deserialize, Serialize};

/// One worker, about one level.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Note {
    /// The worker that it is for.
    pub(super) to: usize,
    /// How many states of this level it had.
    pub(super) frontier: u64,
    /// All that it has done so far.
    pub(super) totals: Totals,
    /// What it found in this level.
    pub(super) found: Vec<Found>,
    /// Why the search must not go on.
    pub(super) stop: Option<String>,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Totals {
    /// Distinct states met.
    pub(super) states: u64,
    /// Steps taken from them.
    pub(super) transitions: u64,
    /// How often each kind of action was taken.
    pub(super) actions: Vec<u64>,
    /// How many states those from which it has gone on can be renamed to.
    pub(super) orbits: u64,
}

impl Totals {
    /// Nothing done, of some kinds of actions.
    pub(super) fn nothing(kinds: usize) -> Self {
        Self { actions: vec![0; kinds], ..Self::default() }
    }

    /// Both together.
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
    /// The property, by its place.
    pub(super) property: usize,
    /// The state, packed. Of several in a level, the least counts, whoever found it.
    pub(super) words: Vec<u64>,
    /// How deep it is, initial states being at depth 1.
    pub(super) level: usize,
}

/// What all workers know after a level, each the same.
pub(super) struct Known {
    /// How many states of this level there were.
    pub(super) frontier: u64,
    /// All that was done so far.
    pub(super) totals: Totals,
    /// Why the search must not go on.
    pub(super) stop: Option<String>,
}

/// Puts together what all said of one level; what they found is added to `found`.
pub(super) fn gather(notes: Vec<Note>, kinds: usize, found: &mut Vec<Found>) -> Known {
    let mut known = Known { frontier: 0, totals: Totals::nothing(kinds), stop: None };
    let mut news: Vec<_> = Vec::new();
    for note in notes {
        known.frontier += note.frontier;
        known.totals.add(&note.totals);
        // The same whoever is asked: workers do not hear each other in the same order.
        known.stop = match (known.stop, note.stop) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        news.extend(note.found);
    }
    news.sort();
    for it in news {
        if !found.iter().any(|known| known.property == it.property) {
            found.push(it);
        }
    }
    known
}
