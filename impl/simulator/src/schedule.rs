//! Virtual time: a clock, and a queue of plans.
//!
//! Plans happen in the order of their times. Plans for the same time happen in the order in which they were made.
//! So the order of a run depends only on the plans. Time is counted in ticks. The user of a schedule decides the length
//! of a tick.

use std::collections::BTreeMap;

/// A clock and a queue of plans.
#[derive(Clone, Debug)]
pub struct Schedule<P> {
    now: u64,
    planned: u64,
    plans: BTreeMap<(u64, u64), P>,
}

impl<P> Default for Schedule<P> {
    fn default() -> Self {
        Self { now: 0, planned: 0, plans: BTreeMap::new() }
    }
}

impl<P> Schedule<P> {
    /// Returns the time in ticks. It is 0 at the start.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Adds a plan for the time `after` ticks from now. Returns the number of the plan. No other plan of this
    /// schedule has the same number.
    pub fn plan(&mut self, after: u64, plan: P) -> u64 {
        self.planned += 1;
        self.plans.insert((self.now + after, self.planned), plan);
        self.planned
    }

    /// Returns the time of the next plan.
    pub fn next_at(&self) -> Option<u64> {
        self.plans.first_key_value().map(|((at, _), _)| *at)
    }

    /// Moves the clock to the next plan. Returns that plan with its number.
    pub fn advance(&mut self) -> Option<(u64, P)> {
        let ((at, number), plan) = self.plans.pop_first()?;
        self.now = at;
        Some((number, plan))
    }

    /// Moves the clock to the next plan if it is no later than `end`, and returns that plan with its number.
    /// Otherwise moves the clock to `end`.
    pub fn advance_until(&mut self, end: u64) -> Option<(u64, P)> {
        if self.next_at().is_some_and(|at| at <= end) {
            return self.advance();
        }
        self.now = self.now.max(end);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_happen_by_time_and_then_by_order() {
        let mut schedule = Schedule::default();
        for (after, plan) in [(5, "c"), (1, "a"), (5, "d"), (2, "b")] {
            schedule.plan(after, plan);
        }
        let mut happened = Vec::new();
        while let Some((number, plan)) = schedule.advance_until(7) {
            happened.push((schedule.now(), number, plan));
        }
        assert_eq!(happened, [(1, 2, "a"), (2, 4, "b"), (5, 1, "c"), (5, 3, "d")]);
        assert_eq!(schedule.now(), 7, "nothing is left, so time has passed");
        schedule.plan(2, "e");
        assert_eq!(schedule.advance_until(8), None);
        assert_eq!((schedule.next_at(), schedule.now()), (Some(9), 8));
        assert_eq!(schedule.advance(), Some((5, "e")));
    }
}
