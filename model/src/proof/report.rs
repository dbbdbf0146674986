//! What a proof came to: for people a table of formulas and actions, for programs an object.

use std::{collections::BTreeMap, fmt, time::Duration};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::{
    counterexample::Counterexample,
    obligation::{Finding, Moment, Obligation},
    prover::Decision,
};
use crate::verdict::Verdict;

/// One obligation and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct ObligationReport {
    /// When the formula had to hold: `initially`, after an action, or `implied` by the invariant.
    pub moment: String,
    /// The formula.
    pub formula: String,
    /// The verdict on this one.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
    /// How many ground terms the built-in prover made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<usize>,
    /// How many ground clauses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clauses: Option<usize>,
    /// How it fails, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counterexample: Option<Counterexample>,
    #[serde(skip)]
    moment_at: Moment,
}

/// One specification.
#[derive(Clone, Debug, Serialize)]
pub struct SpecificationReport {
    /// Its name.
    pub specification: String,
    /// What it is.
    pub about: String,
    /// Whether it is safe in all its states.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Who says so.
    pub prover: String,
    /// What is taken for granted of what never changes, in words.
    pub axioms: Vec<String>,
    /// Its sorts in an order in which everything that exists goes upwards: the reason why "no
    /// counterexample" is a proof. One that serves all obligations.
    pub order_of_sorts: Vec<String>,
    /// All that had to be shown.
    pub obligations: Vec<ObligationReport>,
}

/// All specifications of one run.
#[derive(Clone, Debug, Serialize)]
pub struct ProofReport {
    /// The worst verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Time spent in all.
    pub seconds: f64,
    /// One by one.
    pub specifications: Vec<SpecificationReport>,
}

impl ObligationReport {
    pub(super) fn of(
        obligation: &Obligation<'_>,
        decision: &Decision,
        counterexample: Option<Result<Counterexample, String>>,
    ) -> Self {
        // A refutation that nobody can show is none.
        let verdict = match (&decision.finding, &counterexample) {
            (Finding::Proved, _) => Verdict::Holds,
            (Finding::Refuted, Some(Ok(_))) => Verdict::Violated,
            (Finding::Refuted, None) => {
                Verdict::Inconclusive { why: "no counterexample was looked for".to_owned() }
            }
            (Finding::Unknown { why }, _) | (Finding::Refuted, Some(Err(why))) => {
                Verdict::Inconclusive { why: why.clone() }
            }
        };
        Self {
            moment: obligation.moment_name().to_owned(),
            formula: obligation.goal.name.clone(),
            verdict,
            seconds: decision.took.as_secs_f64(),
            terms: decision.size.map(|(terms, _)| terms),
            clauses: decision.size.map(|(_, clauses)| clauses),
            counterexample: counterexample.and_then(Result::ok),
            moment_at: obligation.moment,
        }
    }
}

impl SpecificationReport {
    /// The obligations that fail, as `moment/formula`.
    pub fn failures(&self) -> Vec<String> {
        let failed = self.obligations.iter().filter(|report| report.verdict == Verdict::Violated);
        failed.map(|report| format!("{}/{}", report.moment, report.formula)).collect()
    }

    /// The smallest counterexample, and the obligation that it breaks.
    pub fn smallest(&self) -> Option<(&ObligationReport, &Counterexample)> {
        let all = self.obligations.iter();
        let found = all.filter_map(|report| Some((report, report.counterexample.as_ref()?)));
        found.min_by_key(|(_, found)| (found.elements.values().sum::<usize>(), found.before.len()))
    }

    /// How many obligations hold, of how many.
    pub fn proved(&self) -> (usize, usize) {
        let held = self.obligations.iter().filter(|report| report.verdict == Verdict::Holds);
        (held.count(), self.obligations.len())
    }

    fn table(&self) -> Table {
        let mut moments: BTreeMap<Moment, &str> = BTreeMap::new();
        let mut formulas: Vec<&str> = Vec::new();
        for report in &self.obligations {
            moments.insert(report.moment_at, &report.moment);
            if !formulas.contains(&&*report.formula) {
                formulas.push(&report.formula);
            }
        }
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        let heading = std::iter::once("milliseconds").chain(moments.values().copied());
        table.set_header(heading);
        for formula in formulas {
            let mut row = vec![formula.to_owned()];
            for moment in moments.keys() {
                let cell = self
                    .obligations
                    .iter()
                    .find(|report| report.formula == formula && report.moment_at == *moment);
                row.push(cell.map_or(String::new(), ObligationReport::cell));
            }
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl ObligationReport {
    fn cell(&self) -> String {
        match self.verdict {
            Verdict::Holds => format!("{:.1}", self.seconds * 1000.0),
            Verdict::Violated => "FAILS".to_owned(),
            Verdict::Inconclusive { .. } => "?".to_owned(),
        }
    }
}

impl fmt::Display for SpecificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}\n", self.specification, self.about)?;
        writeln!(f, "{}\n", self.table())?;
        let (held, all) = self.proved();
        writeln!(f, "{held} of {all} obligations hold, says {}", self.prover)?;
        writeln!(
            f,
            "decidable, since what exists goes upwards: {}",
            self.order_of_sorts.join(", ")
        )?;
        writeln!(f, "taken for granted: {}", self.axioms.join("; "))?;
        for report in &self.obligations {
            if let Verdict::Inconclusive { why } = &report.verdict {
                writeln!(f, "{}/{} is open: {why}", report.moment, report.formula)?;
            }
        }
        let failures = self.failures();
        if let Some((report, found)) = self.smallest() {
            writeln!(f, "\nfails: {}", failures.join(", "))?;
            writeln!(
                f,
                "\nThe smallest counterexample, of {}/{}:\n",
                report.moment, report.formula
            )?;
            write!(f, "{found}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ProofReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for report in &self.specifications {
            writeln!(f, "{report}")?;
        }
        writeln!(f, "verdict: {}", self.verdict)?;
        if self.specifications.iter().any(|report| report.smallest().is_some()) {
            writeln!(
                f,
                "A counterexample to an induction need not be reachable: either the protocol is wrong, \
                 or the invariant says too little."
            )?;
        }
        Ok(())
    }
}

impl ProofReport {
    pub(super) fn of(specifications: Vec<SpecificationReport>, took: Duration) -> Self {
        let verdict = Verdict::worst(specifications.iter().map(|report| &report.verdict));
        Self { verdict, seconds: took.as_secs_f64(), specifications }
    }
}
