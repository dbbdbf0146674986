//! Runs a specification as a transition system over finite structures.
//!
//! It replays each counterexample before the report. The interpreter shares only the specification with the provers, so a
//! fault of a prover does not repeat itself in the replay.

use super::{
    language::{Formula, Specification},
    structure::{Assignment, Element, Structure},
};

/// An action with its arguments. It need not be possible.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// An index into [`Specification::actions`].
    pub action: usize,
    /// The value of each parameter.
    pub arguments: Vec<Element>,
}

/// Runs one specification.
#[derive(Clone, Copy, Debug)]
pub struct Interpreter<'s> {
    specification: &'s Specification,
}

impl<'s> Interpreter<'s> {
    /// Returns the interpreter of a specification.
    pub fn new(specification: &'s Specification) -> Self {
        Self { specification }
    }

    /// Returns the specification.
    pub fn specification(&self) -> &'s Specification {
        self.specification
    }

    /// Returns the state after a step, or `None` if a guard is false.
    pub fn take(&self, state: &Structure, step: &Step) -> Option<Structure> {
        let mut assignment = Assignment::of(self.specification);
        let parameters = &self.specification.actions[step.action].parameters;
        assert_eq!(parameters.len(), step.arguments.len(), "one argument for each parameter");
        for (&parameter, &argument) in parameters.iter().zip(&step.arguments) {
            assignment.set(parameter, argument);
        }
        self.apply(state, step.action, &mut assignment)
    }

    /// Returns all steps that are possible and change the state, each with the state after it.
    pub fn steps(&self, state: &Structure) -> Vec<(Step, Structure)> {
        let mut steps = Vec::new();
        let mut assignment = Assignment::of(self.specification);
        for (action, declaration) in self.specification.actions.iter().enumerate() {
            let parameters = &declaration.parameters;
            state.every(parameters, &mut assignment, &mut |assignment| {
                if let Some(next) = self.apply(state, action, assignment).filter(|it| it != state) {
                    let arguments = parameters.iter().map(|&x| assignment.get(x)).collect();
                    steps.push((Step { action, arguments }, next));
                }
                true
            });
        }
        steps
    }

    /// Returns true if the formula, which has no free variables, holds in the state.
    pub fn holds(&self, state: &Structure, formula: &Formula) -> bool {
        state.satisfies(formula, &mut Assignment::of(self.specification))
    }

    /// Returns the state after an action, whose arguments are in the assignment. All updates read the state before
    /// the action.
    fn apply(
        self,
        state: &Structure,
        action: usize,
        assignment: &mut Assignment,
    ) -> Option<Structure> {
        let action = &self.specification.actions[action];
        if !action.guards.iter().all(|guard| state.satisfies(guard, assignment)) {
            return None;
        }
        let mut next = state.clone();
        for update in &action.updates {
            state.every(&update.bound, assignment, &mut |assignment| {
                let holds = state.satisfies(&update.formula, assignment);
                next.set_of(update.relation, &update.pattern, assignment, holds);
                true
            });
        }
        Some(next)
    }
}
