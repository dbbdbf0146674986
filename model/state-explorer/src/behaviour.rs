//! A behaviour of a model: a path from an initial state, with all its actions and states.

use stateright::Model;

/// A path from an initial state of a model.
///
/// The only way to construct a behaviour is to take its actions ([`Behaviour::replay`]). So each step is a step of the model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Behaviour<M: Model> {
    initial: M::State,
    steps: Vec<(M::Action, M::State)>,
}

impl<M: Model> Behaviour<M>
where
    M::Action: Clone,
{
    /// Takes the actions from `initial`. Returns `None` if one of them is not possible.
    pub fn replay(
        model: &M,
        initial: M::State,
        actions: impl IntoIterator<Item = M::Action>,
    ) -> Option<Self> {
        let mut behaviour = Self { initial, steps: Vec::new() };
        for action in actions {
            behaviour.extend(model, action)?;
        }
        Some(behaviour)
    }

    /// Takes one more action, and returns the state that it leads to. Returns `None`, without a change, if the action
    /// is not possible.
    pub fn extend(&mut self, model: &M, action: M::Action) -> Option<&M::State> {
        let next = model.next_state(self.last(), action.clone())?;
        self.steps.push((action, next));
        Some(self.last())
    }

    /// Returns the first state.
    pub const fn initial(&self) -> &M::State {
        &self.initial
    }

    /// Returns the actions, each with the state that it leads to.
    pub fn steps(&self) -> &[(M::Action, M::State)] {
        &self.steps
    }

    /// Returns the last state.
    pub fn last(&self) -> &M::State {
        self.steps.last().map_or(&self.initial, |(_, state)| state)
    }
}
