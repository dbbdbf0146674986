//! A way to a state that is known to be reachable.
//!
//! No engine needs to remember where it came from: messages only accumulate, so that among the
//! states that may still lead to the one in question there are few, and a search through these alone is
//! short. It goes nearest first, through states themselves. Of the limits it keeps those on time and memory,
//! and a signal ends it.

use std::collections::HashMap;

use verdict::memory::doubling_bytes;

use crate::{Behaviour, Explorable, limits::Limits};

/// Between two looks at the limits it meets so many states.
const AT_ONCE: usize = 1 << 12;

/// The shortest way to `target`, which is to be found in level `level`, counted from 1.
/// Nothing if it is not there.
///
/// # Errors
/// The limit that was reached, in words.
pub(super) fn way<M: Explorable>(
    model: &M,
    target: &M::State,
    level: usize,
    limits: &Limits,
) -> Result<Option<Behaviour<M>>, String> {
    let mut met = Met::<M> { places: HashMap::new(), from: Vec::new() };
    let mut frontier = Vec::new();
    for state in model.init_states() {
        if state == *target {
            return Ok(Behaviour::replay(model, state, []));
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
                    return Ok(met.behaviour(model, place));
                }
                if place.is_multiple_of(AT_ONCE)
                    && let Some(limit) = limits.reached(0, met.doubling_bytes())
                {
                    return Err(limit);
                }
                next_frontier.push((place, next));
            }
        }
        frontier = next_frontier;
    }
    Ok(None)
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

    fn doubling_bytes(&self) -> u64 {
        let entry_bytes = size_of::<(M::State, usize)>() + size_of::<Option<(usize, M::Action)>>();
        doubling_bytes(self.places.len(), self.places.capacity(), entry_bytes)
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
