//! Whether those who were just answered ask again at once.
//!
//! Clients that ask without a pause would otherwise fall apart into two groups that take turns: one is answered
//! while the batch of the other is on its way, and each of their batches costs as much as one of all. So it pays
//! to wait for those who were answered, if they come, and come quickly: others may come as well if one only waits
//! long enough. Whether they do is found out by trying: each time that they do not, it is left alone for twice as
//! many batches, and each time that they do, for half as many.

use std::time::Duration;

use super::timing::Now;

/// How long the first of them may take, and each further one.
const FIRST: Duration = Duration::from_micros(200);
const FURTHER: Duration = Duration::from_micros(50);
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
    /// A batch is done, and so many were answered, who are expected again; so many commands have gathered meanwhile,
    /// which wait for them, but no longer than `most`.
    pub(super) fn expect(&mut self, answered: usize, gathered: usize, now: Now, most: Duration) {
        let quick = u32::try_from(answered).map_or(most, |answered| FIRST + FURTHER * answered);
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

    /// These `gathered` commands leave, and it has paid to hold them back, or it has not.
    pub(super) fn settle(&mut self, gathered: usize) {
        if std::mem::take(&mut self.held) {
            let came = self.awaited_until(gathered).is_none();
            let doubled = (self.last_pause * 2).clamp(1, PAUSE_MAX);
            self.last_pause = if came { self.last_pause / 2 } else { doubled };
            self.pause = self.last_pause;
        }
        self.expected = None;
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

    #[test]
    fn they_are_awaited_until_all_have_come() {
        let mut returning = Returning::default();
        assert_eq!(returning.awaited_until(0), None, "nobody was answered");
        returning.expect(2, 1, MOST, MOST);
        let until = Some(MOST + FIRST + FURTHER * 2);
        assert_eq!(
            [1, 2, 3, 4].map(|count| returning.awaited_until(count)),
            [until, until, None, None]
        );
        returning.settle(3);
        assert_eq!(returning.awaited_until(1), None, "once for each batch");
    }

    #[test]
    fn many_are_not_awaited_for_longer() {
        let mut returning = Returning::default();
        for answered in [1000, usize::MAX] {
            returning.expect(answered, 0, MOST, MOST);
            assert_eq!(returning.awaited_until(1), Some(MOST * 2));
        }
    }

    /// One batch after the other is held back if somebody is awaited; who then comes is said by `come`. Counts the
    /// batches that are not held back between.
    fn pauses<const N: usize>(returning: &mut Returning, come: [bool; N]) -> [usize; N] {
        come.map(|come| {
            let left_alone = std::iter::from_fn(|| {
                returning.expect(1, 1, MOST, MOST);
                returning.awaited_until(1).is_none().then(|| returning.settle(1))
            });
            let count = left_alone.count();
            returning.hold();
            returning.settle(if come { 2 } else { 1 });
            count
        })
    }

    #[test]
    fn whoever_does_not_come_is_awaited_less_often_and_whoever_comes_more_often() {
        let mut returning = Returning::default();
        assert_eq!(pauses(&mut returning, [false; 9]), [0, 1, 2, 4, 8, 16, 32, 64, 64]);
        assert_eq!(pauses(&mut returning, [true; 9]), [64, 32, 16, 8, 4, 2, 1, 0, 0]);
        assert_eq!(pauses(&mut returning, [false, true, true]), [0, 1, 0]);
    }

    #[test]
    fn a_batch_that_was_not_held_back_teaches_nothing() {
        let mut returning = Returning::default();
        returning.expect(1, 1, MOST, MOST);
        returning.settle(1);
        assert_eq!(pauses(&mut returning, [true]), [0]);
        returning.expect(1, 1, MOST, MOST);
        returning.hold();
        returning.clear();
        assert_eq!(returning.awaited_until(1), None);
        returning.settle(1);
        assert_eq!(pauses(&mut returning, [true]), [0]);
    }
}
