//! The delay of a batch for clients that are expected to return.
//!
//! Without this delay, clients that ask without a pause form two groups that take turns: one group is answered while
//! the batch of the other is in flight. Each of the two batches then costs as much as one batch of both groups.
//!
//! So a batch waits a short time for the clients that were just answered, if such clients tend to return. The time is
//! short, so that clients that come by chance do not count. The node finds the tendency by trial: after each delay, it
//! makes a pause, in which some batches do not wait. A delay in vain doubles the pause, and a delay that paid halves
//! it.

use std::time::Duration;

use crate::timers::Now;

/// The time in which the clients have to return: `ANY`, and `EACH` more for each client.
const ANY: Duration = Duration::from_micros(400);
const EACH: Duration = Duration::from_micros(50);
/// The longest pause, in batches.
const PAUSE_MAX: u32 = 64;

/// The clients that are expected, and the results of earlier delays.
#[derive(Debug, Default)]
pub(super) struct BatchDelay {
    /// The number of commands once all clients have returned, and the time until which a batch waits for them.
    expected: Option<(usize, Now)>,
    /// True if the next batch has been held back.
    held: bool,
    /// The number of batches that are left of the pause.
    pause: u32,
    /// The length of the last pause, in batches.
    last_pause: u32,
}

impl BatchDelay {
    /// Notes that a batch of `answered` commands is done. Unless there is a pause, the `gathered` commands of the next
    /// batch wait for the clients of that batch, for at most `most`.
    pub(super) fn expect(&mut self, answered: usize, gathered: usize, now: Now, most: Duration) {
        let quick = u32::try_from(answered).map_or(most, |answered| ANY + EACH * answered);
        let expected = (answered + gathered, now + quick.min(most));
        self.expected = Some(expected).filter(|_| self.pause == 0);
        self.pause = self.pause.saturating_sub(1);
    }

    /// Returns the time until which a batch of `gathered` commands waits for more commands, or `None` if it does not
    /// wait.
    pub(super) fn awaited_until(&self, gathered: usize) -> Option<Now> {
        let (_, until) = self.expected.filter(|&(all, _)| gathered < all)?;
        Some(until)
    }

    /// Notes that the batch is held back.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Notes that a batch of `gathered` commands leaves. If the batch was held back, the delay has paid if all expected
    /// clients have returned in time, and was in vain if the time was up before. If the batch leaves for another
    /// reason, the delay was neither.
    pub(super) fn settle(&mut self, gathered: usize, now: Now) {
        let held = std::mem::take(&mut self.held);
        let Some((all, until)) = self.expected.take().filter(|_| held) else { return };
        if gathered >= all && now <= until {
            self.last_pause /= 2;
        } else if now >= until {
            self.last_pause = (self.last_pause * 2).clamp(1, PAUSE_MAX);
        } else {
            return;
        }
        self.pause = self.last_pause;
    }

    /// Forgets the expected clients.
    pub(super) fn clear(&mut self) {
        (self.expected, self.held) = (None, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_millis(2);
    /// The time at which a batch of one command is done, and the time until which the next one waits for its client.
    const DONE: Now = Duration::from_secs(1);
    const UNTIL: Now = DONE.saturating_add(ANY).saturating_add(EACH);

    #[test]
    fn clients_are_awaited_until_all_have_returned() {
        let mut delay = BatchDelay::default();
        assert_eq!(delay.awaited_until(0), None, "no client was answered");
        delay.expect(2, 1, DONE, MOST);
        let until = Some(UNTIL + EACH);
        let awaited = [1, 2, 3, 4].map(|count| delay.awaited_until(count));
        assert_eq!(awaited, [until, until, None, None]);
        delay.settle(3, DONE);
        assert_eq!(delay.awaited_until(1), None, "once for each batch");
    }

    #[test]
    fn many_clients_are_not_awaited_for_longer() {
        let mut delay = BatchDelay::default();
        for answered in [1000, usize::MAX / 2] {
            delay.expect(answered, 0, DONE, MOST);
            assert_eq!(delay.awaited_until(1), Some(DONE + MOST));
        }
    }

    /// Holds back each batch that may wait for a client. `leave` has the number of commands with which each of them
    /// leaves, 2 if the client has returned, and the time. Returns the number of batches before each of them that do
    /// not wait.
    fn pauses<const N: usize>(delay: &mut BatchDelay, leave: [(usize, Now); N]) -> [usize; N] {
        leave.map(|(gathered, now)| {
            let left_alone = std::iter::from_fn(|| {
                delay.expect(1, 1, DONE, MOST);
                delay.awaited_until(1).is_none().then(|| delay.settle(1, DONE))
            });
            let count = left_alone.count();
            delay.hold();
            delay.settle(gathered, now);
            count
        })
    }

    #[test]
    fn clients_that_stay_away_are_awaited_less_often_and_clients_that_return_more_often() {
        let mut delay = BatchDelay::default();
        let alone = pauses(&mut delay, [(1, UNTIL); 9]);
        assert_eq!(alone, [0, 1, 2, 4, 8, 16, 32, 64, 64]);
        let together = pauses(&mut delay, [(2, UNTIL); 9]);
        assert_eq!(together, [64, 32, 16, 8, 4, 2, 1, 0, 0]);
    }

    #[test]
    fn a_client_that_returns_late_counts_as_away() {
        let late = UNTIL + Duration::from_nanos(1);
        let alone = pauses(&mut BatchDelay::default(), [(2, late); 4]);
        assert_eq!(alone, [0, 1, 2, 4]);
    }

    #[test]
    fn a_batch_that_was_not_held_back_to_the_end_teaches_nothing() {
        let mut delay = BatchDelay::default();
        assert_eq!(pauses(&mut delay, [(1, UNTIL), (1, DONE), (1, UNTIL)]), [0, 1, 0]);
        assert_eq!(pauses(&mut delay, [(2, UNTIL)]), [2]);

        delay.expect(1, 1, DONE, MOST);
        delay.settle(1, DONE); // The pause of one batch.
        delay.expect(1, 1, DONE, MOST);
        delay.settle(1, UNTIL); // The batch was not held back.
        assert_eq!(pauses(&mut delay, [(1, UNTIL)]), [0]);
    }

    #[test]
    fn a_client_that_is_forgotten_is_not_missed() {
        let mut delay = BatchDelay::default();
        delay.expect(1, 1, DONE, MOST);
        delay.hold();
        delay.clear();
        assert_eq!(delay.awaited_until(1), None);
        delay.expect(1, 1, DONE, MOST);
        delay.settle(1, UNTIL);
        assert_eq!(pauses(&mut delay, [(1, UNTIL)]), [0]);
    }
}
