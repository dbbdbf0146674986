//! The number of parts of a snapshot that are under way at once.
//!
//! One part at a time leaves a fast link idle for a round trip after each part. Too many parts wait in the queue of a
//! slow link, and the heartbeats of the leader wait behind them. So the number follows the time from a question to its
//! part, as congestion control by delay does (LEDBAT, RFC 6817). The quickest part so far shows the time without a queue.
//! A part that takes little longer lets the number grow. A part that takes much longer takes away a quarter.

use std::time::Duration;

/// The most parts that are under way at once. Parts of 256 KiB are 8 MiB then.
const PARTS_MAX: usize = 32;

/// The longest time that a part may wait in queues.
const QUEUE_MAX: Duration = Duration::from_millis(50);

/// The number of parts that may be under way.
#[derive(Debug)]
pub(super) struct Window {
    parts: usize,
    /// The time of the quickest part.
    quickest: Option<Duration>,
    /// The number of next parts that change nothing, since they were asked for before the number shrank.
    earlier: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self { parts: 1, quickest: None, earlier: 0 }
    }
}

impl Window {
    /// The number of parts that may be under way.
    pub(super) fn parts(&self) -> usize {
        self.parts
    }

    /// Notes that the part after the last one came this long after its question. `under_way` is the number of parts
    /// that are still under way.
    pub(super) fn came(&mut self, took: Duration, under_way: usize) {
        let quickest = self.quickest.map_or(took, |quickest| quickest.min(took));
        self.quickest = Some(quickest);
        if self.earlier > 0 {
            self.earlier -= 1;
        } else if took > quickest + QUEUE_MAX {
            self.parts = (self.parts - (self.parts / 4).max(1)).max(1);
            self.earlier = under_way;
        } else {
            self.parts = (self.parts + 1).min(PARTS_MAX);
        }
    }

    /// Notes that the parts that are under way may be lost.
    pub(super) fn lost(&mut self) {
        (self.parts, self.earlier) = (1, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// Fetches parts over a link that takes `part` for each part and `trip` for a round trip. Returns the share of the
    /// time in which the link was busy, and the longest time that a part waited for others. The first 100 parts do not
    /// count.
    fn fetch(part: Duration, trip: Duration) -> (f64, Duration) {
        let mut window = Window::default();
        let (mut now, mut free_at, mut longest) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        let mut under_way = VecDeque::new();
        let mut begun = Duration::ZERO;
        for count in 0..1_000 {
            while under_way.len() < window.parts() {
                let begins = free_at.max(now + trip / 2);
                free_at = begins + part;
                under_way.push_back((now, begins, free_at + trip / 2));
            }
            let (asked, begins, comes) = under_way.pop_front().expect("a window is not empty");
            now = comes;
            window.came(comes - asked, under_way.len());
            if count == 100 {
                (begun, longest) = (now, Duration::ZERO);
            }
            longest = longest.max(begins - asked - trip / 2);
        }
        ((part * 899).as_secs_f64() / (now - begun).as_secs_f64(), longest)
    }

    #[test]
    fn a_fast_link_is_busy() {
        for (part, trip) in [(1, 0), (1, 1), (2, 10), (1, 20), (5, 100)] {
            let (busy, _) = fetch(part * MILLISECOND, trip * MILLISECOND);
            assert!(busy > 0.9, "a part in {part} ms, a round trip in {trip} ms: {busy}");
        }
    }

    /// A slow link is busy, too, and a heartbeat waits for few parts.
    #[test]
    fn a_slow_link_has_a_short_queue() {
        for (part, trip) in [(20, 0), (25, 50), (60, 10), (300, 0), (300, 100)] {
            let (busy, longest) = fetch(part * MILLISECOND, trip * MILLISECOND);
            assert!(busy > 0.8, "a part in {part} ms, a round trip in {trip} ms: {busy}");
            let most = 3 * QUEUE_MAX + 2 * part * MILLISECOND;
            assert!(longest <= most, "a part in {part} ms, a round trip in {trip} ms: {longest:?}");
        }
    }

    #[test]
    fn a_loss_leaves_one_part() {
        let mut window = Window::default();
        (0..2 * PARTS_MAX).for_each(|_| window.came(MILLISECOND, 0));
        assert_eq!(window.parts(), PARTS_MAX);
        window.lost();
        assert_eq!(window.parts(), 1);
    }
}
