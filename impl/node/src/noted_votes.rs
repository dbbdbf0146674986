//! The durable note of the votes that are for chosen values.
//!
//! A crash loses the chosen values that a replica knows, but not its votes. With this note, a node that starts again knows
//! most of the values at once: it applies them without asking a peer, and a new leader does not propose them again.
//!
//! The note becomes durable together with records, so it costs no sync. It lacks what the node has learned since its last
//! records. A late vote for another value than the chosen one lowers the note in the same commit.

use crate::{faults::Fault, peers::metadata::VOTES_CHOSEN};
use paxos::{event::Record, protocol::Replica, types::Slot};
use paxos_store::{Storage, StorageError};

/// The note, as far as it is durable.
pub(super) struct NotedVotes {
    /// Each vote of the node in a slot below this one is for the chosen value.
    below: Slot,
}

impl NotedVotes {
    /// Reads the note.
    ///
    /// # Errors
    /// The store cannot be read, or the note is damaged.
    pub(super) fn recover(storage: &impl Storage) -> Result<Self, StorageError> {
        Ok(Self { below: VOTES_CHOSEN.read(storage)?.unwrap_or_default() })
    }

    /// The first slot of which the note says nothing.
    pub(super) fn below(&self) -> Slot {
        self.below
    }

    /// Makes records durable, and the note with them.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn persist(
        &mut self,
        records: &[Record],
        replica: &Replica,
        storage: &mut impl Storage,
        fault: Option<Fault>,
    ) -> Result<(), StorageError> {
        let below = match fault {
            Some(Fault::NotesTooMuch) => replica.parts().acceptor.votes.end().max(self.below),
            _ => replica.votes_chosen_below(self.below, records),
        };
        if below == self.below {
            return storage.persist(records);
        }
        self.below = below;
        VOTES_CHOSEN.write_with(&below, records, storage)
    }
}
