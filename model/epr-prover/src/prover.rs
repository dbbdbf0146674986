//! Decides an obligation, by the built-in prover or by an installed SMT solver.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{
    clause::Clauses,
    ground::Grounding,
    language::Specification,
    limits::{Limits, Watch},
    obligation::{Finding, Obligation},
    sat::{Answer, Certificate},
    smtlib::{self, Solver},
};

/// The prover that decides obligations.
#[derive(Clone, Debug)]
pub enum Prover {
    /// The prover of [`ground`](super::ground), in this process.
    Builtin,
    /// An SMT solver in its own process, which reads the obligation as SMT-LIB.
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

/// The result of deciding an obligation, and its cost.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The result.
    pub finding: Finding,
    /// The time of the decision.
    pub took: Duration,
    /// The numbers of ground terms and of ground clauses, for the built-in prover.
    pub size: Option<(usize, usize)>,
}

impl Prover {
    /// Decides an obligation. The result is unknown if a limit is reached first.
    pub fn decide(&self, obligation: &Obligation<'_>, limits: impl Into<Limits>) -> Decision {
        let started = Instant::now();
        let watch = limits.into().watch();
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

/// Decides whether an action is possible in some state that satisfies all invariants and safety properties. Without an
/// action, decides whether the axioms are satisfiable.
///
/// [`Finding::Proved`] means yes, and [`Finding::Refuted`] means no. If the answer is no, proofs about the action or from
/// the axioms mean nothing, because they hold vacuously.
pub fn possible(
    specification: &Specification,
    action: Option<usize>,
    limits: impl Into<Limits>,
) -> Decision {
    let started = Instant::now();
    let watch = limits.into().watch();
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

/// Returns a proof that an obligation holds, and one line about each variable in it. Returns nothing if the built-in
/// prover does not prove the obligation within the limits.
///
/// The proof shows that certain ground clauses are unsatisfiable. It does not show that these clauses are instances of the
/// negated obligation. For that, a reader must trust the prover.
pub fn certificate(
    obligation: &Obligation<'_>,
    limits: impl Into<Limits>,
) -> Option<(Certificate, Vec<String>)> {
    let specification = obligation.specification;
    let watch = limits.into().watch();
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

/// Returns the clauses that are satisfiable if and only if the obligation fails.
pub fn clauses(obligation: &Obligation<'_>) -> Clauses {
    let parameters = obligation.action().map_or(&[][..], |action| &action.parameters);
    let mut clauses = Clauses::about(parameters);
    obligation.premises().into_iter().for_each(|premise| clauses.assert(premise));
    clauses.assert(&obligation.conclusion().negated());
    clauses
}
