//! Finite structures: so many elements of each sort, and of which of them each relation holds.
//!
//! A structure is a state of the transition system that a specification describes, with its rigid
//! relations included. Formulas are evaluated in it as they are written, by trying all elements: this
//! is the reading of the language that the provers are held against.

use std::sync::Arc;

use fixedbitset::FixedBitSet;

use super::language::{Formula, Relation, Sort, Specification, Variable};

/// The things of one sort are numbered from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element(pub u8);

/// What each variable stands for.
#[derive(Clone, Debug)]
pub struct Assignment(Vec<Element>);

impl Assignment {
    /// Everything stands for the first element.
    pub fn of(specification: &Specification) -> Self {
        Self(vec![Element(0); specification.variables.len()])
    }

    /// Lets a variable stand for an element.
    pub fn set(&mut self, variable: Variable, element: Element) {
        self.0[variable.index] = element;
    }

    /// What a variable stands for.
    pub fn get(&self, variable: Variable) -> Element {
        self.0[variable.index]
    }
}

/// A state of a specification, and the rigid relations beneath it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Structure {
    layout: Arc<Layout>,
    /// Everything that could be so of anything is a fact, and these are those that are.
    facts: FixedBitSet,
}

/// How many there are of everything, and so which number each fact has.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Layout {
    sizes: Vec<u8>,
    relations: Vec<Table>,
}

/// The facts of one relation.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Table {
    /// The number of elements at each place.
    sizes: Vec<u8>,
    /// The number of the first fact, and how many there are.
    first: usize,
    count: usize,
}

impl Table {
    fn index(&self, tuple: impl Iterator<Item = Element>) -> usize {
        let places = self.sizes.iter().zip(tuple);
        let within = places.fold(0, |index, (&size, element)| {
            assert!(element.0 < size, "there is no such element");
            index * usize::from(size) + usize::from(element.0)
        });
        self.first + within
    }

    fn tuple(&self, index: usize) -> Vec<Element> {
        let mut within = index - self.first;
        let mut tuple = vec![Element(0); self.sizes.len()];
        for (place, &size) in self.sizes.iter().enumerate().rev() {
            tuple[place] = Element((within % usize::from(size)) as u8);
            within /= usize::from(size);
        }
        tuple
    }

    fn range(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.count
    }
}

impl Structure {
    /// The structure with so many elements of each sort in which no relation holds of anything: as far
    /// as relations that change are concerned, the initial state.
    ///
    /// # Panics
    /// If a sort has no elements, or another number of sorts is given than there are.
    pub fn empty(specification: &Specification, sizes: &[u8]) -> Self {
        assert_eq!(sizes.len(), specification.sorts.len(), "one size for each sort");
        assert!(sizes.iter().all(|&size| size > 0), "no sort is empty");
        let mut first = 0;
        let mut relations = Vec::new();
        for declaration in &specification.relations {
            let sizes: Vec<_> = declaration.signature.iter().map(|sort| sizes[sort.0]).collect();
            let count = sizes.iter().map(|&size| usize::from(size)).product();
            relations.push(Table { sizes, first, count });
            first += count;
        }
        let layout = Arc::new(Layout { sizes: sizes.to_vec(), relations });
        Self { layout, facts: FixedBitSet::with_capacity(first) }
    }

    /// How many facts there could be.
    pub fn possible_facts(&self) -> usize {
        self.facts.len()
    }

    /// All elements of a sort.
    pub fn elements(&self, sort: Sort) -> impl Iterator<Item = Element> + use<> {
        (0..self.layout.sizes[sort.0]).map(Element)
    }

    /// Whether a relation holds of some elements.
    pub fn holds(&self, relation: Relation, tuple: &[Element]) -> bool {
        self.facts.contains(self.fact(relation, tuple))
    }

    /// Says whether a relation holds of some elements.
    pub fn set(&mut self, relation: Relation, tuple: &[Element], holds: bool) {
        let fact = self.fact(relation, tuple);
        self.facts.set(fact, holds);
    }

    /// Says whether a relation holds of what some variables stand for.
    pub(super) fn set_of(
        &mut self,
        relation: Relation,
        variables: &[Variable],
        assignment: &Assignment,
        holds: bool,
    ) {
        let table = &self.layout.relations[relation.0];
        let fact = table.index(variables.iter().map(|&x| assignment.get(x)));
        self.facts.set(fact, holds);
    }

    /// The number of the fact that a relation holds of some elements, below
    /// [`possible_facts`](Self::possible_facts).
    pub fn fact(&self, relation: Relation, tuple: &[Element]) -> usize {
        self.layout.relations[relation.0].index(tuple.iter().copied())
    }

    /// All tuples that a relation could hold of, in order.
    pub fn all_tuples(&self, relation: Relation) -> impl Iterator<Item = Vec<Element>> {
        let table = &self.layout.relations[relation.0];
        table.range().map(|index| table.tuple(index))
    }

    /// All tuples of which a relation holds, in order.
    pub fn tuples(&self, relation: Relation) -> impl Iterator<Item = Vec<Element>> {
        let table = &self.layout.relations[relation.0];
        let facts = table.range().filter(|&fact| self.facts.contains(fact));
        facts.map(|fact| table.tuple(fact))
    }

    /// The same structure with other numbers: `numbers[sort][old]` is the new one.
    #[must_use]
    pub fn renumbered(&self, specification: &Specification, numbers: &[Vec<Element>]) -> Self {
        let mut renumbered = Self::empty(specification, &self.layout.sizes);
        for (index, declaration) in specification.relations.iter().enumerate() {
            for tuple in self.tuples(Relation(index)) {
                let places = declaration.signature.iter().zip(tuple);
                let tuple: Vec<_> =
                    places.map(|(sort, element)| numbers[sort.0][usize::from(element.0)]).collect();
                renumbered.set(Relation(index), &tuple, true);
            }
        }
        renumbered
    }

    /// Whether a formula holds, its free variables standing for what `assignment` says. What it says
    /// of bound variables is overwritten.
    pub fn satisfies(&self, formula: &Formula, assignment: &mut Assignment) -> bool {
        match formula {
            Formula::Atom(relation, arguments) => {
                let table = &self.layout.relations[relation.0];
                self.facts.contains(table.index(arguments.iter().map(|&x| assignment.get(x))))
            }
            Formula::Equal(x, y) => assignment.get(*x) == assignment.get(*y),
            Formula::Not(part) => !self.satisfies(part, assignment),
            Formula::And(parts) => parts.iter().all(|part| self.satisfies(part, assignment)),
            Formula::Or(parts) => parts.iter().any(|part| self.satisfies(part, assignment)),
            Formula::Forall(bound, part, _) => {
                self.every(bound, assignment, &mut |assignment| self.satisfies(part, assignment))
            }
            Formula::Exists(bound, part, _) => {
                !self.every(bound, assignment, &mut |assignment| !self.satisfies(part, assignment))
            }
        }
    }

    /// Whether something is so whatever some variables stand for. Stops at the first for which it is
    /// not, and leaves them standing for that.
    pub fn every(
        &self,
        bound: &[Variable],
        assignment: &mut Assignment,
        check: &mut dyn FnMut(&mut Assignment) -> bool,
    ) -> bool {
        let Some((first, rest)) = bound.split_first() else { return check(assignment) };
        self.elements(first.sort).all(|element| {
            assignment.set(*first, element);
            self.every(rest, assignment, check)
        })
    }
}
