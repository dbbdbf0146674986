//! A specification as a transition system over finite structures: its text, run as it stands.
//!
//! Counterexamples are replayed here before anybody sees them, and the models of this crate are held
//! against it. It shares nothing with the provers but the text.

use super::{
    language::{Formula, Specification},
    structure::{Assignment, Element, Structure},
};

/// An action with its arguments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// An index into [`Specification::actions`].
    pub action: usize,
    /// One element for each parameter.
    pub arguments: Vec<Element>,
}

/// Runs one specification.
#[derive(Clone, Copy, Debug)]
pub struct Interpreter<'s> {
    specification: &'s Specification,
}

impl<'s> Interpreter<'s> {
    /// For a specification.
    pub fn new(specification: &'s Specification) -> Self {
        Self { specification }
    }

    /// What it runs.
    pub fn specification(&self) -> &'s Specification {
        self.specification
    }

    /// The state after a step, or `None` if it may not be taken.
    pub fn take(&self, state: &Structure, step: &Step) -> Option<Structure> {
        let mut assignment = Assignment::of(self.specification);
        let parameters = &self.specification.actions[step.action].parameters;
        assert_eq!(parameters.len(), step.arguments.len(), "one argument for each parameter");
        for (&parameter, &argument) in parameters.iter().zip(&step.arguments) {
            assignment.set(parameter, argument);
        }
        self.apply(state, step.action, &mut assignment)
    }

    /// All steps that may be taken and that change something, with what they lead to.
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

    /// Whether a formula without free variables holds in a state.
    pub fn holds(&self, state: &Structure, formula: &Formula) -> bool {
        state.satisfies(formula, &mut Assignment::of(self.specification))
    }

    /// The state after an action of which the assignment gives the arguments. All updates read the
    /// state before any of them.
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
