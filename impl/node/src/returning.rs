//! Whether those who were just answered ask again at once.
//!
//! Clients that ask without a pause would otherwise fall apart into two groups that take turns: one is answered
//! while the batch of the other is on its way, and each of their batches costs as much as one of all. So it pays
//! to wait for those who were answered, if they come, and come quickly: others may come as well if one only waits
//! long enough. Whether they do is found out by trying: each time that they do not, it is left alone for twice as
//! many batches, and each time that they do, for half as many.

use std::time::Duration;

use super::timing::Now;

/// How long they may take: so much, and so much more for each of them.
const ANY: Duration = Duration::from_micros(400);
const EACH: Duration = Duration::from_micros(50);
/// For how many batches nobody is waited for at most. The next one tries again.
const PAUSE_MAX: u32 = 64;

/// Who is expected, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Returning {
    /// How many commands there will be once all have come, and until when they are waited for.
    expected: Option<(usize, Now)>,
    /// Whether a command has been held back for that.
    held: bool,
    /// For how many batches nobody is waited for.
    pause: u32,
    /// How long the last pause was, in batches.
    last_pause: u32,
}

impl Returning {
    /// A batch of `answered` commands is done, and whoever wanted them is expected again; what has `gathered`
    /// meanwhile waits for them, but no longer than `most`.
    pub(super) fn expect(&mut self, answered: usize, gathered: usize, now: Now, most: Duration) {
        let quick = u32::try_from(answered).map_or(most, |answered| ANY + EACH * answered);
        let expected = (answered + gathered, now + quick.min(most));
        self.expected = Some(expected).filter(|_| self.pause == 0);
        self.pause = self.pause.saturating_sub(1);
    }

    /// Until when these `gathered` commands should wait for more, if they should.
    pub(super) fn awaited_until(&self, gathered: usize) -> Option<Now> {
        let (_, until) = self.expected.filter(|&(all, _)| gathered < all)?;
        Some(until)
    }

    /// Commands are held back.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// These `gathered` commands leave. If some were held back, it has paid or was in vain; or they leave before the
    /// time is up, which says nothing.
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

    /// Nobody is expected any more.
    pub(super) fn clear(&mut self) {
        (self.expected, self.held) = (None, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_millis(2);
    /// When a batch is done of which one is answered, and until when it is waited for.
    const DONE: Now = Duration::from_secs(1);
    const UNTIL: Now = DONE.saturating_add(ANY).saturating_add(EACH);

    #[test]
    fn they_are_awaited_until_all_have_come() {
        let mut returning = Returning::default();
        assert_eq!(returning.awaited_until(0), None, "nobody was answered");
        returning.expect(2, 1, DONE, MOST);
        let until = Some(UNTIL + EACH);
        let awaited = [1, 2, 3, 4].map(|count| returning.awaited_until(count));
        assert_eq!(awaited, [until, until, None, None]);
        returning.settle(3, DONE);
        assert_eq!(returning.awaited_until(1), None, "once for each batch");
    }

    #[test]
    fn many_are_not_awaited_for_longer() {
        let mut returning = Returning::default();
        for answered in [1000, usize::MAX / 2] {
            returning.expect(answered, 0, DONE, MOST);
            assert_eq!(returning.awaited_until(1), Some(DONE + MOST));
        }
    }

    /// One batch after the other is held back if somebody is awaited, and leaves with so many commands, of two, and
    /// then. Counts the batches that are not held back between.
    fn pauses<const N: usize>(returning: &mut Returning, leave: [(usize, Now); N]) -> [usize; N] {
        leave.map(|(gathered, now)| {
            let left_alone = std::iter::from_fn(|| {
                returning.expect(1, 1, DONE, MOST);
                returning.awaited_until(1).is_none().then(|| returning.settle(1, DONE))
            });
            let count = left_alone.count();
            returning.hold();
            returning.settle(gathered, now);
            count
        })
    }

    #[test]
    fn whoever_does_not_come_is_awaited_less_often_and_whoever_comes_more_often() {
        let mut returning = Returning::default();
        let alone = pauses(&mut returning, [(1, UNTIL); 9]);
        assert_eq!(alone, [0, 1, 2, 4, 8, 16, 32, 64, 64]);
        let together = pauses(&mut returning, [(2, UNTIL); 9]);
        assert_eq!(together, [64, 32, 16, 8, 4, 2, 1, 0, 0]);
    }

    #[test]
    fn whoever_comes_late_does_not_come() {
        let late = UNTIL + Duration::from_nanos(1);
        let alone = pauses(&mut Returning::default(), [(2, late); 4]);
        assert_eq!(alone, [0, 1, 2, 4]);
    }

    #[test]
    fn a_batch_that_was_not_held_back_to_the_end_teaches_nothing() {
        let mut returning = Returning::default();
        assert_eq!(pauses(&mut returning, [(1, UNTIL), (1, DONE), (1, UNTIL)]), [0, 1, 0]);
        assert_eq!(pauses(&mut returning, [(2, UNTIL)]), [2]);

        returning.expect(1, 1, DONE, MOST);
        returning.settle(1, DONE); // The pause after that.
        returning.expect(1, 1, DONE, MOST);
        returning.settle(1, UNTIL); // Nothing was held.
        assert_eq!(pauses(&mut returning, [(1, UNTIL)]), [0]);
    }

    #[test]
    fn whoever_is_forgotten_is_not_missed() {
        let mut returning = Returning::default();
        returning.expect(1, 1, DONE, MOST);
        returning.hold();
        returning.clear();
        assert_eq!(returning.awaited_until(1), None);
        returning.expect(1, 1, DONE, MOST);
        returning.settle(1, UNTIL);
        assert_eq!(pauses(&mut returning, [(1, UNTIL)]), [0]);
    }
}
