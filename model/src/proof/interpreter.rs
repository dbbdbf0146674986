//! A specification as a transition system over finite structures: its text, run as it stands.
//!
//! Counterexamples are replayed here before anybody sees them, and the models of this crate are held
//! against it. It shares nothing with the provers but the text.

use super::{
    language::Specification,
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
#[derive(Clone, Debug)]
pub struct Interpreter<'s> {
    specification: &'s Specification,
    /// Room for what variables stand for; nothing is kept in it.
    assignment: Assignment,
}

impl<'s> Interpreter<'s> {
    /// For a specification.
    pub fn new(specification: &'s Specification) -> Self {
        Self { specification, assignment: Assignment::of(specification) }
    }

    /// What it runs.
    pub fn specification(&self) -> &'s Specification {
        self.specification
    }

    /// Whether a step may be taken.
    pub fn enabled(&mut self, state: &Structure, step: &Step) -> bool {
        self.bind(step);
        self.guarded(state, step.action)
    }

    /// The state after a step, or `None` if it may not be taken.
    pub fn take(&mut self, state: &Structure, step: &Step) -> Option<Structure> {
        self.enabled(state, step).then(|| self.update(state, step))
    }

    /// All steps that may be taken and that change something, with what they lead to.
    pub fn steps(&mut self, state: &Structure) -> Vec<(Step, Structure)> {
        let mut steps = Vec::new();
        for (action, declaration) in self.specification.actions.iter().enumerate() {
            let mut assignment = self.assignment.clone();
            let parameters = &declaration.parameters;
            state.every(parameters, &mut assignment, &mut |assignment| {
                let arguments = parameters.iter().map(|&x| assignment.get(x)).collect();
                let step = Step { action, arguments };
                if let Some(next) = self.take(state, &step).filter(|next| next != state) {
                    steps.push((step, next));
                }
                true
            });
        }
        steps
    }

    /// Whether a formula without free variables holds in a state.
    pub fn holds(&mut self, state: &Structure, formula: &super::language::Formula) -> bool {
        state.satisfies(formula, &mut self.assignment)
    }

    fn bind(&mut self, step: &Step) {
        let parameters = &self.specification.actions[step.action].parameters;
        assert_eq!(parameters.len(), step.arguments.len(), "one argument for each parameter");
        for (&parameter, &argument) in parameters.iter().zip(&step.arguments) {
            self.assignment.set(parameter, argument);
        }
    }

    fn guarded(&mut self, state: &Structure, action: usize) -> bool {
        let guards = &self.specification.actions[action].guards;
        guards.iter().all(|guard| state.satisfies(guard, &mut self.assignment))
    }

    /// All updates read the state before any of them.
    fn update(&mut self, state: &Structure, step: &Step) -> Structure {
        let mut next = state.clone();
        for update in &self.specification.actions[step.action].updates {
            state.every(&update.bound, &mut self.assignment, &mut |assignment| {
                let tuple: Vec<_> = update.pattern.iter().map(|&x| assignment.get(x)).collect();
                next.set(update.relation, &tuple, state.satisfies(&update.formula, assignment));
                true
            });
        }
        next
    }
}
