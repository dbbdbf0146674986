//! The table of spaces that `cargo verify` explores, chosen by measurement.
//!
//! No space has everything, for the parts multiply. Between them, every kind of message, a crash at
//! every point, one and two unsynced steps, the interaction of slots, and duplicates that matter
//! occur; [`Bounds::leaves_out`] says what a space lacks. The counts are pinned: another one is a
//! change of the protocol, and has to be explained.

use paxos_model::cluster::Bounds;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// What is explored.
    pub bounds: Bounds,
    /// Why.
    pub shows: &'static str,
    /// Distinct states.
    pub states: usize,
    /// Transitions.
    pub transitions: usize,
}

const fn space(bounds: Bounds, shows: &'static str, states: usize, transitions: usize) -> Space {
    Space { bounds, shows, states, transitions }
}

const fn quiet(bounds: Bounds) -> Bounds {
    Bounds { chosen: false, ..bounds }
}

const fn flexible(phase1_quorum: u8, phase2_quorum: u8) -> Bounds {
    Bounds { phase1_quorum, phase2_quorum, ..Bounds::of(3, 1, 3) }
}

/// What every run explores.
pub const DEFAULT: &[Space] = &[
    space(
        quiet(Bounds::of(3, 2, 3)),
        "slots under one promise, gaps, batches",
        3_422_738,
        14_696_369,
    ),
    space(
        quiet(Bounds { campaigners: 3, ..Bounds::of(3, 1, 4) }),
        "three rivals",
        889_006,
        3_403_354,
    ),
    space(quiet(Bounds::of(5, 1, 2)), "quorums of three: duplicates matter", 435_333, 2_513_480),
    space(quiet(Bounds::of(3, 1, 4)), "four ballots", 554_839, 1_850_550),
    space(
        quiet(Bounds { unsynced: 1, ..Bounds::of(3, 2, 2) }),
        "slots and unsynced steps",
        175_996,
        820_820,
    ),
    space(Bounds::of(3, 1, 3), "every message, any crash", 113_504, 728_082),
    space(
        quiet(Bounds { unsynced: 1, ..Bounds::of(3, 1, 3) }),
        "a crash between step and sync",
        89_437,
        340_499,
    ),
    space(
        quiet(Bounds { unsynced: 2, ..Bounds::of(3, 1, 3) }),
        "two steps wait for their sync",
        117_935,
        483_348,
    ),
    space(
        Bounds { unsynced: 2, ..Bounds::of(3, 1, 2) },
        "the same, and every message",
        18_702,
        112_047,
    ),
    space(
        Bounds { unsynced: 1, ..Bounds::of(3, 2, 1) },
        "slots, and every message",
        11_309,
        82_386,
    ),
    space(flexible(3, 1), "phase 1 asks all: duplicate promises", 15_354, 84_549),
    space(flexible(1, 3), "phase 2 asks all: duplicate votes", 140_093, 796_234),
    space(Bounds::of(2, 1, 3), "two nodes: both are needed", 830, 2_629),
    space(Bounds::of(2, 3, 1), "three slots", 316, 1_580),
];

/// What the deep run explores besides: five nodes with three ballots, five ballots, and much more of
/// everything together. All of it, the default table included, takes about half an hour of CPU time,
/// most of it for the first row.
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
        "slots, every message, unsynced steps",
        3_159_527,
        22_985_241,
    ),
    space(Bounds::of(3, 2, 2), "slots, every message, any crash", 593_426, 5_373_265),
    space(
        Bounds { unsynced: 1, crashes: Some(1), campaigners: 3, ..Bounds::of(3, 1, 3) },
        "three rivals, every message, unsynced steps",
        573_307,
        3_048_464,
    ),
    space(
        Bounds { unsynced: 2, ..Bounds::of(3, 1, 3) },
        "two unsynced, every message",
        447_212,
        3_018_716,
    ),
];
