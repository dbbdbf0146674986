//! z3 and cvc5 agree with the built-in prover on every obligation of every specification and mutant.
//!
//! No other test needs these programs. If one is not installed, its test prints this on standard error, past the
//! capture of the test runner, and checks nothing.

#[path = "support/mutants.rs"]
mod support;

use std::{
    io::{Write as _, stderr},
    time::Duration,
};

use epr_prover::{
    language::Specification,
    obligation::{Finding, obligations},
    prover::Prover,
    smtlib::{Kind, Solver},
};
use paxos_model::specifications::{SPECIFICATIONS, shipped};
use support::mutants;

const PATIENCE: Duration = Duration::from_mins(1);

/// Returns the solver, if it is installed.
fn solver(kind: Kind) -> Option<Prover> {
    match Solver::find(kind) {
        Ok(solver) => Some(Prover::External(solver)),
        Err(missing) => {
            writeln!(stderr(), "not cross-checked: {missing}").expect("it can be said");
            None
        }
    }
}

fn agree(kind: Kind) {
    let Some(other) = solver(kind) else { return };
    let whole = SPECIFICATIONS.iter().map(|(name, _)| (*name, shipped(name)));
    let all: Vec<(&str, Specification)> = whole.chain(mutants()).collect();
    let (mut proved, mut refuted) = (0, 0);
    for (name, specification) in &all {
        for obligation in obligations(specification) {
            let ours = Prover::Builtin.decide(&obligation, PATIENCE).finding;
            let theirs = other.decide(&obligation, PATIENCE).finding;
            let which = (name, obligation.moment_name(), &obligation.goal.name);
            assert_eq!(ours, theirs, "{other} disagrees: {which:?}");
            match ours {
                Finding::Proved => proved += 1,
                Finding::Refuted => refuted += 1,
                Finding::Unknown { why } => panic!("{which:?} is open: {why}"),
            }
        }
    }
    assert!(proved > 1000 && refuted >= mutants().len(), "{proved} proved, {refuted} refuted");
    writeln!(stderr(), "cross-checked: {other} agrees on {} obligations", proved + refuted)
        .expect("it can be said");
}

#[test]
fn z3_agrees() {
    agree(Kind::Z3);
}

#[test]
fn cvc5_agrees() {
    agree(Kind::Cvc5);
}
