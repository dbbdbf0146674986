//! What an exploration may claim, and how it says so.
//!
//! A search that was cut short never *holds*, whatever it has or has not found. This module is the
//! vocabulary and its two renderings, one for people ([`Display`](fmt::Display)) and one for programs ([`Serialize`]); how
//! a verdict is reached is decided one level up.

use std::collections::BTreeMap;
use std::fmt;

use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use verdict::Verdict;

/// What a property demands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Expectation {
    /// It is true in every reachable state.
    Always,
    /// Every path comes to a state where it is true.
    Eventually,
    /// It is true in some reachable state.
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

/// What became of a property.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// `always`: true in all states, and these are all the states there are.
    Holds,
    /// `always`: false at the end of a known path.
    Violated,
    /// `sometimes`: true in some state.
    Seen,
    /// `sometimes`: false in all states, and these are all the states there are.
    Never,
    /// The search ended before it could tell.
    Undecided,
}

/// One step of a path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Step {
    /// What was done; nothing for the initial state.
    pub action: Option<String>,
    /// The state that it led to.
    pub state: String,
}

/// A path to a state where an `always` property is false, or a `sometimes` property true.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Counterexample {
    /// Whether no shorter path to such a state exists.
    pub shortest: bool,
    /// The path, the initial state first.
    pub steps: Vec<Step>,
}

/// What states stand for when those that can be renamed to each other count as one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Symmetric {
    /// What was renamed.
    pub of: String,
    /// How many states those visited can be renamed to: as many as there are without symmetry, if the
    /// search was complete.
    pub orbits: u64,
}

/// A property and what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PropertyReport {
    /// Its name.
    pub name: &'static str,
    /// What it demands.
    pub expectation: Expectation,
    /// What became of it.
    pub finding: Finding,
    /// How it fails, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counterexample: Option<Counterexample>,
    /// How it comes about, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<Counterexample>,
}

/// All that a run has to say.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// What was explored.
    pub model: String,
    /// The outcome.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Whether every reachable state was visited.
    pub complete: bool,
    /// Distinct states visited.
    pub states: usize,
    /// Steps taken from them, to new states and to known ones.
    pub transitions: usize,
    /// Length of the longest of the shortest paths to the states visited, the initial state
    /// counting as 1; absent if this search could not tell.
    pub depth: Option<usize>,
    /// Time spent searching.
    pub seconds: f64,
    /// Every property, in the model's order.
    pub properties: Vec<PropertyReport>,
    /// How often each kind of action was taken.
    pub actions: BTreeMap<&'static str, u64>,
    /// Of what the states are representatives, if symmetry was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symmetry: Option<Symmetric>,
    /// What searched.
    pub engine: String,
    /// How the search knew the states that it had visited.
    pub storage: String,
    /// How many states the search is expected to have taken for others: "every state" has this much
    /// doubt in it. None if it kept the states themselves.
    pub expected_missed: f64,
    /// The most memory that the process was seen to hold.
    pub peak_memory_bytes: u64,
    /// What makes a passing run worth less than it looks.
    pub warnings: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: usize| HumanCount(n as u64).to_string();
        let depth = self.depth.map_or("not measured".to_owned(), count);
        let missed = if self.expected_missed > 0.0 {
            format!("{:.0e} states expected", self.expected_missed)
        } else {
            "none: states were kept themselves".to_owned()
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

        let fired: Vec<_> = self
            .actions
            .iter()
            .map(|(kind, count)| (*kind, HumanCount(*count).to_string()))
            .collect();
        let width = fired.iter().map(|(kind, _)| kind.len()).max().unwrap_or(0);
        let digits = fired.iter().map(|(_, count)| count.len()).max().unwrap_or(0);
        writeln!(f)?;
        for (kind, count) in fired {
            writeln!(f, "{:<11}  {kind:<width$}  {count:>digits$}", "action")?;
        }

        if !self.warnings.is_empty() {
            writeln!(f)?;
        }
        for warning in &self.warnings {
            writeln!(f, "{:<11}  {warning}", "warning")?;
        }

        for property in &self.properties {
            let told = [(&property.counterexample, "fails"), (&property.witness, "is seen")];
            for (path, what) in told {
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

/// A path: each action, and beneath it the lines of the state that are new.
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
