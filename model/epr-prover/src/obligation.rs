//! The proof obligations of a specification.
//!
//! Let I be the conjunction of all invariants and safety properties. The induction shows that each formula of I holds
//! initially, and that each action preserves it if I held before. It follows that each reachable state is safe.
//! Separate obligations say that the invariants alone imply each safety property.
//!
//! An [`Obligation`] holds if its premises and the negation of its conclusion are not satisfiable together. This
//! module lists the obligations, and decides none.

use super::language::{Action, Formula, Relation, Specification, Statement, Update, Variable};

/// The states in which a formula must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// The initial states, in which all relations that are not rigid are empty.
    Initially,
    /// The states after an action, if all formulas held before it: an index into [`Specification::actions`].
    After(usize),
    /// All states that satisfy the invariants.
    Implied,
}

/// A formula and the states in which it must hold.
#[derive(Clone, Copy, Debug)]
pub struct Obligation<'s> {
    /// The specification.
    pub specification: &'s Specification,
    /// The states.
    pub moment: Moment,
    /// The formula.
    pub goal: &'s Statement,
}

/// The result of deciding an obligation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The obligation holds.
    Proved,
    /// The obligation fails.
    Refuted,
    /// The prover did not decide.
    Unknown {
        /// The reason.
        why: String,
    },
}

/// Returns all obligations of a specification: those of the induction first, then those about implication.
pub fn obligations(specification: &Specification) -> Vec<Obligation<'_>> {
    let moments = std::iter::once(Moment::Initially)
        .chain((0..specification.actions.len()).map(Moment::After));
    let induction = moments.flat_map(|moment| {
        specification.statements().map(move |goal| Obligation { specification, moment, goal })
    });
    let implied = specification.safety.iter();
    let implied = implied.map(|goal| Obligation { specification, moment: Moment::Implied, goal });
    induction.chain(implied).collect()
}

impl<'s> Obligation<'s> {
    /// Returns the action after which the formula must hold, or none if the moment is not after an action.
    pub fn action(&self) -> Option<&'s Action> {
        match self.moment {
            Moment::After(action) => Some(&self.specification.actions[action]),
            Moment::Initially | Moment::Implied => None,
        }
    }

    /// Returns the name of the moment in reports.
    pub fn moment_name(&self) -> &'s str {
        match self.moment {
            Moment::Initially => "initially",
            Moment::After(action) => &self.specification.actions[action].name,
            Moment::Implied => "implied",
        }
    }

    /// Returns the axioms, the formulas that hold in the state before the action by assumption, and the guards of the action.
    pub fn premises(&self) -> Vec<&'s Formula> {
        let axioms = self.specification.axioms.iter();
        let before: Vec<_> = match self.moment {
            Moment::Initially => Vec::new(),
            Moment::After(_) => self.specification.statements().collect(),
            Moment::Implied => self.specification.invariants.iter().collect(),
        };
        let guards = self.action().map_or(&[][..], |action| &action.guards);
        let statements = axioms.chain(before).map(|statement| &statement.formula);
        statements.chain(guards).collect()
    }

    /// Returns the goal as a formula about the state before the action.
    pub fn conclusion(&self) -> Formula {
        let same = |variable| variable;
        match self.moment {
            Moment::Initially => {
                let relations = &self.specification.relations;
                let at_first = |relation: Relation, arguments: &[Variable]| {
                    if relations[relation.0].rigid {
                        Formula::Atom(relation, arguments.to_vec())
                    } else {
                        Formula::falsehood()
                    }
                };
                self.goal.formula.map(&at_first, &same)
            }
            Moment::After(action) => {
                let updates = &self.specification.actions[action].updates;
                let after = |relation: Relation, arguments: &[Variable]| {
                    let update = updates.iter().find(|update| update.relation == relation);
                    let before = Formula::Atom(relation, arguments.to_vec());
                    update.map_or(before.clone(), |update| after(update, arguments, before))
                };
                self.goal.formula.map(&after, &same)
            }
            Moment::Implied => self.goal.formula.clone(),
        }
    }
}

/// Returns a formula about the state before an update. It is true if the relation holds for the arguments after the update.
fn after(update: &Update, arguments: &[Variable], before: Formula) -> Formula {
    let places = || update.pattern.iter().zip(arguments);
    let value = |variable: Variable| {
        let free = update.bound.contains(&variable);
        let argument = places().find(|(pattern, _)| free && **pattern == variable);
        argument.map_or(variable, |(_, argument)| *argument)
    };
    let unchanged = |relation, arguments: &[Variable]| Formula::Atom(relation, arguments.to_vec());
    let formula = update.formula.map(&unchanged, &value);
    let fixed = places().filter(|(pattern, _)| !update.bound.contains(pattern));
    let fixed = fixed.filter(|(pattern, argument)| pattern != argument);
    let matches =
        Formula::all(fixed.map(|(pattern, argument)| Formula::Equal(*pattern, *argument)));
    Formula::any([
        Formula::all([matches.clone(), formula]),
        Formula::all([matches.negated(), before]),
    ])
}
