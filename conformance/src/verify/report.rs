//! The report of a verification: a table of all jobs, a line for each link, and the failure in full.

use std::{collections::BTreeMap, fmt};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::HumanCount;

use state_explorer::Report;
use verdict::Verdict;

use super::{Evidence, Link, Row, Verification};

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: usize| HumanCount(n as u64).to_string();
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["link", "space", "shows", "leaves out", "states", "transitions", ""]);
        for row in &self.rows {
            let (states, transitions) = match &row.evidence {
                Evidence::Proved(proof) => (String::new(), obligations(proof.proved().1)),
                Evidence::Explored(report) => (count(report.states), count(report.transitions)),
            };
            table.add_row([
                row.link.to_string(),
                row.space.clone(),
                row.shows.to_owned(),
                row.leaves_out.join(", "),
                states,
                transitions,
                row.verdict.to_string(),
            ]);
        }
        for column in [4, 5] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(f, "{table}\n")?;
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
                    Evidence::Explored(_) => None,
                });
                let sum = obligations(proofs.sum());
                writeln!(f, "{} specifications, {sum}", rows().count())?;
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
        self.actions(f)?;
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
    /// The number of transitions of the model, and of those that were compared with production replicas, kind by kind.
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
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header([
            "transitions by kind",
            "of the model",
            "compared with production replicas",
        ]);
        for (kind, count) in &model {
            let taken = replayed.get(kind).copied().unwrap_or(0);
            table.add_row([
                (*kind).to_owned(),
                HumanCount(*count).to_string(),
                HumanCount(taken).to_string(),
            ]);
        }
        for column in [1, 2] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(f, "\n{table}")
    }

    /// One failure in full: a proof that failed, or else the shortest counterexample of all.
    fn counterexample(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            if let Evidence::Proved(proof) = &row.evidence
                && proof.verdict != Verdict::Holds
            {
                return writeln!(f, "\n{proof}");
            }
        }
        let length = |report: &&Report| {
            let found = report.properties.iter().filter_map(|p| p.counterexample.as_ref());
            found.map(|found| found.steps.len()).min()
        };
        let failed = self.rows.iter().filter_map(Row::explored);
        match failed.filter(|report| length(report).is_some()).min_by_key(length) {
            None => Ok(()),
            Some(report) => writeln!(f, "\nThe shortest path to a failure:\n\n{report}"),
        }
    }
}

fn obligations(count: usize) -> String {
    format!("{} obligations", HumanCount(count as u64))
}
