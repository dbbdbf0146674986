//! The engines of `paxos-model` that are measured beside Spin, and their targets.

use serde::Serialize;

/// A way to explore with `paxos-model`.
#[derive(Debug)]
pub(crate) struct Contender {
    /// The name in tables and for `--only`.
    pub(crate) name: &'static str,
    /// The arguments of `paxos-model check synod` beside the bounds.
    pub(crate) arguments: &'static [&'static str],
    /// True if states that are equal up to renaming count as one. The contender then visits fewer states than Spin.
    /// Otherwise it visits exactly as many.
    pub(crate) symmetry: bool,
    /// The most that it may take.
    pub(crate) target: Target,
}

/// The most that a contender may take, for as many ballots as [`TARGET_BALLOTS`].
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Target {
    /// CPU time, as a multiple of that of Spin.
    pub(crate) ratio: f64,
    /// Memory of the whole process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peak_mib: Option<f64>,
}

/// The number of ballots for which the targets are. With fewer ballots, half of the time is spent on startup.
pub(crate) const TARGET_BALLOTS: u8 = 4;

pub(crate) const CONTENDERS: [Contender; 4] = [
    Contender {
        name: "bfs",
        arguments: &["--engine", "bfs"],
        symmetry: false,
        target: Target { ratio: 1.3, peak_mib: None },
    },
    Contender {
        name: "dfs",
        arguments: &["--engine", "dfs"],
        symmetry: false,
        target: Target { ratio: 0.75, peak_mib: None },
    },
    Contender {
        name: "timely",
        arguments: &["--engine", "timely"],
        symmetry: false,
        target: Target { ratio: 0.35, peak_mib: Some(200.0) },
    },
    Contender {
        name: "timely-symmetry",
        arguments: &["--engine", "timely", "--symmetry"],
        symmetry: true,
        target: Target { ratio: 0.1, peak_mib: None },
    },
];
