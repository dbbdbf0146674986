//! A model as stateright's Explorer shows it: actions in words, and the way so far as a picture.
//!
//! It is the model within, with two differences that only matter to somebody who clicks through it.
//! Actions that change nothing are not offered; stateright would list them, and stop its server where
//! one is taken from an address. And what is printed of an action or a step is what people read.

use stateright::{Model, Path, Property};

use super::Storied;
use state_explorer::Behaviour;

/// A model, to be shown.
pub struct Shown<M: Storied> {
    model: M,
    properties: Vec<Property<M>>,
}

impl<M: Storied> Shown<M> {
    /// Shows a model.
    pub fn new(model: M) -> Self {
        let properties = model.properties();
        assert!(properties.len() <= PROPERTIES_MAX, "there are as many places as properties");
        Self { model, properties }
    }
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
        let mut path = path.into_vec().into_iter();
        let (initial, first) = path.next()?;
        let actions = [first].into_iter().chain(path.map(|(_, action)| action)).flatten();
        let behaviour = Behaviour::replay(&self.model, initial, actions)?;
        Some(self.model.diagram(&behaviour, &self.model.title()).svg())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let places = self.model.properties().into_iter().zip(conditions::<M>());
        let shown = |(Property { expectation, name, .. }, condition)| Property {
            expectation,
            name,
            condition,
        };
        places.map(shown).collect()
    }
}

type Condition<M> = fn(&Shown<M>, &<M as Model>::State) -> bool;

/// A condition of stateright is a function without anything of its own, that cannot remember which
/// property it stands for. So there is one for each place among them.
fn conditions<M: Storied>() -> [Condition<M>; PROPERTIES_MAX] {
    fn at<M: Storied, const PLACE: usize>(shown: &Shown<M>, state: &M::State) -> bool {
        (shown.properties[PLACE].condition)(&shown.model, state)
    }
    macro_rules! places {
        ($($place:literal)+) => { [$(at::<M, $place>),+] };
    }
    places!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23)
}

/// For how many properties there are places.
const PROPERTIES_MAX: usize = 24;
