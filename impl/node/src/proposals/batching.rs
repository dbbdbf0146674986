//! Batching of commands before they are proposed, or forwarded to the leader: group commit.
//!
//! A batch costs each node one sync and a few messages, however many commands it has. So the next batch waits while a
//! batch is in flight. When that one is done, the next batch waits for the clients that were just answered, as long as
//! that [pays](super::batch_delay). Both waits together take at most
//! [`Options::batch_wait`](crate::Options::batch_wait), so that several batches can be in flight over a long network
//! path. A command does not wait if nothing is in flight and no client was just answered.

use std::time::Duration;

use bytes::Bytes;

use super::batch_delay::BatchDelay;
use crate::timers::Now;

/// The most bytes of waiting commands. The last command that is added may exceed the limit.
const BYTES_MAX: usize = 64 << 20;

/// The commands of the next batch.
#[derive(Debug)]
pub(super) struct Batching {
    commands: Vec<Bytes>,
    /// The bytes of `commands`.
    bytes: usize,
    /// The time at which a command was last added to an empty `commands`.
    since: Now,
    wait: Duration,
    /// The number of commands in the last batch that left; 0 once that batch is done.
    in_flight: usize,
    delay: BatchDelay,
}

impl Batching {
    /// Creates a batch without commands. The batch waits at most `wait` for more commands.
    pub(super) fn new(wait: Duration) -> Self {
        let (since, delay) = (Now::ZERO, BatchDelay::default());
        Self { commands: Vec::new(), bytes: 0, since, wait, in_flight: 0, delay }
    }

    /// Adds commands. Drops the commands beyond the limit of bytes; the nodes of their clients send them again.
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

    /// Drops all commands. The node of each client sends them again, after [`Options::resend`](crate::Options::resend),
    /// or at once if another node leads.
    pub(super) fn clear(&mut self) {
        self.commands.clear();
        self.bytes = 0;
        self.in_flight = 0;
        self.delay.clear();
    }

    /// The number of commands.
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// Returns the time at which the batch has to leave even if another one is in flight, or `None` if it has no
    /// commands.
    pub(super) fn due_at(&self) -> Option<Now> {
        let due_at = self.since + self.wait;
        let awaited_until = self.delay.awaited_until(self.len()).unwrap_or(due_at);
        (!self.commands.is_empty()).then_some(due_at.min(awaited_until))
    }

    /// Marks the last batch as done, and expects no clients. The node calls this at the end of a turn, if nothing is in
    /// flight. The answers leave in the same turn, so clients that return at once may be in the next turn already.
    pub(super) fn done(&mut self) {
        self.in_flight = 0;
    }

    /// Returns the batch that has to leave now. `idle` is true if nothing is in flight. If the last batch is then not
    /// marked as done, its clients were answered just now. The returned batch has at most `bytes_max` bytes, or a single
    /// command that is longer. If `bytes_max` is 0, returns `None`.
    pub(super) fn take_due(
        &mut self,
        idle: bool,
        bytes_max: usize,
        now: Now,
    ) -> Option<Vec<Bytes>> {
        if bytes_max == 0 {
            return None;
        }
        if idle && self.in_flight > 0 {
            self.delay.expect(self.in_flight, self.len(), now, self.wait);
            self.in_flight = 0;
        }
        let due_at = self.due_at()?;
        let complete = self.delay.awaited_until(self.len()).is_none();
        if now < due_at && !(idle && complete) {
            if idle {
                self.delay.hold();
            }
            return None;
        }
        self.delay.settle(self.len(), now);
        let mut bytes = 0;
        let fits = |command: &&Bytes| {
            bytes += command.len();
            bytes <= bytes_max
        };
        let leaving = self.commands.iter().take_while(fits).count().max(1);
        let later = self.commands.split_off(leaving.min(self.commands.len()));
        let leaving = std::mem::replace(&mut self.commands, later);
        self.bytes -= leaving.iter().map(Bytes::len).sum::<usize>();
        self.in_flight = leaving.len();
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

    /// Commands with these names.
    fn commands<const N: usize>(names: [&'static str; N]) -> Vec<Bytes> {
        names.map(Bytes::from).into()
    }

    #[test]
    fn nothing_waits_if_no_batch_is_in_flight_and_no_client_is_expected() {
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
    fn a_batch_waits_for_clients_that_were_answered_but_not_for_long() {
        let mut batching = Batching::new(WAIT);
        batching.extend(commands(["a1", "b1"]), ms(10));
        assert_eq!(batching.take_due(true, usize::MAX, ms(10)), Some(commands(["a1", "b1"])));
        batching.extend(commands(["c1"]), ms(11));
        assert_eq!(batching.take_due(false, usize::MAX, ms(11)), None);
        // The first batch is done; its clients may return.
        assert_eq!(batching.take_due(true, usize::MAX, ms(12)), None);
        batching.extend(commands(["a2"]), ms(12));
        assert_eq!(batching.take_due(true, usize::MAX, ms(12)), None);
        assert!(batching.due_at() > Some(ms(12)) && batching.due_at() < Some(ms(13)));
        batching.extend(commands(["b2"]), ms(12));
        assert_eq!(batching.take_due(true, usize::MAX, ms(12)), Some(commands(["c1", "a2", "b2"])));

        // Of the three clients, two do not return.
        batching.extend(commands(["c2"]), ms(15));
        assert_eq!(batching.take_due(true, usize::MAX, ms(15)), None);
        assert!(batching.due_at() > Some(ms(15)) && batching.due_at() < Some(ms(16)));
        assert_eq!(batching.take_due(true, usize::MAX, ms(16)), Some(commands(["c2"])));

        // The delay was in vain, so the next batch does not wait.
        batching.extend(commands(["d1"]), ms(18));
        assert_eq!(batching.take_due(true, usize::MAX, ms(18)), Some(commands(["d1"])));
    }

    #[test]
    fn no_batch_waits_for_clients_that_were_answered_long_ago() {
        let mut batching = Batching::new(WAIT);
        batching.extend(commands(["one", "two"]), ms(10));
        assert!(batching.take_due(true, usize::MAX, ms(10)).is_some());
        assert_eq!(batching.take_due(true, usize::MAX, ms(11)), None);
        batching.extend(commands(["three"]), ms(20));
        assert_eq!(batching.take_due(true, usize::MAX, ms(20)), Some(commands(["three"])));
    }

    #[test]
    fn cleared_commands_leave_no_trace() {
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
            "none is in flight"
        );
    }
}
