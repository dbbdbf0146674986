//! The report about a subject, for people and for machines.

use std::fmt;

use indicatif::HumanCount;
use serde::{Serialize, Serializer};
use verdict::Verdict;

use crate::{
    claims::Class,
    cluster::Counts,
    guide::Guided,
    schedule::{File, Shown},
    search::{Bounds, Explored},
};

/// A finding about a subject.
#[derive(Debug, Serialize)]
pub struct Reported {
    /// The class of the finding.
    pub class: Class,
    /// The claim that does not hold.
    pub claim: &'static str,
    /// The facts that contradict it.
    pub facts: String,
    /// The steps that lead to it.
    pub steps: Shown,
    /// The schedule for a file.
    pub schedule: Option<File>,
}

/// The report about a subject.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The name of the implementation.
    pub name: String,
    /// The findings, those of the first class first.
    pub findings: Vec<Reported>,
    /// The exhaustive searches.
    #[serde(serialize_with = "searches")]
    pub searches: Vec<Explored>,
    /// The schedules of a model.
    pub guided: Guided,
    /// The number of random schedules.
    pub random: u64,
    /// The number of requests to the subject.
    pub requests: u64,
    /// The messages of the subject in all schedules.
    pub messages: Counts,
    /// The reason for which the command or the adapter is no input.
    pub unusable: Option<String>,
    /// True if only schedules of a model were taken.
    pub replayed: bool,
    /// True if only one schedule was run again.
    pub rerun: bool,
    /// The reason for which a schedule could not be run again.
    pub impossible: Option<String>,
}

fn searches<S: Serializer>(searches: &[Explored], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(searches.iter().map(|it| {
        serde_json::json!({
            "acceptors": it.bounds.size.acceptors,
            "proposers": it.bounds.size.proposers,
            "ballots": it.bounds.ballots,
            "restarts": it.bounds.restarts,
            "wishes": it.bounds.wishes,
            "nacks_lost": it.bounds.loses_nacks,
            "by_rounds": it.by_rounds,
            "states": it.states,
            "steps": it.steps,
            "complete": it.complete,
        })
    }))
}

impl Report {
    /// Returns the class of the headline. A subject without findings has none.
    pub fn class(&self) -> Option<Class> {
        self.findings.iter().map(|finding| finding.class).min()
    }

    /// Returns the verdict. Only a subject that decides, and contradicts no claim, passes.
    pub fn verdict(&self) -> Verdict {
        match self.class() {
            Some(Class::Vacuous) => Verdict::Inconclusive { why: "nothing is decided".to_owned() },
            Some(_) => Verdict::Violated,
            None => match &self.impossible {
                Some(why) => Verdict::Inconclusive { why: why.clone() },
                None if self.replayed && self.guided.taken == 0 => {
                    Verdict::Inconclusive { why: "no step of the schedules is possible".to_owned() }
                }
                None if self.replayed => Verdict::Holds,
                None if !self.rerun && self.searches.is_empty() => Verdict::Inconclusive {
                    why: "no search fits the sizes of the subject, or the time".to_owned(),
                },
                None if !self.rerun && self.messages.votes_reported == 0 => Verdict::Inconclusive {
                    why: "no promise reported a vote, so no proposer had to adopt one".to_owned(),
                },
                None => Verdict::Holds,
            },
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nondeterministic => "nondeterministic",
            Self::Broken => "broken",
            Self::Safety => "safety",
            Self::Fault => "fault",
            Self::Contract => "contract",
            Self::Liveness => "liveness",
            Self::Vacuous => "vacuous",
        })
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, ballots, restarts, wishes, loses_nacks } = self;
        let proposers = if size.proposers == 1 { "proposer" } else { "proposers" };
        write!(
            f,
            "{} acceptors, {} {proposers}, {ballots} ballots",
            size.acceptors, size.proposers
        )?;
        if *wishes > 1 {
            write!(f, ", {wishes} values each")?;
        }
        match restarts {
            0 => {}
            1 => write!(f, ", 1 restart")?,
            _ => write!(f, ", {restarts} restarts")?,
        }
        if *loses_nacks { write!(f, ", nacks lost") } else { Ok(()) }
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bounds, by_rounds, states, steps, complete } = self;
        let (states, unit) =
            (HumanCount(*states as u64), if *by_rounds { "rounds" } else { "steps" });
        match (by_rounds, complete) {
            (false, true) => write!(f, "{bounds}: all {states} states"),
            (true, true) => write!(f, "{bounds}: all {steps} rounds, {states} states"),
            (_, false) => {
                write!(f, "{bounds}: {states} states, all schedules of up to {steps} {unit}")
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headline = match (self.class(), self.verdict()) {
            (Some(class), _) => class.to_string(),
            (None, Verdict::Holds) => "pass".to_owned(),
            (None, verdict) => verdict.to_string(),
        };
        writeln!(f, "{headline}: {}", self.name)?;
        for Reported { class, claim, facts, steps, .. } in &self.findings {
            writeln!(f, "{class}: contradicted: {claim}")?;
            writeln!(f, "  {facts}")?;
            write!(f, "{steps}")?;
        }
        for explored in &self.searches {
            writeln!(f, "searched: {explored}")?;
        }
        if self.rerun {
            if let Some(why) = &self.impossible {
                writeln!(f, "{why}")?;
            }
            return write!(f, "one schedule was run again");
        }
        let Guided { schedules, taken, left_out } = self.guided;
        if schedules > 0 {
            writeln!(
                f,
                "{schedules} schedules of the model: {taken} steps taken, {left_out} left out, \
                 since the subject does not offer them"
            )?;
        }
        if self.replayed {
            return write!(f, "{} requests to the subject", HumanCount(self.requests));
        }
        let Counts { prepares, promises, votes_reported, accepts, accepted, others } =
            self.messages;
        writeln!(
            f,
            "messages: {prepares} prepare, {promises} promise ({votes_reported} with a vote), {accepts} accept, \
             {accepted} accepted, {others} nack and other"
        )?;
        write!(
            f,
            "{} random schedules; {} requests to the subject",
            HumanCount(self.random),
            HumanCount(self.requests)
        )
    }
}
