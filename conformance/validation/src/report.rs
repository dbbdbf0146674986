//! The report of a validation, for people and for machines.

use std::fmt;

use indicatif::HumanCount;
use paxos::NodeId;
use paxos_recording::files::Placed;
use serde::Serialize;
use verdict::Verdict;

use crate::{claims::Contradiction, coverage::Coverage, excerpt::Excerpt, node::Shared};

/// A claim that does not hold, and the place.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Violation {
    /// The node whose frame contradicts the claim.
    pub node: Option<NodeId>,
    /// The number of the start of the node.
    #[serde(rename = "start")]
    pub incarnation: Option<u64>,
    /// The number of the frame in the recording of the start.
    pub frame: Option<u64>,
    /// The place after the frame.
    pub place: Option<Placed>,
    /// The claim and the facts.
    #[serde(flatten)]
    pub contradiction: Contradiction,
    /// The frames that lead to it.
    pub excerpt: Excerpt,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Contradiction { claim, facts } = &self.contradiction;
        writeln!(f, "violated: {claim}")?;
        if let (Some(node), Some(start), Some(frame)) = (self.node, self.incarnation, self.frame) {
            write!(f, "  node {node}, start {start}, frame {frame}")?;
            if let Some(place) = &self.place {
                write!(f, " (before {place})")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "  {facts}")?;
        if !self.excerpt.is_empty() {
            writeln!(
                f,
                "the frames that lead to it, in an order in which they can have happened:"
            )?;
        }
        write!(f, "{}", self.excerpt)
    }
}

/// The result of a validation.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The violation, if there is one.
    pub violation: Option<Box<Violation>>,
    /// The reasons for which the recordings do not show the whole run.
    #[serde(rename = "incomplete")]
    pub doubts: Vec<String>,
    /// The number of frames that were taken.
    pub frames: u64,
    /// The number of nodes with recordings.
    pub nodes: usize,
    /// The number of nodes of the cluster.
    pub members: usize,
    /// The kinds of transitions.
    #[serde(flatten)]
    pub coverage: Coverage,
}

impl Report {
    /// Returns the report of a run that could not be validated.
    pub fn inconclusive(why: String) -> Self {
        let (doubts, shared) = (vec![why.clone()], Shared::default());
        Self { verdict: Verdict::Inconclusive { why }, ..Self::new(None, doubts, 0, 0, shared) }
    }

    /// Returns the report of a validation that has ended.
    pub(crate) fn new(
        violation: Option<Box<Violation>>,
        doubts: Vec<String>,
        frames: u64,
        nodes: usize,
        shared: Shared,
    ) -> Self {
        let verdict = if violation.is_some() {
            Verdict::Violated
        } else if frames == 0 {
            Verdict::Inconclusive { why: "there is no frame".to_owned() }
        } else if let Some(first) = doubts.first() {
            Verdict::Inconclusive { why: first.clone() }
        } else {
            Verdict::Holds
        };
        let (members, coverage) = (shared.members.len(), shared.coverage);
        Self { verdict, violation, doubts, frames, nodes, members, coverage }
    }
}

/// `{report:#}` also lists the number of transitions of each kind.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, violation, doubts, frames, nodes, members, coverage } = self;
        match violation {
            Some(violation) => write!(f, "{violation}")?,
            None => writeln!(f, "{verdict}")?,
        }
        for doubt in doubts {
            writeln!(f, "  incomplete: {doubt}")?;
        }
        let kinds = coverage.exercised().count();
        let never: Vec<_> = coverage.never().collect();
        writeln!(
            f,
            "{} frames of {nodes} of {members} nodes; {kinds} of {} kinds of transitions",
            HumanCount(*frames),
            kinds + never.len()
        )?;
        if f.alternate() {
            for (kind, count) in coverage.exercised() {
                writeln!(f, "  {:>12}  {kind}", HumanCount(count).to_string())?;
            }
        }
        if violation.is_none() {
            never.iter().try_for_each(|kind| writeln!(f, "  never: {kind}"))?;
        }
        Ok(())
    }
}
