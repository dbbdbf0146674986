//! The SAT solver, with limits, and with its proof for those who check it.

use std::fmt;

use batsat::{Callbacks, Lit, Solver, SolverInterface as _, SolverOpts, Var, clause, lbool};

use super::patience::Watch;

/// What a solver found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The clauses can not all be true.
    Contradiction,
    /// They can, and there is an assignment.
    Model,
    /// A limit was reached before either was known.
    TimeUp,
}

/// A propositional variable or its opposite.
pub type Literal = Lit;

/// Clauses over numbered variables.
pub struct Sat {
    solver: Solver<Told>,
}

/// What is told to the solver, and what it tells.
#[derive(Default)]
struct Told {
    watch: Watch,
    certificate: Option<Certificate>,
}

/// Clauses that can not all be true, and why: a list of clauses, each of which follows from those before
/// it by unit propagation, the last one being empty (a proof in the format DRAT, without deletions).
///
/// Numbers are those of variables, counted from 1 as DIMACS wants it; opposites are negative.
#[derive(Clone, Debug, Default)]
pub struct Certificate {
    /// The clauses.
    pub clauses: Vec<Vec<i32>>,
    /// What follows from them, in order.
    pub proof: Vec<Vec<i32>>,
}

impl Callbacks for Told {
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
    /// The clauses in the format DIMACS, after comments that say what the variables are.
    pub fn cnf<'a>(&'a self, comments: &'a [String]) -> impl fmt::Display + 'a {
        Cnf(self, comments)
    }

    /// The proof in the format DRAT.
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
    /// No clauses yet, to be solved before some limit is reached.
    pub fn new(watch: &Watch) -> Self {
        let told = Told { watch: watch.clone(), certificate: None };
        Self { solver: Solver::new(SolverOpts::default(), told) }
    }

    /// From now on, keeps what [`certificate`](Self::certificate) needs.
    pub fn record(&mut self) {
        self.solver.cb_mut().certificate = Some(Certificate::default());
    }

    /// Why the clauses can not all be true, if that was found and [recorded](Self::record).
    pub fn certificate(&self) -> Option<Certificate> {
        let mut certificate = self.solver.cb().certificate.clone()?;
        certificate.proof.push(Vec::new());
        (!self.solver.is_ok()).then_some(certificate)
    }

    /// Another variable; they are numbered from 0.
    pub fn variable(&mut self) -> usize {
        self.solver.new_var_default().idx() as usize
    }

    /// Demands that one of some literals is true.
    pub fn clause(&mut self, literals: &[Literal]) {
        if let Some(certificate) = &mut self.solver.cb_mut().certificate {
            certificate.clauses.push(literals.iter().copied().map(dimacs).collect());
        }
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
