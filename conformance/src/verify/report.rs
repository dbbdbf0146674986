//! The report of a verification: a table of all jobs, a line for each link, and one failure in full. `{report:#}` also names
//! the purpose of each space and the parts that it leaves out, and counts transitions by kind.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use indicatif::HumanCount;

use paxos_steps::spaces::Row as StepsRow;
use paxos_validation::coverage::Coverage;
use state_explorer::Report;
use verdict::{Verdict, layout::write_table};

use super::{Evidence, Link, Row, Verification};

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: usize| HumanCount(n as u64).to_string();
        let rows = self.rows.iter().map(|row| {
            let (states, transitions) = match &row.evidence {
                Evidence::Proved(proof) => (String::new(), obligations(proof.proved().1)),
                Evidence::Explored(report) => (count(report.states), count(report.transitions)),
                Evidence::Stepped(row) => {
                    let count = |n: u64| HumanCount(n).to_string();
                    (count(row.counts.states), format!("{} cases", count(row.counts.cases)))
                }
                Evidence::Validated(report) => (String::new(), frames(report.frames)),
            };
            let mut space = row.space.clone();
            if f.alternate() {
                write!(space, "\n  shows: {}", row.shows).expect("a string has room");
                if !row.leaves_out.is_empty() {
                    let leaves_out = row.leaves_out.join(", ");
                    write!(space, "\n  leaves out: {leaves_out}").expect("a string has room");
                }
            }
            vec![row.link.to_string(), space, states, transitions, row.verdict.to_string()]
        });
        let rows: Vec<_> = rows.collect();
        write_table(f, &["link", "space", "states", "transitions", ""], rows, &[2, 3])?;
        writeln!(f)?;
        for link in Link::ALL {
            let rows = || self.rows.iter().filter(move |row| row.link == link);
            if rows().next().is_none() {
                continue;
            }
            let worst = Verdict::worst(rows().map(|row| &row.verdict));
            write!(f, "{link:<13}  {worst}: {}; ", link.claim())?;
            if link == Link::Proof {
                let proofs = rows().filter_map(|row| match &row.evidence {
                    Evidence::Proved(proof) => Some(proof.proved().1),
                    Evidence::Explored(_) | Evidence::Stepped(_) | Evidence::Validated(_) => None,
                });
                let sum = obligations(proofs.sum());
                writeln!(f, "{} specifications, {sum}", rows().count())?;
                continue;
            }
            if link == Link::Steps {
                let sum = |of: fn(&StepsRow) -> u64| rows().filter_map(Row::stepped).map(of).sum();
                let [states, cases, ms]: [u64; 3] = [
                    sum(|row| row.counts.states),
                    sum(|row| row.counts.cases),
                    sum(|row| row.duration_ms),
                ];
                let rate = cases * 1000 / ms.max(1);
                let [states, cases, rate] = [states, cases, rate].map(HumanCount);
                let spaces = rows().count();
                writeln!(
                    f,
                    "{spaces} spaces, {states} states, {cases} cases, {rate} per second and thread"
                )?;
                continue;
            }
            if link == Link::Runs {
                let mut coverage = Coverage::default();
                let reports = rows().filter_map(Row::validated);
                let sum = reports.inspect(|report| coverage.merge(&report.coverage));
                let sum = frames(sum.map(|report| report.frames).sum());
                let kinds = coverage.exercised().count();
                writeln!(f, "{} runs, {sum}, {kinds} kinds of transitions", rows().count())?;
                continue;
            }
            let reports = || rows().filter_map(Row::explored);
            let states = count(reports().map(|report| report.states).sum());
            let transitions = count(reports().map(|report| report.transitions).sum());
            let unit = if link == Link::Lockstep { "pairs" } else { "states" };
            write!(f, "{} spaces, {states} {unit}, {transitions} transitions", rows().count())?;
            let compared = || rows().filter_map(|row| row.compared);
            if compared().next().is_some() {
                let steps = count(compared().map(|compared| compared.steps).sum());
                let inputs = count(compared().map(|compared| compared.inputs).sum());
                write!(f, " by {steps} distinct steps, {inputs} ignored or reshaped inputs")?;
            }
            writeln!(f)?;
        }
        if f.alternate() {
            self.actions(f)?;
        }
        for row in &self.rows {
            for complaint in &row.complaints {
                writeln!(f, "\n{}, {}: {complaint}", row.link, row.space)?;
            }
        }
        self.counterexample(f)?;
        writeln!(f, "\nverdict: {}", self.verdict)
    }
}

impl Verification {
    /// Writes, for each kind, the number of transitions of the model and the number that was compared with production replicas.
    fn actions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |link| {
            let mut sum: BTreeMap<&str, u64> = BTreeMap::new();
            let rows = self.rows.iter().filter(|row| row.link == link);
            for report in rows.filter_map(Row::explored) {
                for (kind, count) in &report.actions {
                    *sum.entry(kind).or_default() += count;
                }
            }
            sum
        };
        let (model, replayed) = (sum(Link::Model), sum(Link::Lockstep));
        let rows = model.iter().map(|(kind, count)| {
            let taken = replayed.get(kind).copied().unwrap_or(0);
            let [count, taken] = [*count, taken].map(|count| HumanCount(count).to_string());
            vec![(*kind).to_owned(), count, taken]
        });
        let header = ["transitions by kind", "of the model", "compared with production replicas"];
        writeln!(f)?;
        write_table(f, &header, rows, &[1, 2])
    }

    /// Writes one failure in full: the first proof that does not hold, or else the shortest counterexample of all spaces.
    fn counterexample(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            if let Evidence::Proved(proof) = &row.evidence
                && proof.verdict != Verdict::Holds
            {
                writeln!(f)?;
                fmt::Display::fmt(proof, f)?;
                return writeln!(f);
            }
            if let Some(found) = row.stepped().and_then(|row| row.counterexample.as_ref()) {
                return writeln!(f, "\n{found}");
            }
            if let Some(report) = row.validated().filter(|report| report.verdict != Verdict::Holds)
            {
                return writeln!(f, "\n{}: {report}", row.space);
            }
        }
        let length = |report: &&Report| {
            let found = report.properties.iter().filter_map(|p| p.counterexample.as_ref());
            found.map(|found| found.steps.len()).min()
        };
        let failed = self.rows.iter().filter_map(Row::explored);
        match failed.filter(|report| length(report).is_some()).min_by_key(length) {
            None => Ok(()),
            Some(report) => {
                writeln!(f, "\nThe shortest path to a failure:\n")?;
                fmt::Display::fmt(report, f)?;
                writeln!(f)
            }
        }
    }
}

fn frames(count: u64) -> String {
    format!("{} frames", HumanCount(count))
}

fn obligations(count: usize) -> String {
    format!("{} obligations", HumanCount(count as u64))
}
