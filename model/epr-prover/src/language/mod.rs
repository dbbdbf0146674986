//! The language of specifications: sorts, relations, axioms, actions, and what is claimed of them.
//!
//! A specification is a text of S-expressions, close to SMT-LIB, and is read into a [`Specification`].
//! This module is the typed form and the formulas in it; `reader` knows parentheses, `elaborate`
//! knows names and sorts, `error` says where a text is wrong.
//!
//! ```text
//! ; a comment goes to the end of its line
//! (specification NAME "what it is")
//! (declare-sort client "c")                                elements are shown as c1, c2, …
//! (declare-rigid le (client client) "{0} is at most {1}")  never changes; any that obeys the axioms
//! (declare-relation holds (client grant) "{0} holds {1}")    empty at first, changed by actions
//! (declare-relation free () "the lock is free")            about nothing; written (free)
//! (define lt ((x client) (y client)) (not (le y x)))       an abbreviation
//! (axiom NAME "in words" FORMULA)                          about rigid relations only
//! (action NAME ((x client) …) "in words, with {x}"
//!   (require FORMULA)                                      all of them must hold before
//!   (set (holds x g) FORMULA)                              what the relation is afterwards
//!   (forall ((y grant)) (set (seen x y) FORMULA)))     the same for each y
//! (invariant NAME "in words" FORMULA)
//! (safety NAME "in words" FORMULA)
//! ```
//!
//! Formulas are `true`, `false`, `(R x y)`, `(= x y)`, `(distinct x y)`, `not`, `and`, `or`, `=>`, `=`
//! between formulas, `(forall ((x sort) …) F)` and `(exists …)`. There are no functions and no
//! constants: terms are variables.
//!
//! All `set`s of an action take place at once, and read the state before it; tuples that match no `set`
//! stay as they are. A relation is set once in an action: where several tuples change, by a `forall` with
//! a formula that tells them apart. After its words, `highest` may stand in a `declare-relation`: then
//! counterexamples tell only the highest of several facts that differ in the last argument.
//!
//! # The fragment
//!
//! "For each x there is a y" makes y depend on x. In all that has to be shown about a specification, such
//! dependencies must lead from some sorts to others and never back in a circle (effectively propositional
//! logic): then there are finitely many things to talk about, and every question can be decided. What
//! has to be shown contains the opposite of each invariant and safety property, so that "there is" in one
//! of those is "for each" there, and the other way round.

mod elaborate;
mod error;
mod reader;

use std::fmt;

pub use self::error::{LanguageError, Place, Source};

/// A kind of things: an index into [`Specification::sorts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sort(pub usize);

/// An index into [`Specification::relations`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Relation(pub usize);

/// A variable. Every binder of a specification has its own, so that no substitution can capture one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Variable {
    /// An index into [`Specification::variables`].
    pub index: usize,
    /// Of what it is one.
    pub sort: Sort,
}

/// A formula over the relations of a specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formula {
    /// A relation holds of some things.
    Atom(Relation, Vec<Variable>),
    /// Two things are the same.
    Equal(Variable, Variable),
    /// Not.
    Not(Box<Self>),
    /// All of these; true if there are none.
    And(Vec<Self>),
    /// One of these at least; false if there are none.
    Or(Vec<Self>),
    /// For all values of the variables.
    Forall(Vec<Variable>, Box<Self>, Place),
    /// For some values of the variables.
    Exists(Vec<Variable>, Box<Self>, Place),
}

impl Formula {
    /// What is always so.
    pub const fn truth() -> Self {
        Self::And(Vec::new())
    }

    /// What is never so.
    pub const fn falsehood() -> Self {
        Self::Or(Vec::new())
    }

    /// Whether it is written as always so.
    pub const fn is_truth(&self) -> bool {
        matches!(self, Self::And(all) if all.is_empty())
    }

    /// Whether it is written as never so.
    pub const fn is_falsehood(&self) -> bool {
        matches!(self, Self::Or(any) if any.is_empty())
    }

    /// Its opposite.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            Self::And(all) if all.is_empty() => Self::falsehood(),
            Self::Or(any) if any.is_empty() => Self::truth(),
            other => Self::Not(Box::new(other)),
        }
    }

    /// All of these, without what goes without saying.
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

    /// One of these at least, without what can not be.
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

    /// The formula with each atom and variable replaced.
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

    /// Whether it mentions a relation that satisfies a condition.
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

/// A sort and how its elements are called.
#[derive(Clone, Debug)]
pub struct SortDeclaration {
    /// Its name.
    pub name: String,
    /// Elements are this and a number.
    pub prefix: String,
}

/// A relation, what it is about, and how it is said.
#[derive(Clone, Debug)]
pub struct RelationDeclaration {
    /// Its name.
    pub name: String,
    /// The sorts of its arguments.
    pub signature: Vec<Sort>,
    /// Whether no action can change it.
    pub rigid: bool,
    /// How it is said that it holds of some things.
    pub phrase: Phrase,
    /// Whether, of facts that differ in the last argument only, it is enough to tell the highest, if it
    /// holds of all below.
    pub highest: bool,
}

/// A formula with a name.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its name.
    pub name: String,
    /// What it says, in words.
    pub words: String,
    /// What it says.
    pub formula: Formula,
    /// Where it stands.
    pub place: Place,
}

/// What an action makes of one relation.
#[derive(Clone, Debug)]
pub struct Update {
    /// The relation.
    pub relation: Relation,
    /// Which tuples: variables that are [`bound`](Self::bound) match anything, others only the
    /// argument of the action that they are.
    pub pattern: Vec<Variable>,
    /// The variables of the pattern that are not arguments of the action, once each.
    pub bound: Vec<Variable>,
    /// When the relation holds of such a tuple afterwards, in terms of the state before.
    pub formula: Formula,
}

/// Something that can happen.
#[derive(Clone, Debug)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub parameters: Vec<Variable>,
    /// What happens, in words.
    pub phrase: Phrase,
    /// What must hold before.
    pub guards: Vec<Formula>,
    /// What it changes; each relation at most once.
    pub updates: Vec<Update>,
    /// Where it stands.
    pub place: Place,
}

/// A transition system, and what is claimed of it.
#[derive(Clone, Debug)]
pub struct Specification {
    /// Its name.
    pub name: String,
    /// What it is, in words.
    pub about: String,
    /// Its sorts.
    pub sorts: Vec<SortDeclaration>,
    /// Its relations.
    pub relations: Vec<RelationDeclaration>,
    /// The names of all variables of all formulas; several may have one name.
    pub variables: Vec<String>,
    /// What holds of the rigid relations.
    pub axioms: Vec<Statement>,
    /// What can happen.
    pub actions: Vec<Action>,
    /// What the proof carries from state to state.
    pub invariants: Vec<Statement>,
    /// What it is for.
    pub safety: Vec<Statement>,
    /// Where it is written.
    pub source: Source,
}

impl Specification {
    /// Reads a specification; `name` is what errors call the text.
    ///
    /// What it says may be outside the fragment; [`read`](super::read) refuses that, too.
    ///
    /// # Errors
    /// A text that is no specification.
    pub fn read(name: &str, text: &str) -> Result<Self, LanguageError> {
        let source = Source::new(name, text);
        elaborate::elaborate(&source)
    }

    /// What errors call its text.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// The relation of a name.
    pub fn relation(&self, name: &str) -> Option<Relation> {
        self.relations.iter().position(|relation| relation.name == name).map(Relation)
    }

    /// The sort of a name.
    pub fn sort(&self, name: &str) -> Option<Sort> {
        self.sorts.iter().position(|sort| sort.name == name).map(Sort)
    }

    /// The action of a name, and its index.
    pub fn action(&self, name: &str) -> Option<usize> {
        self.actions.iter().position(|action| action.name == name)
    }

    /// What an element is called: the prefix of its sort, and its number counted from 1.
    pub fn element_name(&self, sort: Sort, element: u8) -> String {
        format!("{}{}", self.sorts[sort.0].prefix, u16::from(element) + 1)
    }

    /// What the proof shows to be invariant: the conjuncts of the invariant and the safety properties.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.invariants.iter().chain(&self.safety)
    }

    /// A formula in the notation of the language, which is also that of SMT-LIB, under names that
    /// somebody gives.
    pub fn show<'a>(
        &'a self,
        formula: &'a Formula,
        names: &'a dyn Names,
    ) -> impl fmt::Display + 'a {
        Shown { specification: self, formula, names }
    }
}

/// How relations and variables are called in a formula that is shown.
pub trait Names {
    /// The name of a relation.
    fn relation(&self, specification: &Specification, relation: Relation) -> String;
    /// The name of a variable.
    fn variable(&self, specification: &Specification, variable: Variable) -> String;
    /// The name of a sort.
    fn sort(&self, specification: &Specification, sort: Sort) -> String;
}

/// A sentence with holes, `{0}` or `{name}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Words(String),
    Hole(usize),
}

impl Phrase {
    /// The sentence, with something for each hole.
    pub fn say(&self, hole: impl Fn(usize) -> String) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Words(words) => words.clone(),
            Piece::Hole(index) => hole(*index),
        };
        self.0.iter().map(piece).collect()
    }
}

struct Shown<'a> {
    specification: &'a Specification,
    formula: &'a Formula,
    names: &'a dyn Names,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { specification, formula, names } = *self;
        let name = |x: &Variable| names.variable(specification, *x);
        let inside = |formula| Shown { specification, formula, names };
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
