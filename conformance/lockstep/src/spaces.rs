//! The spaces of the cluster that are explored in lockstep, with pinned counts. A space is the set of all states of a model
//! within given bounds. The bounds were chosen after the sizes of many spaces had been measured.
//!
//! No space has every part of the protocol, because each part multiplies the number of states. Together the spaces have every
//! kind of message, a crash at every point, one and two unsynced steps, the interaction of slots, and quorums of three.
//! A second copy of a message can complete a quorum by mistake only if the quorum has three nodes or more. A node
//! that collects answers counts itself first, so the first copy already completes a quorum of two.
//!
//! [`Bounds::leaves_out`] lists the parts that one space lacks. The constants of this module fix the numbers of states and
//! transitions of each space. If a number differs, the protocol has changed, and the change must be explained.

use paxos_model::cluster::Bounds;

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

/// Returns a space with these counts.
pub const fn space(
    bounds: Bounds,
    shows: &'static str,
    states: usize,
    transitions: usize,
) -> Space {
    Space { bounds, shows, states, transitions }
}

/// Returns the bounds without Chosen messages.
pub const fn quiet(bounds: Bounds) -> Bounds {
    Bounds { chosen: false, ..bounds }
}

/// Returns the bounds of three nodes and three ballots with quorums of these sizes.
pub const fn flexible(phase1_quorum: u8, phase2_quorum: u8) -> Bounds {
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
        3_500_642,
        14_931_028,
    ),
    space(
        quiet(Bounds { campaigners: 3, ..Bounds::of(3, 1, 4) }),
        "three rivals",
        944_518,
        3_582_975,
    ),
    space(
        quiet(Bounds::of(5, 1, 2)),
        "quorums of three: a duplicate must not count",
        435_333,
        2_513_480,
    ),
    space(quiet(Bounds::of(3, 1, 4)), "four ballots", 622_193, 2_020_017),
];

/// The spaces that every run explores, with the model alone and in lockstep with production replicas.
pub const DEFAULT: &[Space] = &[
    space(
        quiet(Bounds { unsynced: 1, ..Bounds::of(3, 2, 2) }),
        "slots and unsynced steps",
        569_138,
        2_770_756,
    ),
    space(Bounds::of(3, 1, 3), "Nack and Chosen messages, any crash", 162_522, 1_007_278),
    space(
        quiet(Bounds { unsynced: 1, ..Bounds::of(3, 1, 3) }),
        "a crash between step and sync",
        334_637,
        1_281_259,
    ),
    space(
        quiet(Bounds { unsynced: 2, ..Bounds::of(3, 1, 3) }),
        "two steps wait for their sync",
        476_774,
        2_013_830,
    ),
    space(
        Bounds { unsynced: 2, ..Bounds::of(3, 1, 2) },
        "two steps wait for their sync, Nack and Chosen messages",
        45_185,
        265_508,
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
        28_282,
        153_081,
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
        50_175,
        275_156,
    ),
    space(
        Bounds { snapshots: true, unsynced: 1, ..Bounds::of(3, 1, 2) },
        "a crash between a trim and its sync",
        371_814,
        2_232_149,
    ),
    space(
        Bounds { reads: 1, ..Bounds::of(3, 1, 2) },
        "reads of leaders that may be deposed",
        200_917,
        1_353_565,
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
    space(
        Bounds { unsynced: 2, phase1_quorum: 1, phase2_quorum: 2, ..Bounds::of(2, 1, 2) },
        "a leader whose promise is not durable yet",
        1_131,
        3_739,
    ),
    space(
        quiet(Bounds { phase1_quorum: 1, phase2_quorum: 3, ..Bounds::of(3, 1, 2) }),
        "phase 2 needs all nodes: two votes must not be enough",
        2_177,
        7_460,
    ),
    space(Bounds::of(2, 1, 3), "two nodes: both are needed", 1_226, 3_943),
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
    space(quiet(Bounds::of(3, 1, 5)), "five ballots", 12_026_283, 39_151_699),
    space(
        Bounds { unsynced: 1, crashes: Some(1), ..Bounds::of(3, 2, 2) },
        "slots, Nack and Chosen messages, unsynced steps",
        7_710_783,
        52_936_169,
    ),
    space(Bounds::of(3, 2, 2), "slots, Nack and Chosen messages, any crash", 705_162, 6_221_069),
    space(
        Bounds { unsynced: 1, crashes: Some(1), campaigners: 3, ..Bounds::of(3, 1, 3) },
        "three rivals, Nack and Chosen messages, unsynced steps",
        1_469_361,
        7_398_991,
    ),
    space(
        Bounds { unsynced: 2, ..Bounds::of(3, 1, 3) },
        "two steps wait for their sync, Nack and Chosen messages",
        2_050_749,
        13_301_267,
    ),
];
