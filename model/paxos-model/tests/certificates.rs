//! Certificates: each proved obligation has ground clauses and a proof that they contradict each other. A checker that
//! shares only the file formats with the prover accepts each proof.

#[path = "support/mutants.rs"]
mod support;

use std::time::Duration;

use epr_prover::{
    obligation::{Finding, obligations},
    prover::{Prover, certificate},
};
use paxos_model::specifications::{SPECIFICATIONS, shipped};

const PATIENCE: Duration = Duration::from_mins(1);

type Clause = Vec<i32>;

/// Reads clauses that end in 0. Skips comments and the heading of DIMACS.
fn read(text: &str) -> Vec<Clause> {
    let lines = text.lines().filter(|line| !line.starts_with(['c', 'p']));
    let numbers = |line: &str| -> Clause {
        let numbers = line.split(' ').map(|number| number.parse().expect("a number"));
        let mut clause: Clause = numbers.collect();
        assert_eq!(clause.pop(), Some(0), "clauses end in 0");
        clause
    };
    lines.map(numbers).collect()
}

/// Returns true if a clause follows from other clauses by unit propagation: if all its literals are false, propagation makes
/// one of the other clauses false.
fn follows(clause: &Clause, from: &[Clause]) -> bool {
    let most = from.iter().chain([clause]).flatten().map(|literal| literal.unsigned_abs()).max();
    let mut values = vec![0; most.unwrap_or(0) as usize + 1];
    let set = |values: &mut Vec<i32>, literal: i32| {
        values[literal.unsigned_abs() as usize] = literal.signum();
    };
    for &literal in clause {
        set(&mut values, -literal);
    }
    loop {
        let mut changed = false;
        for other in from {
            let value = |literal: i32| values[literal.unsigned_abs() as usize] * literal.signum();
            if other.iter().any(|&literal| value(literal) > 0) {
                continue;
            }
            let mut open = other.iter().copied().filter(|&literal| value(literal) == 0);
            match (open.next(), open.next()) {
                (None, _) => return true,
                (Some(unit), None) => {
                    set(&mut values, unit);
                    changed = true;
                }
                _ => {}
            }
        }
        if !changed {
            return false;
        }
    }
}

/// Returns true if a proof shows that clauses contradict each other.
fn is_refuted(cnf: &str, drat: &str) -> bool {
    let mut known = read(cnf);
    for lemma in read(drat) {
        if !follows(&lemma, &known) {
            return false;
        }
        if lemma.is_empty() {
            return true;
        }
        known.push(lemma);
    }
    false
}

#[test]
fn every_proof_is_believed() {
    let (mut proved, mut lemmas) = (0, 0);
    for (name, _) in SPECIFICATIONS {
        let specification = shipped(name);
        for obligation in obligations(&specification) {
            let found = certificate(&obligation, PATIENCE);
            let (certificate, atoms) = found.expect("all of them are proved");
            let (cnf, drat) = (certificate.cnf(&atoms).to_string(), certificate.drat().to_string());
            let which = (name, obligation.moment_name(), &obligation.goal.name);
            assert!(is_refuted(&cnf, &drat), "{which:?}");
            proved += 1;
            lemmas += certificate.proof.len();
        }
    }
    // Each proof ends in the empty clause, and some proofs need more than unit propagation.
    assert_eq!(proved, 92 + 122 + 92);
    assert!(lemmas > proved, "{lemmas} lemmas");
}

/// An obligation that does not hold has no certificate.
#[test]
fn no_mutant_is_certified() {
    for (name, mutant) in support::mutants() {
        for obligation in obligations(&mutant) {
            let proved = Prover::Builtin.decide(&obligation, PATIENCE).finding == Finding::Proved;
            let certified = certificate(&obligation, PATIENCE).is_some();
            assert_eq!(proved, certified, "{name}: {}", obligation.goal.name);
        }
    }
}

/// The checker refuses wrong proofs. A checker that accepts everything would check nothing.
#[test]
fn the_checker_doubts() {
    let specification = shipped("synod");
    let obligations = obligations(&specification);
    let heart = obligations.iter().find(|obligation| {
        obligation.moment_name() == "propose" && obligation.goal.name == "nothing-else-below"
    });
    let (whole, _) = certificate(heart.expect("it is one"), PATIENCE).expect("it is proved");
    assert!(is_refuted(&whole.cnf(&[]).to_string(), &whole.drat().to_string()));
    // Without a proof, without its end, or of something else.
    assert!(!is_refuted(&whole.cnf(&[]).to_string(), ""));
    assert!(!is_refuted("1 2 0\n-1 2 0\n", "0\n"));
    assert!(!is_refuted("1 2 0\n-1 2 0\n1 -2 0\n-1 -2 0\n", "0\n"));
    assert!(is_refuted("1 2 0\n-1 2 0\n1 -2 0\n-1 -2 0\n", "2 0\n0\n"));
    // Many of the clauses are needed.
    let needed = (0..whole.clauses.len()).filter(|&left_out| {
        let mut less = whole.clone();
        less.clauses.remove(left_out);
        !is_refuted(&less.cnf(&[]).to_string(), &less.drat().to_string())
    });
    assert!(needed.count() > 10);
}
