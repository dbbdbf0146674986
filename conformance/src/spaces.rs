//! The specifications, spaces and runs that `cargo verify` checks. A space is the set of all states of a model within given
//! bounds. `paxos_lockstep::spaces` has the spaces of the cluster, and this module those of the other links.
//!
//! The constants fix the numbers of states and transitions of each space. If a number differs, the protocol has changed, and
//! the change must be explained.

use epr_prover::language::Specification;
use paxos_model::{
    cluster::Bounds,
    specifications::{SPECIFICATIONS, shipped},
};

use paxos_lockstep::spaces::{DEEP, DEFAULT, MODEL_ONLY, Space, flexible, quiet, space};
use paxos_steps::spaces::Space as Steps;

use crate::run::Run;

/// The number of runs of simulated clusters. Half of them have three nodes, and the others five.
const RUNS: u64 = 20;

/// The specifications, spaces and runs of one verification.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The specifications that are proved, for any number of nodes, ballots and values.
    pub specifications: Vec<Specification>,
    /// The spaces of Lamport's Paxos whose counts are compared with those of other tools.
    pub known: Vec<Known>,
    /// The spaces in which the Rust model of Lamport's Paxos is checked against a proved specification. Each has
    /// the name of its specification beside it.
    pub synod_refinements: Vec<(&'static str, Known)>,
    /// The spaces in which the cluster is checked against `multipaxos.epr`. The specification
    /// remembers for ever which promises the leader of each ballot counted, and the model forgets them. So a state of such a
    /// space also contains these promises, and there can be more states than in the model alone.
    pub cluster_refinements: Vec<Space>,
    /// The spaces in which the cluster is explored, alone and in lockstep with production replicas.
    pub spaces: Vec<Space>,
    /// The spaces in which the cluster is explored alone.
    pub model_only: Vec<Space>,
    /// The spaces of steps from any state.
    pub steps: Vec<Steps>,
    /// The runs of simulated clusters that are recorded and validated.
    pub runs: Vec<Run>,
}

impl Table {
    /// Returns the table that a run without `--deep` checks. This takes one to two minutes on two cores. A deep run checks this
    /// table, too.
    pub fn quick() -> Self {
        Self {
            specifications: SPECIFICATIONS.iter().map(|(name, _)| shipped(name)).collect(),
            known: KNOWN.to_vec(),
            synod_refinements: SYNOD_REFINEMENTS.to_vec(),
            cluster_refinements: CLUSTER_REFINEMENTS.to_vec(),
            spaces: DEFAULT.to_vec(),
            model_only: MODEL_ONLY.to_vec(),
            steps: paxos_steps::spaces::QUICK.to_vec(),
            runs: (0..RUNS)
                .map(|seed| Run { nodes: if seed % 2 == 0 { 3 } else { 5 }, seed })
                .collect(),
        }
    }

    /// Returns the quick table with larger spaces added.
    pub fn deep() -> Self {
        let mut table = Self::quick();
        table.known.push(KNOWN_DEEP);
        table.cluster_refinements.extend_from_slice(CLUSTER_REFINEMENTS_DEEP);
        table.spaces.append(&mut table.model_only);
        table.spaces.extend_from_slice(DEEP);
        table.steps.extend_from_slice(paxos_steps::spaces::DEEP);
        table
    }
}

/// A space of Lamport's Paxos, and its counts. The counts of spaces with majority quorums are those that TLC and Spin gave.
/// `cargo verify` runs neither.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The numbers of acceptors, values and ballots.
    pub bounds: (u8, u8, u8),
    /// The sizes of the quorums of both phases, if they are not majorities.
    pub quorums: Option<(u8, u8)>,
    /// The number of distinct states.
    pub states: usize,
    /// The number of transitions.
    pub transitions: usize,
    /// The depth of the search. The initial state has depth 1.
    pub depth: usize,
}

const fn known(bounds: (u8, u8, u8), states: usize, transitions: usize, depth: usize) -> Known {
    Known { bounds, quorums: None, states, transitions, depth }
}

/// The spaces of Lamport's Paxos that every run counts.
pub const KNOWN: &[Known] = &[
    known((3, 2, 1), 73, 141, 9),
    known((3, 2, 2), 3_921, 9_442, 17),
    known((3, 2, 3), 185_369, 491_535, 25),
];

/// The space of Lamport's Paxos that only the deep run counts.
pub const KNOWN_DEEP: Known = known((3, 2, 4), 8_220_065, 23_340_612, 33);

/// The spaces in which the Rust model of Lamport's Paxos is checked against a proved specification.
pub const SYNOD_REFINEMENTS: &[(&str, Known)] = &[
    ("synod", known((3, 2, 2), 3_921, 9_442, 17)),
    ("synod", known((3, 2, 3), 185_369, 491_535, 25)),
    ("flexible", Known { quorums: Some((3, 1)), ..known((3, 2, 2), 513, 1_048, 17) }),
    ("flexible", Known { quorums: Some((1, 3)), ..known((3, 2, 2), 12_513, 35_092, 17) }),
];

/// The spaces in which the cluster is checked against `multipaxos.epr`.
pub const CLUSTER_REFINEMENTS: &[Space] = &[
    space(Bounds::of(3, 1, 2), "Nack and Chosen messages, any crash", 11_929, 62_580),
    space(
        quiet(Bounds { unsynced: 2, ..Bounds::of(3, 1, 3) }),
        "two steps wait for their sync",
        925_848,
        3_766_878,
    ),
    space(
        quiet(Bounds { unsynced: 1, ..Bounds::of(3, 2, 2) }),
        "slots and unsynced steps",
        891_535,
        4_320_825,
    ),
    space(flexible(3, 1), "phase 1 needs all nodes", 34_106, 177_705),
    space(Bounds { ballots: 2, ..flexible(1, 3) }, "phase 2 needs all nodes", 5_553, 28_392),
];

/// The spaces that the deep run adds to [`CLUSTER_REFINEMENTS`].
pub const CLUSTER_REFINEMENTS_DEEP: &[Space] = &[
    space(Bounds::of(3, 1, 3), "Nack and Chosen messages, any crash", 424_733, 2_457_462),
    space(flexible(1, 3), "phase 2 needs all nodes", 140_093, 796_234),
    space(quiet(Bounds::of(5, 1, 2)), "quorums of three", 1_712_753, 9_066_210),
    space(
        quiet(Bounds::of(3, 2, 3)),
        "one promise for several slots, gaps in the log",
        7_153_983,
        29_715_571,
    ),
];
