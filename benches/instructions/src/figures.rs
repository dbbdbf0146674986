//! Recorded figures of the instructions of hot paths, and their comparison with counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The recorded figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// A path may take this many percent more than its figure.
    pub(crate) tolerance_percent: u64,
    /// Instructions for each repetition of a path, by the name of the path.
    pub(crate) instructions: BTreeMap<String, u64>,
}

/// The comparison of a path with its figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// The path takes too many instructions.
    TooMany,
    /// The path takes about as many instructions as recorded.
    Holds,
    /// The path takes so few instructions that the figure should be recorded again.
    Fewer,
}

/// The figures name other paths than those that were counted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are figures for {recorded:?}, and counts for {counted:?}; record the figures again")]
pub(crate) struct OtherPaths {
    recorded: Vec<String>,
    counted: Vec<String>,
}

impl Figures {
    /// Compares counts with the figures. Returns the figure, the count and the comparison of each path.
    ///
    /// # Errors
    /// Fails if the figures are of other paths.
    pub(crate) fn compare(
        &self,
        counted: &BTreeMap<String, u64>,
    ) -> Result<BTreeMap<String, (u64, u64, Comparison)>, OtherPaths> {
        if !self.instructions.keys().eq(counted.keys()) {
            let names = |map: &BTreeMap<String, u64>| map.keys().cloned().collect();
            return Err(OtherPaths {
                recorded: names(&self.instructions),
                counted: names(counted),
            });
        }
        let pairs = self.instructions.iter().zip(counted.values());
        Ok(pairs
            .map(|((name, &recorded), &now)| {
                let scaled = |count: u64, percent| u128::from(count) * u128::from(percent);
                let comparison =
                    if scaled(now, 100) > scaled(recorded, 100 + self.tolerance_percent) {
                        Comparison::TooMany
                    } else if scaled(now, 100 + self.tolerance_percent) < scaled(recorded, 100) {
                        Comparison::Fewer
                    } else {
                        Comparison::Holds
                    };
                (name.clone(), (recorded, now, comparison))
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(paths: &[(&str, u64)]) -> BTreeMap<String, u64> {
        paths.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
    }

    #[test]
    fn a_path_with_too_many_instructions_is_noticed() {
        let instructions = counts(&[("accept", 1_000)]);
        let figures = Figures { tolerance_percent: 10, instructions };
        let compared = |now| {
            let compared = figures.compare(&counts(&[("accept", now)])).expect("the same paths");
            compared["accept"]
        };
        assert_eq!(compared(1_100), (1_000, 1_100, Comparison::Holds));
        assert_eq!(compared(1_101), (1_000, 1_101, Comparison::TooMany));
        assert_eq!(compared(u64::MAX), (1_000, u64::MAX, Comparison::TooMany));
        assert_eq!(compared(910), (1_000, 910, Comparison::Holds));
        assert_eq!(compared(909), (1_000, 909, Comparison::Fewer));
        assert_eq!(compared(0), (1_000, 0, Comparison::Fewer));
    }

    #[test]
    fn a_path_without_a_figure_is_noticed() {
        let figures = Figures { tolerance_percent: 10, instructions: counts(&[("accept", 1)]) };
        let other = figures.compare(&counts(&[("accept", 1), ("decode", 2)]));
        assert_eq!(
            other.expect_err("decode has no figure").to_string(),
            "there are figures for [\"accept\"], and counts for [\"accept\", \"decode\"]; record the \
             figures again"
        );
    }
}
