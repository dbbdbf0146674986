//! Counterexamples of known bugs, as schedules for a foreign implementation.
//!
//! A search of some seconds finds them ([`search`]), so they are kept in a file, and a test compares the two. Each is the shortest in the
//! first of some small spaces that shows the harm of the bug, or any failure. The spaces have one slot, three nodes, and majorities as
//! quorums, and a schedule has no more than the messages of both phases and crashes. So about half of the bugs have one. The others
//! need a log, snapshots, reads, more nodes or other quorums, do no harm, or leave the cluster stuck.

use paxos_model::{
    catalogue::{self, Schedule},
    cluster::{Bounds, Bug, Cluster},
};
use paxos_subject::guide::Guidance;
use serde::{Deserialize, Serialize};
use verdict::Interrupt;

use super::{Trace, guide::guide};

/// A counterexample, kept in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counterexample {
    /// The number of the bug in the catalogue, with a letter for a variant.
    pub bug: String,
    /// The name of the bug.
    pub name: String,
    /// The property that fails.
    pub property: String,
    /// The schedule.
    #[serde(flatten)]
    pub guidance: Guidance,
}

const fn space(ballots: u8) -> Bounds {
    let base = Bounds::of(3, 1, ballots);
    Bounds { campaigners: 2, crashes: Some(0), nacks: false, chosen: false, ..base }
}

const fn crash(bounds: Bounds) -> Bounds {
    Bounds { crashes: Some(1), ..bounds }
}

/// The spaces, by their number of states.
const SPACES: Schedule = Schedule {
    spaces: &[space(1), crash(space(1)), space(2), crash(space(2)), space(3)],
    larger: &[space(4)],
};

/// Searches for the counterexamples: of the harm that a bug does to users, or else of any failure.
///
/// # Panics
/// Never: the spaces are valid, and a counterexample is a behaviour of its model.
pub fn search() -> Vec<Counterexample> {
    let found = catalogue::search(Bug::ALL, &SPACES, None, &Interrupt::default(), |_| ());
    let counterexample = |entry: catalogue::Entry| {
        let sighting = entry.wrong.as_ref().or(entry.seen.as_ref())?;
        let bounds = SPACES.spaces.iter().chain(SPACES.larger).nth(sighting.space - 1);
        let cluster = Cluster::new(*bounds.expect("it was searched"));
        let model = cluster.expect("the bounds are valid").with_bug(entry.bug).checked();
        let trace = Trace::of(&model, &sighting.behaviour, entry.name);
        let guidance = guide(&trace).expect("a behaviour of the model")?;
        if guidance.steps.is_empty() {
            return None;
        }
        Some(Counterexample {
            bug: entry.label.clone(),
            name: entry.name.to_owned(),
            property: sighting.property.to_owned(),
            guidance,
        })
    };
    found.bugs.into_iter().filter_map(counterexample).collect()
}

/// Returns the counterexamples that are kept.
///
/// # Panics
/// Never: a test reads the file.
pub fn kept() -> Vec<Counterexample> {
    serde_json::from_str(include_str!("counterexamples.json")).expect("the file is ours")
}
