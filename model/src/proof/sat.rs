//! The SAT solver, with a time limit.

use std::time::Instant;

use batsat::{Callbacks, Lit, Solver, SolverInterface as _, SolverOpts, Var, lbool};

/// What a solver found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The clauses can not all be true.
    Contradiction,
    /// They can, and there is an assignment.
    Model,
    /// The time was up before either was known.
    TimeUp,
}

/// A propositional variable or its opposite.
pub type Literal = Lit;

/// Clauses over numbered variables.
pub struct Sat {
    solver: Solver<Limit>,
}

#[derive(Default)]
struct Limit {
    deadline: Option<Instant>,
}

impl Callbacks for Limit {
    fn stop(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

impl Sat {
    /// No clauses yet, to be solved before a deadline.
    pub fn new(deadline: Option<Instant>) -> Self {
        Self { solver: Solver::new(SolverOpts::default(), Limit { deadline }) }
    }

    /// Another variable; they are numbered from 0.
    pub fn variable(&mut self) -> usize {
        self.solver.new_var_default().idx() as usize
    }

    /// Demands that one of some literals is true.
    pub fn clause(&mut self, literals: &[Literal]) {
        self.solver.add_clause_reuse(&mut literals.to_vec());
    }

    /// Looks for an assignment in which some literals are true besides.
    pub fn solve(&mut self, assumptions: &[Literal]) -> Answer {
        match self.solver.solve_limited(assumptions) {
            answer if answer == lbool::FALSE => Answer::Contradiction,
            answer if answer == lbool::TRUE => Answer::Model,
            _ => Answer::TimeUp,
        }
    }

    /// Whether a variable is true in the assignment that was found last.
    pub fn is_true(&self, variable: usize) -> bool {
        self.solver.value_var(Var::unsafe_from_idx(variable as u32)) == lbool::TRUE
    }
}

/// A variable, or its opposite.
pub fn literal(variable: usize, positive: bool) -> Literal {
    Lit::new(Var::unsafe_from_idx(variable as u32), positive)
}
