//! The table of what is checked: enumerations with pinned counts, samples, and lemmas.

use serde::Serialize;
use std::time::Instant;
use verdict::{Interrupt, Verdict};

use crate::{
    check::Tested,
    counterexample::Shortest,
    enumeration::{Claim, Counts, Searched, enumerate, sample},
    lemmas::{LEMMAS, Lemma},
    node_sets,
    states::{Breadth, Size},
};

/// A set of cases, and what is checked of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cases {
    /// All cases of a size.
    Every(Size),
    /// Random cases of a size, and the claim of each: the seed, and their number.
    Sample(Size, Claim, u64, u64),
    /// All cases of a lemma.
    Lemma(Lemma),
    /// Sets of nodes of any size, and all pairs of quorums.
    NodeSets,
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// The cases.
    pub cases: Cases,
    /// The claim that the space is there for.
    pub shows: &'static str,
    /// The number of states, and the number of cases.
    pub pinned: (u64, u64),
}

const fn size(nodes: usize, quorums: (usize, usize), slots: u64) -> Size {
    Size {
        nodes,
        quorums,
        slots,
        commands: 2,
        batch: 2,
        limits: (2, 2, 2),
        every_set: nodes < 5,
        breadth: Breadth::Whole,
        sampled: false,
    }
}

const fn sampled(nodes: usize, quorums: (usize, usize), slots: u64) -> Size {
    Size { sampled: true, ..size(nodes, quorums, slots) }
}

const fn space(cases: Cases, shows: &'static str, pinned: (u64, u64)) -> Space {
    Space { cases, shows, pinned }
}

/// Two slots, of which a handler that does not look at the log sees nothing new.
const TWO_SLOTS: Size =
    Size { commands: 1, breadth: Breadth::Log, every_set: false, ..size(3, (2, 2), 2) };
/// Logs of eight slots, in a cluster of nine nodes.
const LONG: Size = Size { commands: 3, batch: 8, limits: (4, 6, 3), ..sampled(9, (5, 5), 8) };
/// Logs of forty-eight slots.
const LONGER: Size =
    Size { commands: 3, batch: 48, limits: (60, 60, 40), ..sampled(3, (2, 2), 48) };

/// The spaces that every run checks.
pub const QUICK: &[Space] = &[
    space(Cases::Every(size(1, (1, 1), 1)), "a node alone", (164, 6_724)),
    space(Cases::Every(size(3, (2, 2), 1)), "one slot of three nodes", (1_057, 1_031_614)),
    space(Cases::Every(size(5, (3, 3), 1)), "one slot of five nodes", (1_930, 1_696_229)),
    space(
        Cases::Every(TWO_SLOTS),
        "two slots, without what a handler does not look at",
        (35_084, 12_114_958),
    ),
    space(Cases::Lemma(LEMMAS[0]), LEMMAS[0].claim(), (7_317, 263_412)),
    space(Cases::Lemma(LEMMAS[1]), LEMMAS[1].claim(), (7_317, 263_412)),
    space(Cases::Lemma(LEMMAS[2]), LEMMAS[2].claim(), (7_317, 7_317)),
    space(Cases::Lemma(LEMMAS[3]), LEMMAS[3].claim(), (7_317, 65_853)),
    space(Cases::Lemma(LEMMAS[4]), LEMMAS[4].claim(), (328, 11_808)),
    space(Cases::Lemma(LEMMAS[5]), LEMMAS[5].claim(), (7_317, 263_412)),
    space(Cases::Lemma(LEMMAS[6]), LEMMAS[6].claim(), (328, 3_280)),
    space(Cases::Lemma(LEMMAS[7]), LEMMAS[7].claim(), (328, 3_280)),
    space(Cases::Lemma(LEMMAS[8]), LEMMAS[8].claim(), (7_317, 7_317)),
    space(Cases::Lemma(LEMMAS[9]), LEMMAS[9].claim(), (328, 2_624)),
    space(Cases::Lemma(LEMMAS[10]), LEMMAS[10].claim(), (328, 328)),
    space(Cases::NodeSets, "sets of up to 64 nodes, and each pair of quorums", (274_170, 559_119)),
    space(
        Cases::Sample(LONG, Claim::SameStep, 1, 150_000),
        "random logs of eight slots, nine nodes",
        (150_000, 150_000),
    ),
    space(
        Cases::Sample(LONGER, Claim::SameStep, 2, 20_000),
        "random logs of 48 slots",
        (20_000, 20_000),
    ),
    space(
        Cases::Sample(sampled(4, (4, 1), 2), Claim::SameStep, 5, 50_000),
        "two slots of four nodes, one vote is a quorum",
        (50_000, 50_000),
    ),
    space(
        Cases::Sample(sampled(4, (1, 4), 2), Claim::SameStep, 6, 50_000),
        "two slots of four nodes, one promise is a quorum",
        (50_000, 50_000),
    ),
    space(
        Cases::Sample(sampled(5, (3, 3), 3), Claim::Renames, 3, 200_000),
        "other ballots, other values",
        (200_000, 200_000),
    ),
    space(
        Cases::Sample(sampled(3, (2, 2), 2), Claim::LooksAway, 4, 200_000),
        "parts that a handler does not look at",
        (200_000, 200_000),
    ),
];

/// The spaces that only a deep run checks.
pub const DEEP: &[Space] = &[
    space(Cases::Every(size(3, (3, 1), 1)), "one slot, one vote is a quorum", (605, 925_556)),
    space(
        Cases::Every(size(3, (1, 3), 1)),
        "one slot, one promise is a quorum",
        (2_633, 1_804_582),
    ),
    space(
        Cases::Every(Size { commands: 1, breadth: Breadth::PerSlot, ..size(3, (2, 2), 2) }),
        "two slots of three nodes",
        (64_464, 104_460_550),
    ),
    space(
        Cases::Sample(LONG, Claim::SameStep, 11, 10_000_000),
        "random logs of eight slots, nine nodes",
        (10_000_000, 10_000_000),
    ),
];

/// The result of a space.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The claim that the space is there for.
    pub shows: &'static str,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The numbers of what was checked.
    pub counts: Counts,
    /// The time of the check.
    pub duration_ms: u64,
    /// The smallest counterexample that was found.
    pub counterexample: Option<Shortest>,
}

impl Space {
    /// Returns an estimate of the time that the space takes. A case of an enumeration counts as 1.
    pub fn cost(&self) -> u64 {
        match self.cases {
            Cases::Every(_) | Cases::Lemma(_) | Cases::NodeSets => self.pinned.1,
            // A random case has a state of its own, and its log is long.
            Cases::Sample(size, ..) => self.pinned.1 * size.slots.max(4),
        }
    }

    /// Checks the space, with the replica under test.
    pub fn check<T: Tested + Clone>(&self, tested: &T, interrupt: &Interrupt) -> Row {
        let started = Instant::now();
        let searched = match self.cases {
            Cases::Every(size) => enumerate(&size, tested, interrupt),
            Cases::Lemma(lemma) => enumerate(&lemma, tested, interrupt),
            Cases::NodeSets => every_set(tested, interrupt),
            Cases::Sample(size, claim, seed, cases) => {
                sample(&size, tested, claim, (seed, cases), interrupt)
            }
        };
        let (verdict, counts, counterexample) = match searched {
            Searched::Holds(counts) => (Verdict::Holds, counts, None),
            Searched::Fails(found) => {
                let shortest = Shortest::of(*found, tested);
                (Verdict::Violated, Counts::default(), Some(shortest))
            }
            Searched::Interrupted(counts) => {
                let why = "it was interrupted".to_owned();
                (Verdict::Inconclusive { why }, counts, None)
            }
        };
        let duration_ms = started.elapsed().as_millis() as u64;
        Row { shows: self.shows, verdict, counts, duration_ms, counterexample }
    }
}

fn every_set<T: Tested + Clone>(tested: &T, interrupt: &Interrupt) -> Searched {
    let mut counts = Counts::default();
    for sets in node_sets::clusters() {
        match enumerate(&sets, tested, interrupt) {
            Searched::Holds(more) => counts.add(&more),
            Searched::Interrupted(more) => {
                counts.add(&more);
                return Searched::Interrupted(counts);
            }
            fails @ Searched::Fails(_) => return fails,
        }
    }
    Searched::Holds(counts)
}
