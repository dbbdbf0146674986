//! Maps times to vertical positions.

use std::collections::{BTreeMap, BTreeSet};

/// The least distance of two neighbouring times, in pixels.
const NEAR: f64 = 24.0;
/// The greatest distance of two neighbouring times that need no more room for text, in pixels.
const FAR: f64 = 72.0;
/// The default height of one unit of time, in pixels.
pub(crate) const PER_UNIT: u8 = 6;

/// The vertical position of each time at which something happens, in pixels from the top. Later times are lower.
#[derive(Debug)]
pub(crate) struct Scale(BTreeMap<u64, f64>);

impl Scale {
    /// Returns a scale whose first time is at `top`. `room` has, for some times, the least distance to the next time.
    pub(crate) fn new(
        times: impl Iterator<Item = u64>,
        top: f64,
        per_unit: u8,
        room: &BTreeMap<u64, f64>,
    ) -> Self {
        let times: BTreeSet<u64> = times.collect();
        let mut heights = BTreeMap::new();
        let mut last: Option<(u64, f64)> = None;
        for at in times {
            let height = last.map_or(top, |(before, height)| {
                let distance = (width(at - before) * f64::from(per_unit)).clamp(NEAR, FAR);
                height + room.get(&before).map_or(distance, |room| distance.max(*room))
            });
            heights.insert(at, height);
            last = Some((at, height));
        }
        Self(heights)
    }

    /// Returns the position of a time. The time must be one of those passed to [`new`](Self::new).
    pub(crate) fn at(&self, time: u64) -> f64 {
        self.0[&time]
    }

    /// Returns the distance from a time to the next one, or 0 for the last.
    pub(crate) fn after(&self, time: u64) -> f64 {
        let mut next = self.0.range(time..).map(|(_, height)| *height);
        next.next().zip(next.next()).map_or(0.0, |(here, there)| there - here)
    }

    /// Returns all times with their positions, from the top.
    pub(crate) fn ticks(&self) -> impl Iterator<Item = (u64, f64)> {
        self.0.iter().map(|(&time, &height)| (time, height))
    }

    /// Returns the position of the last time.
    pub(crate) fn bottom(&self) -> f64 {
        self.0.last_key_value().map_or(0.0, |(_, &height)| height)
    }
}

/// Converts a time span, capped at `u32::MAX`. A span that is cut off has the greatest distance anyway.
fn width(span: u64) -> f64 {
    f64::from(u32::try_from(span).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_is_lower_within_the_least_and_greatest_distance() {
        let none = BTreeMap::new();
        let scale = Scale::new([0, 1, 1_000_000, 10, u64::MAX].into_iter(), 100.0, PER_UNIT, &none);
        let heights: Vec<f64> = scale.ticks().map(|(_, height)| height).collect();
        assert_eq!(heights, [100.0, 124.0, 178.0, 250.0, 322.0]);
        let scale = Scale::new([0, 1, 2].into_iter(), 100.0, 40, &none);
        assert_eq!(
            scale.ticks().map(|(_, height)| height).collect::<Vec<_>>(),
            [100.0, 140.0, 180.0]
        );
        let room = BTreeMap::from([(0, 10.0), (1, 90.0)]);
        let scale = Scale::new([0, 1, 2].into_iter(), 100.0, 40, &room);
        assert_eq!((scale.at(1), scale.bottom()), (140.0, 230.0));
    }
}
