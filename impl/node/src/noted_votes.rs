//! The durable note of the votes that are for chosen values.
//!
//! A crash loses the chosen values that a replica knows, but not its votes. With this note, a node that starts again knows
//! most of the values at once: it applies them without asking a peer, and a new leader does not propose them again.
//!
//! The note becomes durable together with records, so it costs no sync while the node runs. It lacks what the node has
//! learned since its last records, and everything from the first vote for another value on. A late vote for another value
//! than the chosen one lowers the note in the same commit.
//!
//! Invariant: each start of a node renews the note with all its records. A version of this program without notes does not.
//! So the note names the start that renews it, and a start believes only the note of the start before it.

use std::time::{Duration, Instant};

use crate::{
    faults::Fault,
    peers::metadata::{VOTES_CHOSEN, VotesChosen},
};
use paxos::{Durable, Write, event::Record, protocol::Replica, types::Slot};
use paxos_store::{Storage, StorageError};

/// The note, as it is durable after the last commit.
pub(super) struct NotedVotes(VotesChosen);

impl NotedVotes {
    /// Reads the note at the start of this number, and takes it over.
    ///
    /// # Errors
    /// The store fails, or the note is damaged.
    pub(super) fn recover(start: u64, storage: &mut impl Storage) -> Result<Self, StorageError> {
        let before = VOTES_CHOSEN.read(storage)?;
        let before = before.filter(|before| before.start.checked_add(1) == Some(start));
        let noted = VotesChosen { start, below: before.map_or(Slot(0), |before| before.below) };
        if before.is_some() {
            VOTES_CHOSEN.write(&noted, storage)?;
        }
        Ok(Self(noted))
    }

    /// The first slot of which the note says nothing.
    pub(super) fn below(&self) -> Slot {
        self.0.below
    }

    /// Returns a commit of these records, with the note if it changes.
    pub(super) fn commit(
        &mut self,
        write: Write,
        replica: &Replica,
        fault: Option<Fault>,
    ) -> Commit {
        let changes = self.renew(write.records(), replica, fault);
        Commit { write, note: changes.then_some(self.0) }
    }

    /// Notes the last values durably, without records.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn note(
        &mut self,
        replica: &Replica,
        storage: &mut impl Storage,
        fault: Option<Fault>,
    ) -> Result<(), StorageError> {
        if self.renew(&[], replica, fault) { VOTES_CHOSEN.write(&self.0, storage) } else { Ok(()) }
    }

    /// Renews the note with records that become durable together with it. Returns true if it changes.
    fn renew(&mut self, records: &[Record], replica: &Replica, fault: Option<Fault>) -> bool {
        let Self(noted) = self;
        let below = match fault {
            Some(Fault::NotesTooMuch) => replica.parts().acceptor.votes.end().max(noted.below),
            _ => replica.votes_chosen_below(noted.below, records),
        };
        below != std::mem::replace(&mut noted.below, below)
    }
}

/// Records on their way to the store, with the note that becomes durable together with them.
pub(super) struct Commit {
    write: Write,
    note: Option<VotesChosen>,
}

/// A commit that is durable.
pub(super) struct Committed {
    pub(super) durable: Durable,
    /// The time that the store took.
    pub(super) took: Duration,
}

impl Commit {
    /// Makes the commit durable.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn persist(self, storage: &mut impl Storage) -> Result<Committed, StorageError> {
        let Self { write, note } = self;
        let begun = Instant::now();
        let durable = write.persist(|records| match note {
            Some(note) => VOTES_CHOSEN.write_with(&note, records, storage),
            None => storage.persist(records),
        })?;
        Ok(Committed { durable, took: begun.elapsed() })
    }
}

#[cfg(test)]
mod tests {
    use paxos_store::{MemoryStore, StoreId};

    use super::*;

    /// A version without notes may have voted in between, so its start ends the note.
    #[test]
    fn a_start_believes_only_the_start_before_it() {
        let below = |starts: &[u64]| {
            let mut store = MemoryStore::new(StoreId(7));
            let noted = VotesChosen { start: 4, below: Slot(9) };
            VOTES_CHOSEN.write(&noted, &mut store).expect("memory");
            let starts = starts.iter().map(|start| NotedVotes::recover(*start, &mut store));
            starts.map(|noted| noted.expect("memory").below().0).collect::<Vec<_>>()
        };
        assert_eq!(below(&[5, 6, 7]), [9, 9, 9]);
        assert_eq!(below(&[5, 7]), [9, 0]);
        assert_eq!(below(&[6, 7]), [0, 0]);
        assert_eq!(below(&[4]), [0]);
    }
}
