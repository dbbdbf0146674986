//! The language of specifications: sorts, relations, axioms, actions, invariants and safety properties.
//!
//! A specification is a text of S-expressions, close to SMT-LIB, and is read into a [`Specification`]. This module
//! defines the typed form and its formulas. `reader` parses the S-expressions, `elaborate` resolves names and sorts,
//! and `error` reports where a text is wrong.
//!
//! ```text
//! ; a comment goes to the end of its line
//! (specification NAME "a description")
//! (declare-sort client "c")                                elements are printed as c1, c2, …
//! (declare-rigid le (client client) "{0} is at most {1}")  never changes; satisfies the axioms
//! (declare-relation holds (client grant) "{0} holds {1}")  initially empty; actions change it
//! (declare-relation free () "the lock is free")            has no arguments; written (free)
//! (define lt ((x client) (y client)) (not (le y x)))       an abbreviation
//! (axiom NAME "in words" FORMULA)                          about rigid relations only
//! (action NAME ((x client) …) "in words, with {x}"
//!   (require FORMULA)                                      a guard; all guards must hold before
//!   (set (holds x g) FORMULA)                              holds(x, g) afterwards
//!   (forall ((y grant)) (set (seen x y) FORMULA)))         the same for each y
//! (invariant NAME "in words" FORMULA)
//! (safety NAME "in words" FORMULA)
//! ```
//!
//! Formulas are `true`, `false`, `(R x y)`, `(= x y)`, `(distinct x y)`, `not`, `and`, `or`, `=>`, `=`
//! between formulas, `(forall ((x sort) …) F)` and `(exists …)`. There are no functions and no
//! constants: terms are variables.
//!
//! All `set`s of an action read the state before the action, and take effect together. Tuples that match no `set`
//! keep their value. An action sets each relation at most once. If several tuples change, one `forall` sets all of
//! them, and its formula distinguishes them.
//!
//! A `declare-relation` may end in the word `highest`. Of facts that differ only in the last argument,
//! counterexamples then print only the highest, provided that the relation holds for all lower ones as well.
//!
//! # The decidable fragment
//!
//! "For each x there is a y" makes y depend on x. In each obligation, these dependencies between sorts must form no
//! cycle (effectively propositional logic). Then the obligation has finitely many ground terms, and is decidable. An
//! obligation contains the negation of an invariant or safety property, in which "there is" becomes "for each" and
//! the reverse.

mod elaborate;
mod error;
mod reader;

use std::fmt;

pub use self::error::{LanguageError, Place, Source};

/// An index into [`Specification::sorts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sort(pub usize);

/// An index into [`Specification::relations`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Relation(pub usize);

/// A variable. No two quantifiers or actions bind the same variable, so a substitution cannot capture one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Variable {
    /// An index into [`Specification::variables`].
    pub index: usize,
    /// The sort of its values.
    pub sort: Sort,
}

/// A formula over the relations of a specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formula {
    /// The relation holds for the arguments.
    Atom(Relation, Vec<Variable>),
    /// The two variables have the same value.
    Equal(Variable, Variable),
    /// The negation.
    Not(Box<Self>),
    /// The conjunction; true if it has no parts.
    And(Vec<Self>),
    /// The disjunction; false if it has no parts.
    Or(Vec<Self>),
    /// For all values of the variables.
    Forall(Vec<Variable>, Box<Self>, Place),
    /// For some values of the variables.
    Exists(Vec<Variable>, Box<Self>, Place),
}

impl Formula {
    /// Returns the empty conjunction.
    pub const fn truth() -> Self {
        Self::And(Vec::new())
    }

    /// Returns the empty disjunction.
    pub const fn falsehood() -> Self {
        Self::Or(Vec::new())
    }

    /// Returns true for the empty conjunction only, not for every valid formula.
    pub const fn is_truth(&self) -> bool {
        matches!(self, Self::And(all) if all.is_empty())
    }

    /// Returns true for the empty disjunction only, not for every contradiction.
    pub const fn is_falsehood(&self) -> bool {
        matches!(self, Self::Or(any) if any.is_empty())
    }

    /// Returns the negation, without a double `Not`.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            Self::And(all) if all.is_empty() => Self::falsehood(),
            Self::Or(any) if any.is_empty() => Self::truth(),
            other => Self::Not(Box::new(other)),
        }
    }

    /// Returns the conjunction of the parts. Omits the parts that are `true`. Returns `false` if a part is `false`.
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            if part.is_falsehood() {
                return part;
            }
            if !part.is_truth() {
                kept.push(part);
            }
        }
        if kept.len() == 1 { kept.remove(0) } else { Self::And(kept) }
    }

    /// Returns the disjunction of the parts. Omits the parts that are `false`. Returns `true` if a part is `true`.
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            if part.is_truth() {
                return part;
            }
            if !part.is_falsehood() {
                kept.push(part);
            }
        }
        if kept.len() == 1 { kept.remove(0) } else { Self::Or(kept) }
    }

    /// Replaces each occurrence of an atom or a variable, and returns the simplified formula.
    #[must_use]
    pub fn map(
        &self,
        atom: &impl Fn(Relation, &[Variable]) -> Self,
        variable: &impl Fn(Variable) -> Variable,
    ) -> Self {
        let inside = |formula: &Self| formula.map(atom, variable);
        match self {
            Self::Atom(relation, arguments) => {
                let arguments: Vec<_> = arguments.iter().map(|&x| variable(x)).collect();
                atom(*relation, &arguments)
            }
            Self::Equal(x, y) => match (variable(*x), variable(*y)) {
                (x, y) if x == y => Self::truth(),
                (x, y) => Self::Equal(x, y),
            },
            Self::Not(part) => inside(part).negated(),
            Self::And(parts) => Self::all(parts.iter().map(inside)),
            Self::Or(parts) => Self::any(parts.iter().map(inside)),
            Self::Forall(bound, part, place) => match inside(part) {
                settled if settled.is_truth() => settled,
                part => Self::Forall(bound.clone(), Box::new(part), *place),
            },
            Self::Exists(bound, part, place) => match inside(part) {
                settled if settled.is_falsehood() => settled,
                part => Self::Exists(bound.clone(), Box::new(part), *place),
            },
        }
    }

    /// Returns true if the formula contains a relation that satisfies the condition.
    pub fn mentions(&self, condition: &impl Fn(Relation) -> bool) -> bool {
        match self {
            Self::Atom(relation, _) => condition(*relation),
            Self::Equal(..) => false,
            Self::Not(part) | Self::Forall(_, part, _) | Self::Exists(_, part, _) => {
                part.mentions(condition)
            }
            Self::And(parts) | Self::Or(parts) => parts.iter().any(|part| part.mentions(condition)),
        }
    }
}

/// A sort, and the prefix of its elements' names.
#[derive(Clone, Debug)]
pub struct SortDeclaration {
    /// Its name.
    pub name: String,
    /// The elements are called by this prefix and a number from 1.
    pub prefix: String,
}

/// A relation with its signature and its phrase.
#[derive(Clone, Debug)]
pub struct RelationDeclaration {
    /// Its name.
    pub name: String,
    /// The sorts of its arguments.
    pub signature: Vec<Sort>,
    /// True if no action can change the relation.
    pub rigid: bool,
    /// The sentence that states a fact of the relation.
    pub phrase: Phrase,
    /// True if counterexamples omit some facts. They omit a fact if the relation also holds for a higher last argument, and
    /// for all last arguments below that one.
    pub highest: bool,
}

/// An axiom, an invariant or a safety property.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its name.
    pub name: String,
    /// The formula in words.
    pub words: String,
    /// The formula. It has no free variables.
    pub formula: Formula,
    /// The place of the name in the text.
    pub place: Place,
}

/// The effect of an action on one relation.
#[derive(Clone, Debug)]
pub struct Update {
    /// The relation.
    pub relation: Relation,
    /// The tuples that change. A variable in [`bound`](Self::bound) matches any element. Any other variable is a
    /// parameter of the action, and matches its argument only.
    pub pattern: Vec<Variable>,
    /// The variables of the pattern that are not parameters of the action. Each occurs once.
    pub bound: Vec<Variable>,
    /// A formula about the state before the action. It is true if the relation holds for the tuple afterwards.
    pub formula: Formula,
}

/// A guarded transition.
#[derive(Clone, Debug)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// Its parameters.
    pub parameters: Vec<Variable>,
    /// The sentence that states the step.
    pub phrase: Phrase,
    /// The formulas that must hold in the state before.
    pub guards: Vec<Formula>,
    /// The updates, at most one for each relation. Other relations keep their value.
    pub updates: Vec<Update>,
    /// The place of the name in the text.
    pub place: Place,
}

/// A transition system with its invariants and safety properties.
#[derive(Clone, Debug)]
pub struct Specification {
    /// Its name.
    pub name: String,
    /// The description in its first form.
    pub about: String,
    /// Its sorts.
    pub sorts: Vec<SortDeclaration>,
    /// Its relations.
    pub relations: Vec<RelationDeclaration>,
    /// The names of all variables, by [`Variable::index`]. Different variables may have the same name.
    pub variables: Vec<String>,
    /// The assumptions about the rigid relations.
    pub axioms: Vec<Statement>,
    /// The transitions.
    pub actions: Vec<Action>,
    /// The conjuncts of the invariant, which the induction uses beside the safety properties.
    pub invariants: Vec<Statement>,
    /// The properties that the proof is about.
    pub safety: Vec<Statement>,
    /// Its text.
    pub source: Source,
}

impl Specification {
    /// Reads a specification. Errors call the text `name`.
    ///
    /// Accepts formulas outside the decidable fragment. [`read`](super::read) refuses those as well.
    ///
    /// # Errors
    /// Fails if the text is not a specification.
    pub fn read(name: &str, text: &str) -> Result<Self, LanguageError> {
        let source = Source::new(name, text);
        elaborate::elaborate(&source)
    }

    /// Returns the name under which errors mention the text.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// Finds a relation by its name.
    pub fn relation(&self, name: &str) -> Option<Relation> {
        self.relations.iter().position(|relation| relation.name == name).map(Relation)
    }

    /// Finds a sort by its name.
    pub fn sort(&self, name: &str) -> Option<Sort> {
        self.sorts.iter().position(|sort| sort.name == name).map(Sort)
    }

    /// Finds the index of an action by its name.
    pub fn action(&self, name: &str) -> Option<usize> {
        self.actions.iter().position(|action| action.name == name)
    }

    /// Returns the name of an element: the prefix of its sort and its number, counted from 1.
    pub fn element_name(&self, sort: Sort, element: u8) -> String {
        format!("{}{}", self.sorts[sort.0].prefix, u16::from(element) + 1)
    }

    /// Returns the formulas that the induction shows together: the invariants, then the safety properties.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.invariants.iter().chain(&self.safety)
    }

    /// Prints a formula in the notation of the language, which is also that of SMT-LIB, with the given names.
    pub fn show<'a>(
        &'a self,
        formula: &'a Formula,
        names: &'a dyn Names,
    ) -> impl fmt::Display + 'a {
        DisplayFormula { specification: self, formula, names }
    }
}

/// The names that [`Specification::show`] prints.
pub trait Names {
    /// Returns the name of a relation.
    fn relation(&self, specification: &Specification, relation: Relation) -> String;
    /// Returns the name of a variable.
    fn variable(&self, specification: &Specification, variable: Variable) -> String;
    /// Returns the name of a sort.
    fn sort(&self, specification: &Specification, sort: Sort) -> String;
}

/// A sentence with placeholders, `{0}` or `{name}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Words(String),
    Placeholder(usize),
}

impl Phrase {
    /// Returns the sentence with its placeholders filled in. `argument` receives the index of a placeholder's argument.
    pub fn say(&self, argument: impl Fn(usize) -> String) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Words(words) => words.clone(),
            Piece::Placeholder(index) => argument(*index),
        };
        self.0.iter().map(piece).collect()
    }
}

struct DisplayFormula<'a> {
    specification: &'a Specification,
    formula: &'a Formula,
    names: &'a dyn Names,
}

impl fmt::Display for DisplayFormula<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { specification, formula, names } = *self;
        let name = |x: &Variable| names.variable(specification, *x);
        let inside = |formula| DisplayFormula { specification, formula, names };
        match formula {
            Formula::Atom(relation, arguments) if arguments.is_empty() => {
                f.write_str(&names.relation(specification, *relation))
            }
            Formula::Atom(relation, arguments) => {
                write!(f, "({}", names.relation(specification, *relation))?;
                arguments.iter().try_for_each(|x| write!(f, " {}", name(x)))?;
                f.write_str(")")
            }
            Formula::Equal(x, y) => write!(f, "(= {} {})", name(x), name(y)),
            Formula::Not(part) => write!(f, "(not {})", inside(part)),
            truth if truth.is_truth() => f.write_str("true"),
            falsehood if falsehood.is_falsehood() => f.write_str("false"),
            Formula::And(parts) | Formula::Or(parts) => {
                f.write_str(if matches!(formula, Formula::And(_)) { "(and" } else { "(or" })?;
                parts.iter().try_for_each(|part| write!(f, " {}", inside(part)))?;
                f.write_str(")")
            }
            Formula::Forall(bound, part, _) | Formula::Exists(bound, part, _) => {
                let forall = matches!(formula, Formula::Forall(..));
                write!(f, "({} (", if forall { "forall" } else { "exists" })?;
                for (i, x) in bound.iter().enumerate() {
                    let space = if i == 0 { "" } else { " " };
                    write!(f, "{space}({} {})", name(x), names.sort(specification, x.sort))?;
                }
                write!(f, ") {})", inside(part))
            }
        }
    }
}
