//! The one vocabulary for outcomes: no run may claim more than it did.

use std::fmt;

use serde::Serialize;

/// The outcome of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    /// All there was to check was checked, and held.
    Holds,
    /// Something does not hold, and there is a counterexample.
    Violated,
    /// Neither, because the run could not go on.
    Inconclusive {
        /// What stopped it.
        why: String,
    },
}

impl Verdict {
    /// The exit code of a process that reports this verdict. 2 is left for unusable arguments.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Holds => 0,
            Self::Violated => 1,
            Self::Inconclusive { .. } => 3,
        }
    }

    /// The worst of some verdicts, the first of those: a violation is one whatever else was left open. Of
    /// nothing at all, it is that nothing was run.
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
