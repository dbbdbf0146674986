//! Deciding an obligation: by the built-in prover, or by a solver that somebody has installed.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{
    clause::Clauses,
    ground::Grounding,
    language::Specification,
    obligation::{Finding, Obligation},
    patience::{Patience, Watch},
    sat::{Answer, Certificate},
    smtlib::{self, Solver},
};

/// Who decides.
#[derive(Clone, Debug)]
pub enum Prover {
    /// Instances of clauses and a SAT solver, in this process.
    Builtin,
    /// An SMT solver in a process of its own, which gets the obligation as SMT-LIB.
    External(Solver),
}

impl fmt::Display for Prover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("built-in"),
            Self::External(solver) => write!(f, "{solver}"),
        }
    }
}

/// What was found, and what it took.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What was found.
    pub finding: Finding,
    /// How long it took.
    pub took: Duration,
    /// How many ground terms and clauses were made, where that is known.
    pub size: Option<(usize, usize)>,
}

impl Prover {
    /// Decides an obligation, if there is enough patience for it.
    pub fn decide(&self, obligation: &Obligation<'_>, patience: impl Into<Patience>) -> Decision {
        let started = Instant::now();
        let watch = patience.into().watch();
        let (finding, size) = match self {
            _ if watch.called_off().is_some() => (finding(Answer::TimeUp, &watch), None),
            Self::Builtin => {
                let sorts = obligation.specification.sorts.len();
                let mut grounding = Grounding::new(clauses(obligation), sorts, &watch);
                let answer = grounding.solve();
                (finding(answer, &watch), Some(grounding.size()))
            }
            Self::External(solver) => {
                (solver.run(&smtlib::script(obligation).to_string(), &watch), None)
            }
        };
        Decision { finding, took: started.elapsed(), size }
    }
}

/// Whether an action can happen in some state that satisfies the invariant, or without an action, whether
/// what is taken for granted can be so at all. Where it can not, anything is proved of it.
pub fn possible(
    specification: &Specification,
    action: Option<usize>,
    patience: impl Into<Patience>,
) -> Decision {
    let started = Instant::now();
    let watch = patience.into().watch();
    let parameters = action.map_or(&[][..], |action| &specification.actions[action].parameters);
    let mut clauses = Clauses::about(parameters);
    for axiom in &specification.axioms {
        clauses.assert(&axiom.formula);
    }
    if let Some(action) = action {
        let statements = specification.statements().map(|statement| &statement.formula);
        for formula in statements.chain(&specification.actions[action].guards) {
            clauses.assert(formula);
        }
    }
    let mut grounding = Grounding::new(clauses, specification.sorts.len(), &watch);
    let answer = if watch.called_off().is_some() { Answer::TimeUp } else { grounding.solve() };
    let finding = match answer {
        Answer::Model => Finding::Proved,
        Answer::Contradiction => Finding::Refuted,
        Answer::TimeUp => finding(Answer::TimeUp, &watch),
    };
    Decision { finding, took: started.elapsed(), size: Some(grounding.size()) }
}

/// Why an obligation holds: the ground clauses that the built-in prover made of its opposite, after
/// comments that say what their variables are, and a proof that they can not all be true. Nothing, if it
/// was not proved in time.
///
/// What it certifies is the last step; that the clauses are instances of the obligation is for the
/// prover to answer for.
pub fn certificate(
    obligation: &Obligation<'_>,
    patience: impl Into<Patience>,
) -> Option<(Certificate, Vec<String>)> {
    let specification = obligation.specification;
    let watch = patience.into().watch();
    if watch.called_off().is_some() {
        return None;
    }
    let mut grounding = Grounding::new(clauses(obligation), specification.sorts.len(), &watch);
    grounding.record();
    grounding.solve();
    grounding.certificate(specification)
}

fn finding(answer: Answer, watch: &Watch) -> Finding {
    match answer {
        Answer::Contradiction => Finding::Proved,
        Answer::Model => Finding::Refuted,
        Answer::TimeUp => {
            let why = watch.why().unwrap_or("the prover gave up");
            Finding::Unknown { why: why.to_owned() }
        }
    }
}

/// What would have to be true for an obligation to fail.
pub fn clauses(obligation: &Obligation<'_>) -> Clauses {
    let parameters = obligation.action().map_or(&[][..], |action| &action.parameters);
    let mut clauses = Clauses::about(parameters);
    obligation.premises().into_iter().for_each(|premise| clauses.assert(premise));
    clauses.assert(&obligation.conclusion().negated());
    clauses
}
