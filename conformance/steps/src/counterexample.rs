//! A counterexample, as people read it: the node, the state before, the input, what was expected, and what was found.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use paxos_model::cluster::node::state::Reads;
use serde::Serialize;

use crate::{
    case::{Case, Input, Start},
    check::{Checker, Tested},
    enumeration::Counterexample,
    finding::Finding,
    renaming::Renaming,
};

/// A counterexample in words, with the lowest ballots that show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shortest {
    /// The part that differs.
    pub differs: &'static str,
    /// The node, and its cluster.
    pub node: String,
    /// The state before.
    pub before: String,
    /// The input.
    pub input: String,
    /// The part as the model expects it.
    pub expected: String,
    /// The part as the replica has it.
    pub got: String,
}

impl Shortest {
    /// Returns a counterexample in words. Takes the step once more, with the lowest ballots in the same order.
    pub fn of<T: Tested + Clone>(found: Counterexample, tested: &T) -> Self {
        let Counterexample { config, case, finding } = found;
        let mut checker = Checker::new(config.clone(), tested.clone());
        let lowest = lowest(&case);
        let (case, finding) = match checker.check(&lowest.start.state, &lowest.input) {
            Err(again) if again.field == finding.field => (lowest, *again),
            _ => (case, finding),
        };
        let (nodes, quorums) = (config.nodes.len(), (config.phase1_quorum, config.phase2_quorum));
        let Finding { field, expected, got } = finding;
        let Start { state, .. } = &case.start;
        let mut before = format!("{:?}", state.live);
        if let Some(reads) = state.live.reads().filter(|reads| **reads != Reads::default()) {
            let Reads { barrier, rounds, under_way: _, waits: _ } = reads;
            write!(before, ", reads from {barrier:?} on, has begun {rounds:?} rounds")
                .expect("a string has room");
        }
        if !state.asked.is_empty() {
            write!(before, ", reads {:?} wait, then {:?}", state.asked, state.waiting)
                .expect("a string has room");
        }
        Self {
            differs: field,
            node: format!(
                "{:?} of {nodes} nodes, quorums {} and {}",
                config.id, quorums.0, quorums.1
            ),
            before,
            input: match &case.input {
                Input::Crash => "the node loses everything but its records".to_owned(),
                Input::Event(event) => format!("{event:?}"),
            },
            expected,
            got,
        }
    }
}

fn lowest(case: &Case) -> Case {
    let renaming = Renaming::lowest(case);
    let state = Arc::new(renaming.state(&case.start.state));
    let input = match &case.input {
        Input::Crash => Input::Crash,
        Input::Event(event) => Input::Event(renaming.event(event)),
    };
    Case { start: Start { state, ..case.start.clone() }, input }
}

impl fmt::Display for Shortest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { differs, node, before, input, expected, got } = self;
        writeln!(f, "model and replica differ: {differs}")?;
        writeln!(f, "  node      {node}")?;
        writeln!(f, "  before    {before}")?;
        writeln!(f, "  input     {input}")?;
        writeln!(f, "  expected  {expected}")?;
        writeln!(f, "  got       {got}")
    }
}
