//! The report about a subject, for people and for machines.

use std::{fmt, time::Duration};

use indicatif::HumanCount;
use quick_xml::escape::escape;
use serde::{Serialize, Serializer};
use verdict::Verdict;

use crate::{
    claims::{self, Class},
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
    /// The number of random schedules.
    pub random: u64,
    /// The number of requests to the subject.
    pub requests: u64,
    /// True if the time or a signal ended the judgement before the first search was complete.
    pub unfinished: bool,
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
            None => match (&self.impossible, self.unfinished) {
                (Some(why), _) => Verdict::Inconclusive { why: why.clone() },
                (None, true) => Verdict::Inconclusive { why: "no search was complete".to_owned() },
                (None, false) => Verdict::Holds,
            },
        }
    }
}

impl Report {
    /// Returns the report as JUnit XML: one test case for each claim. A case fails if its claim does not hold.
    pub fn junit(&self, time: Duration) -> String {
        let failures = self.findings.len();
        let mut cases = String::new();
        for claim in claims::ALL {
            let name = escape(claim.text);
            let mut found =
                self.findings.iter().filter(|finding| finding.claim == claim.text).peekable();
            if found.peek().is_none() {
                cases += &format!("  <testcase classname=\"paxos\" name=\"{name}\"/>\n");
                continue;
            }
            cases += &format!("  <testcase classname=\"paxos\" name=\"{name}\">\n");
            for Reported { class, facts, steps, .. } in found {
                let steps = steps.to_string();
                let (facts, steps) = (escape(facts), escape(&steps));
                cases += &format!(
                    "    <failure type=\"{class}\" message=\"{facts}\">{steps}</failure>\n"
                );
            }
            cases += "  </testcase>\n";
        }
        // A report that is not conclusive must not look as if all claims hold.
        let error = match self.verdict() {
            Verdict::Inconclusive { why } if failures == 0 => {
                let why = escape(&why);
                cases += &format!(
                    "  <testcase classname=\"paxos\" name=\"verdict\">\n    <error message=\"{why}\"/>\n  \
                     </testcase>\n"
                );
                1
            }
            _ => 0,
        };
        let (tests, name) = (claims::ALL.len() + error, escape(&self.name));
        let seconds = time.as_secs_f64();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{name}\" tests=\"{tests}\" \
             failures=\"{failures}\" errors=\"{error}\" time=\"{seconds:.3}\">\n{cases}</testsuite>\n"
        )
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
        write!(
            f,
            "{} random schedules; {} requests to the subject",
            HumanCount(self.random),
            HumanCount(self.requests)
        )
    }
}
