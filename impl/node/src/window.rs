//! The number of parts of a snapshot that are under way at once, and the time after which a part counts as lost.
//!
//! One part at a time leaves a fast link idle for a round trip after each part. Too many parts wait in the queue of a
//! slow link, and the heartbeats of the leader wait behind them. So the number follows the time from a question to its
//! part. LEDBAT (RFC 6817) also takes the delay as the sign of a queue. The quickest part shows the time without a queue. A
//! part that takes little longer adds one, so the number may double in a round trip. A part that takes much longer takes
//! away a quarter. A part that is alone waits behind no other part, so its time is the new measure.
//!
//! A part that is asked for twice arrives twice. So a slow link must not be asked again before its part can have come. The
//! time of a part that was asked for twice is not known, and is not counted (Karn's algorithm, RFC 6298).

use std::time::Duration;

/// The most parts that are under way at once. Parts of 256 KiB are 8 MiB then.
const PARTS_MAX: usize = 32;

/// A part that takes longer than the quickest one by more than this time has waited in a queue.
const LATE_BY: Duration = Duration::from_millis(50);

/// The longest time after which a part counts as lost, unless the least time is longer.
const PATIENCE_MAX: Duration = Duration::from_secs(30);

/// The number of parts that may be under way.
#[derive(Debug)]
pub(super) struct Window {
    parts: usize,
    /// The time of the quickest part.
    quickest: Option<Duration>,
    /// The number of next parts that do not change the number, since they were asked for before it shrank.
    earlier: usize,
    /// The time after which a part counts as lost.
    patience: Duration,
    patience_min: Duration,
    patience_max: Duration,
}

impl Window {
    /// Returns a window of one part, which counts as lost after `patience_min`.
    pub(super) fn new(patience_min: Duration) -> Self {
        let (patience, patience_max) = (patience_min, PATIENCE_MAX.max(patience_min));
        Self { parts: 1, quickest: None, earlier: 0, patience, patience_min, patience_max }
    }

    /// The number of parts that may be under way.
    pub(super) fn parts(&self) -> usize {
        self.parts
    }

    /// The time after which all parts that are under way count as lost, if none comes.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Notes that the part after the last one came this long after its only question. `under_way` is the number of
    /// parts that are still under way.
    pub(super) fn came(&mut self, took: Duration, under_way: usize) {
        self.patience = (2 * took).clamp(self.patience_min, self.patience_max);
        let is_alone = self.parts == 1 && self.earlier == 0;
        let before = self.quickest.filter(|_| !is_alone);
        let quickest = before.map_or(took, |quickest| quickest.min(took));
        self.quickest = Some(quickest);
        if self.earlier > 0 {
            self.earlier -= 1;
        } else if took > quickest + LATE_BY {
            self.parts = (self.parts - (self.parts / 4).max(1)).max(1);
            self.earlier = under_way;
        } else {
            self.parts = (self.parts + 1).min(PARTS_MAX);
        }
    }

    /// Notes that the parts that are under way may be lost. The next one counts as lost after twice the time.
    pub(super) fn lost(&mut self) {
        (self.parts, self.earlier) = (1, 0);
        self.patience = (2 * self.patience).min(self.patience_max);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// Fetches parts over a link that takes `part` microseconds for each part and `trip` for a round trip. Returns the
    /// percentage of the time in which the link was busy, and the longest time that a part waited for others, in
    /// microseconds. The first 100 parts do not count.
    fn fetch(part: u64, trip: u64) -> (u64, u64) {
        let mut window = Window::new(MILLISECOND);
        let (mut now, mut free_at, mut longest, mut begun) = (0, 0, 0, 0);
        let mut under_way = VecDeque::new();
        for count in 0..1_000 {
            while under_way.len() < window.parts() {
                let begins = (now + trip / 2).max(free_at);
                free_at = begins + part;
                under_way.push_back((now, begins, free_at + trip / 2));
            }
            let (asked, begins, comes) = under_way.pop_front().expect("a window is not empty");
            now = comes;
            window.came(Duration::from_micros(comes - asked), under_way.len());
            if count == 100 {
                (begun, longest) = (now, 0);
            }
            longest = longest.max(begins - asked - trip / 2);
        }
        (part * 899 * 100 / (now - begun), longest)
    }

    #[test]
    fn a_fast_link_is_busy() {
        for (part_ms, trip_ms) in [(1, 0), (1, 1), (2, 10), (1, 20), (5, 100)] {
            let (busy, _) = fetch(part_ms * 1_000, trip_ms * 1_000);
            assert!(busy > 90, "a part in {part_ms} ms, a round trip in {trip_ms} ms: {busy} %");
        }
    }

    /// A slow link is busy, too, and a heartbeat waits for few parts.
    #[test]
    fn a_slow_link_has_a_short_queue() {
        for (part_ms, trip_ms) in [(20, 0), (25, 50), (60, 10), (300, 0), (300, 100)] {
            let (busy, longest) = fetch(part_ms * 1_000, trip_ms * 1_000);
            let link = format!("a part in {part_ms} ms, a round trip in {trip_ms} ms");
            assert!(busy > 80, "{link}: {busy} %");
            let most = 3 * LATE_BY.as_micros() as u64 + 2 * part_ms * 1_000;
            assert!(longest <= most, "{link}: {longest} us");
        }
    }

    #[test]
    fn a_loss_leaves_one_part() {
        let mut window = Window::new(MILLISECOND);
        (0..2 * PARTS_MAX).for_each(|_| window.came(MILLISECOND, 0));
        assert_eq!((window.parts(), window.patience()), (PARTS_MAX, 2 * MILLISECOND));
        window.lost();
        assert_eq!((window.parts(), window.patience()), (1, 4 * MILLISECOND));
        (0..100).for_each(|_| window.lost());
        assert_eq!(window.patience(), PATIENCE_MAX);
        window.came(MILLISECOND, 0);
        assert_eq!(window.patience(), 2 * MILLISECOND);
    }

    /// A link that takes longer than before, on another way, is full again after a while.
    #[test]
    fn a_link_may_become_longer() {
        let mut window = Window::new(MILLISECOND);
        (0..100).for_each(|_| window.came(MILLISECOND, window.parts() - 1));
        (0..200).for_each(|_| window.came(200 * MILLISECOND, window.parts() - 1));
        assert_eq!(window.parts(), PARTS_MAX);
    }
}
