//! Finite models: structures of a given size in which given formulas hold, found by a SAT solver.
//!
//! A quantifier becomes a conjunction or a disjunction over all elements, and an equation becomes true or false. The
//! rest is propositional. A search without a result says nothing about larger structures. So this module decides no obligation:
//! it finds a small counterexample to an obligation that the prover has refuted. The module and the prover share only the
//! language, the SAT solver and the limits.

use itertools::Itertools as _;

use super::{
    language::{Formula, Relation, Sort, Specification, Variable},
    limits::Watch,
    sat::{Answer, Sat, SatLiteral, literal},
    structure::{Assignment, Element, Structure},
};

/// The structures with given numbers of elements, together with a value for each parameter of an action, in which all
/// asserted formulas hold. A parameter is a free variable of these formulas.
pub struct FiniteModels<'s> {
    specification: &'s Specification,
    /// A structure of the given size in which every fact is false. It determines the index of each fact.
    shape: Structure,
    sat: Sat,
    /// For each parameter, one propositional variable for each element: true if the parameter is that element.
    parameters: Vec<(Variable, Vec<usize>)>,
    watch: Watch,
    /// The number of formulas made propositional so far, subformulas included.
    grounded: usize,
    /// True once a limit was reached. Assertions are incomplete from then on.
    late: bool,
}

/// The propositional form of a formula: a constant, or a literal that is equivalent to the formula.
#[derive(Clone, Copy)]
enum Ground {
    Constant(bool),
    Literal(SatLiteral),
}

impl<'s> FiniteModels<'s> {
    /// Returns the models before any formula is asserted: each structure with `sizes[s]` elements of each sort `s`, combined
    /// with each choice of values for the parameters.
    pub fn new(
        specification: &'s Specification,
        sizes: &[u8],
        parameters: &[Variable],
        watch: &Watch,
    ) -> Self {
        let shape = Structure::empty(specification, sizes);
        let mut sat = Sat::new(watch);
        // The fact and its propositional variable have the same number.
        for fact in 0..shape.possible_facts() {
            assert_eq!(sat.new_variable(), fact, "variables are numbered from 0");
        }
        let mut chosen = Vec::new();
        for &parameter in parameters {
            let is: Vec<_> = shape.elements(parameter.sort).map(|_| sat.new_variable()).collect();
            // The parameter is exactly one element.
            sat.add_clause(&is.iter().map(|&is| literal(is, true)).collect::<Vec<_>>());
            for (place, &one) in is.iter().enumerate() {
                for &other in &is[..place] {
                    sat.add_clause(&[literal(one, false), literal(other, false)]);
                }
            }
            chosen.push((parameter, is));
        }
        let (parameters, watch) = (chosen, watch.clone());
        Self { specification, shape, sat, parameters, watch, grounded: 0, late: false }
    }

    /// Requires that a formula holds. Each free variable of the formula must be a parameter.
    pub fn assert(&mut self, formula: &Formula) {
        let mut assignment = Assignment::of(self.specification);
        let free: Vec<_> = self.parameters.iter().map(|(parameter, _)| *parameter).collect();
        let shape = self.shape.clone();
        // For each choice of values for the parameters, the solver requires that the formula holds for these values, or
        // that a parameter has another value.
        shape.every(&free, &mut assignment, &mut |assignment| {
            let otherwise = self.parameters.iter().map(|(parameter, is)| {
                literal(is[usize::from(assignment.get(*parameter).0)], false)
            });
            let otherwise: Vec<_> = otherwise.collect();
            match self.ground(formula, assignment) {
                Ground::Constant(true) => {}
                Ground::Constant(false) => self.sat.add_clause(&otherwise),
                Ground::Literal(it) => self.sat.add_clause(&[&otherwise[..], &[it]].concat()),
            }
            !self.late
        });
    }

    /// Searches for a model in which the given facts are false.
    pub fn find(&mut self, without: &[(Relation, Vec<Element>)]) -> Answer {
        if self.late {
            return Answer::TimeUp;
        }
        let assumptions: Vec<_> = without
            .iter()
            .map(|(relation, tuple)| literal(self.shape.fact(*relation, tuple), false))
            .collect();
        self.sat.solve(&assumptions)
    }

    /// Returns the model that [`find`](Self::find) found last.
    pub fn structure(&self) -> Structure {
        let mut structure = self.shape.clone();
        for relation in (0..self.specification.relations.len()).map(Relation) {
            for tuple in self.shape.all_tuples(relation) {
                structure.set(
                    relation,
                    &tuple,
                    self.sat.is_true(self.shape.fact(relation, &tuple)),
                );
            }
        }
        structure
    }

    /// Returns the values of the parameters in that model.
    pub fn arguments(&self) -> Vec<Element> {
        let element = |is: &Vec<usize>| is.iter().position(|&is| self.sat.is_true(is));
        let arguments = self.parameters.iter().map(|(_, is)| element(is));
        arguments.map(|it| Element(it.expect("a clause requires an element") as u8)).collect()
    }

    fn ground(&mut self, formula: &Formula, assignment: &mut Assignment) -> Ground {
        self.grounded += 1;
        if self.grounded.is_multiple_of(4096) && self.watch.has_ended() {
            self.late = true;
        }
        if self.late {
            // The result does not matter, since `find` does not search any more.
            return Ground::Constant(true);
        }
        match formula {
            Formula::Atom(relation, arguments) => {
                let tuple: Vec<_> = arguments.iter().map(|&x| assignment.get(x)).collect();
                Ground::Literal(literal(self.shape.fact(*relation, &tuple), true))
            }
            Formula::Equal(x, y) => Ground::Constant(assignment.get(*x) == assignment.get(*y)),
            Formula::Not(part) => self.ground(part, assignment).opposite(),
            Formula::And(parts) | Formula::Or(parts) => {
                let every = matches!(formula, Formula::And(_));
                let parts = parts.iter().map(|part| self.ground(part, assignment)).collect();
                self.gate(every, parts)
            }
            Formula::Forall(bound, part, _) | Formula::Exists(bound, part, _) => {
                let every = matches!(formula, Formula::Forall(..));
                let mut parts = Vec::new();
                let shape = self.shape.clone();
                shape.every(bound, assignment, &mut |assignment| {
                    parts.push(self.ground(part, assignment));
                    !self.late
                });
                self.gate(every, parts)
            }
        }
    }

    /// Returns the conjunction of the parts if `every`, and their disjunction otherwise.
    fn gate(&mut self, every: bool, parts: Vec<Ground>) -> Ground {
        let mut open = Vec::new();
        for part in parts {
            match part {
                Ground::Constant(known) if known == every => {}
                Ground::Constant(known) => return Ground::Constant(known),
                Ground::Literal(literal) => open.push(literal),
            }
        }
        match open[..] {
            [] => Ground::Constant(every),
            [one] => Ground::Literal(one),
            _ => {
                // A false part makes a conjunction false, and a true part makes a disjunction true: such a part settles the
                // formula. `leaves_open(part)` is true if this part does not settle the formula. `gate` is true if none of the
                // parts settles it.
                // So a conjunction equals `gate`, and a disjunction is its opposite.
                let gate = literal(self.sat.new_variable(), every);
                let leaves_open = |part: SatLiteral| if every { part } else { !part };
                for &part in &open {
                    self.sat.add_clause(&[!gate, leaves_open(part)]);
                }
                let mut all: Vec<_> = open.iter().map(|&part| !leaves_open(part)).collect();
                all.push(gate);
                self.sat.add_clause(&all);
                Ground::Literal(if every { gate } else { !gate })
            }
        }
    }
}

impl Ground {
    fn opposite(self) -> Self {
        match self {
            Self::Constant(known) => Self::Constant(!known),
            Self::Literal(literal) => Self::Literal(!literal),
        }
    }
}

/// Returns all ways to distribute `total` elements over the sorts, with at least one element of each sort.
pub fn sizes(sorts: usize, total: usize) -> impl Iterator<Item = Vec<u8>> {
    // One element of each sort is given. The spare ones are distributed.
    let spare = total.checked_sub(sorts).filter(|_| sorts > 0);
    let choices = spare.into_iter().flat_map(move |spare| {
        (0..sorts).combinations_with_replacement(spare).map(move |chosen| {
            let mut sizes = vec![1_u8; sorts];
            for sort in chosen {
                sizes[sort] = sizes[sort].saturating_add(1);
            }
            sizes
        })
    });
    // If there are no sorts, the only possible total is 0, and the only result is the empty list of sizes.
    choices.chain((sorts == 0 && total == 0).then(Vec::new))
}

/// Returns true if structures with these numbers of elements have at most a million facts, and so are small enough to
/// search for.
pub fn is_small(specification: &Specification, sizes: &[u8]) -> bool {
    let facts = |signature: &[Sort]| -> usize {
        let sizes = signature.iter().map(|sort| usize::from(sizes[sort.0]));
        sizes.fold(1, usize::saturating_mul)
    };
    let all = specification.relations.iter().map(|relation| facts(&relation.signature));
    all.fold(0, usize::saturating_add) <= FACTS_MAX
}

/// The greatest number of facts of a structure that is searched for.
const FACTS_MAX: usize = 1_000_000;

/// Returns the relations that are not rigid.
pub fn changing(specification: &Specification) -> impl Iterator<Item = Relation> {
    let relations = specification.relations.iter().enumerate();
    relations.filter(|(_, declaration)| !declaration.rigid).map(|(index, _)| Relation(index))
}

/// Returns all sorts.
pub fn sorts(specification: &Specification) -> impl Iterator<Item = Sort> + use<> {
    (0..specification.sorts.len()).map(Sort)
}
