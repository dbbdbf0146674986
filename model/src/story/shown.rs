//! A model as stateright's Explorer shows it: actions in words, and the way so far as a picture.
//!
//! It is the model within, with two differences that only matter to somebody who clicks through it.
//! Actions that change nothing are not offered; stateright would list them, and stop its server where
//! one is taken from an address. And what is printed of an action or a step is what people read.

use stateright::{Model, Path, Property};

use super::Storied;

/// A model, to be shown.
pub struct Shown<M: Storied> {
    model: M,
    conditions: Vec<Condition<M>>,
}

type Condition<M> = fn(&M, &<M as Model>::State) -> bool;

impl<M: Storied> Shown<M> {
    /// Shows a model.
    pub fn new(model: M) -> Self {
        let conditions: Vec<_> = model.properties().iter().map(|it| it.condition).collect();
        assert!(
            conditions.len() <= Self::CONDITIONS.len(),
            "there are as many places as properties"
        );
        Self { model, conditions }
    }
}

/// A property of stateright is a plain function, that cannot remember which of the model's it stands
/// for. So there is one for each place among them.
fn at_place<M: Storied, const PLACE: usize>(shown: &Shown<M>, state: &M::State) -> bool {
    shown.conditions[PLACE](&shown.model, state)
}

macro_rules! places {
    ($($place:literal)+) => { &[$(at_place::<M, $place>),+] };
}

impl<M: Storied> Shown<M> {
    const CONDITIONS: &'static [Condition<Self>] = places!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
}

impl<M: Storied> Model for Shown<M> {
    type State = M::State;
    type Action = M::Action;

    fn init_states(&self) -> Vec<Self::State> {
        self.model.init_states()
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>) {
        self.model.actions(state, actions);
        actions.retain(|action| self.model.next_state(state, action.clone()).is_some());
    }

    fn next_state(&self, state: &Self::State, action: Self::Action) -> Option<Self::State> {
        self.model.next_state(state, action)
    }

    fn format_action(&self, action: &Self::Action) -> String {
        self.model.describe(action)
    }

    fn format_step(&self, state: &Self::State, action: Self::Action) -> Option<String> {
        self.next_state(state, action).map(|next| self.model.render(&next))
    }

    fn as_svg(&self, path: Path<Self::State, Self::Action>) -> Option<String> {
        Some(self.model.diagram(&path.into(), &self.model.title()).svg())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let places = self.model.properties().into_iter().zip(Self::CONDITIONS);
        let shown = |(Property { expectation, name, .. }, &condition)| Property {
            expectation,
            name,
            condition,
        };
        places.map(shown).collect()
    }
}
