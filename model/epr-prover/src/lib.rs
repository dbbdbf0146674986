//! A prover of inductive invariants in effectively propositional logic (EPR).
//!
//! A specification is a text in a small [language]: sorts, relations, actions, safety properties and an inductive
//! invariant. [`prove`] shows that the safety properties hold in each reachable state, for any number of elements of
//! each sort. The proof is by induction: the invariant and the safety properties together hold initially, and each
//! action preserves them.
//!
//! The report also says whether the invariant alone implies the safety properties. Contradictory axioms would make any
//! claim provable, and an impossible action preserves any formula. So the prover checks that the axioms are
//! satisfiable, and that each action is possible in some state that satisfies the invariant and the safety properties.
//!
//! Each [obligation] holds if a set of formulas is unsatisfiable. All these sets are in a fragment of logic that is
//! decidable. If an obligation of the induction fails, the report has a counterexample.
//!
//! The modules, in the order in which a specification flows through them:
//!
//! - [`language`] reads a specification, and reports the place of an error in the text.
//! - [`obligation`] lists the obligations of a specification.
//! - [`clause`] turns an obligation into clauses, and checks that it is in the decidable fragment.
//! - [`ground`] decides clauses by their instances, with the SAT solver of [`sat`]. [`smtlib`] asks z3 or cvc5 instead.
//! - [`prover`] decides an obligation by one of the two, within the time and memory of [`limits`].
//! - [`finite`] finds the smallest [`structure`] in which an obligation fails. The [`interpreter`] runs the action in
//!   it, and [`counterexample`] describes the step.
//! - [`report`] holds the results, and prints them.
//!
//! The prover proves no liveness, searches for no invariant, and knows nothing of the systems that are specified.
//!
//! The encoding of functions as relations follows Padon, Losa, Sagiv and Shoham (OOPSLA 2017, doi:10.1145/3140568).

pub mod clause;
pub mod counterexample;
pub mod finite;
pub mod ground;
pub mod interpreter;
pub mod language;
pub mod limits;
pub mod obligation;
pub mod prover;
pub mod report;
pub mod sat;
pub mod smtlib;
pub mod structure;

use std::time::Instant;

use self::{
    clause::Clauses,
    language::{LanguageError, Specification},
    limits::Limits,
    obligation::{Finding, Moment, obligations},
    prover::Prover,
    report::{ObligationReport, PossibilityReport, ProofReport, SpecificationReport},
};

/// Reads a specification, and checks that all its obligations are decidable. Errors call the text `name`.
///
/// # Errors
/// Fails if the text is not a specification, or if a formula is outside the decidable fragment.
pub fn read(name: &str, text: &str) -> Result<Specification, LanguageError> {
    let specification = Specification::read(name, text)?;
    for obligation in obligations(&specification) {
        if let Err(function) = prover::clauses(&obligation).stratify(&specification) {
            let name = |sort: &language::Sort| format!("`{}`", specification.sorts[sort.0].name);
            let on: Vec<_> = function.arguments.iter().map(name).collect();
            let cycle = if function.arguments.contains(&function.sort) {
                String::new()
            } else {
                format!(", which in turn depends on a {}", name(&function.sort))
            };
            let when = match (obligation.moment, obligation.action()) {
                (_, Some(action)) => format!("after `{}`", action.name),
                (Moment::Implied, None) => "from the invariant".to_owned(),
                (_, None) => "initially".to_owned(),
            };
            let message = format!(
                "this is outside the decidable fragment: in the proof of `{}` {when}, a {} depends on \
                 a {}{cycle}",
                obligation.goal.name,
                name(&function.sort),
                on.join(" and a "),
            );
            return Err(specification
                .source
                .error(function.place, message)
                .expecting("quantifiers whose dependencies between sorts form no cycle"));
        }
    }
    Ok(specification)
}

/// Decides all obligations of the specifications. Calls `progress` after each obligation.
pub fn prove(
    specifications: &[Specification],
    prover: &Prover,
    limits: impl Into<Limits>,
    mut progress: impl FnMut(&ObligationReport),
) -> ProofReport {
    let (started, limits) = (Instant::now(), limits.into());
    let mut reports = Vec::new();
    for specification in specifications {
        let mut decided = Vec::new();
        for obligation in obligations(specification) {
            let decision = prover.decide(&obligation, limits.clone());
            // If the invariant alone does not imply a safety property, that needs no counterexample: the verdict does not
            // depend on it.
            let fails =
                decision.finding == Finding::Refuted && obligation.moment != Moment::Implied;
            let found = fails.then(|| counterexample::find(&obligation, &limits.watch()));
            let report = ObligationReport::of(&obligation, &decision, found);
            progress(&report);
            decided.push(report);
        }
        let actions = (0..specification.actions.len()).map(Some);
        let possible = std::iter::once(None).chain(actions).map(|action| {
            let decision = prover::possible(specification, action, limits.clone());
            PossibilityReport::of(specification, action, &decision)
        });
        let possible = possible.collect();
        let order = order_of_sorts(specification);
        reports.push(SpecificationReport::of(specification, prover, possible, decided, order));
    }
    ProofReport::of(reports, started.elapsed())
}

/// Returns the names of the sorts in an order in which the functions of all obligations go upwards. Returns nothing if there
/// is no common order. Each single obligation has an order, because [`read`] refuses a text otherwise.
fn order_of_sorts(specification: &Specification) -> Vec<String> {
    let mut all = Clauses::default();
    for obligation in obligations(specification) {
        all.functions.extend(prover::clauses(&obligation).functions);
    }
    let order = all.stratify(specification).unwrap_or_default();
    order.iter().map(|sort| specification.sorts[sort.0].name.clone()).collect()
}
