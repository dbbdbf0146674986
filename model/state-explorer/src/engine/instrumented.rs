//! The instrumented model: the model that stateright explores in place of ours.
//!
//! The instrumented model counts actions and expanded states, renames states, and can stop a search. The engine itself cannot
//! count actions or stop a search, and its breadth-first search ignores symmetry without an error. All workers call the
//! model for every state, so the model is the place for all these tasks.
//!
//! The instrumented model has a single property: no state ends the search. With several properties, stateright skips states
//! once all properties are settled, and it may report a later failure in place of an earlier one. It also looks up each
//! property by its name for every state, which takes a third of its time. With one property, it stops at the first failure.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use stateright::{Expectation, Model, Path, Property};

use super::representative;
use crate::{Behaviour, Explorable, Symmetry, Tally};

/// A model, and the findings of its exploration.
pub(super) struct Instrumented<M: Model> {
    model: M,
    properties: Vec<Property<M>>,
    /// For each property, true once a state has settled it: an `always` property is false in the state, or a `sometimes`
    /// property is true.
    found: Vec<AtomicBool>,
    /// A `sometimes` property that ends the search once a state settles it.
    sought: Option<&'static str>,
    symmetry: bool,
    tally: Tally,
    expanded: AtomicU64,
    orbits: AtomicU64,
    called_off: Arc<AtomicBool>,
}

/// The name of the single property. The name is short, because stateright hashes it for every state.
pub(super) const ENDS: &str = "ends";

/// The payload with which a worker unwinds when its search is stopped.
pub(super) struct CalledOff;

impl<M: Explorable> Instrumented<M> {
    /// Instruments a model. The search ends when `sought` is seen. Once `called_off` is true, every worker unwinds at its
    /// next step.
    pub(super) fn new(
        model: M,
        symmetry: bool,
        sought: Option<&'static str>,
        called_off: Arc<AtomicBool>,
    ) -> Self {
        let properties = model.properties();
        Self {
            model,
            found: properties.iter().map(|_| AtomicBool::new(false)).collect(),
            sought,
            properties,
            symmetry,
            tally: Tally::default(),
            expanded: AtomicU64::new(0),
            orbits: AtomicU64::new(0),
            called_off,
        }
    }

    /// Returns the number of transitions of each kind.
    pub(super) fn actions(&self) -> Vec<u64> {
        (0..M::KINDS.len()).map(|kind| self.tally.get(kind)).collect()
    }

    /// Returns the number of states that were expanded.
    pub(super) fn expanded(&self) -> u64 {
        self.expanded.load(Ordering::Relaxed)
    }

    /// Returns the number of all states that differ from an expanded state only by a renaming.
    pub(super) fn orbits(&self) -> Option<u64> {
        self.symmetry.then(|| self.orbits.load(Ordering::Relaxed))
    }

    /// Makes every worker unwind at its next step if `off` is true. Otherwise withdraws that.
    pub(super) fn call_off(&self, off: bool) {
        self.called_off.store(off, Ordering::Relaxed);
    }

    /// Returns the properties that some state has settled.
    pub(super) fn found(&self) -> impl Iterator<Item = &Property<M>> {
        let found = self.properties.iter().zip(&self.found);
        found.filter(|(_, found)| found.load(Ordering::Relaxed)).map(|(property, _)| property)
    }

    /// Returns the properties that end the search and that a state settles.
    pub(super) fn settled_by(&self, state: &M::State) -> Vec<&'static str> {
        let settles = |property: &&Property<M>| {
            let failure = property.expectation == Expectation::Always;
            let ends = failure || self.sought == Some(property.name);
            ends && (property.condition)(&self.model, state) != failure
        };
        self.properties.iter().filter(settles).map(|property| property.name).collect()
    }

    /// Returns true if a state settles a property that ends the search.
    fn ends(&self, state: &M::State) -> bool {
        let mut ends = false;
        for (property, found) in self.properties.iter().zip(&self.found) {
            let failure = property.expectation == Expectation::Always;
            // A `sometimes` is settled once, and no state settles an `eventually`.
            let open = failure
                || property.expectation == Expectation::Sometimes && !found.load(Ordering::Relaxed);
            if open && (property.condition)(&self.model, state) != failure {
                found.store(true, Ordering::Relaxed);
                ends |= failure || self.sought == Some(property.name);
            }
        }
        ends
    }

    fn symmetry(&self) -> Option<&dyn Symmetry<M::State>> {
        self.model.symmetry().filter(|_| self.symmetry)
    }

    /// Returns a behaviour of the model for a path of representatives. Each state of the behaviour has the representative at
    /// the same place in the path.
    pub(super) fn behaviour(&self, path: Path<M::State, M::Action>) -> Option<Behaviour<M>> {
        let path = path.into_vec();
        let symmetry = self.symmetry();
        let canonical = |state| representative(symmetry, state);
        let first = path.first()?;
        let initial = self.model.init_states();
        let initial = initial.into_iter().find(|state| canonical(state.clone()) == first.0)?;
        let mut behaviour = Behaviour::replay(&self.model, initial, [])?;
        for pair in path.windows(2) {
            let [(_, action), (target, _)] = pair else { unreachable!("windows of two") };
            if symmetry.is_none() {
                let action = action.clone()?;
                behaviour.extend(&self.model, action).filter(|next| *next == target)?;
                continue;
            }
            let mut actions = Vec::new();
            self.model.actions(behaviour.last(), &mut actions);
            let leads = |action: &M::Action| {
                let next = self.model.next_state(behaviour.last(), action.clone());
                next.is_some_and(|next| canonical(next) == *target)
            };
            let action = actions.into_iter().find(leads)?;
            behaviour.extend(&self.model, action)?;
        }
        Some(behaviour)
    }
}

impl<M: Explorable> Model for Instrumented<M> {
    type State = M::State;
    type Action = M::Action;

    fn init_states(&self) -> Vec<M::State> {
        let states = self.model.init_states().into_iter();
        states.map(|state| representative(self.symmetry(), state)).collect()
    }

    /// Lists the actions, and counts the state as expanded. stateright calls this once for each distinct state.
    fn actions(&self, state: &M::State, actions: &mut Vec<M::Action>) {
        self.expanded.fetch_add(1, Ordering::Relaxed);
        if let Some(symmetry) = self.symmetry() {
            self.orbits.fetch_add(symmetry.orbit(state), Ordering::Relaxed);
        }
        self.model.actions(state, actions);
    }

    fn next_state(&self, state: &M::State, action: M::Action) -> Option<M::State> {
        let kind = M::kind(&action);
        let next = self.model.next_state(state, action)?;
        self.tally.count(kind);
        if self.called_off.load(Ordering::Relaxed) {
            // The worker unwinds without a message, because nothing failed. A worker of stateright has no other way to
            // stop: it looks only at the number of states.
            resume_unwind(Box::new(CalledOff));
        }
        Some(representative(self.symmetry(), next))
    }

    /// Returns the single property: no state ends the search.
    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(ENDS, |instrumented: &Self, state| !instrumented.ends(state))]
    }

    fn within_boundary(&self, state: &M::State) -> bool {
        self.model.within_boundary(state)
    }
}
