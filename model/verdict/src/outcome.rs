//! Verdicts. All checks of this project report one, so that no run claims more than it checked.

use std::fmt;

use serde::Serialize;

/// The outcome of a check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    /// Everything was checked, and no check failed.
    Holds,
    /// A check failed, and there is a counterexample.
    Violated,
    /// The check has no counterexample, and does not show that everything holds. Most often it ended early.
    Inconclusive {
        /// The reason why the check does not decide.
        why: String,
    },
}

impl Verdict {
    /// Returns the exit code of a process that reports this verdict. Exit code 2 is reserved for unusable arguments.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Holds => 0,
            Self::Violated => 1,
            Self::Inconclusive { .. } => 3,
        }
    }

    /// Returns the worst verdict. `Violated` is worse than `Inconclusive`, which is worse than `Holds`. If several verdicts
    /// are equally bad, returns the first of them. Without any verdict, the result is inconclusive, because nothing was run.
    pub fn worst<'v>(all: impl IntoIterator<Item = &'v Self>) -> Self {
        let severity = |verdict: &&Self| match verdict {
            Self::Holds => 0,
            Self::Inconclusive { .. } => 1,
            Self::Violated => 2,
        };
        let worse = |one, other| if severity(&other) > severity(&one) { other } else { one };
        let worst = all.into_iter().reduce(worse).cloned();
        worst.unwrap_or(Self::Inconclusive { why: "nothing was run".to_owned() })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds => f.write_str("holds"),
            Self::Violated => f.write_str("violated"),
            Self::Inconclusive { why } => write!(f, "inconclusive: {why}"),
        }
    }
}
