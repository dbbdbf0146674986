//! Finite structures: the number of elements of each sort, and the tuples for which each relation holds.
//!
//! A structure is a state of the transition system that a specification describes, including the rigid relations. A
//! formula is evaluated as it is written, by trying all elements. This evaluation is the reference semantics of the
//! language, against which the provers are tested.

use std::sync::Arc;

use fixedbitset::FixedBitSet;

use super::language::{Formula, Relation, Sort, Specification, Variable};

/// An element of a sort. The elements of each sort are numbered from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element(pub u8);

/// The value of each variable.
#[derive(Clone, Debug)]
pub struct Assignment(Vec<Element>);

impl Assignment {
    /// Assigns the first element to each variable.
    pub fn of(specification: &Specification) -> Self {
        Self(vec![Element(0); specification.variables.len()])
    }

    /// Assigns an element to a variable.
    pub fn set(&mut self, variable: Variable, element: Element) {
        self.0[variable.index] = element;
    }

    /// Returns the value of a variable.
    pub fn get(&self, variable: Variable) -> Element {
        self.0[variable.index]
    }
}

/// A state of a specification, including its rigid relations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Structure {
    layout: Arc<Layout>,
    /// One bit for each relation and tuple, set if the relation holds for the tuple.
    facts: FixedBitSet,
}

/// The number of elements of each sort, and the numbers of the facts that follow from it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Layout {
    sizes: Vec<u8>,
    relations: Vec<Table>,
}

/// The numbers of the facts of one relation: `first..first + count`, in the order of their tuples.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Table {
    /// The number of elements of each argument's sort.
    sizes: Vec<u8>,
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
    /// Returns the structure in which no relation holds for any tuple. Apart from the rigid relations, it is the
    /// initial state. `sizes` has the number of elements of each sort.
    ///
    /// # Panics
    /// Panics if a size is 0, or if there is not one size for each sort.
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

    /// Returns the number of facts, true or false: one for each relation and tuple.
    pub fn possible_facts(&self) -> usize {
        self.facts.len()
    }

    /// Returns all elements of a sort.
    pub fn elements(&self, sort: Sort) -> impl Iterator<Item = Element> + use<> {
        (0..self.layout.sizes[sort.0]).map(Element)
    }

    /// Returns true if the relation holds for the tuple.
    pub fn holds(&self, relation: Relation, tuple: &[Element]) -> bool {
        self.facts.contains(self.fact(relation, tuple))
    }

    /// Makes a fact true or false.
    pub fn set(&mut self, relation: Relation, tuple: &[Element], holds: bool) {
        let fact = self.fact(relation, tuple);
        self.facts.set(fact, holds);
    }

    /// Makes a fact true or false. Its tuple consists of the values of the variables.
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

    /// Returns the number of a fact, below [`possible_facts`](Self::possible_facts).
    pub fn fact(&self, relation: Relation, tuple: &[Element]) -> usize {
        self.layout.relations[relation.0].index(tuple.iter().copied())
    }

    /// Returns all tuples of a relation's sorts, in order.
    pub fn all_tuples(&self, relation: Relation) -> impl Iterator<Item = Vec<Element>> {
        let table = &self.layout.relations[relation.0];
        table.range().map(|index| table.tuple(index))
    }

    /// Returns the tuples for which a relation holds, in order.
    pub fn tuples(&self, relation: Relation) -> impl Iterator<Item = Vec<Element>> {
        let table = &self.layout.relations[relation.0];
        let facts = table.range().filter(|&fact| self.facts.contains(fact));
        facts.map(|fact| table.tuple(fact))
    }

    /// Returns the structure with its elements renumbered: `numbers[sort][old]` is the new number.
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

    /// Returns true if the formula holds under the assignment. Overwrites the values of bound variables.
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

    /// Returns true if `check` is true for all values of the variables. Stops at the first values for which `check` is false,
    /// and leaves these values in the assignment.
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
