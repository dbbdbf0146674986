//! Behaviours for tests.

use state_explorer::{Behaviour, Explorable, Options, explore_and_keep};

/// Returns the behaviour of the actions with these descriptions, one after the other.
pub(crate) fn told<M: Explorable>(model: &M, scenario: &[&str]) -> Behaviour<M> {
    let initial = model.init_states().remove(0);
    let mut behaviour = Behaviour::replay(model, initial, []).expect("nothing is always possible");
    for does in scenario {
        let mut actions = Vec::new();
        model.actions(behaviour.last(), &mut actions);
        let action = actions.into_iter().find(|action| model.describe(action) == *does);
        let action = action.unwrap_or_else(|| panic!("{does:?} is not possible"));
        behaviour.extend(model, action).expect("it changes something");
    }
    behaviour
}

/// Returns a shortest behaviour to a state in which a property does not hold.
pub(crate) fn counterexample<M: Explorable>(model: &M, property: &'static str) -> Behaviour<M> {
    let mut explored = explore_and_keep(&model.only(property), &Options::default());
    explored.behaviours.remove(property).expect("it is violated")
}

/// A read, and then a new leader that lacks a slot that another node has trimmed. The bounds must have 3 nodes, 1 slot and
/// 2 ballots, with snapshots and a read.
pub(crate) const SNAPSHOTS_AND_READS: &[&str] = &[
    "n1 campaigns",
    "n2 gets Prepare b0",
    "n1 gets Promise b0 from n2 reporting nothing",
    "n1 proposes in 1 slots",
    "n2 gets Accept b0 s0=v0",
    "n1 gets Accepted b0 s0=v0 from n2",
    "n1 is asked to read",
    "n3 gets Confirm b0 round 1",
    "n1 gets Confirmed b0 round 1 from n3",
    "n1 has a snapshot below s1",
    "n2 campaigns",
    "n1 gets Prepare b1",
    "n2 gets Promise b1 from n1 reporting nothing, trimmed below s1",
    "n2 has a snapshot below s1",
];
