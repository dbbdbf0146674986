//! The example, by each engine, against the counts that other tools give.

use state_explorer::{Engine, Explorable as _, Finding, Options, explore};
use verdict::Verdict;

#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../examples/two_phase_commit.rs"]
mod example;

use example::{CONSISTENT, NO_WASTE, TwoPhaseCommit};

/// TLC finds 288 states with three managers and 8,832 with five, and so does stateright's own example.
#[test]
fn counts_are_those_of_other_tools() {
    for (managers, states) in [(3, 288), (5, 8832)] {
        for engine in [Engine::Bfs, Engine::Dfs] {
            let model = TwoPhaseCommit { managers, properties: vec![CONSISTENT] };
            let report = explore(&model, &Options { engine, ..Options::default() });
            assert_eq!((report.verdict, report.states), (Verdict::Holds, states));
        }
    }
}

#[test]
fn what_does_not_hold_has_a_shortest_counterexample() {
    let model = TwoPhaseCommit { managers: 3, properties: vec![CONSISTENT, NO_WASTE] };
    let report = explore(&model, &Options::default());
    assert_eq!(report.verdict, Verdict::Violated);
    let violated = report.properties.iter().find(|it| it.finding == Finding::Violated);
    let violated = violated.expect("one is violated");
    assert_eq!(violated.name, NO_WASTE);
    let steps = &violated.counterexample.as_ref().expect("it is shown").steps;
    assert_eq!(steps.len(), 4, "the initial state, and three steps: {steps:?}");
    assert_eq!(explore(&model.only(CONSISTENT), &Options::default()).verdict, Verdict::Holds);
}
