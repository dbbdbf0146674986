//! A behaviour of a model: one way through it, step by step.

use stateright::Model;

/// A way through a model, from an initial state.
///
/// It is not believed but made: [`Behaviour::replay`] takes the actions one after the other, so that
/// whoever holds one holds states that the model really leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Behaviour<M: Model> {
    initial: M::State,
    steps: Vec<(M::Action, M::State)>,
}

impl<M: Model> Behaviour<M>
where
    M::Action: Clone,
{
    /// Takes `actions` from `initial`. Nothing if one of them changes nothing or may not happen.
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

    /// Takes one more action, and returns where it leads; nothing, and nothing is done, if it changes
    /// nothing or may not happen.
    pub fn extend(&mut self, model: &M, action: M::Action) -> Option<&M::State> {
        let next = model.next_state(self.last(), action.clone())?;
        self.steps.push((action, next));
        Some(self.last())
    }

    /// Where it begins.
    pub const fn initial(&self) -> &M::State {
        &self.initial
    }

    /// What was done, each with the state that it led to.
    pub fn steps(&self) -> &[(M::Action, M::State)] {
        &self.steps
    }

    /// Where it ends.
    pub fn last(&self) -> &M::State {
        self.steps.last().map_or(&self.initial, |(_, state)| state)
    }
}
