//! Compares the prover with a search of finite models, on random formulas.
//!
//! Both get the same formula and use the same SAT solver, and share nothing else. The prover makes clauses, functions and
//! instances, and the search tries all elements. If the prover finds a contradiction, no structure may satisfy the formula. If
//! it finds none, a structure that is no larger than the prover's terms must satisfy the formula.

use std::{
    hash::{BuildHasher as _, RandomState},
    io::{Write as _, stderr},
};

use epr_prover::{
    clause::Clauses,
    finite::{self, FiniteModels},
    ground::Grounding,
    language::{Formula, Place, Relation, Sort, Specification, Variable},
    limits::Watch,
    sat::Answer,
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Two sorts, and relations within and between them.
const SIGNATURE: &str = r#"
(specification random "for random formulas")
(declare-sort low "l")
(declare-sort high "h")
(declare-relation near (low low) "{0} is near {1}")
(declare-relation above (low high) "{1} is above {0}")
(declare-relation good (high) "{0} is good")
(action nothing () "nothing happens")
(safety nothing "nothing is claimed" true)
"#;

/// Makes formulas of the decidable fragment: an existential variable of sort high may depend on a universal variable of sort
/// low, and never the other way round.
struct Maker {
    random: ChaCha8Rng,
    variables: usize,
}

impl Maker {
    fn variable(&mut self, sort: usize) -> Variable {
        self.variables += 1;
        Variable { index: self.variables - 1, sort: Sort(sort) }
    }

    fn pick(&mut self, scope: &[Variable], sort: usize) -> Option<Variable> {
        let of_sort: Vec<_> = scope.iter().filter(|x| x.sort == Sort(sort)).collect();
        (!of_sort.is_empty()).then(|| *of_sort[self.random.random_range(0..of_sort.len())])
    }

    fn leaf(&mut self, scope: &[Variable]) -> Formula {
        let shape = self.random.random_range(0..4);
        let made = match shape {
            0 => self
                .pick(scope, 0)
                .zip(self.pick(scope, 0))
                .map(|(x, y)| Formula::Atom(Relation(0), vec![x, y])),
            1 => self
                .pick(scope, 0)
                .zip(self.pick(scope, 1))
                .map(|(x, y)| Formula::Atom(Relation(1), vec![x, y])),
            2 => self.pick(scope, 1).map(|x| Formula::Atom(Relation(2), vec![x])),
            _ => {
                let sort = self.random.random_range(0..2);
                self.pick(scope, sort)
                    .zip(self.pick(scope, sort))
                    .map(|(x, y)| Formula::Equal(x, y))
            }
        };
        made.unwrap_or(Formula::truth())
    }

    /// Returns a random formula in the scope of some variables. `positive` is false below an odd number of negations, where
    /// `forall` makes an existential variable.
    fn formula(
        &mut self,
        scope: &[Variable],
        depth: usize,
        positive: bool,
        given: Given,
    ) -> Formula {
        if depth == 0 {
            return self.leaf(scope);
        }
        match self.random.random_range(0..7) {
            0 => self.leaf(scope),
            1 => Formula::Not(Box::new(self.formula(scope, depth - 1, !positive, given))),
            2 | 3 => {
                let count = self.random.random_range(1..4);
                let parts = (0..count).map(|_| self.formula(scope, depth - 1, positive, given));
                let parts = parts.collect();
                if self.random.random_bool(0.5) { Formula::And(parts) } else { Formula::Or(parts) }
            }
            _ => {
                let exists = given != Given::High && self.random.random_bool(0.5);
                let sort = match given {
                    Given::Low if exists => 1,
                    _ => self.random.random_range(0..2),
                };
                let given = match (exists, sort) {
                    (true, _) => given,
                    (false, 0) => given.max(Given::Low),
                    (false, _) => Given::High,
                };
                let variable = self.variable(sort);
                let scope = [scope, &[variable]].concat();
                let part = Box::new(self.formula(&scope, depth - 1, positive, given));
                let bound = vec![variable];
                if exists == positive {
                    Formula::Exists(bound, part, Place::default())
                } else {
                    Formula::Forall(bound, part, Place::default())
                }
            }
        }
    }
}

/// The universal variables in scope. An existential variable of sort high may depend on a universal one of sort low.
/// No other dependency is allowed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Given {
    Nothing,
    Low,
    High,
}

#[test]
fn the_prover_agrees_with_a_search_of_finite_models() {
    let seed = std::env::var("PAXOS_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0));
    writeln!(stderr(), "random formulas: PAXOS_SEED={seed}").expect("it can be said");
    let mut maker = Maker { random: ChaCha8Rng::seed_from_u64(seed), variables: 0 };
    let (mut contradictions, mut models) = (0, 0);
    for number in 0..3000 {
        let mut specification = Specification::read("random", SIGNATURE).expect("it is one");
        maker.variables = 0;
        let count = maker.random.random_range(1..5);
        let formulas: Vec<_> =
            (0..count).map(|_| maker.formula(&[], 6, true, Given::Nothing)).collect();
        specification.variables = vec!["x".to_owned(); maker.variables];

        let mut clauses = Clauses::about(&[]);
        for formula in &formulas {
            clauses.assert(formula);
        }
        assert!(clauses.stratify(&specification).is_ok(), "seed {seed}, {number}: not decidable");
        let mut grounding = Grounding::new(clauses, 2, &Watch::default());
        let answer = grounding.solve();
        // The terms are a model if there is one; most have a smaller one.
        let most = match answer {
            Answer::Contradiction => 6,
            _ => 2 * grounding.size().0.max(3),
        };
        let found = (2..=most).flat_map(|total| finite::sizes(2, total)).any(|sizes| {
            let mut search = FiniteModels::new(&specification, &sizes, &[], &Watch::default());
            for formula in &formulas {
                search.assert(formula);
            }
            search.find(&[]) == Answer::Model
        });
        let expected = answer == Answer::Model;
        assert_eq!(found, expected, "seed {seed}, number {number}: {answer:?}, {formulas:?}");
        if found {
            models += 1;
        } else {
            contradictions += 1;
        }
    }
    // Both outcomes occur often, otherwise the test would be vacuous.
    assert!(contradictions > 100 && models > 100, "{contradictions} and {models}");
}
