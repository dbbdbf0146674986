//! What a commit can be of, and what follows from all of them.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::identity::Identity;
use crate::{StorageError, covers, trims};
use paxos::{
    event::Record,
    types::{Ballot, Slot},
};

/// What became durable in one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change<'a> {
    /// A file of the log begins.
    Head(Cow<'a, Head>),
    /// Records were persisted.
    Records(Cow<'a, [Record]>),
    /// A snapshot took the place of the one before.
    Snapshot(SnapshotHeader),
    /// A fact was noted.
    Note {
        /// Its name.
        name: Cow<'a, str>,
        /// What is noted under it.
        fact: Bytes,
    },
}

/// What the first commit of each file of the log says, so that nothing older is needed but votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Whose store it is.
    pub identity: Identity,
    /// What followed from all commits before.
    pub facts: Facts,
    /// No commit of the other file voted in this slot or one above it: once all below is trimmed, that
    /// file is not needed.
    pub votes_end: Slot,
}

/// What follows from commits, but for votes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The highest promise.
    pub promised: Option<Ballot>,
    /// Every slot below is in the snapshot, and its votes are dropped.
    pub trimmed: Slot,
    /// The last snapshot.
    pub snapshot: Option<SnapshotHeader>,
    /// All that was noted, by name.
    pub notes: BTreeMap<String, Bytes>,
}

/// What there is to know of a snapshot without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotHeader {
    /// It contains the effect of every slot below.
    pub below: Slot,
    /// How many bytes the state has.
    pub length: u64,
    /// The CRC-32C of the state.
    pub checksum: u32,
    /// In which of the two files it is.
    pub file: u8,
}

impl Facts {
    /// What follows with one commit more.
    pub(super) fn take(&mut self, change: &Change<'_>) {
        match change {
            Change::Head(_) => {}
            Change::Records(records) => {
                for record in &**records {
                    match record {
                        Record::Promised(ballot) | Record::Accepted { ballot, .. } => {
                            self.promised = self.promised.max(Some(*ballot));
                        }
                        Record::Trimmed { below } => self.trimmed = self.trimmed.max(*below),
                    }
                }
            }
            Change::Snapshot(header) => self.snapshot = Some(*header),
            Change::Note { name, fact } => {
                self.notes.insert(name.clone().into_owned(), fact.clone());
            }
        }
    }

    /// Refuses a change after which something would be nowhere: what is trimmed has to be in the
    /// snapshot.
    pub(super) fn allow(&self, change: &Change<'_>) -> Result<(), StorageError> {
        let snapshot = self.snapshot.map(|header| header.below);
        match change {
            Change::Records(records) => covers(snapshot, trims(records).unwrap_or_default()),
            Change::Snapshot(header) => covers(Some(header.below), self.trimmed),
            Change::Head(_) | Change::Note { .. } => Ok(()),
        }
    }

    /// What is left of the records before these facts.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        let trimmed = (self.trimmed > Slot(0)).then_some(Record::Trimmed { below: self.trimmed });
        trimmed.into_iter().chain(self.promised.map(Record::Promised))
    }
}

/// The slot after the last one that is voted in.
pub(super) fn votes_end(change: &Change<'_>) -> Slot {
    let Change::Records(records) = change else { return Slot(0) };
    let ends = records.iter().filter_map(|record| match record {
        Record::Accepted { first, values, .. } => Some(first.plus(values.len() as u64)),
        Record::Promised(_) | Record::Trimmed { .. } => None,
    });
    ends.max().unwrap_or_default()
}
