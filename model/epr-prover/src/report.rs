//! What a proof came to: for people a table of formulas and actions, for programs an object.

use std::{collections::BTreeMap, fmt, time::Duration};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::{
    counterexample::Counterexample,
    language::Specification,
    obligation::{Finding, Moment, Obligation},
    prover::{Decision, Prover},
};
use verdict::Verdict;

/// One obligation and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct ObligationReport {
    /// When the formula had to hold: `initially`, after an action, or `implied` by the invariant.
    pub moment: String,
    /// The formula.
    pub formula: String,
    /// The verdict on this one. A formula that is not implied is no violation of the whole.
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

/// Whether something can happen at all.
#[derive(Clone, Debug, Serialize)]
pub struct PossibilityReport {
    /// An action, or `initially`, for what is taken for granted.
    pub moment: String,
    /// It holds if it can happen. If it can not, nothing was proved about it, whatever the rest says: so
    /// that is inconclusive, and no violation.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
}

/// One specification.
#[derive(Clone, Debug, Serialize)]
pub struct SpecificationReport {
    /// Its name.
    pub specification: String,
    /// What its text is called.
    pub file: String,
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
    /// counterexample" is a proof. One that serves all obligations; empty if each only has its own.
    pub order_of_sorts: Vec<String>,
    /// Whether what is taken for granted can be so, and each action happen.
    pub possible: Vec<PossibilityReport>,
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
            (Finding::Refuted, Some(Ok(_)) | None) => Verdict::Violated,
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

impl PossibilityReport {
    pub(super) fn of(
        specification: &Specification,
        action: Option<usize>,
        decision: &Decision,
    ) -> Self {
        let name = action.map(|action| &*specification.actions[action].name);
        let verdict = match (&decision.finding, name) {
            (Finding::Proved, _) => Verdict::Holds,
            (Finding::Unknown { why }, _) => Verdict::Inconclusive { why: why.clone() },
            (Finding::Refuted, None) => Verdict::Inconclusive {
                why: "the axioms contradict each other, so that anything follows".to_owned(),
            },
            (Finding::Refuted, Some(name)) => Verdict::Inconclusive {
                why: format!("{name} can never happen in a state that satisfies the invariant"),
            },
        };
        let moment = name.unwrap_or("initially").to_owned();
        Self { moment, verdict, seconds: decision.took.as_secs_f64() }
    }
}

impl SpecificationReport {
    pub(super) fn of(
        specification: &Specification,
        prover: &Prover,
        possible: Vec<PossibilityReport>,
        obligations: Vec<ObligationReport>,
        order_of_sorts: Vec<String>,
    ) -> Self {
        let induction = obligations.iter().filter(|it| it.moment_at != Moment::Implied);
        let parts = induction.map(|it| &it.verdict).chain(possible.iter().map(|it| &it.verdict));
        Self {
            verdict: Verdict::worst(parts),
            specification: specification.name.clone(),
            file: specification.file().to_owned(),
            about: specification.about.clone(),
            prover: prover.to_string(),
            axioms: specification.axioms.iter().map(|axiom| axiom.words.clone()).collect(),
            order_of_sorts,
            possible,
            obligations,
        }
    }

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
        let possible = self.possible.iter().map(|it| match it.verdict {
            Verdict::Holds => milliseconds(it.seconds),
            Verdict::Violated | Verdict::Inconclusive { .. } => "?".to_owned(),
        });
        table.add_row(std::iter::once("possible".to_owned()).chain(possible));
        for formula in formulas {
            let mut row = vec![formula.to_owned()];
            for moment in moments.keys() {
                let cell = self
                    .obligations
                    .iter()
                    .find(|report| report.formula == formula && report.moment_at == *moment);
                row.push(cell.map_or(String::new(), cell_of));
            }
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

fn cell_of(report: &ObligationReport) -> String {
    let fails = if report.moment_at == Moment::Implied { "no" } else { "FAILS" };
    match report.verdict {
        Verdict::Holds => milliseconds(report.seconds),
        Verdict::Violated => fails.to_owned(),
        Verdict::Inconclusive { .. } => "?".to_owned(),
    }
}

/// The most obligations that are listed as open for one reason.
const OPEN_SHOWN: usize = 3;

fn milliseconds(seconds: f64) -> String {
    format!("{:.1}", seconds * 1000.0)
}

impl fmt::Display for SpecificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}): {}\n", self.specification, self.file, self.about)?;
        let table = self.table().to_string();
        table.lines().try_for_each(|line| writeln!(f, "{}", line.trim_end()))?;
        let (held, all) = self.proved();
        writeln!(f, "\n{held} of {all} obligations hold, says {}", self.prover)?;
        let upwards = match &self.order_of_sorts[..] {
            [] => "each obligation has an order of its own".to_owned(),
            order => order.join(", "),
        };
        writeln!(f, "decidable, since what exists goes upwards: {upwards}")?;
        if !self.axioms.is_empty() {
            writeln!(f, "taken for granted: {}", self.axioms.join("; "))?;
        }
        for report in &self.possible {
            if let Verdict::Inconclusive { why } = &report.verdict {
                writeln!(f, "nothing is shown by this: {why}")?;
            }
        }
        let mut open: BTreeMap<&str, Vec<&ObligationReport>> = BTreeMap::new();
        for report in &self.obligations {
            if let Verdict::Inconclusive { why } = &report.verdict {
                open.entry(why).or_default().push(report);
            }
        }
        // A signal leaves all that follow open for the same reason.
        for (why, reports) in open {
            for report in reports.iter().take(OPEN_SHOWN) {
                writeln!(f, "{}/{} is open: {why}", report.moment, report.formula)?;
            }
            if let more @ 1.. = reports.len().saturating_sub(OPEN_SHOWN) {
                writeln!(f, "{more} more are open: {why}")?;
            }
        }
        for report in &self.obligations {
            if report.moment_at == Moment::Implied && report.verdict == Verdict::Violated {
                let formula = &report.formula;
                writeln!(
                    f,
                    "{formula} is not implied by the invariant, but part of the induction"
                )?;
            }
        }
        if let Some((report, found)) = self.smallest() {
            writeln!(f, "\nfails: {}", self.failures().join(", "))?;
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
                 or the invariant\nsays too little. It is cut down to the facts that matter; --json has one \
                 for each failure."
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
