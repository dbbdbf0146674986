//! From times to heights.

use std::collections::{BTreeMap, BTreeSet};

/// The least and the greatest distance of two neighbouring times, in pixels.
const NEAR: f64 = 24.0;
const FAR: f64 = 72.0;
/// Pixels for one unit of time, where that is between the two and nothing else is asked for.
pub(crate) const PER_UNIT: u8 = 6;

/// A height for every time at which something happens; later is lower.
#[derive(Debug)]
pub(crate) struct Scale(BTreeMap<u64, f64>);

impl Scale {
    /// The scale that starts at height `top`.
    pub(crate) fn new(times: impl Iterator<Item = u64>, top: f64, per_unit: u8) -> Self {
        let times: BTreeSet<u64> = times.collect();
        let mut heights = BTreeMap::new();
        let mut last: Option<(u64, f64)> = None;
        for at in times {
            let height = last.map_or(top, |(before, height)| {
                height + (width(at - before) * f64::from(per_unit)).clamp(NEAR, FAR)
            });
            heights.insert(at, height);
            last = Some((at, height));
        }
        Self(heights)
    }

    /// The height of a time that it was made with.
    pub(crate) fn at(&self, time: u64) -> f64 {
        self.0[&time]
    }

    /// All times with their heights, from the top.
    pub(crate) fn ticks(&self) -> impl Iterator<Item = (u64, f64)> {
        self.0.iter().map(|(&time, &height)| (time, height))
    }

    /// The height of the last time.
    pub(crate) fn bottom(&self) -> f64 {
        self.0.last_key_value().map_or(0.0, |(_, &height)| height)
    }
}

/// A time span as a number to draw with; precision far beyond a pixel is of no use.
fn width(span: u64) -> f64 {
    f64::from(u32::try_from(span).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_is_lower_and_never_too_near_or_too_far() {
        let scale = Scale::new([0, 1, 1_000_000, 10, u64::MAX].into_iter(), 100.0, PER_UNIT);
        let heights: Vec<f64> = scale.ticks().map(|(_, height)| height).collect();
        assert_eq!(heights, [100.0, 124.0, 178.0, 250.0, 322.0]);
        let scale = Scale::new([0, 1, 2].into_iter(), 100.0, 40);
        assert_eq!(
            scale.ticks().map(|(_, height)| height).collect::<Vec<_>>(),
            [100.0, 140.0, 180.0]
        );
    }
}
