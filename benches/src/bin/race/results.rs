//! The order of the runs, and their medians and ratios.
//!
//! Within a run of a column, all contestants take turns, and another one begins each run. The first run of a column is
//! not measured, because the process has to ask the system for memory, which it keeps for later runs. A ratio is the
//! median of the ratios within each run, because a machine that is slow for a while is slow for all contestants of a
//! run.

use paxos_benches::median;
use serde::Serialize;

use crate::{
    contestants::{Entrant, OURS},
    measure::{self, Counts, Sample},
    workload::{Commands, Fault, Storage, Work},
};

/// The contestants in one column, in the order of [`ENTRANTS`](crate::contestants::ENTRANTS).
#[derive(Debug, Serialize)]
pub(crate) struct Column {
    /// As in `memory/16B/64/retained`.
    #[serde(rename = "column")]
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) work: Work,
    pub(crate) contestants: Vec<Standing>,
}

/// An implementation in one column. The numbers are those of its best variant.
#[derive(Debug, Serialize)]
pub(crate) struct Standing {
    pub(crate) name: &'static str,
    pub(crate) variant: &'static str,
    /// The median of all runs.
    pub(crate) entries_per_cpu_second: f64,
    /// The median of all runs.
    pub(crate) entries_per_second: f64,
    /// Our entries per CPU second, divided by those of this contestant. `None` if our replica does not take part.
    pub(crate) ratio_cpu: Option<f64>,
    /// Our entries per second, divided by those of this contestant.
    pub(crate) ratio_wall: Option<f64>,
    /// The syncs of all nodes.
    pub(crate) syncs_per_entry: f64,
    /// `None` if nothing was counted.
    pub(crate) instructions_per_entry: Option<f64>,
    pub(crate) allocations_per_entry: Option<f64>,
    /// The bytes that three nodes keep.
    pub(crate) live_bytes_per_entry: Option<f64>,
    /// All variants, the best one included.
    pub(crate) variants: Vec<Variant>,
}

/// The runs of a variant.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Variant {
    pub(crate) variant: &'static str,
    pub(crate) runs: Vec<Sample>,
}

/// A run that is not a result.
#[derive(Debug, thiserror::Error)]
#[error("{column}: {variant} did not do the work: {fault}")]
pub(crate) struct Failed {
    pub(crate) column: String,
    pub(crate) variant: &'static str,
    pub(crate) fault: Fault,
}

impl Column {
    /// Returns the number of turns of a column.
    pub(crate) fn turns(entrants: &[Entrant], runs: usize) -> usize {
        entrants.len() * (runs + 1)
    }

    /// Lets all entrants do the work `runs` times, and once before that, in turns. Calls `before` with the name of each
    /// variant before its turn.
    pub(crate) fn run(
        work: &Work,
        entrants: &[Entrant],
        runs: usize,
        mut before: impl FnMut(&'static str),
    ) -> Result<Self, Failed> {
        let commands = Commands::new(work.size);
        let variants = entrants.iter().map(|entrant| Variant::new(entrant.variant));
        let mut variants: Vec<_> = variants.collect();
        for run in 0..=runs {
            for turn in 0..entrants.len() {
                let index = (run + turn) % entrants.len();
                let entrant = &entrants[index];
                before(entrant.variant);
                let sample = measure::time(entrant, work, &commands).map_err(|fault| Failed {
                    column: work.to_string(),
                    variant: entrant.variant,
                    fault,
                })?;
                if run > 0 {
                    variants[index].runs.push(sample);
                }
            }
        }
        let named = entrants.iter().map(|entrant| entrant.name).zip(variants).collect();
        Ok(Self::judge(*work, named))
    }

    /// Selects the best variant of each implementation. It has the most entries per CPU second in memory, and the most
    /// per second in files.
    fn judge(work: Work, variants: Vec<(&'static str, Variant)>) -> Self {
        let ours = variants.iter().find(|(name, _)| *name == OURS).map(|(_, ours)| ours.clone());
        let mut contestants: Vec<Standing> = Vec::new();
        for (name, variant) in variants {
            let mut standing = Standing::new(&work, name, &variant, ours.as_ref());
            match contestants.last_mut() {
                Some(last) if last.name == name => {
                    standing.variants = std::mem::take(&mut last.variants);
                    standing.variants.push(variant);
                    if standing.score(work.storage) > last.score(work.storage) {
                        *last = standing;
                    } else {
                        last.variants = standing.variants;
                    }
                }
                _ => {
                    standing.variants.push(variant);
                    contestants.push(standing);
                }
            }
        }
        Self { name: work.to_string(), work, contestants }
    }
}

impl Variant {
    fn new(variant: &'static str) -> Self {
        Self { variant, runs: Vec::new() }
    }

    /// Returns the median of a quantity of the runs.
    fn median(&self, quantity: impl Fn(&Sample) -> f64) -> f64 {
        median(self.runs.iter().map(quantity).collect())
    }
}

impl Standing {
    fn new(work: &Work, name: &'static str, variant: &Variant, ours: Option<&Variant>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "no run has 2^53 entries")]
        let entries = work.entries as f64;
        let ratio = |quantity: fn(&Sample) -> f64| {
            let pairs = ours?.runs.iter().zip(&variant.runs);
            Some(median(pairs.map(|(ours, own)| quantity(own) / quantity(ours)).collect()))
        };
        let cpu: fn(&Sample) -> f64 = |sample| sample.cpu_seconds;
        let wall: fn(&Sample) -> f64 = |sample| sample.wall_seconds;
        #[expect(clippy::cast_precision_loss, reason = "no run has 2^53 syncs")]
        let syncs = |sample: &Sample| sample.syncs as f64;
        Self {
            name,
            variant: variant.variant,
            entries_per_cpu_second: entries / variant.median(cpu),
            entries_per_second: entries / variant.median(wall),
            ratio_cpu: ratio(cpu),
            ratio_wall: ratio(wall),
            syncs_per_entry: variant.median(syncs) / entries,
            instructions_per_entry: None,
            allocations_per_entry: None,
            live_bytes_per_entry: None,
            variants: Vec::new(),
        }
    }

    /// Notes what was counted.
    pub(crate) fn set_counts(&mut self, counts: Counts) {
        self.instructions_per_entry = Some(counts.instructions);
        self.allocations_per_entry = Some(counts.allocations);
        self.live_bytes_per_entry = Some(counts.live_bytes);
    }

    fn score(&self, storage: Storage) -> f64 {
        match storage {
            Storage::Memory => self.entries_per_cpu_second,
            Storage::File => self.entries_per_second,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(variant: &'static str, cpu_seconds: [f64; 3]) -> Variant {
        let sample =
            |cpu_seconds| Sample { cpu_seconds, wall_seconds: 9.0 - cpu_seconds, syncs: 6 };
        Variant { variant, runs: cpu_seconds.map(sample).to_vec() }
    }

    fn judge(storage: Storage) -> Column {
        let mut work = Work::columns()[0].with_entries(12);
        work.storage = storage;
        let variants = vec![
            (OURS, variant(OURS, [1.0, 2.0, 4.0])),
            ("peer", variant("slow", [4.0, 8.0, 8.0])),
            ("peer", variant("fast", [2.0, 6.0, 4.0])),
            ("peer", variant("slower", [8.5, 8.5, 8.5])),
        ];
        Column::judge(work, variants)
    }

    #[test]
    fn the_best_variant_counts() {
        let column = judge(Storage::Memory);
        assert_eq!(column.contestants.len(), 2);
        let peer = &column.contestants[1];
        assert_eq!((peer.variant, peer.variants.len()), ("fast", 3));
        // 12 entries in the median of 4 seconds.
        assert_eq!(peer.entries_per_cpu_second.to_bits(), 3.0_f64.to_bits());
        assert_eq!(peer.syncs_per_entry.to_bits(), 0.5_f64.to_bits());
        // The ratios within the runs are 2, 3 and 1.
        assert_eq!(peer.ratio_cpu, Some(2.0));
        assert_eq!(column.contestants[0].ratio_cpu, Some(1.0));
        // Files are judged by wall time, which this peer uses least where it uses most processor time.
        assert_eq!(judge(Storage::File).contestants[1].variant, "slower");
    }

    #[test]
    fn the_ratio_is_the_median_of_those_within_a_run() {
        let work = Work::columns()[0].with_entries(12);
        let variants = vec![
            (OURS, variant(OURS, [1.0, 6.0, 20.0])),
            ("peer", variant("peer", [2.0, 4.0, 40.0])),
        ];
        let column = Column::judge(work, variants);
        // The ratio of the medians is 4 / 6.
        assert_eq!(column.contestants[1].ratio_cpu, Some(2.0));
    }
}
