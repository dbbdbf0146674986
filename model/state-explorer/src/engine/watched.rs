//! A model as stateright gets to see it: counted, renamed, and ready to be called off.
//!
//! stateright has no place where a search could be asked how often each action was taken, how many
//! states were expanded, or to stop; and its breadth-first search ignores symmetry without a word. All of
//! it can be had in the model, since every worker passes there all the time.
//!
//! It gets to see one property only. With several it skips states once all are settled, takes a later
//! failure for an earlier one, and looks each of them up by its name for every state, which takes a third of
//! its time. With one it stops at the first failure.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use stateright::{Expectation, Model, Path, Property};

use super::representative;
use crate::{Behaviour, Explorable, Symmetry, Tally};

/// The model, and what is seen of its exploration.
pub(super) struct Watched<M: Model> {
    model: M,
    properties: Vec<Property<M>>,
    /// Which of them were found to be false, if they should always be true; or true, if they should
    /// sometimes be.
    found: Vec<AtomicBool>,
    /// A property of which it is enough that it was found.
    sought: Option<&'static str>,
    symmetry: bool,
    tally: Tally,
    expanded: AtomicU64,
    orbits: AtomicU64,
    called_off: Arc<AtomicBool>,
}

/// The one property. Its name is hashed for every state, so it is short.
pub(super) const ENDS: &str = "ends";

/// What a worker unwinds with when its search is called off.
pub(super) struct CalledOff;

impl<M: Explorable> Watched<M> {
    /// `sought` is a property that ends the search when it is found, though it fails nowhere. Once `called_off` is
    /// true every worker unwinds at its next step.
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

    /// How often each kind of action was taken.
    pub(super) fn actions(&self) -> Vec<u64> {
        (0..M::KINDS.len()).map(|kind| self.tally.get(kind)).collect()
    }

    /// From how many states the search has gone on.
    pub(super) fn expanded(&self) -> u64 {
        self.expanded.load(Ordering::Relaxed)
    }

    /// How many states those can be renamed to.
    pub(super) fn orbits(&self) -> Option<u64> {
        self.symmetry.then(|| self.orbits.load(Ordering::Relaxed))
    }

    /// Makes every worker unwind at its next step, or none any more.
    pub(super) fn call_off(&self, off: bool) {
        self.called_off.store(off, Ordering::Relaxed);
    }

    /// The properties of which something was found.
    pub(super) fn found(&self) -> impl Iterator<Item = &Property<M>> {
        let found = self.properties.iter().zip(&self.found);
        found.filter(|(_, found)| found.load(Ordering::Relaxed)).map(|(property, _)| property)
    }

    /// The properties that a state settles, of those that end the search.
    pub(super) fn settled_by(&self, state: &M::State) -> Vec<&'static str> {
        let settles = |property: &&Property<M>| {
            let failure = property.expectation == Expectation::Always;
            let ends = failure || self.sought == Some(property.name);
            ends && (property.condition)(&self.model, state) != failure
        };
        self.properties.iter().filter(settles).map(|property| property.name).collect()
    }

    /// Whether something is found in a state that ends the search.
    fn ends(&self, state: &M::State) -> bool {
        let mut ends = false;
        for (property, found) in self.properties.iter().zip(&self.found) {
            let failure = property.expectation == Expectation::Always;
            // What was seen once need not be looked for again; and no state settles an `eventually`.
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

    /// A path of representatives as a behaviour of the model itself: each step is one that leads to
    /// the same representative.
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

impl<M: Explorable> Model for Watched<M> {
    type State = M::State;
    type Action = M::Action;

    fn init_states(&self) -> Vec<M::State> {
        let states = self.model.init_states().into_iter();
        states.map(|state| representative(self.symmetry(), state)).collect()
    }

    /// Called once for each distinct state.
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
            // Unwinds the worker without a word, for nothing went wrong. There is no gentler way:
            // a worker of stateright looks at nothing but the number of states.
            resume_unwind(Box::new(CalledOff));
        }
        Some(representative(self.symmetry(), next))
    }

    /// All properties are one to stateright: that nothing was found that ends the search.
    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(ENDS, |watched: &Self, state| !watched.ends(state))]
    }

    fn within_boundary(&self, state: &M::State) -> bool {
        self.model.within_boundary(state)
    }
}
