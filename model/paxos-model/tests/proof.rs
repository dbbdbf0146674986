//! The three specifications are proved. The proof fails without any one of its parts.

#[path = "support/mutants.rs"]
mod support;

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use epr_prover::{
    self,
    counterexample::Counterexample,
    finite::{self, FiniteModels},
    interpreter::Interpreter,
    language::{Formula, Specification},
    limits::Watch,
    obligation::obligations,
    prove,
    prover::Prover,
    report::SpecificationReport,
    sat::Answer,
    structure::{Element, Structure},
};
use expect_test::expect;
use paxos_model::specifications::{SPECIFICATIONS, shipped};
use support::mutants;
use verdict::Verdict;

const PATIENCE: Duration = Duration::from_mins(1);

fn proved(specification: &Specification) -> SpecificationReport {
    let one = std::slice::from_ref(specification);
    prove(one, &Prover::Builtin, PATIENCE, |_| ()).specifications.remove(0)
}

#[test]
fn all_three_are_proved() {
    for (name, actions, formulas) in [("synod", 5, 15), ("multipaxos", 7, 15), ("flexible", 5, 15)]
    {
        let report = proved(&shipped(name));
        assert_eq!(report.verdict, Verdict::Holds, "{report}");
        // All formulas hold initially and after each action, and the invariant implies safety.
        assert_eq!(report.proved().1, (1 + actions) * formulas + 2);
        assert_eq!(report.order_of_sorts.len(), shipped(name).sorts.len());
    }
}

/// Each conjunct of the invariant is needed. Without it, another obligation cannot be proved.
#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
fn no_conjunct_can_be_dropped() {
    let mut table = Vec::new();
    for (name, _) in SPECIFICATIONS {
        for dropped in 0..shipped(name).invariants.len() {
            let mut specification = shipped(name);
            let statement = specification.invariants.remove(dropped);
            let report = proved(&specification);
            assert_eq!(report.verdict, Verdict::Violated, "{name} without {}", statement.name);
            if name == "synod" {
                table.push(format!("{}: {}", statement.name, report.failures().join(", ")));
            }
        }
    }
    expect![[r#"
        one-value-per-ballot: propose/nothing-else-below, learn/agreement, implied/agreement
        clients-propose: learn/validity, implied/validity
        votes-follow-proposals: propose/clients-propose, propose/nothing-else-below, learn/agreement, learn/validity, implied/agreement, implied/validity
        decisions-follow-votes: learn/agreement, implied/agreement, implied/validity
        reached-goes-down: promise/reports-are-true
        reached-leaves: propose/nothing-else-below, accept/votes-are-stored, accept/reports-are-complete
        promises-bind: propose/nothing-else-below, accept/reports-are-complete
        votes-bind: promise/reports-are-true, accept/votes-are-stored
        stored-is-voted: promise/reports-are-true
        votes-are-stored: promise/reports-are-complete
        reports-are-true: propose/clients-propose, propose/nothing-else-below
        reports-are-complete: propose/nothing-else-below
        nothing-else-below: learn/agreement, implied/agreement
    "#]].assert_eq(&lines(&table));
}

#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
fn each_mutant_breaks_what_it_should() {
    let mut table = Vec::new();
    for (name, mutant) in mutants() {
        let report = proved(&mutant);
        assert_eq!(report.verdict, Verdict::Violated, "{name}");
        let (_, found) = report.smallest().expect("what fails is shown");
        table.push(format!("{name}: {}", report.failures().join(", ")));
        table.push(format!("    {} elements", found.elements.values().sum::<usize>()));
    }
    expect![[r#"
        any value may be proposed: propose/nothing-else-below
            6 elements
        quorums need not intersect: propose/nothing-else-below, learn/agreement, learn/validity, implied/agreement, implied/validity
            4 elements
        accept below the promise: accept/votes-are-stored, accept/reports-are-complete, accept/nothing-else-below
            5 elements
        promise not kept: promise/promises-bind
            4 elements
        ballot reused: propose/one-value-per-ballot
            5 elements
        lowest reported ballot wins: propose/nothing-else-below
            8 elements
        accepting does not raise the promise: accept/votes-bind
            4 elements
        one vote is enough to learn: learn/decisions-follow-votes, learn/agreement
            5 elements
        crash forgets the promise: crash/promises-bind, crash/votes-bind, crash/nothing-else-below
            4 elements
        a promise may be sent twice: promise/reports-are-true
            4 elements
        clients need not ask: propose/clients-propose
            4 elements
    "#]].assert_eq(&lines(&table));
}

/// Returns the result of a search of all states with three acceptors, two values and two ballots.
fn explored_at_two_ballots(specification: &Specification, quorums: &[u8]) -> &'static str {
    let (acceptors, ballots, values) = (3, 2, 2);
    let named = |name| specification.relation(name).expect("it is in the text");
    // Acceptors, ballots, values and quorums, in the order of the text.
    let sizes = [acceptors, ballots, values, quorums.len() as u8];
    let mut start = Structure::empty(specification, &sizes);
    for (quorum, members) in (0..).map(Element).zip(quorums) {
        for acceptor in (0..acceptors).filter(|acceptor| members >> acceptor & 1 == 1) {
            start.set(named("member"), &[Element(acceptor), quorum], true);
        }
    }
    for high in 0..ballots {
        start.set(named("proposed_by_client"), &[Element(high)], true);
        (0..=high).for_each(|low| start.set(named("le"), &[Element(low), Element(high)], true));
    }
    let interpreter = Interpreter::new(specification);
    let mut known = HashSet::from([start.clone()]);
    let mut left = VecDeque::from([start]);
    while let Some(state) = left.pop_front() {
        if !specification.safety.iter().all(|it| interpreter.holds(&state, &it.formula)) {
            return "violation";
        }
        for (_, next) in interpreter.steps(&state) {
            if known.insert(next.clone()) {
                left.push_back(next);
            }
        }
    }
    "clean"
}

/// Two of the mutants pass a search that is bounded by two ballots, so the proof is needed. One of them fails only
/// the proof: an obligation that cannot be proved is not yet a bug of the protocol.
#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
fn bounded_search_misses_what_the_proof_sees() {
    let majorities = [0b011, 0b101, 0b110];
    assert_eq!(explored_at_two_ballots(&shipped("synod"), &majorities), "clean");
    let found = mutants().into_iter().map(|(name, mutant)| {
        let apart = name == "quorums need not intersect";
        let quorums: &[u8] = if apart { &[0b001, 0b110] } else { &majorities };
        format!("{}: {name}\n", explored_at_two_ballots(&mutant, quorums))
    });
    expect![[r#"
        violation: any value may be proposed
        violation: quorums need not intersect
        violation: accept below the promise
        violation: promise not kept
        violation: ballot reused
        clean: lowest reported ballot wins
        clean: accepting does not raise the promise
        violation: one vote is enough to learn
        violation: crash forgets the promise
        clean: a promise may be sent twice
        clean: clients need not ask
    "#]]
    .assert_eq(&found.collect::<String>());
}

/// Each specification without one of its guards has a counterexample of at most three ballots, unless safety does
/// not need the guard.
#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
fn every_guard_matters() {
    let mut table = Vec::new();
    for (name, _) in SPECIFICATIONS {
        let whole = shipped(name);
        for (at, action) in whole.actions.iter().enumerate() {
            for guard in 0..action.guards.len() {
                let mut without = whole.clone();
                without.actions[at].guards.remove(guard);
                let report = proved(&without);
                let breaks = report.smallest().map_or("nothing".to_owned(), |(broken, found)| {
                    assert!(found.elements["ballot"] <= 3, "{found}");
                    format!("{}/{}", broken.moment, broken.formula)
                });
                table.push(format!("{name}, {} {}: {breaks}", action.name, guard + 1));
            }
        }
    }
    expect![[r#"
        synod, promise 1: nothing
        synod, promise 2: promise/reports-are-true
        synod, propose 1: propose/one-value-per-ballot
        synod, propose 2: propose/clients-propose
        synod, propose 3: propose/clients-propose
        synod, accept 1: accept/votes-follow-proposals
        synod, accept 2: accept/reports-are-complete
        synod, learn 1: learn/decisions-follow-votes
        multipaxos, promise 1: nothing
        multipaxos, promise 2: nothing
        multipaxos, promise 3: nothing
        multipaxos, promise 4: promise/reports-are-true
        multipaxos, lead 1: nothing
        multipaxos, lead 2: lead/leaders-were-promised
        multipaxos, propose 1: propose/clients-propose
        multipaxos, propose 2: propose/one-value-per-ballot
        multipaxos, propose 3: propose/clients-propose
        multipaxos, accept 1: accept/votes-follow-proposals
        multipaxos, accept 2: accept/reports-are-complete
        multipaxos, learn 1: learn/decisions-follow-votes
        flexible, promise 1: nothing
        flexible, promise 2: promise/reports-are-true
        flexible, propose 1: propose/one-value-per-ballot
        flexible, propose 2: propose/clients-propose
        flexible, propose 3: propose/clients-propose
        flexible, accept 1: accept/votes-follow-proposals
        flexible, accept 2: accept/reports-are-complete
        flexible, learn 1: learn/decisions-follow-votes
    "#]]
    .assert_eq(&lines(&table));
}

/// Returns the report for a specification with an edited guard.
#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
fn a_counterexample_reads_like_prose() {
    let text = |name| {
        let (_, mutant) = mutants().into_iter().find(|(known, _)| *known == name).expect("known");
        let report = proved(&mutant);
        let (_, found): (_, &Counterexample) = report.smallest().expect("it is broken");
        found.to_string()
    };
    expect![[r#"
        always  b1 < b2
                a1 is a member of q1
                a client asks for v1
        before  a1 promised b2 (1b)
                v1 was proposed in b1 (2a)
                a1 has promised b2 or more
                a1 has promised more than b1
        step    a1 votes for v1 in b1
        after   + a1 voted for v1 in b1 (2b)
                + a1 stores v1 in b1 as its last vote
                + a1 stores a vote in b1 or above
        broken  reports-are-complete: a promise knows of each vote below it: it reports that or a higher one
                for a = a1, b = b2, m = b1, v = v1
    "#]].assert_eq(&text("accept below the promise"));
    expect![[r#"
        always  b1 < b2 < b3
                a1 is a member of q1, a2 is a member of q1
                a client asks for v1, a client asks for v2
        before  a1 promised b3 (1b)
                a2 promised b3 (1b)
                the promise of b3 by a1 reports v2 in b1
                the promise of b3 by a1 reports a vote in b2 or above
                the promise of b3 by a2 reports a vote in b2 or above
                v2 was proposed in b1 (2a)
                v1 was proposed in b2 (2a)
                a1 voted for v2 in b1 (2b)
                a1 voted for v1 in b2 (2b)
                a2 voted for v1 in b2 (2b)
                a1 has promised b3 or more
                a2 has promised b3 or more
                a1 has promised more than b2
                a2 has promised more than b2
                a1 stores a vote in b2 or above
                a2 stores a vote in b2 or above
        step    v2 is proposed in b3 on the promises of q1
        after   + v2 was proposed in b3 (2a)
        broken  nothing-else-below: below a proposal no other value can be chosen any more: of each quorum, a member has left that ballot without voting for it
                for b = b2, c = b3, v = v1, w = v2, q = q1
    "#]].assert_eq(&text("lowest reported ballot wins"));
}

/// The invariant is not vacuous: each action can happen in a state that satisfies it. Such a state may have a decided
/// value and a later ballot that proposes.
#[test]
fn the_invariant_is_not_vacuous() {
    for (name, _) in SPECIFICATIONS {
        let (_, text) =
            SPECIFICATIONS.iter().find(|(known, _)| *known == name).expect("it is there");
        let slot = if name == "multipaxos" { "i" } else { "" };
        let sort = if name == "multipaxos" { "(i slot)" } else { "" };
        let interesting = format!(
            "(safety later \"a value is decided, and a later ballot proposes\"
               (not (exists ({sort} (b ballot) (c ballot) (v value))
                 (and (decision {slot} b v) (lt b c) (proposal {slot} c v)))))"
        );
        let mut specification =
            epr_prover::read(name, &format!("{text}{interesting}")).expect("it is one");
        let later = specification.safety.pop().expect("it was added").formula.negated();
        for action in &specification.actions {
            let sizes = |total| finite::sizes(specification.sorts.len(), total);
            let possible = (0..=14).flat_map(sizes).any(|sizes| {
                let parameters = &action.parameters;
                let mut models =
                    FiniteModels::new(&specification, &sizes, parameters, &Watch::default());
                let axioms = specification.axioms.iter();
                for statement in axioms.chain(specification.statements()) {
                    models.assert(&statement.formula);
                }
                action.guards.iter().chain([&later]).for_each(|formula| models.assert(formula));
                models.find(&[]) == Answer::Model
            });
            assert!(possible, "{name}: {} can happen after a decision", action.name);
        }
    }
}

/// A contradictory premise proves anything. The check of the test above notices such a premise.
#[test]
fn a_contradiction_has_no_model() {
    let specification = shipped("synod");
    let mut models = FiniteModels::new(&specification, &[2, 2, 2, 2], &[], &Watch::default());
    assert_eq!(models.find(&[]), Answer::Model);
    models.assert(&Formula::falsehood());
    assert_eq!(models.find(&[]), Answer::Contradiction);
}

/// The prover refutes a goal that an action breaks in every state.
#[test]
fn what_is_not_so_is_not_proved() {
    let wrong = "(safety silence \"no acceptor votes\"
        (forall ((a acceptor) (b ballot) (v value)) (not (vote a b v))))";
    let specification =
        epr_prover::read("synod", &format!("{}{wrong}", SPECIFICATIONS[0].1)).expect("it is one");
    let report = proved(&specification);
    // Without votes no value is chosen. But an acceptor may vote next, and no guard forbids it.
    assert_eq!(report.failures(), ["accept/silence", "implied/silence"]);
}

/// A proof with a time limit of zero is inconclusive.
#[test]
fn out_of_time_is_inconclusive() {
    let specification = shipped("synod");
    let report = prove(&[specification], &Prover::Builtin, Duration::ZERO, |_| ());
    assert!(matches!(report.verdict, Verdict::Inconclusive { .. }), "{report}");
    assert_eq!(report.verdict.exit_code(), 3);
    let nothing = prove(&[], &Prover::Builtin, PATIENCE, |_| ());
    assert!(matches!(nothing.verdict, Verdict::Inconclusive { .. }));
}

/// No two obligations have the same name.
#[test]
fn obligations_have_names_of_their_own() {
    let specification = shipped("multipaxos");
    let all = obligations(&specification);
    let mut names: Vec<_> = all.iter().map(|it| (it.moment_name(), &it.goal.name)).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len());
}

fn lines(table: &[String]) -> String {
    table.iter().map(|line| line.clone() + "\n").collect()
}
