//! Turns formulas into clauses, and checks that they are in the decidable fragment.
//!
//! A formula is first brought to negation normal form. A Skolem function then replaces each variable that an existential
//! quantifier binds. The arguments of the function are the universal variables on which the variable depends. The result is
//! split into clauses. New predicates replace the parts that would multiply the number of clauses.
//!
//! The formulas are in the decidable fragment if the sorts can be ordered so that each function goes upwards, from
//! lower sorts to a higher one. Then there are finitely many ground terms.

use std::collections::{BTreeMap, BTreeSet};

use super::language::{Formula, Place, Relation, Sort, Specification, Variable};

/// A Skolem function. Without arguments it is a constant.
#[derive(Clone, Debug)]
pub struct Function {
    /// The sort of its values.
    pub sort: Sort,
    /// The sorts of its arguments.
    pub arguments: Vec<Sort>,
    /// The quantifier that it replaces.
    pub place: Place,
}

/// A term of a clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// An index into [`Clause::sorts`].
    Variable(usize),
    /// An index into [`Clauses::functions`].
    Apply(usize, Vec<Self>),
}

/// The predicate of a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Predicate {
    /// The two arguments are equal.
    Equal,
    /// A relation of the specification.
    Relation(Relation),
    /// A new predicate that stands for a part of a formula.
    Definition(usize),
}

/// A predicate of terms, or its negation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// False for the negation.
    pub positive: bool,
    /// The predicate.
    pub predicate: Predicate,
    /// Its arguments.
    pub arguments: Vec<Term>,
}

/// A disjunction of literals, which is true for all values of its variables.
#[derive(Clone, Debug)]
pub struct Clause {
    /// The sorts of its variables.
    pub sorts: Vec<Sort>,
    /// The literals.
    pub literals: Vec<Literal>,
}

/// A conjunction of formulas, as clauses.
#[derive(Clone, Debug, Default)]
pub struct Clauses {
    /// The Skolem functions.
    pub functions: Vec<Function>,
    /// The clauses.
    pub clauses: Vec<Clause>,
    /// The constants that stand for free variables of the formulas.
    pub constants: BTreeMap<Variable, usize>,
    definitions: usize,
}

impl Clauses {
    /// Returns the empty conjunction, with a constant for each parameter.
    pub fn about(parameters: &[Variable]) -> Self {
        let mut clauses = Self::default();
        for &parameter in parameters {
            let constant = clauses.constant(parameter.sort);
            clauses.constants.insert(parameter, constant);
        }
        clauses
    }

    /// Adds a constant of a sort, and returns its index in [`functions`](Self::functions).
    pub fn constant(&mut self, sort: Sort) -> usize {
        let place = Place::default();
        self.functions.push(Function { sort, arguments: Vec::new(), place });
        self.functions.len() - 1
    }

    /// Adds a formula. Each free variable of the formula must be a parameter.
    pub fn assert(&mut self, formula: &Formula) {
        let mut translation = Translation { clauses: self, sorts: Vec::new() };
        let tree = translation.normal(formula, true, &BTreeMap::new());
        let disjunctions = translation.disjunctions(tree);
        let sorts = translation.sorts;
        let kept = disjunctions.into_iter().filter_map(|literals| Clause::of(literals, &sorts));
        self.clauses.extend(kept);
    }

    /// Returns the sorts in an order, lowest first, in which each function goes upwards.
    ///
    /// # Errors
    /// If there is no such order, returns a function whose sort is on a cycle of sorts or depends on one.
    pub fn stratify(&self, specification: &Specification) -> Result<Vec<Sort>, &Function> {
        let edges = || {
            let all = self.functions.iter();
            all.flat_map(|function| function.arguments.iter().map(move |&from| (from, function)))
        };
        let mut order: Vec<Sort> = Vec::new();
        while order.len() < specification.sorts.len() {
            let free = (0..specification.sorts.len()).map(Sort).find(|sort| {
                let blocked =
                    || edges().any(|(from, to)| to.sort == *sort && !order.contains(&from));
                !order.contains(sort) && !blocked()
            });
            let Some(sort) = free else {
                let stuck = edges().filter(|(_, to)| !order.contains(&to.sort));
                let last = stuck.max_by_key(|(_, to)| to.place.start);
                return Err(last.expect("a function blocks the sort").1);
            };
            order.push(sort);
        }
        Ok(order)
    }
}

/// A formula without quantifiers and with negation only at the leaves.
enum Tree {
    Leaf(Literal),
    All(Vec<Tree>),
    Any(Vec<Tree>),
}

struct Translation<'c> {
    clauses: &'c mut Clauses,
    /// The sorts of the universal variables of this formula. Clauses number their variables anew.
    sorts: Vec<Sort>,
}

type Terms = BTreeMap<Variable, Term>;

impl Translation<'_> {
    fn normal(&mut self, formula: &Formula, positive: bool, terms: &Terms) -> Tree {
        match formula {
            Formula::Atom(relation, arguments) => {
                self.leaf(positive, Predicate::Relation(*relation), arguments, terms)
            }
            Formula::Equal(x, y) => self.leaf(positive, Predicate::Equal, &[*x, *y], terms),
            Formula::Not(part) => self.normal(part, !positive, terms),
            Formula::And(parts) | Formula::Or(parts) => {
                let inside: Vec<_> =
                    parts.iter().map(|part| self.normal(part, positive, terms)).collect();
                let all = matches!(formula, Formula::And(_)) == positive;
                if all { Tree::All(inside) } else { Tree::Any(inside) }
            }
            Formula::Forall(bound, part, place) | Formula::Exists(bound, part, place) => {
                let universal = matches!(formula, Formula::Forall(..)) == positive;
                let mut inner = terms.clone();
                let depends = if universal { Vec::new() } else { depends_on(formula, terms) };
                for &variable in bound {
                    let term = if universal {
                        self.sorts.push(variable.sort);
                        Term::Variable(self.sorts.len() - 1)
                    } else {
                        let arguments = depends.iter().map(|&x| self.sorts[x]).collect();
                        let function = Function { sort: variable.sort, arguments, place: *place };
                        self.clauses.functions.push(function);
                        let arguments = depends.iter().map(|&x| Term::Variable(x)).collect();
                        Term::Apply(self.clauses.functions.len() - 1, arguments)
                    };
                    inner.insert(variable, term);
                }
                self.normal(part, positive, &inner)
            }
        }
    }

    fn leaf(
        &self,
        positive: bool,
        predicate: Predicate,
        arguments: &[Variable],
        terms: &Terms,
    ) -> Tree {
        let term = |variable: &Variable| match terms.get(variable) {
            Some(term) => term.clone(),
            None => Term::Apply(self.clauses.constants[variable], Vec::new()),
        };
        let arguments = arguments.iter().map(term).collect();
        Tree::Leaf(Literal { positive, predicate, arguments })
    }

    /// Returns the tree as a conjunction of disjunctions. If several alternatives are conjunctions, new predicates
    /// replace all but the first, since multiplying them out could give very many disjunctions.
    fn disjunctions(&mut self, tree: Tree) -> Vec<Vec<Literal>> {
        match tree {
            Tree::Leaf(literal) => vec![vec![literal]],
            Tree::All(parts) => {
                parts.into_iter().flat_map(|part| self.disjunctions(part)).collect()
            }
            Tree::Any(parts) => {
                let mut product = vec![Vec::new()];
                for part in parts {
                    let mut part = self.disjunctions(part);
                    if part.len() > 1 && product.len() > 1 {
                        part = vec![vec![self.define(part)]];
                    }
                    product = product
                        .iter()
                        .flat_map(|left: &Vec<Literal>| {
                            part.iter().map(move |right| [&left[..], right].concat())
                        })
                        .collect();
                }
                product
            }
        }
    }

    /// Returns a literal of a new predicate, and adds the clauses by which it implies all the disjunctions.
    fn define(&mut self, disjunctions: Vec<Vec<Literal>>) -> Literal {
        let literals = disjunctions.iter().flatten();
        let mut variables = BTreeSet::new();
        literals
            .for_each(|literal| literal.arguments.iter().for_each(|x| x.collect(&mut variables)));
        let predicate = Predicate::Definition(self.clauses.definitions);
        self.clauses.definitions += 1;
        let arguments: Vec<_> = variables.into_iter().map(Term::Variable).collect();
        let premise = Literal { positive: false, predicate, arguments: arguments.clone() };
        for mut disjunction in disjunctions {
            disjunction.push(premise.clone());
            self.clauses.clauses.extend(Clause::of(disjunction, &self.sorts));
        }
        Literal { positive: true, predicate, arguments }
    }
}

/// Returns the universal variables in the terms of a formula's free variables.
fn depends_on(formula: &Formula, terms: &Terms) -> Vec<usize> {
    fn free(formula: &Formula, found: &mut BTreeSet<Variable>) {
        match formula {
            Formula::Atom(_, arguments) => found.extend(arguments),
            Formula::Equal(x, y) => found.extend([x, y]),
            Formula::Not(part) | Formula::Forall(_, part, _) | Formula::Exists(_, part, _) => {
                free(part, found);
            }
            Formula::And(parts) | Formula::Or(parts) => {
                for part in parts {
                    free(part, found);
                }
            }
        }
    }
    let mut variables = BTreeSet::new();
    // The formula's bound variables are found as well, but have no term yet.
    free(formula, &mut variables);
    let mut depends = BTreeSet::new();
    variables.iter().filter_map(|x| terms.get(x)).for_each(|term| term.collect(&mut depends));
    depends.into_iter().collect()
}

impl Term {
    fn collect(&self, variables: &mut BTreeSet<usize>) {
        match self {
            Self::Variable(x) => {
                variables.insert(*x);
            }
            Self::Apply(_, arguments) => arguments.iter().for_each(|term| term.collect(variables)),
        }
    }

    fn replace(&mut self, variable: usize, by: &Self) {
        match self {
            Self::Variable(x) if *x == variable => *self = by.clone(),
            Self::Variable(_) => {}
            Self::Apply(_, arguments) => {
                for argument in arguments {
                    argument.replace(variable, by);
                }
            }
        }
    }

    fn renumber(&mut self, numbers: &BTreeMap<usize, usize>) {
        match self {
            Self::Variable(x) => *x = numbers[x],
            Self::Apply(_, arguments) => {
                for argument in arguments {
                    argument.renumber(numbers);
                }
            }
        }
    }
}

impl Clause {
    /// Returns the clause of these literals, or nothing if the clause is always true. `sorts` has the sorts of the variables
    /// in the literals. The clause numbers its variables anew.
    fn of(mut literals: Vec<Literal>, sorts: &[Sort]) -> Option<Self> {
        // "x ≠ t, or F(x)" is equivalent to "F(t)".
        while let Some((at, variable, term)) =
            literals.iter().enumerate().find_map(|(at, literal)| {
                let (variable, term) = literal.excludes()?;
                Some((at, variable, term))
            })
        {
            literals.remove(at);
            let all = literals.iter_mut().flat_map(|literal| &mut literal.arguments);
            all.for_each(|argument| argument.replace(variable, &term));
        }
        let same = |literal: &Literal| {
            literal.predicate == Predicate::Equal && literal.arguments[0] == literal.arguments[1]
        };
        literals.retain(|literal| literal.positive || !same(literal));
        let opposite =
            |literal: &Literal| Literal { positive: !literal.positive, ..literal.clone() };
        let settled = |literal: &Literal| {
            literal.positive && same(literal) || literals.contains(&opposite(literal))
        };
        if literals.iter().any(settled) {
            return None;
        }
        let mut kept: Vec<Literal> = Vec::new();
        for literal in literals {
            if !kept.contains(&literal) {
                kept.push(literal);
            }
        }
        let mut variables = BTreeSet::new();
        let arguments = kept.iter().flat_map(|literal| &literal.arguments);
        arguments.for_each(|argument| argument.collect(&mut variables));
        let numbers = variables.iter().enumerate().map(|(number, &x)| (x, number)).collect();
        let arguments = kept.iter_mut().flat_map(|literal| &mut literal.arguments);
        arguments.for_each(|argument| argument.renumber(&numbers));
        let sorts = variables.into_iter().map(|x| sorts[x]).collect();
        Some(Self { sorts, literals: kept })
    }
}

impl Literal {
    /// Returns x and t if the literal is "x ≠ t" for a variable x that does not occur in t.
    fn excludes(&self) -> Option<(usize, Term)> {
        if self.positive || self.predicate != Predicate::Equal {
            return None;
        }
        let occurs = |variable, term: &Term| {
            let mut variables = BTreeSet::new();
            term.collect(&mut variables);
            variables.contains(&variable)
        };
        match &self.arguments[..] {
            [Term::Variable(x), term] | [term, Term::Variable(x)] if !occurs(*x, term) => {
                Some((*x, term.clone()))
            }
            _ => None,
        }
    }
}
