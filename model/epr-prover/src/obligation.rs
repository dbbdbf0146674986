//! What has to be shown for a specification to be safe in all its states, however many there are.
//!
//! That its invariant, together with the safety properties, holds at first; that each action preserves
//! each formula of it; and that the invariant alone implies each safety property. Each of these is a set
//! of formulas that must not be satisfiable: a [`Obligation`]. Nothing is decided here.

use super::language::{Action, Formula, Relation, Specification, Statement, Update, Variable};

/// When a formula has to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// In the initial states, where no relation that changes holds of anything.
    Initially,
    /// After an action, if all formulas held before: an index into [`Specification::actions`].
    After(usize),
    /// In every state that satisfies the invariant.
    Implied,
}

/// One thing to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Obligation<'s> {
    /// Of what.
    pub specification: &'s Specification,
    /// When.
    pub moment: Moment,
    /// The formula.
    pub goal: &'s Statement,
}

/// What was found about an obligation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It always holds.
    Proved,
    /// It does not.
    Refuted,
    /// Nobody knows.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// All that has to be shown.
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
    /// The action after which the formula has to hold.
    pub fn action(&self) -> Option<&'s Action> {
        match self.moment {
            Moment::After(action) => Some(&self.specification.actions[action]),
            Moment::Initially | Moment::Implied => None,
        }
    }

    /// The name of the moment.
    pub fn moment_name(&self) -> &'s str {
        match self.moment {
            Moment::Initially => "initially",
            Moment::After(action) => &self.specification.actions[action].name,
            Moment::Implied => "implied",
        }
    }

    /// What holds before, and whatever the moment: axioms, and hypotheses about the state.
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

    /// The goal, said about the state before.
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

/// When a relation holds of some arguments after an update, in terms of the state before.
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
