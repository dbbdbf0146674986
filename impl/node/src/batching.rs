//! What a leader is about to propose, or another node to ask of it, and when: group commit.
//!
//! A batch costs each node a sync and a few messages, however many commands are in it. So while one is on its
//! way the next one gathers; and when that one is done, it waits for those who were answered by it, as long as
//! that [pays](super::returning). But no command waits longer than [`Options::batch_wait`](super::Options::batch_wait)
//! for either: over a long way, several batches are on their way. Where nothing is on its way, and nobody was just
//! answered, nothing waits.

use std::time::Duration;

use bytes::Bytes;

use super::{returning::Returning, timing::Now};

/// The most bytes of commands that gather, but for the last one.
const BYTES_MAX: usize = 64 << 20;

/// Commands that are to be proposed or asked for together.
#[derive(Debug)]
pub(super) struct Batching {
    commands: Vec<Bytes>,
    /// The bytes that they have.
    bytes: usize,
    /// Since when the first of them waits.
    since: Now,
    wait: Duration,
    /// How many commands the last batch had; 0 once it is done.
    under_way: usize,
    returning: Returning,
}

impl Batching {
    /// None yet; `wait` is how long a batch waits at most for others.
    pub(super) fn new(wait: Duration) -> Self {
        let (since, returning) = (Now::ZERO, Returning::default());
        Self { commands: Vec::new(), bytes: 0, since, wait, under_way: 0, returning }
    }

    /// More commands. Those for which there is no room are lost: their clients ask again.
    pub(super) fn extend(&mut self, commands: impl IntoIterator<Item = Bytes>, now: Now) {
        if self.commands.is_empty() {
            self.since = now;
        }
        for command in commands {
            if self.bytes < BYTES_MAX {
                self.bytes += command.len();
                self.commands.push(command);
            }
        }
    }

    /// Forgets them: whoever wants them asks again, after [`Options::resend`](super::Options::resend), or at once
    /// if another node leads.
    pub(super) fn clear(&mut self) {
        self.commands.clear();
        self.bytes = 0;
        self.under_way = 0;
        self.returning.clear();
    }

    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// When it has to leave, whatever is on its way.
    pub(super) fn due_at(&self) -> Option<Now> {
        let due_at = self.since + self.wait;
        let awaited_until = self.returning.awaited_until(self.len()).unwrap_or(due_at);
        (!self.commands.is_empty()).then_some(due_at.min(awaited_until))
    }

    /// The batch that was on its way is done, and its answers leave only as a turn ends: when the next one begins,
    /// whoever comes again at once may be there already, so that nobody is expected.
    pub(super) fn done(&mut self) {
        self.under_way = 0;
    }

    /// What has to leave now; `idle` says that nothing is on its way. If the last batch still was so far, it was
    /// answered just now. No more than `bytes_max` leave at once, but for a single command that is longer; nothing leaves
    /// if that is 0.
    pub(super) fn take_due(
        &mut self,
        idle: bool,
        bytes_max: usize,
        now: Now,
    ) -> Option<Vec<Bytes>> {
        if bytes_max == 0 {
            return None;
        }
        if idle && self.under_way > 0 {
            self.returning.expect(self.under_way, self.len(), now, self.wait);
            self.under_way = 0;
        }
        let due_at = self.due_at()?;
        let complete = self.returning.awaited_until(self.len()).is_none();
        if now < due_at && !(idle && complete) {
            if idle {
                self.returning.hold();
            }
            return None;
        }
        self.returning.settle(self.len(), now);
        let mut bytes = 0;
        let fits = |command: &&Bytes| {
            bytes += command.len();
            bytes <= bytes_max
        };
        let leaving = self.commands.iter().take_while(fits).count().max(1);
        let later = self.commands.split_off(leaving.min(self.commands.len()));
        let leaving = std::mem::replace(&mut self.commands, later);
        self.bytes -= leaving.iter().map(Bytes::len).sum::<usize>();
        self.under_way = leaving.len();
        Some(leaving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(2);

    fn ms(count: u64) -> Now {
        Duration::from_millis(count)
    }

    /// Commands that are recognised.
    fn commands<const N: usize>(names: [&'static str; N]) -> Vec<Bytes> {
        names.map(Bytes::from).into()
    }

    #[test]
    fn where_nothing_is_on_its_way_nothing_waits() {
        let mut batching = Batching::new(WAIT);
        assert_eq!((batching.due_at(), batching.take_due(true, usize::MAX, ms(0))), (None, None));
        for now in [ms(0), ms(1), ms(1000)] {
            let one = commands(["one"]);
            batching.extend(one.clone(), now);
            assert_eq!(batching.take_due(true, usize::MAX, now), Some(one));
            batching.done();
        }
    }

    #[test]
    fn a_batch_waits_for_the_one_before_it_but_not_for_long() {
        let mut batching = Batching::new(WAIT);
        batching.extend(commands(["one"]), ms(10));
        assert_eq!(batching.take_due(true, usize::MAX, ms(10)), Some(commands(["one"])));
        batching.extend(commands(["two"]), ms(20));
        batching.extend(commands(["three"]), ms(21));
        assert_eq!(
            (batching.due_at(), batching.take_due(false, usize::MAX, ms(21))),
            (Some(ms(22)), None)
        );
        assert_eq!(batching.take_due(false, usize::MAX, ms(22)), Some(commands(["two", "three"])));
    }

    #[test]
    fn a_batch_waits_for_those_who_were_answered_but_not_for_long() {
        let mut batching = Batching::new(WAIT);
        batching.extend(commands(["a1", "b1"]), ms(10));
        assert_eq!(batching.take_due(true, usize::MAX, ms(10)), Some(commands(["a1", "b1"])));
        batching.extend(commands(["c1"]), ms(11));
        assert_eq!(batching.take_due(false, usize::MAX, ms(11)), None);
        // The first batch is done; its clients may come again.
        assert_eq!(batching.take_due(true, usize::MAX, ms(12)), None);
        batching.extend(commands(["a2"]), ms(12));
        assert_eq!(batching.take_due(true, usize::MAX, ms(12)), None);
        assert!(batching.due_at() > Some(ms(12)) && batching.due_at() < Some(ms(13)));
        batching.extend(commands(["b2"]), ms(12));
        assert_eq!(batching.take_due(true, usize::MAX, ms(12)), Some(commands(["c1", "a2", "b2"])));

        // Of the three, two do not.
        batching.extend(commands(["c2"]), ms(15));
        assert_eq!(batching.take_due(true, usize::MAX, ms(15)), None);
        assert!(batching.due_at() > Some(ms(15)) && batching.due_at() < Some(ms(16)));
        assert_eq!(batching.take_due(true, usize::MAX, ms(16)), Some(commands(["c2"])));

        // That was in vain, and is left alone the next time.
        batching.extend(commands(["d1"]), ms(18));
        assert_eq!(batching.take_due(true, usize::MAX, ms(18)), Some(commands(["d1"])));
    }

    #[test]
    fn nobody_waits_for_those_who_were_answered_long_ago() {
        let mut batching = Batching::new(WAIT);
        batching.extend(commands(["one", "two"]), ms(10));
        assert!(batching.take_due(true, usize::MAX, ms(10)).is_some());
        assert_eq!(batching.take_due(true, usize::MAX, ms(11)), None);
        batching.extend(commands(["three"]), ms(20));
        assert_eq!(batching.take_due(true, usize::MAX, ms(20)), Some(commands(["three"])));
    }

    #[test]
    fn what_was_forgotten_is_not_remembered() {
        let mut batching = Batching::new(WAIT);
        batching.extend(commands(["one", "two"]), ms(30));
        assert!(batching.take_due(true, usize::MAX, ms(30)).is_some());
        batching.extend(commands(["three"]), ms(31));
        assert_eq!(batching.take_due(true, usize::MAX, ms(31)), None, "two are expected");
        batching.clear();
        assert_eq!((batching.due_at(), batching.take_due(true, usize::MAX, ms(40))), (None, None));
        batching.extend(commands(["four"]), ms(31));
        assert_eq!(batching.due_at(), Some(ms(33)));
        assert_eq!(batching.take_due(true, usize::MAX, ms(31)), Some(commands(["four"])));
        batching.clear();
        batching.extend(commands(["five"]), ms(32));
        assert_eq!(
            batching.take_due(true, usize::MAX, ms(32)),
            Some(commands(["five"])),
            "none is on its way"
        );
    }
}
