//! Who is measured beside Spin, and what is expected of each: a table, and nothing else.

use serde::Serialize;

/// A way to explore with `paxos-model`.
#[derive(Debug)]
pub(crate) struct Contender {
    /// How it is called in tables and by `--only`.
    pub(crate) name: &'static str,
    /// What `paxos-model check synod` is asked for beyond the bounds.
    pub(crate) arguments: &'static [&'static str],
    /// Whether it visits one state for all those that only differ in who is who. Then it visits fewer
    /// than Spin, and otherwise exactly as many.
    pub(crate) symmetry: bool,
    /// What it may take.
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

/// Where targets mean something: with fewer ballots, half the time is spent on getting started.
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
