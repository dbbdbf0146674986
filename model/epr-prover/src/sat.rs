//! The SAT solver (batsat), with limits, and with proofs that other programs can check.

use std::fmt;

use batsat::{Callbacks, Lit, Solver, SolverInterface as _, SolverOpts, Var, clause, lbool};

use super::limits::Watch;

/// The result of a search for an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The clauses are unsatisfiable.
    Contradiction,
    /// The clauses are satisfiable, and an assignment was found.
    Model,
    /// A limit was reached first.
    TimeUp,
}

/// A propositional variable or its negation.
pub type SatLiteral = Lit;

/// A set of clauses over numbered variables.
pub struct Sat {
    solver: Solver<Monitor>,
}

/// Stops the solver at a limit, and records the clauses that it learns.
#[derive(Default)]
struct Monitor {
    watch: Watch,
    certificate: Option<Certificate>,
}

/// Unsatisfiable clauses, and a proof of that.
///
/// The proof is a list of clauses, each of which follows from the clauses before it by unit propagation. Its last
/// clause is empty. (This is the format DRAT, without deletions.) Variables are numbered from 1 as in DIMACS, and a
/// negated variable is a negative number.
#[derive(Clone, Debug, Default)]
pub struct Certificate {
    /// The clauses.
    pub clauses: Vec<Vec<i32>>,
    /// The proof.
    pub proof: Vec<Vec<i32>>,
}

impl Callbacks for Monitor {
    fn stop(&self) -> bool {
        self.watch.has_ended()
    }

    fn on_new_clause(&mut self, literals: &[Lit], _: clause::Kind) {
        if let Some(certificate) = &mut self.certificate {
            certificate.proof.push(literals.iter().copied().map(dimacs).collect());
        }
    }
}

fn dimacs(literal: Lit) -> i32 {
    let variable = literal.var().idx().cast_signed() + 1;
    if literal.sign() { variable } else { -variable }
}

impl Certificate {
    /// Prints the clauses in the format DIMACS, after some lines of comments.
    pub fn cnf<'a>(&'a self, comments: &'a [String]) -> impl fmt::Display + 'a {
        Cnf(self, comments)
    }

    /// Prints the proof in the format DRAT.
    pub fn drat(&self) -> impl fmt::Display + '_ {
        Lines(&self.proof)
    }
}

struct Cnf<'a>(&'a Certificate, &'a [String]);

impl fmt::Display for Cnf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Certificate { clauses, .. }, comments) = self;
        comments.iter().try_for_each(|comment| writeln!(f, "c {comment}"))?;
        let variables = clauses.iter().flatten().map(|literal| literal.abs()).max().unwrap_or(0);
        writeln!(f, "p cnf {variables} {}", clauses.len())?;
        Lines(clauses).fmt(f)
    }
}

struct Lines<'a>(&'a [Vec<i32>]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for clause in self.0 {
            clause.iter().try_for_each(|literal| write!(f, "{literal} "))?;
            writeln!(f, "0")?;
        }
        Ok(())
    }
}

impl Sat {
    /// Returns the empty set of clauses. Searches stop at the limits of `watch`.
    pub fn new(watch: &Watch) -> Self {
        let monitor = Monitor { watch: watch.clone(), certificate: None };
        Self { solver: Solver::new(SolverOpts::default(), monitor) }
    }

    /// Records all clauses from now on, for [`certificate`](Self::certificate).
    pub fn record(&mut self) {
        self.solver.cb_mut().certificate = Some(Certificate::default());
    }

    /// Returns the proof that the clauses are unsatisfiable, if that was found and [recorded](Self::record).
    pub fn certificate(&self) -> Option<Certificate> {
        let mut certificate = self.solver.cb().certificate.clone()?;
        certificate.proof.push(Vec::new());
        (!self.solver.is_ok()).then_some(certificate)
    }

    /// Adds a variable. Variables are numbered from 0.
    pub fn new_variable(&mut self) -> usize {
        self.solver.new_var_default().idx() as usize
    }

    /// Adds the clause that at least one of the literals is true.
    pub fn add_clause(&mut self, literals: &[SatLiteral]) {
        if let Some(certificate) = &mut self.solver.cb_mut().certificate {
            certificate.clauses.push(literals.iter().copied().map(dimacs).collect());
        }
        self.solver.add_clause_reuse(&mut literals.to_vec());
    }

    /// Searches for an assignment in which all clauses and all assumptions are true.
    pub fn solve(&mut self, assumptions: &[SatLiteral]) -> Answer {
        match self.solver.solve_limited(assumptions) {
            answer if answer == lbool::FALSE => Answer::Contradiction,
            answer if answer == lbool::TRUE => Answer::Model,
            _ => Answer::TimeUp,
        }
    }

    /// Returns true if the variable is true in the assignment that was found last.
    pub fn is_true(&self, variable: usize) -> bool {
        self.solver.value_var(Var::unsafe_from_idx(variable as u32)) == lbool::TRUE
    }
}

/// Returns a variable as a literal, negated unless `positive`.
pub fn literal(variable: usize, positive: bool) -> SatLiteral {
    Lit::new(Var::unsafe_from_idx(variable as u32), positive)
}
