//! The proposals of a leader that it has not applied yet.
//!
//! The leader does not propose a command again while it is in flight. Otherwise the log would hold the command twice,
//! and a slow cluster would become slower with every retry. The bytes in flight are bounded, so that a follower does
//! not have to receive too many bytes before it hears the next heartbeat.
//!
//! Nothing here matters for safety. A command that is left out counts as lost on its way, and the node of its client
//! sends it again.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;

use crate::session::{self, CommandId};
use paxos::types::Slot;

/// The most bytes of commands in flight, except for a single command that is longer.
const BYTES_MAX: usize = 16 << 20;

/// The proposals in flight, by batches.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    batches: VecDeque<Batch>,
    bytes: usize,
    commands: HashSet<CommandId>,
}

#[derive(Debug)]
struct Batch {
    /// The slot after the last one of the batch.
    end: Slot,
    bytes: usize,
    commands: Vec<CommandId>,
}

impl InFlight {
    /// The number of bytes that may be proposed now.
    pub(super) fn bytes_left(&self) -> usize {
        BYTES_MAX.saturating_sub(self.bytes)
    }

    /// Returns true if the command of an entry is in flight.
    pub(super) fn holds(&self, entry: &[u8]) -> bool {
        !self.batches.is_empty()
            && session::command_id(entry).is_some_and(|id| self.commands.contains(&id))
    }

    /// Adds entries that were proposed in slots below `end`.
    pub(super) fn add(&mut self, end: Slot, entries: &[Bytes]) {
        let commands: Vec<_> =
            entries.iter().filter_map(|entry| session::command_id(entry)).collect();
        let bytes = entries.iter().map(Bytes::len).sum();
        self.commands.extend(&commands);
        self.bytes += bytes;
        self.batches.push_back(Batch { end, bytes, commands });
    }

    /// Removes the batches whose slots are all below this one.
    pub(super) fn remove_below(&mut self, below: Slot) {
        while self.batches.front().is_some_and(|batch| batch.end <= below)
            && let Some(batch) = self.batches.pop_front()
        {
            self.bytes -= batch.bytes;
            for command in batch.commands {
                self.commands.remove(&command);
            }
        }
    }

    /// Removes all batches.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::ClientSession;

    #[test]
    fn a_command_is_in_flight_until_it_is_applied() {
        let mut session = ClientSession::new(Slot(7));
        let commands: Vec<_> = (0..3).map(|_| session.request("add").entry().encode()).collect();
        let mut in_flight = InFlight::default();
        in_flight.add(Slot(2), &commands[..2]);
        let held = |in_flight: &InFlight| {
            commands.iter().map(|command| in_flight.holds(command)).collect::<Vec<_>>()
        };
        assert_eq!(held(&in_flight), [true, true, false]);
        in_flight.remove_below(Slot(1));
        assert_eq!(held(&in_flight), [true, true, false], "the batch is not applied yet");
        in_flight.add(Slot(3), &commands[2..]);
        in_flight.remove_below(Slot(2));
        assert_eq!(held(&in_flight), [false, false, true]);
        assert_eq!(in_flight.bytes_left(), BYTES_MAX - commands[2].len());
        assert!(!in_flight.holds(b"no entry"));
        in_flight.clear();
        assert_eq!((held(&in_flight), in_flight.bytes_left()), (vec![false; 3], BYTES_MAX));
    }

    #[test]
    fn bytes_in_flight_are_bounded() {
        let mut in_flight = InFlight::default();
        in_flight.add(Slot(1), &[vec![0; BYTES_MAX + 1].into()]);
        assert_eq!(in_flight.bytes_left(), 0);
        in_flight.remove_below(Slot(1));
        assert_eq!(in_flight.bytes_left(), BYTES_MAX);
    }
}
