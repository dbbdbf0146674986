//! A way to a state that is known to be reachable.
//!
//! No engine needs to remember where it came from: messages only accumulate, so that among the
//! states that may still lead to the one in question there are few, and a search through these alone is
//! short, and no limit is kept for it. It goes nearest first, through states themselves.

use std::collections::HashMap;

use crate::explore::{Behaviour, Explorable};

/// The shortest way to `target`, which is to be found in level `level`, counted from 1.
/// Nothing if it is not there.
pub(super) fn way<M: Explorable>(
    model: &M,
    target: &M::State,
    level: usize,
) -> Option<Behaviour<M>> {
    let mut met = Met::<M> { places: HashMap::new(), from: Vec::new() };
    let mut frontier = Vec::new();
    for state in model.init_states() {
        if state == *target {
            return Behaviour::replay(model, state, []);
        }
        frontier.extend(met.add(&state, None).map(|place| (place, state)));
    }
    let mut actions = Vec::new();
    for _ in 1..level {
        let mut next_frontier = Vec::new();
        for (place, state) in frontier {
            model.actions(&state, &mut actions);
            for action in actions.drain(..) {
                let Some(next) = model.next_state(&state, action.clone()) else { continue };
                if !model.may_lead_to(&next, target) {
                    continue;
                }
                let Some(place) = met.add(&next, Some((place, action))) else { continue };
                if next == *target {
                    return met.behaviour(model, place);
                }
                next_frontier.push((place, next));
            }
        }
        frontier = next_frontier;
    }
    None
}

/// The states met, and how each was first met.
struct Met<M: Explorable> {
    places: HashMap<M::State, usize>,
    from: Vec<Option<(usize, M::Action)>>,
}

impl<M: Explorable> Met<M> {
    /// The place of a state, if it is new.
    fn add(&mut self, state: &M::State, from: Option<(usize, M::Action)>) -> Option<usize> {
        if self.places.contains_key(state) {
            return None;
        }
        let place = self.from.len();
        self.places.insert(state.clone(), place);
        self.from.push(from);
        Some(place)
    }

    fn behaviour(&self, model: &M, mut place: usize) -> Option<Behaviour<M>> {
        let mut actions = Vec::new();
        while let Some((before, action)) = &self.from[place] {
            actions.push(action.clone());
            place = *before;
        }
        actions.reverse();
        let initial = self.places.iter().find(|(_, at)| **at == place)?.0.clone();
        Behaviour::replay(model, initial, actions)
    }
}
