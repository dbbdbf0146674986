//! The bugs of the catalogue, held against the check of every step from any state.

use paxos::{Config, Envelope, Event, Output, Record, RecoverError, Replica};
use paxos_lockstep::mutants::TestedReplica;
use paxos_model::cluster::Bug;
use paxos_steps::{check::Tested, counterexample::Shortest, spaces::Space};
use serde::Serialize;
use verdict::{Interrupt, Verdict};

/// A step of the production replica with a bug. In each state, it is as if the mutant had taken no earlier step.
#[derive(Clone, Copy, Debug)]
struct Mutant(Bug);

impl Mutant {
    fn of(self, replica: &Replica) -> TestedReplica {
        TestedReplica::of(replica.clone(), self.0)
    }
}

impl Tested for Mutant {
    fn step(&mut self, replica: &mut Replica, event: Event, output: &mut Output) {
        let mut mutant = self.of(replica);
        mutant.step(event, output);
        *replica = mutant.into_production();
    }

    fn recover(&self, config: Config, records: Vec<Record>) -> Result<Replica, RecoverError> {
        let new = self.of(&Replica::new(config.clone())?);
        Ok(new.recover(config, records)?.into_production())
    }

    fn take_early(&self, replica: &Replica, output: &mut Output) -> Vec<Envelope> {
        self.of(replica).take_early(output)
    }
}

/// The result for a bug.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// A space shows the bug.
    By {
        /// The purpose of the space.
        space: &'static str,
        /// The smallest counterexample that was found.
        counterexample: Shortest,
    },
    /// No space shows the bug, for this reason.
    Not(&'static str),
    /// No space shows the bug, and no reason is given.
    Unexplained,
    /// The search was interrupted.
    Interrupted,
}

/// A bug, and the space that shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The label in the catalogue.
    pub label: String,
    /// The name in the catalogue.
    pub name: &'static str,
    /// The result.
    pub seen: Seen,
    /// True if a reason says that no space shows the bug.
    pub excused: bool,
}

impl Row {
    /// The verdict: holds if the bug is found, or if a reason says why not.
    pub fn verdict(&self) -> Verdict {
        match (&self.seen, self.excused) {
            (Seen::By { .. }, false) | (Seen::Not(_), _) => Verdict::Holds,
            (Seen::By { .. }, true) | (Seen::Unexplained, _) => Verdict::Violated,
            (Seen::Interrupted, _) => {
                Verdict::Inconclusive { why: "it was interrupted".to_owned() }
            }
        }
    }
}

/// Returns the reason why no step from any state shows a bug.
pub const fn unseen(bug: Bug) -> Option<&'static str> {
    match bug {
        Bug::MatchesByValue => Some(
            "It needs two steps: an Accepted message does not name its value, so the mutant must have proposed the value in an \
             earlier ballot itself.",
        ),
        _ => None,
    }
}

/// Looks for a bug in each of these spaces, up to the first that shows it.
pub fn find(bug: Bug, spaces: &[Space], interrupt: &Interrupt) -> Row {
    let reason = unseen(bug);
    let seen = first(bug, spaces, interrupt)
        .unwrap_or_else(|| reason.map_or(Seen::Unexplained, Seen::Not));
    Row { label: bug.label(), name: bug.name(), seen, excused: reason.is_some() }
}

fn first(bug: Bug, spaces: &[Space], interrupt: &Interrupt) -> Option<Seen> {
    spaces.iter().find_map(|space| {
        let row = space.check(&Mutant(bug), interrupt);
        match (row.verdict, row.counterexample) {
            (Verdict::Inconclusive { .. }, _) => Some(Seen::Interrupted),
            (_, Some(counterexample)) => Some(Seen::By { space: space.shows, counterexample }),
            (_, None) => None,
        }
    })
}
