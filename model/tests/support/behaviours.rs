//! Behaviours for tests.

use paxos_model::explore::{Behaviour, Explorable, Options, explore_and_keep};

/// The actions that are described so, one after the other.
pub(crate) fn told<M: Explorable>(model: &M, story: &[&str]) -> Behaviour<M> {
    let initial = model.init_states().remove(0);
    let mut behaviour = Behaviour::replay(model, initial, []).expect("nothing is always possible");
    for does in story {
        let mut actions = Vec::new();
        model.actions(behaviour.last(), &mut actions);
        let action = actions.into_iter().find(|action| model.describe(action) == *does);
        let action = action.unwrap_or_else(|| panic!("{does:?} is not possible"));
        behaviour.extend(model, action).expect("it changes something");
    }
    behaviour
}

/// The shortest way to a state where a property does not hold.
pub(crate) fn counterexample<M: Explorable>(model: &M, property: &'static str) -> Behaviour<M> {
    let mut explored = explore_and_keep(&model.only(property), &Options::default());
    explored.behaviours.remove(property).expect("it is violated")
}
