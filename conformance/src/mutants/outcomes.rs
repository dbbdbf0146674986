//! The outcomes of a run of cargo-mutants, joined with the reasons of the mutants that survive.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A check that was the test of a run of cargo-mutants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Check {
    /// The check of every step from any state.
    Steps,
    /// The lockstep.
    Lockstep,
}

impl Check {
    /// Returns the mutants that survive the check, each with the reason.
    pub const fn survivors(self) -> &'static str {
        match self {
            Self::Steps => include_str!("../../steps/survivors.toml"),
            Self::Lockstep => include_str!("../../lockstep/survivors.toml"),
        }
    }
}

/// Input that cannot be used.
#[derive(Debug, Error)]
pub enum OutcomesError {
    /// A file cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// A file has no outcomes.
    #[error("{} is no outcomes.json of cargo-mutants: {error}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: serde_json::Error,
    },
    /// The tests fail without a mutation, so a mutant that fails them shows nothing.
    #[error("{}: the tests fail without a mutation", path.display())]
    Baseline {
        /// The file.
        path: PathBuf,
    },
    /// A mutant was not tested.
    #[error("{}: {mutant} was not tested; run cargo-mutants without --check", path.display())]
    Untested {
        /// The file.
        path: PathBuf,
        /// The mutant.
        mutant: String,
    },
    /// The list of survivors is malformed.
    #[error("the list of survivors: {0}")]
    Survivors(#[from] toml::de::Error),
    /// A survivor has two reasons, or an empty one.
    #[error("the list of survivors: {0} needs one reason")]
    Reasons(Key),
}

/// A mutant, in words that do not change when lines move.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The file.
    pub file: String,
    /// The replacement, and the function.
    pub mutant: String,
    /// The place among the mutants of the file with the same words, from 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub nth: usize,
}

const fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_one(nth: &usize) -> bool {
    *nth == 1
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, mutant, nth } = self;
        write!(f, "{file}: {mutant}")?;
        if *nth > 1 { write!(f, " ({nth})") } else { Ok(()) }
    }
}

/// The list of survivors, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(default)]
    survivor: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(flatten)]
    key: Key,
    reason: String,
}

/// The outcomes, as cargo-mutants writes them.
#[derive(Deserialize)]
struct Written {
    outcomes: Vec<WrittenOutcome>,
}

#[derive(Deserialize)]
struct WrittenOutcome {
    scenario: Scenario,
    summary: Summary,
}

#[derive(Deserialize)]
enum Scenario {
    Baseline,
    Mutant(Mutant),
}

#[derive(Deserialize)]
struct Mutant {
    name: String,
    file: String,
    span: Span,
}

#[derive(Deserialize)]
struct Span {
    start: Position,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Position {
    line: u64,
    column: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum Summary {
    Success,
    CaughtMutant,
    MissedMutant,
    Unviable,
    Failure,
    Timeout,
}

/// The outcome of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Killed,
    TimedOut,
    Unviable,
    Survives,
}

/// The outcomes of all mutants of one run, or of several.
#[derive(Debug, Default)]
pub struct Outcomes(BTreeMap<Key, Outcome>);

impl Outcomes {
    /// Reads the files of one run or of several. If two files have the same mutant, the later one counts.
    ///
    /// # Errors
    /// Fails if a file is unreadable or malformed, if the tests fail without a mutation, or if a mutant was not tested.
    pub fn read(paths: &[PathBuf]) -> Result<Self, OutcomesError> {
        let mut texts = Vec::new();
        for path in paths {
            let text = fs::read_to_string(path)
                .map_err(|error| OutcomesError::Unreadable { path: path.clone(), error })?;
            texts.push((path.as_path(), text));
        }
        Self::parse(texts.iter().map(|(path, text)| (*path, &**text)))
    }

    /// Reads the texts of these files.
    ///
    /// # Errors
    /// Fails as [`read`](Self::read) does.
    pub fn parse<'f>(
        files: impl IntoIterator<Item = (&'f Path, &'f str)>,
    ) -> Result<Self, OutcomesError> {
        let mut found = BTreeMap::new();
        for (path, text) in files {
            let path = || path.to_owned();
            let written: Written = serde_json::from_str(text)
                .map_err(|error| OutcomesError::Malformed { path: path(), error })?;
            for WrittenOutcome { scenario, summary } in written.outcomes {
                let Scenario::Mutant(mutant) = scenario else {
                    if summary == Summary::Success {
                        continue;
                    }
                    return Err(OutcomesError::Baseline { path: path() });
                };
                let outcome = match summary {
                    Summary::CaughtMutant => Outcome::Killed,
                    Summary::Timeout => Outcome::TimedOut,
                    Summary::Unviable => Outcome::Unviable,
                    Summary::MissedMutant => Outcome::Survives,
                    Summary::Success | Summary::Failure => {
                        return Err(OutcomesError::Untested { path: path(), mutant: mutant.name });
                    }
                };
                // The name begins with the file and the position.
                let Mutant { name, file, span: Span { start } } = mutant;
                let place = format!("{file}:{}:{}: ", start.line, start.column);
                let words = name.strip_prefix(&place).unwrap_or(&name).to_owned();
                found.insert((file, words, start), outcome);
            }
        }
        let mut outcomes = BTreeMap::new();
        for ((file, mutant, _), outcome) in found {
            let mut key = Key { file, mutant, nth: 1 };
            while outcomes.contains_key(&key) {
                key.nth += 1;
            }
            outcomes.insert(key, outcome);
        }
        Ok(Self(outcomes))
    }
}

/// A mutant that survives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Survivor {
    /// The mutant.
    #[serde(flatten)]
    pub key: Key,
    /// The reason, if the list has one.
    pub reason: Option<String>,
}

/// The outcomes, joined with the reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Joined {
    /// The number of mutants that fail the check.
    pub killed: usize,
    /// The number of mutants that end in no time. Most of them loop.
    pub timed_out: usize,
    /// The number of mutants that do not compile.
    pub unviable: usize,
    /// The mutants that pass the check.
    pub survivors: Vec<Survivor>,
    /// The mutants that have a reason to survive and do not, or do not exist.
    pub stale: Vec<Key>,
}

impl Joined {
    /// Joins outcomes with a list of survivors.
    ///
    /// # Errors
    /// Fails if the list is malformed, or if a survivor has two reasons or an empty one.
    pub fn new(outcomes: Outcomes, listed: &str) -> Result<Self, OutcomesError> {
        let mut reasons = BTreeMap::new();
        for Reason { key, reason } in toml::from_str::<Listed>(listed)?.survivor {
            let unusable = reason.trim().is_empty() || reasons.contains_key(&key);
            if unusable {
                return Err(OutcomesError::Reasons(key));
            }
            reasons.insert(key, reason);
        }
        let count = |outcome| outcomes.0.values().filter(|&&it| it == outcome).count();
        let [killed, timed_out, unviable] =
            [Outcome::Killed, Outcome::TimedOut, Outcome::Unviable].map(count);
        let survive = outcomes.0.into_iter().filter(|(_, it)| *it == Outcome::Survives);
        let survivors = survive.map(|(key, _)| {
            let reason = reasons.remove(&key);
            Survivor { key, reason }
        });
        let survivors = survivors.collect();
        Ok(Self { killed, timed_out, unviable, survivors, stale: reasons.into_keys().collect() })
    }

    /// The number of mutants.
    pub fn mutants(&self) -> usize {
        self.killed + self.timed_out + self.unviable + self.survivors.len()
    }

    /// Returns true if each survivor has a reason, and each reason a survivor.
    pub fn explained(&self) -> bool {
        self.stale.is_empty() && self.survivors.iter().all(|it| it.reason.is_some())
    }
}
