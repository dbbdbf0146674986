//! Obligations as SMT-LIB scripts, and their decision by z3 or cvc5.
//!
//! A script does not use the clauses of the built-in prover. It does not even use its substitution of an action's effect:
//! the script defines the relations after the action, and states the goal about them. So a fault in the built-in prover does
//! not repeat itself here.

use std::{
    fmt,
    io::{self, Read as _, Write as _},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    language::{Names, Relation, Sort, Specification, Update, Variable},
    limits::Watch,
    obligation::{Finding, Moment, Obligation},
};

/// A supported solver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The program `z3`.
    Z3,
    /// The program `cvc5`.
    Cvc5,
}

/// An installed solver.
#[derive(Clone, Debug)]
pub struct Solver {
    kind: Kind,
    version: String,
}

/// The error for a solver that is not installed or does not run.
#[derive(Debug, thiserror::Error)]
#[error(
    "{program} is not on the PATH ({why}); install it (Debian has a package of that name), or use \
     `--prover builtin`, which needs nothing"
)]
pub struct Missing {
    program: &'static str,
    why: String,
}

impl Kind {
    const fn program(self) -> &'static str {
        match self {
            Self::Z3 => "z3",
            Self::Cvc5 => "cvc5",
        }
    }

    fn command(self, timeout: Duration) -> Command {
        // A limit of 0 means no limit to both solvers.
        let limit = timeout.as_millis().max(1);
        let mut command = Command::new(self.program());
        match self {
            Self::Z3 => command.args(["-smt2", "-in", &format!("-t:{limit}")]),
            Self::Cvc5 => command.args([
                "--lang=smt2",
                "--finite-model-find",
                &format!("--tlimit={limit}"),
                "-",
            ]),
        };
        command
    }
}

impl Solver {
    /// Finds a solver by asking for its version.
    ///
    /// # Errors
    /// Fails if the program does not run, or does not print its version.
    pub fn find(kind: Kind) -> Result<Self, Missing> {
        let missing = |why| Missing { program: kind.program(), why };
        let output = Command::new(kind.program()).arg("--version").stderr(Stdio::null()).output();
        let output = output.map_err(|error| missing(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let numbered =
            |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
        let version = text.split_whitespace().find(numbered);
        let version = version.ok_or_else(|| missing("it does not print its version".to_owned()))?;
        Ok(Self { kind, version: version.to_owned() })
    }

    /// Decides the obligation of a script. The finding is unknown unless the answer is exactly `sat` or `unsat`.
    pub(super) fn run(&self, script: &str, watch: &Watch) -> Finding {
        let timeout = watch.timeout();
        match self.ask(script, watch) {
            Ok(answer) => match answer.trim() {
                "unsat" => Finding::Proved,
                "sat" => Finding::Refuted,
                "" | "unknown" | "timeout" => Finding::Unknown {
                    why: format!("{self} did not decide within the time limit of {timeout:?}"),
                },
                other => Finding::Unknown { why: format!("{self} answered: {other}") },
            },
            Err(error) => Finding::Unknown { why: format!("{self} could not be asked: {error}") },
        }
    }

    fn ask(&self, script: &str, watch: &Watch) -> io::Result<String> {
        let timeout = watch.timeout();
        let child = self
            .kind
            .command(timeout)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut running = Running(child);
        let mut input = running.0.stdin.take().expect("it is piped");
        let mut output = running.0.stdout.take().expect("it is piped");
        let script = script.to_owned();
        // Two threads write and read, because the solver may answer before it has read the whole script. If the solver ends
        // before that, the write fails, and the answer has the reason.
        let writer =
            thread::Builder::new().spawn(move || drop(input.write_all(script.as_bytes())))?;
        let reader = thread::Builder::new().spawn(move || {
            let mut answer = String::new();
            output.read_to_string(&mut answer).map(|_| answer)
        })?;
        // The solver gets the time limit as an argument. If it still runs five seconds later, it is killed.
        let time = timeout.saturating_add(Duration::from_secs(5));
        let deadline = Instant::now().checked_add(time);
        let mut called_off = None;
        while running.0.try_wait()?.is_none() {
            called_off = watch.called_off();
            if called_off.is_some() || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        drop(running);
        writer.join().expect("writing does not panic");
        let answer = reader.join().expect("reading does not panic");
        called_off.map_or(answer, |why| Err(io::Error::other(why)))
    }
}

/// A running solver. Dropping it kills the process.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Killing a process that has ended does nothing. Waiting reaps it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.program(), self.version)
    }
}

/// Returns the script of an obligation. The script is unsatisfiable if and only if the obligation holds.
pub fn script<'a>(obligation: &'a Obligation<'a>) -> impl fmt::Display + 'a {
    Script(obligation)
}

struct Script<'a>(&'a Obligation<'a>);

/// Names that consist of a letter for the kind and a number. So all names are unique, and none has a meaning to the solver.
/// Comments in the script have the original names.
struct Numbered {
    /// True for relations in the state after the action.
    after: bool,
}

impl Names for Numbered {
    fn relation(&self, specification: &Specification, Relation(number): Relation) -> String {
        let next = self.after && !specification.relations[number].rigid;
        format!("r{number}{}", if next { "_next" } else { "" })
    }

    fn variable(&self, _: &Specification, variable: Variable) -> String {
        format!("x{}", variable.index)
    }

    fn sort(&self, _: &Specification, Sort(number): Sort) -> String {
        format!("s{number}")
    }
}

const BEFORE: Numbered = Numbered { after: false };
const AFTER: Numbered = Numbered { after: true };

impl fmt::Display for Script<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Obligation { specification, moment, goal } = *self.0;
        writeln!(f, "; {}, {}: {}", specification.name, self.0.moment_name(), goal.name)?;
        writeln!(f, "; {}", goal.words)?;
        writeln!(
            f,
            "; It holds if this is unsatisfiable: z3 FILE, or cvc5 --finite-model-find FILE."
        )?;
        writeln!(f, "(set-logic UF)")?;
        for (number, declaration) in specification.sorts.iter().enumerate() {
            let name = BEFORE.sort(specification, Sort(number));
            writeln!(f, "(declare-sort {name} 0) ; {}", declaration.name)?;
        }
        for (number, declaration) in specification.relations.iter().enumerate() {
            let sorts = declaration.signature.iter().map(|sort| BEFORE.sort(specification, *sort));
            let sorts: Vec<_> = sorts.collect();
            let name = BEFORE.relation(specification, Relation(number));
            writeln!(f, "(declare-fun {name} ({}) Bool) ; {}", sorts.join(" "), declaration.name)?;
        }
        if let Some(action) = self.0.action() {
            writeln!(f, "; the arguments of {}", action.name)?;
            for &parameter in &action.parameters {
                let name = BEFORE.variable(specification, parameter);
                let sort = BEFORE.sort(specification, parameter.sort);
                let called = &specification.variables[parameter.index];
                writeln!(f, "(declare-fun {name} () {sort}) ; {called}")?;
            }
        }
        writeln!(f, "; before")?;
        for premise in self.0.premises() {
            writeln!(f, "(assert {})", specification.show(premise, &BEFORE))?;
        }
        writeln!(f, "; after")?;
        for (index, declaration) in specification.relations.iter().enumerate() {
            if declaration.rigid {
                continue;
            }
            let relation = Relation(index);
            match moment {
                Moment::Implied => {}
                Moment::Initially => define(f, specification, relation, None, "false")?,
                Moment::After(_) => {
                    let updates = self.0.action().map_or(&[][..], |action| &action.updates);
                    let update = updates.iter().find(|update| update.relation == relation);
                    let formula = update
                        .map(|update| specification.show(&update.formula, &BEFORE).to_string());
                    define(f, specification, relation, update, formula.as_deref().unwrap_or(""))?;
                }
            }
        }
        let names = if moment == Moment::Implied { BEFORE } else { AFTER };
        writeln!(f, "(assert (not {}))", specification.show(&goal.formula, &names))?;
        writeln!(f, "(check-sat)")
    }
}

/// Defines a relation in the state after the action. For tuples that match the pattern of the update, the relation is
/// `formula`. For other tuples, it is unchanged. Without an update, the relation is `formula` for all tuples, or unchanged if
/// `formula` is empty.
fn define(
    f: &mut fmt::Formatter<'_>,
    specification: &Specification,
    relation: Relation,
    update: Option<&Update>,
    formula: &str,
) -> fmt::Result {
    let signature = &specification.relations[relation.0].signature;
    let mut places = Vec::new();
    let mut matches = Vec::new();
    for (place, sort) in signature.iter().enumerate() {
        let pattern = update.map(|update| (update, update.pattern[place]));
        let name = match pattern {
            Some((update, x)) if update.bound.contains(&x) => BEFORE.variable(specification, x),
            _ => format!("p{place}"),
        };
        if let Some((update, x)) = pattern
            && !update.bound.contains(&x)
        {
            matches.push(format!("(= {name} {})", BEFORE.variable(specification, x)));
        }
        places.push((name, BEFORE.sort(specification, *sort)));
    }
    let parameters: Vec<_> = places.iter().map(|(name, sort)| format!("({name} {sort})")).collect();
    let arguments: Vec<_> = places.iter().map(|(name, _)| &**name).collect();
    let relation_before = BEFORE.relation(specification, relation);
    let before = if arguments.is_empty() {
        relation_before
    } else {
        format!("({relation_before} {})", arguments.join(" "))
    };
    let body = match update {
        None if formula.is_empty() => before,
        None => formula.to_owned(),
        Some(_) if matches.is_empty() => formula.to_owned(),
        Some(_) => format!("(ite (and {}) {formula} {before})", matches.join(" ")),
    };
    let name = AFTER.relation(specification, relation);
    writeln!(f, "(define-fun {name} ({}) Bool {body})", parameters.join(" "))
}
