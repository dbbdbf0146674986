//! A prover of inductive invariants in effectively propositional logic (EPR).
//!
//! A specification is a text in a small [language]: sorts, relations, actions, safety properties and an inductive
//! invariant. [`prove`] shows that the safety properties hold in each reachable state, for any number of elements of each
//! sort: the invariant and the safety properties together hold at first, and each action preserves them.
//!
//! The report also says whether the invariant alone implies the safety properties. The axioms must be possible, and each action
//! must be possible in some state, or anything would be proved of them.
//!
//! Each of these [obligations](obligation) is a question whether some formulas can be true together. All of them are in a
//! fragment of logic in which that question is finite. If the answer is yes, there is a counterexample to the induction.
//!
//! The modules, in the order in which one value flows through them:
//!
//! - [`language`] reads a specification, and refuses it with a place.
//! - [`obligation`] lists what has to be shown.
//! - [`clause`] turns each obligation into clauses, and checks that it is decidable.
//! - [`ground`] decides clauses by instances, with the help of [`sat`]; [`smtlib`] asks z3 or cvc5 the same question.
//! - [`prover`] chooses who decides, within the limits of [`patience`].
//! - [`finite`] looks for the smallest [`structure`] in which a proof fails; the [`interpreter`] runs the action in
//!   it, and [`counterexample`] shows the step.
//! - [`report`] says what was proved.
//!
//! The prover proves no liveness, and knows nothing of the systems that are specified.
//!
//! The encoding of functions as relations follows Padon, Losa, Sagiv and Shoham (OOPSLA 2017, doi:10.1145/3140568).

pub mod clause;
pub mod counterexample;
pub mod finite;
pub mod ground;
pub mod interpreter;
pub mod language;
pub mod obligation;
pub mod patience;
pub mod prover;
pub mod report;
pub mod sat;
pub mod smtlib;
pub mod structure;

use std::time::Instant;

use self::{
    clause::Clauses,
    language::{LanguageError, Specification},
    obligation::{Finding, Moment, obligations},
    patience::Patience,
    prover::Prover,
    report::{ObligationReport, PossibilityReport, ProofReport, SpecificationReport},
};

/// Reads a specification, and makes sure that all that has to be shown of it can be decided; `name` is
/// what errors call the text.
///
/// # Errors
/// A text that is no specification, or a formula outside the decidable fragment.
pub fn read(name: &str, text: &str) -> Result<Specification, LanguageError> {
    let specification = Specification::read(name, text)?;
    for obligation in obligations(&specification) {
        if let Err(function) = prover::clauses(&obligation).stratify(&specification) {
            let name = |sort: &language::Sort| format!("`{}`", specification.sorts[sort.0].name);
            let on: Vec<_> = function.arguments.iter().map(name).collect();
            let again = if function.arguments.contains(&function.sort) {
                ""
            } else {
                ", and that on the first again"
            };
            let when = match (obligation.moment, obligation.action()) {
                (_, Some(action)) => format!("after `{}`", action.name),
                (Moment::Implied, None) => "from the invariant".to_owned(),
                (_, None) => "at first".to_owned(),
            };
            let message = format!(
                "this is outside the decidable fragment: here a {} depends on a {}{again}, when `{}` is \
                 to be shown {when}",
                name(&function.sort),
                on.join(" and a "),
                obligation.goal.name,
            );
            return Err(specification.source.error(function.place, message).expecting(
                "quantifiers that alternate only from some sorts to others, never in a circle",
            ));
        }
    }
    Ok(specification)
}

/// Decides everything that has to be shown of some specifications; `progress` is told of each
/// obligation that was decided.
pub fn prove(
    specifications: &[Specification],
    prover: &Prover,
    patience: impl Into<Patience>,
    mut progress: impl FnMut(&ObligationReport),
) -> ProofReport {
    let (started, patience) = (Instant::now(), patience.into());
    let mut reports = Vec::new();
    for specification in specifications {
        let mut decided = Vec::new();
        for obligation in obligations(specification) {
            let decision = prover.decide(&obligation, patience.clone());
            // What the invariant does not imply needs no story: the induction decides.
            let shown =
                decision.finding == Finding::Refuted && obligation.moment != Moment::Implied;
            let found = shown.then(|| counterexample::find(&obligation, &patience.watch()));
            let report = ObligationReport::of(&obligation, &decision, found);
            progress(&report);
            decided.push(report);
        }
        let actions = (0..specification.actions.len()).map(Some);
        let possible = std::iter::once(None).chain(actions).map(|action| {
            let decision = prover::possible(specification, action, patience.clone());
            PossibilityReport::of(specification, action, &decision)
        });
        let possible = possible.collect();
        let order = order_of_sorts(specification);
        reports.push(SpecificationReport::of(specification, prover, possible, decided, order));
    }
    ProofReport::of(reports, started.elapsed())
}

/// The sorts in an order that serves all obligations, if there is one: each of them has one by itself, or
/// the text would not have been read.
fn order_of_sorts(specification: &Specification) -> Vec<String> {
    let mut all = Clauses::default();
    for obligation in obligations(specification) {
        all.functions.extend(prover::clauses(&obligation).functions);
    }
    let order = all.stratify(specification).unwrap_or_default();
    order.iter().map(|sort| specification.sorts[sort.0].name.clone()).collect()
}
