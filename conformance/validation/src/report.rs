//! The report of a validation, for people and for machines.

use std::fmt;

use indicatif::HumanCount;
use paxos::NodeId;
use paxos_recording::files::Placed;
use serde::{Serialize, ser::SerializeStruct as _};
use verdict::Verdict;

use crate::{coverage::Coverage, excerpt::Excerpt, history::Contradiction, node::Shared};

/// A claim that does not hold, and the place.
#[derive(Clone, Debug, Default)]
pub struct Violation {
    /// The node whose frame contradicts the claim.
    pub node: Option<NodeId>,
    /// The number of the start of the node.
    pub incarnation: Option<u64>,
    /// The number of the frame in the recording of the start.
    pub frame: Option<u64>,
    /// The place after the frame.
    pub place: Option<Placed>,
    /// The claim and the facts.
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
#[derive(Debug)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// The violation, if there is one.
    pub violation: Option<Box<Violation>>,
    /// The reasons for which the recordings do not show the whole run.
    pub doubts: Vec<String>,
    /// The number of frames that were taken.
    pub frames: u64,
    /// The number of nodes with recordings.
    pub nodes: usize,
    /// The number of nodes of the cluster.
    pub members: usize,
    /// The kinds of transitions.
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

impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("Report", 7)?;
        map.serialize_field("verdict", &self.verdict)?;
        map.serialize_field(
            "violation",
            &self.violation.as_deref().map(|violation| serde_violation(violation)),
        )?;
        map.serialize_field("incomplete", &self.doubts)?;
        map.serialize_field("frames", &self.frames)?;
        map.serialize_field("nodes", &self.nodes)?;
        map.serialize_field("members", &self.members)?;
        let exercised: Vec<_> = self.coverage.exercised().collect();
        map.serialize_field("exercised", &exercised)?;
        let never: Vec<_> = self.coverage.never().collect();
        map.serialize_field("never", &never)?;
        map.end()
    }
}

/// A violation, for machines.
#[derive(Serialize)]
struct Machine<'a> {
    claim: &'a str,
    facts: &'a str,
    node: Option<u32>,
    start: Option<u64>,
    frame: Option<u64>,
    place: Option<String>,
    excerpt: &'a Excerpt,
}

fn serde_violation(violation: &Violation) -> Machine<'_> {
    Machine {
        claim: violation.contradiction.claim,
        facts: &violation.contradiction.facts,
        node: violation.node.map(|node| node.0),
        start: violation.incarnation,
        frame: violation.frame,
        place: violation.place.as_ref().map(ToString::to_string),
        excerpt: &violation.excerpt,
    }
}
