//! What a leader is about to propose, or another node to ask of it, and when: group commit.
//!
//! A batch costs each node a sync and a few messages, however many commands are in it. So while one is on its
//! way the next one gathers, and the clients of one are answered while the other is made durable. But
//! it waits no longer than [`Options::batch_wait`](super::Options::batch_wait): over a long way, several
//! batches are on their way. Where nothing is on its way, nothing waits.

use std::time::Duration;

use bytes::Bytes;

use super::timing::Now;

/// Commands that are to be proposed or asked for together.
#[derive(Debug)]
pub(super) struct Gathering {
    commands: Vec<Bytes>,
    /// Since when the first of them waits.
    since: Now,
    wait: Duration,
}

impl Gathering {
    /// None yet; `wait` is how long a batch waits at most for the one before it.
    pub(super) fn new(wait: Duration) -> Self {
        Self { commands: Vec::new(), since: Now::ZERO, wait }
    }

    /// More commands.
    pub(super) fn extend(&mut self, commands: Vec<Bytes>, now: Now) {
        if self.commands.is_empty() {
            self.since = now;
        }
        self.commands.extend(commands);
    }

    /// Forgets them: whoever wants them asks again, after [`Options::resend`](super::Options::resend), or at once
    /// if another node leads.
    pub(super) fn clear(&mut self) {
        self.commands.clear();
    }

    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// When it has to leave even if the one before is still on its way.
    pub(super) fn due_at(&self) -> Option<Now> {
        (!self.commands.is_empty()).then_some(self.since + self.wait)
    }

    /// What has to leave now; `idle` says that nothing is on its way.
    pub(super) fn take_due(&mut self, idle: bool, now: Now) -> Option<Vec<Bytes>> {
        let due_at = self.due_at()?;
        (idle || due_at <= now).then(|| std::mem::take(&mut self.commands))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_waits_for_the_one_before_it_but_not_for_long() {
        let ms = Duration::from_millis;
        let mut gathering = Gathering::new(ms(2));
        assert_eq!((gathering.due_at(), gathering.take_due(true, ms(0))), (None, None));

        gathering.extend(vec!["one".into()], ms(10));
        assert_eq!(
            gathering.take_due(true, ms(10)),
            Some(vec!["one".into()]),
            "nothing is on its way"
        );

        gathering.extend(vec!["two".into()], ms(20));
        gathering.extend(vec!["three".into()], ms(21));
        assert_eq!((gathering.due_at(), gathering.take_due(false, ms(21))), (Some(ms(22)), None));
        assert_eq!(gathering.take_due(false, ms(22)), Some(vec!["two".into(), "three".into()]));

        gathering.extend(vec!["four".into()], ms(30));
        gathering.clear();
        assert_eq!((gathering.due_at(), gathering.take_due(true, ms(40))), (None, None));
        gathering.extend(vec!["five".into()], ms(41));
        assert_eq!(gathering.due_at(), Some(ms(43)), "it does not remember what was forgotten");
    }
}
