//! The results of a proof, for people ([`Display`](fmt::Display)) and for programs ([`Serialize`]). `{report:#}` also has a
//! table of formulas and actions.

use std::{collections::BTreeMap, fmt, iter, time::Duration};

use serde::Serialize;

use super::{
    counterexample::Counterexample,
    language::Specification,
    obligation::{Finding, Moment, Obligation},
    prover::{Decision, Prover},
};
use verdict::{
    Verdict,
    layout::{WIDTH, write_table},
};

/// The result of one obligation.
#[derive(Clone, Debug, Serialize)]
pub struct ObligationReport {
    /// `initially`, the name of an action, or `implied`: see [`Moment`].
    pub moment: String,
    /// The name of the formula.
    pub formula: String,
    /// The verdict on this obligation. A violated obligation of the moment `implied` does not affect the
    /// specification's verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The time to decide the obligation.
    pub seconds: f64,
    /// The number of ground terms of the built-in prover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<usize>,
    /// The number of ground clauses of the built-in prover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clauses: Option<usize>,
    /// A counterexample, if the obligation is part of the induction and fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counterexample: Option<Counterexample>,
    #[serde(skip)]
    moment_at: Moment,
}

/// The result of a check that an action is possible, or that the axioms are satisfiable.
#[derive(Clone, Debug, Serialize)]
pub struct PossibilityReport {
    /// The name of an action, or `initially` for the axioms.
    pub moment: String,
    /// Holds if the action is possible, or the axioms are satisfiable. Otherwise the verdict is inconclusive, and not
    /// violated: the proofs about the action, or from the axioms, are vacuous, but no property is broken.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The time of the check.
    pub seconds: f64,
}

/// The result of one specification.
#[derive(Clone, Debug, Serialize)]
pub struct SpecificationReport {
    /// Its name.
    pub specification: String,
    /// The name of its text.
    pub file: String,
    /// Its description.
    pub about: String,
    /// The worst verdict of the induction and of the possibility checks.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The prover.
    pub prover: String,
    /// The axioms in words.
    pub axioms: Vec<String>,
    /// The sorts in an order in which the Skolem functions of all obligations go upwards. Such an order makes the obligations
    /// decidable. The list is empty if there is no common order, but one for each obligation.
    pub order_of_sorts: Vec<String>,
    /// The possibility checks: of the axioms, then of each action.
    pub possible: Vec<PossibilityReport>,
    /// The obligations.
    pub obligations: Vec<ObligationReport>,
}

/// The results of all specifications of one run.
#[derive(Clone, Debug, Serialize)]
pub struct ProofReport {
    /// The worst verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The time in total.
    pub seconds: f64,
    /// The result of each specification.
    pub specifications: Vec<SpecificationReport>,
}

impl ObligationReport {
    pub(super) fn of(
        obligation: &Obligation<'_>,
        decision: &Decision,
        counterexample: Option<Result<Counterexample, String>>,
    ) -> Self {
        // In the induction, a refutation is a violation only with a counterexample that replays.
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
                why: "the axioms contradict each other, so anything follows from them".to_owned(),
            },
            (Finding::Refuted, Some(name)) => Verdict::Inconclusive {
                why: format!("{name} is possible in no state that satisfies the invariant"),
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

    /// Returns the obligations that fail, each as `moment/formula`.
    pub fn failures(&self) -> Vec<String> {
        let failed = self.obligations.iter().filter(|report| report.verdict == Verdict::Violated);
        failed.map(|report| format!("{}/{}", report.moment, report.formula)).collect()
    }

    /// Returns the smallest counterexample, and the result of its obligation.
    pub fn smallest(&self) -> Option<(&ObligationReport, &Counterexample)> {
        let all = self.obligations.iter();
        let found = all.filter_map(|report| Some((report, report.counterexample.as_ref()?)));
        found.min_by_key(|(_, found)| (found.elements.values().sum::<usize>(), found.before.len()))
    }

    /// Returns the number of obligations that hold, and the number of all.
    pub fn proved(&self) -> (usize, usize) {
        let held = self.obligations.iter().filter(|report| report.verdict == Verdict::Holds);
        (held.count(), self.obligations.len())
    }

    /// Writes a row for each formula and a column for each moment. Moments that do not fit the width are in further tables.
    fn write_tables(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut moments: BTreeMap<Moment, &str> = BTreeMap::new();
        let mut formulas: Vec<&str> = Vec::new();
        for report in &self.obligations {
            moments.insert(report.moment_at, &report.moment);
            if !formulas.contains(&&*report.formula) {
                formulas.push(&report.formula);
            }
        }
        let possible = self.possible.iter().map(|it| match it.verdict {
            Verdict::Holds => milliseconds(it.seconds),
            Verdict::Violated | Verdict::Inconclusive { .. } => "?".to_owned(),
        });
        let mut possible = possible.chain(iter::repeat(String::new()));
        let columns = moments.into_iter().map(|(at, moment)| {
            let cell = |formula: &&str| {
                let mut reports = self.obligations.iter();
                let found = reports.find(|it| it.formula == *formula && it.moment_at == at);
                found.map_or(String::new(), cell_of)
            };
            let heading = [moment.to_owned()].into_iter().chain(possible.next());
            heading.chain(formulas.iter().map(cell)).collect::<Vec<_>>()
        });
        let columns: Vec<_> = columns.collect();
        let names = ["milliseconds", "possible"].into_iter().chain(formulas.iter().copied());
        let names: Vec<_> = names.collect();
        let width = |cells: &mut dyn Iterator<Item = &str>| {
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0) + BETWEEN
        };
        let widths = columns.iter().map(|cells| width(&mut cells.iter().map(String::as_str)));
        let widths: Vec<_> = widths.collect();
        let room = f.width().unwrap_or(WIDTH).saturating_sub(width(&mut names.iter().copied()));
        let mut first = 0;
        while first < columns.len() {
            let mut used = 0;
            let fitting = widths[first..].iter().take_while(|width| {
                used += **width;
                used <= room
            });
            let shown = &columns[first..first + fitting.count().max(1)];
            let right: Vec<_> = (1..=shown.len()).collect();
            let row = |(at, name): (usize, &&str)| {
                let cells = shown.iter().map(|cells| cells[at].clone());
                iter::once((*name).to_owned()).chain(cells).collect::<Vec<_>>()
            };
            // Most formulas have no obligation in a table that has the last moment alone.
            let rows = names.iter().enumerate().map(row);
            let mut rows = rows.filter(|row| row[1..].iter().any(|cell| !cell.is_empty()));
            let header = rows.next().expect("the heading is a row");
            let header: Vec<_> = header.iter().map(String::as_str).collect();
            write_table(f, &header, rows, &right)?;
            writeln!(f)?;
            first += shown.len();
        }
        Ok(())
    }
}

/// The width of the space around a cell.
const BETWEEN: usize = 2;

fn cell_of(report: &ObligationReport) -> String {
    let fails = if report.moment_at == Moment::Implied { "no" } else { "FAILS" };
    match report.verdict {
        Verdict::Holds => milliseconds(report.seconds),
        Verdict::Violated => fails.to_owned(),
        Verdict::Inconclusive { .. } => "?".to_owned(),
    }
}

/// The greatest number of undecided obligations that are listed for one reason.
const OPEN_SHOWN: usize = 3;

fn milliseconds(seconds: f64) -> String {
    format!("{:.1}", seconds * 1000.0)
}

impl fmt::Display for SpecificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}): {}\n", self.specification, self.file, self.about)?;
        if f.alternate() {
            self.write_tables(f)?;
        }
        let (held, all) = self.proved();
        writeln!(f, "{held} of {all} obligations hold, decided by {}", self.prover)?;
        let upwards = match &self.order_of_sorts[..] {
            [] => "no common order, one for each obligation".to_owned(),
            order => order.join(", "),
        };
        writeln!(f, "decidable by the order of sorts: {upwards}")?;
        if !self.axioms.is_empty() {
            writeln!(f, "axioms: {}", self.axioms.join("; "))?;
        }
        for report in &self.possible {
            if let Verdict::Inconclusive { why } = &report.verdict {
                writeln!(f, "the proof is vacuous: {why}")?;
            }
        }
        let mut undecided: BTreeMap<&str, Vec<&ObligationReport>> = BTreeMap::new();
        for report in &self.obligations {
            if let Verdict::Inconclusive { why } = &report.verdict {
                undecided.entry(why).or_default().push(report);
            }
        }
        // After a signal, all further obligations are undecided for the same reason.
        for (why, reports) in undecided {
            for report in reports.iter().take(OPEN_SHOWN) {
                writeln!(f, "{}/{} is undecided: {why}", report.moment, report.formula)?;
            }
            if let more @ 1.. = reports.len().saturating_sub(OPEN_SHOWN) {
                writeln!(f, "{more} more undecided: {why}")?;
            }
        }
        for report in &self.obligations {
            if report.moment_at == Moment::Implied && report.verdict == Verdict::Violated {
                let formula = &report.formula;
                write!(f, "{formula} is not implied by the invariant alone")?;
                let mut inductive = self.obligations.iter().filter(|other| {
                    other.formula == *formula && other.moment_at != Moment::Implied
                });
                let is_proved = inductive.all(|other| other.verdict == Verdict::Holds);
                writeln!(
                    f,
                    "{}",
                    if is_proved { "; it is proved as part of the induction" } else { "" }
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
            // With the width and the alternate form of this report.
            fmt::Display::fmt(report, f)?;
            writeln!(f)?;
        }
        writeln!(f, "verdict: {}", self.verdict)?;
        if self.specifications.iter().any(|report| report.smallest().is_some()) {
            writeln!(
                f,
                "The state of a counterexample need not be reachable: either the protocol is wrong, or the \
                 invariant is too weak.\nOnly necessary facts are shown. --json has a counterexample for \
                 each failure."
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
