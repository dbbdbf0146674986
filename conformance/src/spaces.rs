//! The specifications and spaces that `cargo verify` checks. A space is the set of all states of a model within given bounds.
//! The bounds were chosen after the sizes of many spaces had been measured.
//!
//! No space has every part of the protocol, because each part multiplies the number of states. Together the spaces have every
//! kind of message, a crash at every point, one and two unsynced steps, the interaction of slots, and quorums of three.
//! A second copy of a message can complete a quorum by mistake only if the quorum has three nodes or more. A node
//! that collects answers counts itself first, so the first copy already completes a quorum of two.
//!
//! [`Bounds::leaves_out`] lists the parts that one space lacks. The constants of this module fix the numbers of states and
//! transitions of each space. If a number differs, the protocol has changed, and the change must be explained.

use epr_prover::language::Specification;
use paxos_model::{
    cluster::Bounds,
    specifications::{SPECIFICATIONS, shipped},
};

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
    space(Bounds::of(3, 1, 2), "Nack and Chosen messages, any crash", 9_825, 52_572),
    space(
        quiet(Bounds { unsynced: 2, ..Bounds::of(3, 1, 3) }),
        "two steps wait for their sync",
        909_240,
        3_704_532,
    ),
    space(
        quiet(Bounds { unsynced: 1, ..Bounds::of(3, 2, 2) }),
        "slots and unsynced steps",
        891_535,
        4_320_825,
    ),
    space(flexible(3, 1), "phase 1 needs all nodes", 18_354, 97_361),
    space(Bounds { ballots: 2, ..flexible(1, 3) }, "phase 2 needs all nodes", 5_553, 28_392),
];

/// The spaces that the deep run adds to [`CLUSTER_REFINEMENTS`].
pub const CLUSTER_REFINEMENTS_DEEP: &[Space] = &[
    space(Bounds::of(3, 1, 3), "Nack and Chosen messages, any crash", 283_437, 1_712_550),
    space(flexible(1, 3), "phase 2 needs all nodes", 140_093, 796_234),
    space(quiet(Bounds::of(5, 1, 2)), "quorums of three", 1_712_753, 9_066_210),
    space(
        quiet(Bounds::of(3, 2, 3)),
        "one promise for several slots, gaps in the log",
        7_022_127,
        29_319_408,
    ),
];

/// One space of the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// The bounds of the cluster.
    pub bounds: Bounds,
    /// The reason to explore the space.
    pub shows: &'static str,
    /// The number of distinct states.
    pub states: usize,
    /// The number of transitions.
    pub transitions: usize,
}

const fn space(bounds: Bounds, shows: &'static str, states: usize, transitions: usize) -> Space {
    Space { bounds, shows, states, transitions }
}

/// Returns the bounds without Chosen messages.
const fn quiet(bounds: Bounds) -> Bounds {
    Bounds { chosen: false, ..bounds }
}

const fn flexible(phase1_quorum: u8, phase2_quorum: u8) -> Bounds {
    Bounds { phase1_quorum, phase2_quorum, ..Bounds::of(3, 1, 3) }
}

/// The spaces that every run explores with the model alone, and a deep run in lockstep as well.
///
/// Their steps are durable at once. So a lockstep in them compares steps, and nothing else: no sync, no message that leaves before
/// one, no snapshot and no read. Each of these steps begins at a state within the invariant of a node, so the spaces of steps
/// from any state have it as well. All mutants of the replica are found without these spaces.
pub const MODEL_ONLY: &[Space] = &[
    space(
        quiet(Bounds::of(3, 2, 3)),
        "one promise for several slots, gaps in the log, messages with a batch of slots",
        3_422_738,
        14_696_369,
    ),
    space(
        quiet(Bounds { campaigners: 3, ..Bounds::of(3, 1, 4) }),
        "three rivals",
        889_006,
        3_403_354,
    ),
    space(
        quiet(Bounds::of(5, 1, 2)),
        "quorums of three: a duplicate must not count",
        435_333,
        2_513_480,
    ),
    space(quiet(Bounds::of(3, 1, 4)), "four ballots", 554_839, 1_850_550),
];

/// The spaces that every run explores, with the model alone and in lockstep with production replicas.
pub const DEFAULT: &[Space] = &[
    space(
        quiet(Bounds { unsynced: 1, ..Bounds::of(3, 2, 2) }),
        "slots and unsynced steps",
        569_138,
        2_770_756,
    ),
    space(Bounds::of(3, 1, 3), "Nack and Chosen messages, any crash", 113_504, 728_082),
    space(
        quiet(Bounds { unsynced: 1, ..Bounds::of(3, 1, 3) }),
        "a crash between step and sync",
        328_095,
        1_260_397,
    ),
    space(
        quiet(Bounds { unsynced: 2, ..Bounds::of(3, 1, 3) }),
        "two steps wait for their sync",
        466_786,
        1_975_883,
    ),
    space(
        Bounds { unsynced: 2, ..Bounds::of(3, 1, 2) },
        "two steps wait for their sync, Nack and Chosen messages",
        41_149,
        242_550,
    ),
    space(
        Bounds { unsynced: 1, ..Bounds::of(3, 2, 1) },
        "slots, Nack and Chosen messages",
        17_613,
        125_036,
    ),
    space(
        flexible(3, 1),
        "phase 1 needs all nodes: a duplicate promise must not count",
        15_354,
        84_549,
    ),
    space(
        flexible(1, 3),
        "phase 2 needs all nodes: a duplicate vote must not count",
        140_093,
        796_234,
    ),
    space(
        Bounds { snapshots: true, ..Bounds::of(3, 1, 2) },
        "snapshots, trimmed logs, candidates that lack the values of slots trimmed by other nodes",
        41_499,
        228_134,
    ),
    space(
        Bounds { snapshots: true, unsynced: 1, ..Bounds::of(3, 1, 2) },
        "a crash between a trim and its sync",
        322_702,
        1_937_134,
    ),
    space(
        Bounds { reads: 1, ..Bounds::of(3, 1, 2) },
        "reads of leaders that may be deposed",
        180_921,
        1_243_017,
    ),
    space(
        Bounds { snapshots: true, reads: 1, ..Bounds::of(3, 2, 1) },
        "snapshots and reads over two slots",
        389_337,
        3_307_674,
    ),
    space(
        Bounds { reads: 2, ..Bounds::of(3, 2, 1) },
        "two rounds of reads over two slots",
        100_896,
        794_426,
    ),
    space(
        Bounds { reads: 1, phase1_quorum: 1, phase2_quorum: 2, ..Bounds::of(2, 2, 2) },
        "reads at a leader that knows the chosen value of a slot above a gap",
        61_119,
        308_153,
    ),
    space(Bounds::of(2, 1, 3), "two nodes: both are needed", 830, 2_629),
    space(Bounds::of(2, 3, 1), "three slots", 316, 1_580),
];

/// The spaces that the deep run adds: five nodes with three ballots, five ballots, and larger combinations. The whole deep run
/// takes tens of minutes of CPU time. The first space of this list takes nearly half of that time.
pub const DEEP: &[Space] = &[
    space(
        quiet(Bounds { nacks: false, crashes: Some(0), ..Bounds::of(5, 1, 3) }),
        "five nodes and three ballots",
        48_814_011,
        218_699_627,
    ),
    space(quiet(Bounds::of(3, 1, 5)), "five ballots", 9_662_415, 32_458_749),
    space(
        Bounds { unsynced: 1, crashes: Some(1), ..Bounds::of(3, 2, 2) },
        "slots, Nack and Chosen messages, unsynced steps",
        7_048_155,
        49_179_373,
    ),
    space(Bounds::of(3, 2, 2), "slots, Nack and Chosen messages, any crash", 593_426, 5_373_265),
    space(
        Bounds { unsynced: 1, crashes: Some(1), campaigners: 3, ..Bounds::of(3, 1, 3) },
        "three rivals, Nack and Chosen messages, unsynced steps",
        1_177_913,
        6_071_950,
    ),
    space(
        Bounds { unsynced: 2, ..Bounds::of(3, 1, 3) },
        "two steps wait for their sync, Nack and Chosen messages",
        1_682_801,
        11_016_131,
    ),
];
