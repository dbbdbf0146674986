//! The properties of a model, asked through another model that wraps it.
//!
//! A condition of stateright is a function pointer, with nothing of its own: it gets the model it
//! belongs to and a state, and so a wrapper cannot hand on a condition. But each property has a number, and
//! for each number there is a function.

use stateright::{Expectation, Model, Property};

/// A model that has the states of another, and its properties.
pub(crate) trait Relay: Model<State = <Self::Inner as Model>::State> {
    /// The other one.
    type Inner: Model;

    /// The other one.
    fn inner(&self) -> &Self::Inner;

    /// Its properties, which must be the same each time.
    fn properties_of_inner(&self) -> &[Property<Self::Inner>];
}

/// The same properties, as properties of the wrapper.
pub(crate) fn relayed<R: Relay>(relay: &R) -> Vec<Property<R>> {
    let conditions = conditions::<R>();
    let properties = relay.properties_of_inner();
    assert!(properties.len() <= conditions.len(), "{} properties are too many", properties.len());
    let relayed = |(property, condition): (&Property<R::Inner>, _)| Property {
        expectation: match property.expectation {
            Expectation::Always => Expectation::Always,
            Expectation::Eventually => Expectation::Eventually,
            Expectation::Sometimes => Expectation::Sometimes,
        },
        name: property.name,
        condition,
    };
    properties.iter().zip(conditions).map(relayed).collect()
}

type Condition<R> = fn(&R, &<R as Model>::State) -> bool;

fn conditions<R: Relay>() -> [Condition<R>; 32] {
    fn nth<R: Relay, const N: usize>(relay: &R, state: &R::State) -> bool {
        (relay.properties_of_inner()[N].condition)(relay.inner(), state)
    }
    macro_rules! table {
        ($($n:literal)*) => { [$(nth::<R, $n>),*] };
    }
    table!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31)
}
