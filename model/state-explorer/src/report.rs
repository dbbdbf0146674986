//! The report of an exploration, for people ([`Display`](fmt::Display)) and for programs ([`Serialize`]). `{report:#}` also has
//! the number of actions of each kind.
//!
//! This module has the types and their texts. [`explore`](super::explore) decides the verdict.

use std::collections::BTreeMap;
use std::fmt;

use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use verdict::Verdict;

/// The kind of a property.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Expectation {
    /// The property is true in each reachable state.
    Always,
    /// Each path leads to a state where the property is true.
    Eventually,
    /// The property is true in some reachable state.
    Sometimes,
}

impl From<&stateright::Expectation> for Expectation {
    fn from(expectation: &stateright::Expectation) -> Self {
        match expectation {
            stateright::Expectation::Always => Self::Always,
            stateright::Expectation::Eventually => Self::Eventually,
            stateright::Expectation::Sometimes => Self::Sometimes,
        }
    }
}

/// The result for a property.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// `always`: true in all states visited, and the search was complete.
    Holds,
    /// `always`: false at the end of a known path.
    Violated,
    /// `sometimes`: true in some state.
    Seen,
    /// `sometimes`: false in all states visited, and the search was complete.
    Never,
    /// The search ended too early, or the engines do not decide the property.
    Undecided,
}

/// One step of a path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Step {
    /// The action; `None` for the initial state.
    pub action: Option<String>,
    /// The state after the action.
    pub state: String,
}

/// A path to a state where an `always` property is false, or a `sometimes` property true.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Counterexample {
    /// True if no shorter path to such a state exists.
    pub shortest: bool,
    /// The path, the initial state first.
    pub steps: Vec<Step>,
}

/// The symmetry of a search in which states that are equal up to renaming count as one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Symmetric {
    /// The renamed things, in words.
    pub of: String,
    /// The number of all states that differ from a visited state only by a renaming. After a complete search, it is the
    /// number of states without symmetry.
    pub orbits: u64,
}

/// A property and its result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PropertyReport {
    /// The name of the property.
    pub name: &'static str,
    /// The kind of the property.
    pub expectation: Expectation,
    /// The result.
    pub finding: Finding,
    /// A path to a state where the property is false, if it is violated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counterexample: Option<Counterexample>,
    /// A path to a state where the property is true, if [`Options::show`](super::Options::show) names the property.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<Counterexample>,
}

/// The result of an exploration.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// The [title](super::Explorable::title) of the model.
    pub model: String,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// True if each reachable state was visited.
    pub complete: bool,
    /// The number of distinct states visited.
    pub states: usize,
    /// The number of steps taken from them, to new states and to known ones.
    pub transitions: usize,
    /// The greatest depth of a visited state: the number of states on a shortest path to it. Initial states have
    /// depth 1. `None` if the search does not measure it.
    pub depth: Option<usize>,
    /// The time of the search. It excludes the second search that finds a shortest counterexample for stateright. It includes
    /// the search for paths by timely.
    pub seconds: f64,
    /// The properties, in the model's order.
    pub properties: Vec<PropertyReport>,
    /// The number of actions taken, by kind.
    pub actions: BTreeMap<&'static str, u64>,
    /// The symmetry, if it was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symmetry: Option<Symmetric>,
    /// The engine, its order and its threads, in words.
    pub engine: String,
    /// The storage of visited states, in words.
    pub storage: String,
    /// The expected number of states that were missed because two states have the same fingerprint. 0 if the search
    /// kept the states themselves.
    pub expected_missed: f64,
    /// The most memory that the process was measured to hold, in bytes.
    pub peak_memory_bytes: u64,
    /// Reasons why the verdict says less than it seems to, or why the search ended.
    pub warnings: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: usize| HumanCount(n as u64).to_string();
        let depth = self.depth.map_or("not measured".to_owned(), count);
        let missed = if self.expected_missed > 0.0 {
            format!("{:.0e} states expected", self.expected_missed)
        } else {
            "none: the states themselves are stored".to_owned()
        };
        writeln!(f, "{}\n", self.model)?;
        let facts = [
            ("verdict", self.verdict.to_string()),
            ("states", count(self.states)),
            ("transitions", count(self.transitions)),
            ("depth", depth),
            ("seconds", format!("{:.2}", self.seconds)),
            ("memory", format!("{} at most", HumanBytes(self.peak_memory_bytes))),
            ("engine", self.engine.clone()),
            ("storage", self.storage.clone()),
            ("missed", missed),
        ];
        for (what, fact) in facts {
            writeln!(f, "{what:<11}  {fact}")?;
        }
        if let Some(Symmetric { of, orbits }) = &self.symmetry {
            writeln!(
                f,
                "{:<11}  up to the renaming of {of}: {} in all",
                "symmetry",
                HumanCount(*orbits)
            )?;
        }

        let width = self.properties.iter().map(|p| p.name.len()).max().unwrap_or(0);
        writeln!(f)?;
        for PropertyReport { name, expectation, finding, .. } in &self.properties {
            let expectation = format!("{expectation:?}").to_lowercase();
            let finding = format!("{finding:?}").to_lowercase();
            writeln!(f, "{expectation:<11}  {name:<width$}  {finding}")?;
        }

        self.write_actions(f)?;

        if !self.warnings.is_empty() {
            writeln!(f)?;
        }
        for warning in &self.warnings {
            writeln!(f, "{:<11}  {warning}", "warning")?;
        }

        for property in &self.properties {
            let paths = [(&property.counterexample, "fails"), (&property.witness, "is seen")];
            for (path, what) in paths {
                let Some(Counterexample { shortest, steps }) = path else { continue };
                let length = steps.len() - 1;
                let which = if *shortest { "shortest" } else { "not the shortest" };
                writeln!(f, "\n{} {what} after {length} steps ({which}):", property.name)?;
                write!(f, "{}", Path(steps))?;
            }
        }
        Ok(())
    }
}

impl Report {
    /// Writes the number of times that each kind of action was taken, or else only the kinds that never were.
    fn write_actions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let never = self.actions.iter().filter(|(_, count)| **count == 0);
        let never: Vec<_> = never.map(|(kind, _)| *kind).collect();
        if !f.alternate() && !never.is_empty() {
            return writeln!(f, "\n{:<11}  {}", "never taken", never.join(", "));
        }
        if !f.alternate() {
            return Ok(());
        }
        let taken = self.actions.iter().map(|(kind, n)| (*kind, HumanCount(*n).to_string()));
        let taken: Vec<_> = taken.collect();
        let width = taken.iter().map(|(kind, _)| kind.len()).max().unwrap_or(0);
        let digits = taken.iter().map(|(_, count)| count.len()).max().unwrap_or(0);
        writeln!(f)?;
        for (kind, count) in taken {
            writeln!(f, "{:<11}  {kind:<width$}  {count:>digits$}", "action")?;
        }
        Ok(())
    }
}

/// Prints a path: each action, and below it the lines of the state that differ from the state before.
#[derive(Debug)]
pub struct Path<'a>(pub &'a [Step]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for (i, Step { action, state }) in self.0.iter().enumerate() {
            writeln!(f, "{i:>4}  {}", action.as_deref().unwrap_or("initially"))?;
            for line in state.lines().filter(|line| !before.lines().any(|old| old == *line)) {
                writeln!(f, "        {line}")?;
            }
            before = state;
        }
        Ok(())
    }
}
