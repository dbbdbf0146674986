//! The report about a subject, for people and for machines.

use std::fmt;

use indicatif::HumanCount;
use serde::Serialize;
use verdict::Verdict;

use crate::{
    claims::Class,
    cluster::{Apart, Counts},
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
    /// The result of these steps with a process for each node. A finding about the process or about several schedules has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apart: Option<Apart>,
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
    pub searches: Vec<Explored>,
    /// The schedules of a model.
    pub guided: Guided,
    /// The number of random schedules.
    pub random: u64,
    /// The result of a schedule with a process for each node: of one with crashes, or of the one from a file.
    pub apart: Option<Apart>,
    /// The number of requests to the subject.
    pub requests: u64,
    /// The messages of the subject in all schedules.
    pub messages: Counts,
    /// The reason for which the command or the adapter is no input.
    pub unusable: Option<String>,
    /// The schedules that were taken.
    pub scope: Scope,
    /// The reason for which a schedule could not be run again.
    pub impossible: Option<String>,
}

/// The schedules that a report is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All that the time allows.
    #[default]
    Search,
    /// Those of a model alone.
    Traces,
    /// One from a file.
    Schedule,
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
            None => match self.gap() {
                Some(why) => Verdict::Inconclusive { why },
                None => Verdict::Holds,
            },
        }
    }

    /// Returns the reason for which the schedules show too little, if there is one.
    fn gap(&self) -> Option<String> {
        let Counts { votes_reported, votes_not_carried, .. } = self.messages;
        let why = match self.scope {
            Scope::Schedule => return self.impossible.clone(),
            Scope::Traces if self.guided.taken == 0 => "no step of the schedules is possible",
            Scope::Search if self.searches.is_empty() => {
                "no search fits the sizes of the subject, or the time"
            }
            // Without a vote in it, a promise cannot show that a proposer adopts the wrong one.
            Scope::Search if votes_reported + votes_not_carried == 0 => {
                "no promise reported a vote, so no proposer had to adopt one"
            }
            Scope::Traces | Scope::Search => return None,
        };
        Some(why.to_owned())
    }

    /// Returns the first word of the report: the class of the first finding, or `pass`, or `inconclusive` with the reason.
    pub fn headline(&self) -> String {
        match (self.class(), self.verdict()) {
            (Some(class), _) => class.to_string(),
            (None, Verdict::Holds) => "pass".to_owned(),
            (None, verdict) => verdict.to_string(),
        }
    }

    /// Returns the report as one JSON object, with the headline and the verdict.
    ///
    /// # Panics
    /// Never: a report is JSON.
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct WithVerdict<'a> {
            headline: String,
            #[serde(flatten)]
            verdict: Verdict,
            #[serde(flatten)]
            report: &'a Report,
        }
        let (headline, verdict) = (self.headline(), self.verdict());
        let report = WithVerdict { headline, verdict, report: self };
        serde_json::to_string(&report).expect("a report is JSON") + "\n"
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

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same { kills: 0 } => write!(f, "the same with a process for each node"),
            Self::Same { kills } => {
                let crashes = if *kills == 1 { "crash was a kill" } else { "crashes were kills" };
                write!(f, "the same with a process for each node, where {kills} {crashes}")
            }
            Self::Differs { step, facts, .. } => {
                write!(f, "NOT the same with a process for each node, in step {step}: {facts}")
            }
            Self::NotRun { why } => write!(f, "not run with a process for each node: {why}"),
        }
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
        writeln!(f, "{}: {}", self.headline(), self.name)?;
        for Reported { class, claim, facts, steps, apart, .. } in &self.findings {
            writeln!(f, "{class}: contradicted: {claim}")?;
            writeln!(f, "  {facts}")?;
            write!(f, "{steps}")?;
            if let Some(apart) = apart {
                writeln!(f, "  {apart}")?;
            }
        }
        for explored in &self.searches {
            writeln!(f, "searched: {explored}")?;
        }
        if self.scope == Scope::Schedule {
            if let Some(why) = &self.impossible {
                writeln!(f, "{why}")?;
            }
            if let Some(apart) = &self.apart {
                writeln!(f, "{apart}")?;
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
        if self.scope == Scope::Traces {
            return write!(f, "{} requests to the subject", HumanCount(self.requests));
        }
        let Counts {
            prepares,
            promises,
            votes_reported,
            votes_not_carried,
            accepts,
            accepted,
            others,
        } = self.messages;
        writeln!(
            f,
            "messages: {prepares} prepare, {promises} promise ({votes_reported} with a vote, \
             {votes_not_carried} that cannot say), {accepts} accept, {accepted} accepted, {others} nack and other"
        )?;
        if let Some(apart) = &self.apart {
            writeln!(f, "a schedule with crashes: {apart}")?;
        }
        write!(
            f,
            "{} random schedules; {} requests to the subject",
            HumanCount(self.random),
            HumanCount(self.requests)
        )
    }
}
