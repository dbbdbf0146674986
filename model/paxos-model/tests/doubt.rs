//! The prover does not accept specifications too easily. The tests try vacuous specifications, words that have a meaning for a
//! solver, and texts that are larger than they look.

use std::{fmt::Write as _, time::Duration};

use epr_prover::{
    self, prove,
    prover::Prover,
    report::SpecificationReport,
    smtlib::{Kind, Solver},
};
use verdict::Verdict;

/// Returns a specification with one sort, one relation, and these forms.
fn text(forms: &str) -> String {
    format!(
        "(specification t \"t\")\n(declare-sort s \"s\")\n(declare-relation R (s) \"R {{0}}\")\n{forms}"
    )
}

fn proved_by(text: &str, prover: &Prover) -> SpecificationReport {
    let specification = epr_prover::read("t.epr", text).unwrap_or_else(|error| panic!("{error}"));
    prove(&[specification], prover, Duration::from_secs(20), |_| ()).specifications.remove(0)
}

/// Returns the verdict of the built-in prover. Asserts that the installed solvers have the same verdict.
fn verdict(forms: &str) -> (Verdict, String) {
    let report = proved_by(&text(forms), &Prover::Builtin);
    for kind in [Kind::Z3, Kind::Cvc5] {
        if let Ok(solver) = Solver::find(kind) {
            let other = proved_by(&text(forms), &Prover::External(solver));
            assert_eq!(report.verdict, other.verdict, "{forms}");
        }
    }
    (report.verdict.clone(), report.to_string())
}

const GO: &str = "(action go ((x s)) \"go {x}\" (set (R x) true))";
const NEVER: &str = "(safety never \"never\" (forall ((x s)) (not (R x))))";

#[test]
fn axioms_that_contradict_each_other_prove_nothing() {
    let order = "(declare-rigid lt (s s) \"{0} < {1}\")
        (axiom irreflexive \"irreflexive\" (forall ((x s)) (not (lt x x))))
        (axiom total \"total\" (forall ((x s) (y s)) (or (lt x y) (lt y x))))";
    let (verdict, text) = verdict(&format!("{order}{GO}{NEVER}"));
    assert!(matches!(verdict, Verdict::Inconclusive { .. }), "{text}");
    assert!(text.contains("the axioms contradict each other"), "{text}");
}

#[test]
fn an_action_that_can_never_happen_proves_nothing() {
    let idle = "(action idle ((x s)) \"idle\" (require (R x)) (set (R x) true))";
    let (verdict, text) = verdict(&format!("{idle}{NEVER}"));
    assert!(matches!(verdict, Verdict::Inconclusive { .. }), "{text}");
    assert!(text.contains("idle is possible in no state"), "{text}");
}

/// A safety property that is inductive needs no invariant.
#[test]
fn what_the_induction_carries_holds() {
    let stop = "(action stop ((x s)) \"stop {x}\" (set (R x) false))";
    let (verdict, text) = verdict(&format!("{stop}{NEVER}"));
    assert_eq!(verdict, Verdict::Holds, "{text}");
    assert!(text.contains("never is not implied by the invariant alone"), "{text}");
}

/// The names and words of a specification have no meaning for a solver.
#[test]
fn names_and_words_are_only_that() {
    let all = "(forall ((x s) (y s)) (=> (R x) (R y)))";
    // An earlier version mistook the variable for a place of the relation.
    let captured = format!(
        "(action go ((place s)) \"go {{place}}\" (set (R place) true))
         (invariant i \"all or none\" {all}) (safety all \"all or none\" {all})"
    );
    assert_eq!(verdict(&captured).0, Verdict::Violated);
    let injected =
        NEVER.replace("\"never\"", "\"never\n(set-logic UF)(assert false)(check-sat)(exit)\"");
    assert_eq!(verdict(&format!("{GO}{injected}")).0, Verdict::Violated);
    for name in ["as", "let", "!", "Bool", "1a", "é", "a#b", "r0_next", "@x", "'"] {
        let named = format!(
            "(declare-sort {name} \"n\") (declare-relation {name} ({name}) \"{{0}}\")
             (action {name} (({name} {name})) \"\" (set ({name} {name}) true))
             (safety {name} \"\" (forall ((x {name})) (not ({name} x))))"
        );
        assert_eq!(verdict(&named).0, Verdict::Violated, "{name}");
    }
}

/// Unusual forms of the language have their literal meaning.
#[test]
fn corners_mean_what_they_say() {
    let holds = |forms: &str| assert_eq!(verdict(forms).0, Verdict::Holds, "{forms}");
    let fails = |forms: &str| assert_eq!(verdict(forms).0, Verdict::Violated, "{forms}");
    let nothing = "(action nothing () \"nothing\")";
    holds(&format!("{nothing}{NEVER}"));
    holds(&format!("{nothing}(safety empty \"\" (forall () (and true (or true))))"));
    fails(&format!("{nothing}(safety lie \"\" (exists () (or)))"));
    holds(&format!("{nothing}(safety same \"\" (forall ((x s)) (exists () (= (R x) (R x)))))"));
    // No sort is empty.
    holds(&format!("{nothing}(safety some \"\" (exists ((x s)) true))"));
    fails(&format!("{nothing}(safety two \"\" (exists ((x s) (y s)) (distinct x y)))"));
    let pair = "(declare-relation P (s s) \"\")(action twin ((x s)) \"\" (set (P x x) true))";
    holds(&format!("{pair}(safety equal \"\" (forall ((x s) (y s)) (=> (P x y) (= x y))))"));
    fails(&format!("{pair}(safety none \"\" (forall ((x s)) (not (P x x))))"));
    let flag = "(declare-relation on () \"\")(action press () \"\" (set (on) (not (on))))";
    fails(&format!("{flag}(safety off \"\" (not (on)))"));
}

#[test]
fn what_is_larger_than_it_looks_is_refused() {
    let chain = |count: usize, body: &str| {
        let mut forms = "(define d0 ((x s)) (R x))".to_owned();
        for number in 1..count {
            let body = body.replace("PREVIOUS", &format!("(d{} x)", number - 1));
            let _ = write!(forms, "(define d{number} ((x s)) {body})");
        }
        epr_prover::read("t.epr", &text(&forms)).expect_err("it is refused")
    };
    assert_eq!(chain(40, "(and PREVIOUS PREVIOUS)").message(), "the formulas are too large");
    assert_eq!(chain(6000, "(not PREVIOUS)").message(), "the formulas are too large");
    let wide = format!("(declare-relation W ({}) \"\")", "s ".repeat(64));
    let error = epr_prover::read("t.epr", &text(&wide)).expect_err("it is refused");
    assert_eq!(error.message(), "this relation has too many arguments");
    // White space of more than one byte is white space.
    let error = epr_prover::read("t.epr", "\u{3000}").expect_err("there is nothing");
    assert!(error.to_string().contains("the text is empty"));
}

/// If time runs out while the prover makes a counterexample smaller, it shows the smallest so far, or the obligation is open.
/// The prover ends in time.
#[test]
fn time_that_runs_out_is_no_panic() {
    let many: Vec<_> = (1..=7).map(|n| format!("(x{n} s)")).collect();
    let mut distinct = String::new();
    for n in 1..=7 {
        (1..n).for_each(|m| write!(distinct, " (distinct x{n} x{m})").expect("it is a string"));
    }
    let few =
        format!("(safety few \"\" (forall ({}) (not (and (R x1){distinct}))))", many.join(" "));
    for milliseconds in [1, 20, 200] {
        let specification =
            epr_prover::read("t.epr", &text(&format!("{GO}{few}"))).expect("it is one");
        let timeout = Duration::from_millis(milliseconds);
        let report = prove(&[specification], &Prover::Builtin, timeout, |_| ());
        assert_ne!(report.verdict, Verdict::Holds);
    }
}
