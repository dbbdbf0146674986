//! Finite models: structures of a given size in which some formulas hold, found by a SAT solver.
//!
//! A quantifier is a conjunction or a disjunction over all elements, whether two elements are the same
//! is plain to see, and what is left is propositional. It says nothing of larger structures; it is for
//! finding small ones. It shares no step with the prover that says whether there is one at all.

use itertools::Itertools as _;

use super::{
    language::{Formula, Relation, Sort, Specification, Variable},
    patience::Watch,
    sat::{Answer, Literal, Sat, literal},
    structure::{Assignment, Element, Structure},
};

/// The structures of a size, with some variables that stand for some elements.
pub struct FiniteModels<'s> {
    specification: &'s Specification,
    /// With all elements, and nothing in it.
    shape: Structure,
    sat: Sat,
    /// For each parameter the propositional variables that say which element it is.
    parameters: Vec<(Variable, Vec<usize>)>,
    watch: Watch,
    /// How many formulas were made propositional, and whether that took too long.
    grounded: usize,
    late: bool,
}

/// A formula of which everything is known, or a literal that stands for it.
#[derive(Clone, Copy)]
enum Ground {
    Known(bool),
    Open(Literal),
}

impl<'s> FiniteModels<'s> {
    /// All structures with so many elements of each sort, and all values of some parameters.
    pub fn new(
        specification: &'s Specification,
        sizes: &[u8],
        parameters: &[Variable],
        watch: &Watch,
    ) -> Self {
        let shape = Structure::empty(specification, sizes);
        let mut sat = Sat::new(watch);
        // A fact has the same number as a propositional variable.
        for fact in 0..shape.possible_facts() {
            assert_eq!(sat.variable(), fact, "variables are numbered from 0");
        }
        let mut chosen = Vec::new();
        for &parameter in parameters {
            let is: Vec<_> = shape.elements(parameter.sort).map(|_| sat.variable()).collect();
            // It is one element, and not two.
            sat.clause(&is.iter().map(|&is| literal(is, true)).collect::<Vec<_>>());
            for (place, &one) in is.iter().enumerate() {
                for &other in &is[..place] {
                    sat.clause(&[literal(one, false), literal(other, false)]);
                }
            }
            chosen.push((parameter, is));
        }
        let (parameters, watch) = (chosen, watch.clone());
        Self { specification, shape, sat, parameters, watch, grounded: 0, late: false }
    }

    /// Leaves only those in which a formula holds. Its free variables are the parameters.
    pub fn assert(&mut self, formula: &Formula) {
        let mut assignment = Assignment::of(self.specification);
        let free: Vec<_> = self.parameters.iter().map(|(parameter, _)| *parameter).collect();
        let shape = self.shape.clone();
        // Whichever elements the parameters are, the formula holds of those.
        shape.every(&free, &mut assignment, &mut |assignment| {
            let otherwise = self.parameters.iter().map(|(parameter, is)| {
                literal(is[usize::from(assignment.get(*parameter).0)], false)
            });
            let otherwise: Vec<_> = otherwise.collect();
            match self.ground(formula, assignment) {
                Ground::Known(true) => {}
                Ground::Known(false) => self.sat.clause(&otherwise),
                Ground::Open(it) => self.sat.clause(&[&otherwise[..], &[it]].concat()),
            }
            !self.late
        });
    }

    /// Looks for one in which a relation does not hold of some elements.
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

    /// The structure that was found last.
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

    /// What the parameters are in it.
    pub fn arguments(&self) -> Vec<Element> {
        let element = |is: &Vec<usize>| is.iter().position(|&is| self.sat.is_true(is));
        let arguments = self.parameters.iter().map(|(_, is)| element(is));
        arguments.map(|it| Element(it.expect("it is one element") as u8)).collect()
    }

    fn ground(&mut self, formula: &Formula, assignment: &mut Assignment) -> Ground {
        self.grounded += 1;
        if self.grounded.is_multiple_of(4096) && self.watch.has_ended() {
            self.late = true;
        }
        if self.late {
            // What is said from now on does not matter: nothing will be looked for.
            return Ground::Known(true);
        }
        match formula {
            Formula::Atom(relation, arguments) => {
                let tuple: Vec<_> = arguments.iter().map(|&x| assignment.get(x)).collect();
                Ground::Open(literal(self.shape.fact(*relation, &tuple), true))
            }
            Formula::Equal(x, y) => Ground::Known(assignment.get(*x) == assignment.get(*y)),
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

    /// A literal for a conjunction, if it is to be true of every part, or for a disjunction.
    fn gate(&mut self, every: bool, parts: Vec<Ground>) -> Ground {
        let mut open = Vec::new();
        for part in parts {
            match part {
                Ground::Known(known) if known == every => {}
                Ground::Known(known) => return Ground::Known(known),
                Ground::Open(literal) => open.push(literal),
            }
        }
        match open[..] {
            [] => Ground::Known(every),
            [one] => Ground::Open(one),
            _ => {
                // One part settles a disjunction if it is true, and a conjunction if it is false.
                let gate = literal(self.sat.variable(), every);
                let settle = |part: Literal| if every { part } else { !part };
                for &part in &open {
                    self.sat.clause(&[!gate, settle(part)]);
                }
                let mut all: Vec<_> = open.iter().map(|&part| !settle(part)).collect();
                all.push(gate);
                self.sat.clause(&all);
                Ground::Open(if every { gate } else { !gate })
            }
        }
    }
}

impl Ground {
    fn opposite(self) -> Self {
        match self {
            Self::Known(known) => Self::Known(!known),
            Self::Open(literal) => Self::Open(!literal),
        }
    }
}

/// All ways to have some number of elements in all, at least one of each sort.
pub fn sizes(sorts: usize, total: usize) -> impl Iterator<Item = Vec<u8>> {
    // All but one of each sort are spread over the sorts.
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
    // Without sorts there is one structure without elements.
    choices.chain((sorts == 0 && total == 0).then(Vec::new))
}

/// Whether structures of a size are small enough to be looked for.
pub fn is_small(specification: &Specification, sizes: &[u8]) -> bool {
    let facts = |signature: &[Sort]| -> usize {
        let sizes = signature.iter().map(|sort| usize::from(sizes[sort.0]));
        sizes.fold(1, usize::saturating_mul)
    };
    let all = specification.relations.iter().map(|relation| facts(&relation.signature));
    all.fold(0, usize::saturating_add) <= FACTS_MAX
}

/// How many facts a structure may have that is looked for.
const FACTS_MAX: usize = 1_000_000;

/// The relations that an action can change.
pub fn changing(specification: &Specification) -> impl Iterator<Item = Relation> {
    let relations = specification.relations.iter().enumerate();
    relations.filter(|(_, declaration)| !declaration.rigid).map(|(index, _)| Relation(index))
}

/// All sorts.
pub fn sorts(specification: &Specification) -> impl Iterator<Item = Sort> + use<> {
    (0..specification.sorts.len()).map(Sort)
}
