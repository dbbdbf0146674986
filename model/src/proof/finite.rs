//! Finite models: structures of a given size in which some formulas hold, found by a SAT solver.
//!
//! A quantifier is a conjunction or a disjunction over all elements, whether two elements are the same
//! is plain to see, and what is left is propositional. It says nothing of larger structures; it is for
//! finding small ones. It shares no step with the prover that says whether there is one at all.

use std::time::Instant;

use super::{
    language::{Formula, Relation, Sort, Specification, Variable},
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
        deadline: Option<Instant>,
    ) -> Self {
        let shape = Structure::empty(specification, sizes);
        let mut sat = Sat::new(deadline);
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
        Self { specification, shape, sat, parameters: chosen }
    }

    /// Leaves only those in which a formula holds. Its free variables are the parameters.
    pub fn assert(&mut self, formula: &Formula) {
        let mut assignment = Assignment::of(self.specification);
        let free: Vec<_> = self.parameters.iter().map(|(parameter, _)| *parameter).collect();
        let mut cases = Vec::new();
        self.shape.every(&free, &mut assignment, &mut |assignment| {
            cases.push(assignment.clone());
            true
        });
        // Whichever elements the parameters are, the formula holds of those.
        for mut case in cases {
            let otherwise = self
                .parameters
                .iter()
                .map(|(parameter, is)| literal(is[usize::from(case.get(*parameter).0)], false));
            let otherwise: Vec<_> = otherwise.collect();
            match self.ground(formula, &mut case) {
                Ground::Known(true) => {}
                Ground::Known(false) => self.sat.clause(&otherwise),
                Ground::Open(it) => self.sat.clause(&[&otherwise[..], &[it]].concat()),
            }
        }
    }

    /// Looks for one in which a relation does not hold of some elements.
    pub fn find(&mut self, without: &[(Relation, Vec<Element>)]) -> Answer {
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
                    true
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

/// All ways to have some number of elements in all, at least one of each sort, the most even first.
pub fn sizes(sorts: usize, total: usize) -> Vec<Vec<u8>> {
    fn split(sorts: usize, total: usize) -> Vec<Vec<u8>> {
        if sorts == 0 {
            return if total == 0 { vec![Vec::new()] } else { Vec::new() };
        }
        let first = 1..=total.saturating_sub(sorts - 1).min(usize::from(u8::MAX));
        first
            .flat_map(|size| {
                let others = split(sorts - 1, total - size).into_iter();
                others.map(move |others| [&[size as u8], &others[..]].concat())
            })
            .collect()
    }
    let mut all = split(sorts, total);
    all.sort_by_key(|sizes| sizes.iter().max().copied());
    all
}

/// The relations that an action can change.
pub fn changing(specification: &Specification) -> impl Iterator<Item = Relation> {
    let relations = specification.relations.iter().enumerate();
    relations.filter(|(_, declaration)| !declaration.rigid).map(|(index, _)| Relation(index))
}

/// All sorts.
pub fn sorts(specification: &Specification) -> impl Iterator<Item = Sort> + use<> {
    (0..specification.sorts.len()).map(Sort)
}
