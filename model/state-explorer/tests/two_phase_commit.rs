//! The example under both orders of stateright: its number of states as other tools find it, and a counterexample.

use state_explorer::{Engine, Explorable as _, Finding, Options, explore};
use verdict::Verdict;

#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../examples/two_phase_commit.rs"]
mod example;

use example::{CONSISTENT, NO_WASTE, TwoPhaseCommit};

/// TLC finds 288 states with three managers and 8,832 with five, and so does stateright's own example.
#[test]
fn the_number_of_states_is_that_of_tlc() {
    for (managers, states) in [(3, 288), (5, 8832)] {
        for engine in [Engine::Bfs, Engine::Dfs] {
            let model = TwoPhaseCommit { managers, properties: vec![CONSISTENT] };
            let report = explore(&model, &Options { engine, ..Options::default() });
            assert_eq!((report.verdict, report.states), (Verdict::Holds, states));
        }
    }
}

#[test]
fn a_violated_property_has_a_shortest_counterexample() {
    let model = TwoPhaseCommit { managers: 3, properties: vec![CONSISTENT, NO_WASTE] };
    let report = explore(&model, &Options::default());
    assert_eq!(report.verdict, Verdict::Violated);
    let violated = report.properties.iter().find(|it| it.finding == Finding::Violated);
    let violated = violated.expect("a property is violated");
    assert_eq!(violated.name, NO_WASTE);
    let steps =
        &violated.counterexample.as_ref().expect("a violated property has a counterexample").steps;
    assert_eq!(steps.len(), 4, "the initial state, and three steps: {steps:?}");
    assert_eq!(explore(&model.only(CONSISTENT), &Options::default()).verdict, Verdict::Holds);
}
