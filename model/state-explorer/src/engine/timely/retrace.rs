//! Finds a shortest path to a state that is known to be reachable.
//!
//! The engine does not store predecessors. Instead, a second search visits only states that may lead to the target
//! ([`Explorable::may_lead_to`]). In a model whose messages only accumulate, these are few. The search is breadth-first,
//! and keeps the states themselves. It respects the limits of time and memory, and a request to end.

use std::collections::HashMap;

use verdict::memory::doubling_bytes;

use crate::{Behaviour, Explorable, limits::Limits};

/// The number of new states between two checks of the limits.
const STATES_BETWEEN_CHECKS: usize = 1 << 12;

/// Returns a shortest behaviour that ends in `target`. Returns `None` if `target` is not within the depth `level`.
///
/// # Errors
/// Returns the limit that was reached, in words.
pub(super) fn shortest_behaviour<M: Explorable>(
    model: &M,
    target: &M::State,
    level: usize,
    limits: &Limits,
) -> Result<Option<Behaviour<M>>, String> {
    let mut visited = Visited::<M> { indices: HashMap::new(), from: Vec::new() };
    let mut frontier = Vec::new();
    for state in model.init_states() {
        if state == *target {
            return Ok(Behaviour::replay(model, state, []));
        }
        frontier.extend(visited.add(&state, None).map(|index| (index, state)));
    }
    let mut actions = Vec::new();
    for _ in 1..level {
        let mut next_frontier = Vec::new();
        for (index, state) in frontier {
            model.actions(&state, &mut actions);
            for action in actions.drain(..) {
                let Some(next) = model.next_state(&state, action.clone()) else { continue };
                if !model.may_lead_to(&next, target) {
                    continue;
                }
                let Some(index) = visited.add(&next, Some((index, action))) else { continue };
                if next == *target {
                    return Ok(visited.behaviour(model, index));
                }
                if index.is_multiple_of(STATES_BETWEEN_CHECKS)
                    && let Some(limit) = limits.reached(0, visited.doubling_bytes())
                {
                    return Err(limit);
                }
                next_frontier.push((index, next));
            }
        }
        frontier = next_frontier;
    }
    Ok(None)
}

/// The states reached, each with its predecessor and the action from there. Initial states have no predecessor.
struct Visited<M: Explorable> {
    indices: HashMap<M::State, usize>,
    from: Vec<Option<(usize, M::Action)>>,
}

impl<M: Explorable> Visited<M> {
    /// Adds a state, and returns its index, or `None` if it was reached before.
    fn add(&mut self, state: &M::State, from: Option<(usize, M::Action)>) -> Option<usize> {
        if self.indices.contains_key(state) {
            return None;
        }
        let index = self.from.len();
        self.indices.insert(state.clone(), index);
        self.from.push(from);
        Some(index)
    }

    fn doubling_bytes(&self) -> u64 {
        let entry_bytes = size_of::<(M::State, usize)>() + size_of::<Option<(usize, M::Action)>>();
        doubling_bytes(self.indices.len(), self.indices.capacity(), entry_bytes)
    }

    fn behaviour(&self, model: &M, mut index: usize) -> Option<Behaviour<M>> {
        let mut actions = Vec::new();
        while let Some((before, action)) = &self.from[index] {
            actions.push(action.clone());
            index = *before;
        }
        actions.reverse();
        let initial = self.indices.iter().find(|(_, at)| **at == index)?.0.clone();
        Behaviour::replay(model, initial, actions)
    }
}
