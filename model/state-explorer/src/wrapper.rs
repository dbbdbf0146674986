//! The properties of a model, as properties of a wrapper around the model.

use stateright::{Model, Property};

/// A model around another model. Its states contain the states of the other model.
pub trait Wrapper: Model {
    /// The model inside.
    type Inner: Model;

    /// Returns the model inside.
    fn inner(&self) -> &Self::Inner;

    /// Returns the properties of the model inside. Each call must return the same properties.
    fn inner_properties(&self) -> &[Property<Self::Inner>];

    /// Returns the state of the model inside.
    fn inner_state(state: &Self::State) -> &<Self::Inner as Model>::State;
}

/// Returns the properties of the model inside, as properties of the wrapper.
///
/// # Panics
/// Panics if the model has more than [`PROPERTIES_MAX`] properties.
pub fn lifted<W: Wrapper>(wrapper: &W) -> Vec<Property<W>> {
    let inner = wrapper.inner_properties();
    assert!(inner.len() <= PROPERTIES_MAX, "there is room for {PROPERTIES_MAX} properties");
    let lift = |(property, condition): (&Property<W::Inner>, _)| Property {
        expectation: property.expectation.clone(),
        name: property.name,
        condition,
    };
    inner.iter().zip(conditions::<W>()).map(lift).collect()
}

type Condition<W> = fn(&W, &<W as Model>::State) -> bool;

/// Returns one function for each place in the list of properties. A condition of stateright is a function without captured
/// values, so one function cannot serve several properties.
fn conditions<W: Wrapper>() -> [Condition<W>; PROPERTIES_MAX] {
    fn at<W: Wrapper, const PLACE: usize>(wrapper: &W, state: &W::State) -> bool {
        let condition = wrapper.inner_properties()[PLACE].condition;
        condition(wrapper.inner(), W::inner_state(state))
    }
    macro_rules! places {
        ($($place:literal)+) => { [$(at::<W, $place>),+] };
    }
    places!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31)
}

/// The number of properties that can be lifted.
pub const PROPERTIES_MAX: usize = 32;
