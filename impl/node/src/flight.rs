//! The proposals of a leader that it has not applied yet: which commands they are, and how many bytes they have.
//!
//! A command that is asked for again while it is on its way is not proposed again: the log would hold it twice, and a
//! cluster that is slow would become slower with every retry. What is on its way has a bounded number of bytes, so
//! that a follower has to take in no more than that before it hears the next heartbeat.
//!
//! Nothing here has to do with safety. To leave a command out is to lose it on its way, and its client asks again.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;

use crate::session;
use paxos::types::Slot;

/// The most bytes of commands that are on their way at once, but for a single command that is longer.
const BYTES_MAX: usize = 16 << 20;

/// Names a command.
type Key = (session::SessionId, u64);

/// What a leader has proposed.
#[derive(Debug, Default)]
pub(super) struct Flight {
    batches: VecDeque<Batch>,
    bytes: usize,
    keys: HashSet<Key>,
}

#[derive(Debug)]
struct Batch {
    /// The slot after the last one of the batch.
    end: Slot,
    bytes: usize,
    keys: Vec<Key>,
}

impl Flight {
    /// The bytes that may be proposed now; 0 if there are too many on their way.
    pub(super) fn room(&self) -> usize {
        BYTES_MAX.saturating_sub(self.bytes)
    }

    /// Whether a command is on its way.
    pub(super) fn holds(&self, command: &[u8]) -> bool {
        !self.batches.is_empty()
            && session::key(command).is_some_and(|key| self.keys.contains(&key))
    }

    /// Commands were proposed in slots that end at `end`.
    pub(super) fn add(&mut self, end: Slot, commands: &[Bytes]) {
        let keys: Vec<_> = commands.iter().filter_map(|command| session::key(command)).collect();
        let bytes = commands.iter().map(Bytes::len).sum();
        self.keys.extend(&keys);
        self.bytes += bytes;
        self.batches.push_back(Batch { end, bytes, keys });
    }

    /// All slots below are chosen, and applied here.
    pub(super) fn land(&mut self, below: Slot) {
        while self.batches.front().is_some_and(|batch| batch.end <= below)
            && let Some(batch) = self.batches.pop_front()
        {
            self.bytes -= batch.bytes;
            for key in batch.keys {
                self.keys.remove(&key);
            }
        }
    }

    /// Forgets all: this node does not lead any more.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::ClientSession;

    #[test]
    fn a_command_is_on_its_way_until_it_is_chosen() {
        let mut session = ClientSession::new(Slot(7));
        let commands: Vec<_> = (0..3).map(|_| session.request("add").entry().encode()).collect();
        let mut flight = Flight::default();
        flight.add(Slot(2), &commands[..2]);
        let held = |flight: &Flight| {
            commands.iter().map(|command| flight.holds(command)).collect::<Vec<_>>()
        };
        assert_eq!(held(&flight), [true, true, false]);
        flight.land(Slot(1));
        assert_eq!(held(&flight), [true, true, false], "the batch is not chosen yet");
        flight.add(Slot(3), &commands[2..]);
        flight.land(Slot(2));
        assert_eq!(held(&flight), [false, false, true]);
        assert_eq!(flight.room(), BYTES_MAX - commands[2].len());
        assert!(!flight.holds(b"no entry"));
        flight.clear();
        assert_eq!((held(&flight), flight.room()), (vec![false; 3], BYTES_MAX));
    }

    #[test]
    fn bytes_on_their_way_are_bounded() {
        let mut flight = Flight::default();
        flight.add(Slot(1), &[vec![0; BYTES_MAX + 1].into()]);
        assert_eq!(flight.room(), 0);
        flight.land(Slot(1));
        assert_eq!(flight.room(), BYTES_MAX);
    }
}
