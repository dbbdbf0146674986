//! The comparison of the measurements: checks that all programs did the same work, and computes the ratios.

use std::{fmt, time::Duration};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::HumanCount;
use paxos_benches::median;
use serde::Serialize;

use crate::contenders::{Contender, TARGET_BALLOTS, Target};

/// One run of one program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) states: u64,
    pub(crate) transitions: u64,
    pub(crate) cpu: Duration,
    /// In bytes.
    pub(crate) peak: u64,
}

/// Spin, and each contender beside it.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    ballots: u8,
    rounds: usize,
    /// The difference, if the programs did not do the same work. There are then no ratios.
    #[serde(skip_serializing_if = "Option::is_none")]
    disagreement: Option<String>,
    /// True if all targets are met. `None` if there are no targets for this number of ballots.
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
    rows: Vec<Row>,
}

/// All runs of one program.
#[derive(Debug, Serialize)]
struct Row {
    engine: &'static str,
    states: u64,
    transitions: u64,
    /// The median of all rounds.
    cpu_seconds: f64,
    /// The CPU time of each round.
    cpu_seconds_each: Vec<f64>,
    /// The median of the ratios within each round. A machine that is slow for a while is slow for both programs of a
    /// round.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    /// The maximum of all rounds.
    peak_mib: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

impl Comparison {
    /// Compares the runs of contenders with those of Spin, round by round.
    pub(crate) fn new(ballots: u8, spin: &[Sample], others: &[(&Contender, Vec<Sample>)]) -> Self {
        let disagreement =
            others.iter().find_map(|(contender, samples)| disagreement(contender, samples, spin));
        let mut rows = vec![Row::new("spin", spin)];
        for (contender, samples) in others {
            let mut row = Row::new(contender.name, samples);
            if disagreement.is_none() {
                let ratios = samples
                    .iter()
                    .zip(spin)
                    .map(|(ours, theirs)| ours.cpu.as_secs_f64() / theirs.cpu.as_secs_f64());
                row.judge(ballots, contender.target, median(ratios.collect()));
            }
            rows.push(row);
        }
        let judged = || rows.iter().filter_map(|row| row.met);
        let met = judged().next().is_some().then(|| judged().all(|met| met));
        Self { ballots, rounds: spin.len(), disagreement, met, rows }
    }

    /// Returns true if the counts agree and no target is missed.
    pub(crate) fn is_good(&self) -> bool {
        self.disagreement.is_none() && self.met != Some(false)
    }
}

/// Returns the difference between the counts of a contender and those of Spin, if there is one.
fn disagreement(contender: &Contender, samples: &[Sample], spin: &[Sample]) -> Option<String> {
    let counts = |sample: &Sample| (sample.states, sample.transitions);
    let expected = counts(&spin[0]);
    let odd = |sample: &&Sample| {
        if contender.symmetry { sample.states > expected.0 } else { counts(sample) != expected }
    };
    // The later rounds of Spin are compared with its first round, too.
    let (who, odd) = match spin.iter().find(|sample| counts(sample) != expected) {
        Some(sample) => ("spin", sample),
        None => (contender.name, samples.iter().find(odd)?),
    };
    Some(format!(
        "{who} has {} states and {} transitions, but spin has {} and {}: they did not do the same work",
        HumanCount(odd.states),
        HumanCount(odd.transitions),
        HumanCount(expected.0),
        HumanCount(expected.1),
    ))
}

impl Row {
    fn new(engine: &'static str, samples: &[Sample]) -> Self {
        let each: Vec<f64> = samples.iter().map(|sample| sample.cpu.as_secs_f64()).collect();
        let peak = samples.iter().map(|sample| sample.peak).max().unwrap_or_default();
        Self {
            engine,
            states: samples[0].states,
            transitions: samples[0].transitions,
            cpu_seconds: median(each.clone()),
            cpu_seconds_each: each,
            ratio: None,
            peak_mib: mebibytes(peak),
            target: None,
            met: None,
        }
    }

    fn judge(&mut self, ballots: u8, target: Target, ratio: f64) {
        self.ratio = Some(ratio);
        if ballots == TARGET_BALLOTS {
            let light = target.peak_mib.is_none_or(|most| self.peak_mib <= most);
            self.target = Some(target);
            self.met = Some(ratio <= target.ratio && light);
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ballots, rounds) = (self.ballots, self.rounds);
        writeln!(f, "synod: 3 acceptors, 2 values, ballots: {ballots}, rounds: {rounds}\n")?;
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["engine", "states", "CPU s", "ratio to spin", "peak MiB", "target"]);
        for row in &self.rows {
            table.add_row([
                row.engine.to_owned(),
                HumanCount(row.states).to_string(),
                format!("{:.2}", row.cpu_seconds),
                row.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")),
                format!("{:.0}", row.peak_mib),
                row.verdict(),
            ]);
        }
        for column in table.column_iter_mut().skip(1).take(4) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{table}")?;
        match (&self.disagreement, self.met) {
            (Some(disagreement), _) => writeln!(f, "\nno ratios: {disagreement}"),
            (None, Some(true)) => writeln!(f, "\nall targets are met"),
            (None, Some(false)) => writeln!(f, "\na target is missed"),
            (None, None) => writeln!(f, "\nno targets: they are for {TARGET_BALLOTS} ballots"),
        }
    }
}

impl Row {
    fn verdict(&self) -> String {
        let (Some(target), Some(met)) = (self.target, self.met) else { return String::new() };
        let memory = target.peak_mib.map_or(String::new(), |most| format!(", {most} MiB"));
        format!("{}: ≤ {}{memory}", if met { "met" } else { "missed" }, target.ratio)
    }
}

#[expect(clippy::cast_precision_loss, reason = "no machine has 2^53 bytes")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders::CONTENDERS;

    fn sample(states: u64, cpu: u64) -> Sample {
        Sample { states, transitions: 3 * states, cpu: Duration::from_secs(cpu), peak: 100 << 20 }
    }

    fn contender(name: &str) -> &'static Contender {
        CONTENDERS
            .iter()
            .find(|contender| contender.name == name)
            .expect("the table has this contender")
    }

    #[test]
    fn the_ratio_is_the_median_of_those_within_a_round() {
        // A machine that becomes slower. The ratio of the medians is 1.5, and the median of the ratios is 0.5.
        let spin = [sample(1000, 2), sample(1000, 4), sample(1000, 40)];
        let ours = vec![sample(1000, 1), sample(1000, 6), sample(1000, 20)];
        let comparison = Comparison::new(4, &spin, &[(contender("dfs"), ours)]);
        assert_eq!(comparison.rows[1].ratio, Some(0.5));
        assert!(comparison.is_good());
    }

    #[test]
    fn a_target_can_be_missed_by_time_and_by_memory() {
        let missed = |cpu, peak| {
            let ours = Sample { peak, ..sample(1000, cpu) };
            let others = [(contender("timely"), vec![ours])];
            !Comparison::new(4, &[sample(1000, 100)], &others).is_good()
        };
        assert!(!missed(35, 200 << 20));
        assert!(missed(36, 200 << 20));
        assert!(missed(35, 201 << 20));
    }

    #[test]
    fn different_counts_have_no_ratio() {
        let compare =
            |spin: &[Sample], name, ours| Comparison::new(4, spin, &[(contender(name), ours)]);
        let fewer = compare(&[sample(1000, 9)], "bfs", vec![sample(999, 1)]);
        assert!(!fewer.is_good());
        assert!(fewer.rows.iter().all(|row| row.ratio.is_none() && row.met.is_none()));
        assert!(fewer.to_string().contains("bfs has 999 states and 2,997 transitions"), "{fewer}");

        let once = [sample(1000, 9), sample(1001, 9)];
        assert!(
            !compare(&once, "bfs", vec![sample(1000, 1); 2]).is_good(),
            "spin must repeat its own counts"
        );
        let symmetric = compare(&[sample(1000, 100)], "timely-symmetry", vec![sample(100, 1)]);
        assert!(symmetric.is_good(), "fewer states are the point of symmetry");
        assert!(!compare(&[sample(9, 100)], "timely-symmetry", vec![sample(10, 1)]).is_good());
    }
}
