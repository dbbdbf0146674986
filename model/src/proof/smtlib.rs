//! The same obligations for other provers: as SMT-LIB, and answers from z3 and cvc5.
//!
//! Nothing of the built-in prover's work is in a script, not even the substitution of what an action
//! does: the relations after it are defined, and the goal is about those. So a mistake there cannot
//! agree with itself.

use std::{
    fmt,
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    language::{Names, Relation, Specification, Update, Variable},
    obligation::{Finding, Moment, Obligation},
};

/// Which solver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Microsoft's.
    Z3,
    /// The successor of CVC4.
    Cvc5,
}

/// A solver that is there.
#[derive(Clone, Debug)]
pub struct Solver {
    kind: Kind,
    version: String,
}

/// A solver that is not.
#[derive(Debug, thiserror::Error)]
#[error(
    "{program} is not on the PATH ({why}); install it (a package of that name is in Debian), or use \
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
        let mut command = Command::new(self.program());
        match self {
            Self::Z3 => command.args(["-smt2", "-in", &format!("-t:{}", timeout.as_millis())]),
            Self::Cvc5 => command.args([
                "--lang=smt2",
                "--finite-model-find",
                &format!("--tlimit={}", timeout.as_millis()),
                "-",
            ]),
        };
        command
    }
}

impl Solver {
    /// Looks whether it is there.
    ///
    /// # Errors
    /// If it is not, or does not say its version.
    pub fn find(kind: Kind) -> Result<Self, Missing> {
        let missing = |why| Missing { program: kind.program(), why };
        let output = Command::new(kind.program()).arg("--version").stderr(Stdio::null()).output();
        let output = output.map_err(|error| missing(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let numbered =
            |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
        let version = text.split_whitespace().find(numbered);
        let version = version.ok_or_else(|| missing("it does not say its version".to_owned()))?;
        Ok(Self { kind, version: version.to_owned() })
    }

    /// Asks it whether the obligation of a script can fail.
    pub fn run(&self, script: &str, timeout: Duration) -> Finding {
        match self.ask(script, timeout) {
            Ok(answer) => match answer.split_whitespace().next() {
                Some("unsat") => Finding::Proved,
                Some("sat") => Finding::Refuted,
                _ => Finding::Unknown { why: format!("{self} says: {}", answer.trim()) },
            },
            Err(error) => Finding::Unknown { why: format!("{self} could not be asked: {error}") },
        }
    }

    fn ask(&self, script: &str, timeout: Duration) -> std::io::Result<String> {
        let mut child = self
            .kind
            .command(timeout)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // It reads all of the script before it says anything.
        let written = child.stdin.take().expect("it is piped").write_all(script.as_bytes());
        let output = child.wait_with_output()?;
        written?;
        let mut answer = String::from_utf8_lossy(&output.stdout).into_owned();
        if answer.trim().is_empty() {
            answer = String::from_utf8_lossy(&output.stderr).into_owned();
        }
        Ok(answer)
    }
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.program(), self.version)
    }
}

/// An obligation as a script that a solver finds unsatisfiable if it holds.
pub fn script<'a>(obligation: &'a Obligation<'a>) -> impl fmt::Display + 'a {
    Script(obligation)
}

struct Script<'a>(&'a Obligation<'a>);

/// Variables get their number, since SMT-LIB knows no two of one name; relations may be those of the
/// state after.
struct Unique {
    after: bool,
}

impl Names for Unique {
    fn relation(&self, specification: &Specification, relation: Relation) -> String {
        let declaration = &specification.relations[relation.0];
        let next = if self.after && !declaration.rigid { ".next" } else { "" };
        symbol(&format!("{}{next}", declaration.name))
    }

    fn variable(&self, specification: &Specification, variable: Variable) -> String {
        symbol(&format!("{}.{}", specification.variables[variable.index], variable.index))
    }
}

const BEFORE: Unique = Unique { after: false };
const AFTER: Unique = Unique { after: true };

/// A name as a symbol of SMT-LIB: as it is, or quoted.
fn symbol(name: &str) -> String {
    let simple = |c: char| c.is_ascii_alphanumeric() || "~!@$%^&*_-+=<>.?/".contains(c);
    let word = !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(simple);
    if word { name.to_owned() } else { format!("|{}|", name.replace(['|', '\\'], "_")) }
}

impl fmt::Display for Script<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Obligation { specification, moment, goal } = *self.0;
        let sort = |index: usize| symbol(&specification.sorts[index].name);
        writeln!(f, "; {}, {}: {}", specification.name, self.0.moment_name(), goal.name)?;
        writeln!(f, "; {}", goal.words)?;
        writeln!(f, "; It holds if this is unsatisfiable.")?;
        writeln!(f, "(set-logic UF)")?;
        for index in 0..specification.sorts.len() {
            writeln!(f, "(declare-sort {} 0)", sort(index))?;
        }
        for (index, declaration) in specification.relations.iter().enumerate() {
            let sorts: Vec<_> = declaration.signature.iter().map(|s| sort(s.0)).collect();
            let name = BEFORE.relation(specification, Relation(index));
            writeln!(f, "(declare-fun {name} ({}) Bool)", sorts.join(" "))?;
        }
        if let Some(action) = self.0.action() {
            writeln!(f, "; the arguments of {}", action.name)?;
            for &parameter in &action.parameters {
                let name = BEFORE.variable(specification, parameter);
                writeln!(f, "(declare-fun {name} () {})", sort(parameter.sort.0))?;
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

/// What a relation is afterwards: as an update says where its pattern matches, and else as before; or
/// without an update the formula, if there is one.
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
            _ => format!("place.{place}"),
        };
        if let Some((update, x)) = pattern
            && !update.bound.contains(&x)
        {
            matches.push(format!("(= {name} {})", BEFORE.variable(specification, x)));
        }
        places.push((name, symbol(&specification.sorts[sort.0].name)));
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
