//! The content of a commit, and the summary of many commits.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::identity::Identity;
use crate::{StorageError, check_covered, highest_trim};
use paxos::{
    event::Record,
    types::{Ballot, Slot},
};

/// The content of a commit: a change that becomes durable in one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change<'a> {
    /// The first commit of a segment.
    Head(Cow<'a, Head>),
    /// Records of the replica.
    Records(Cow<'a, [Record]>),
    /// A snapshot that replaces the one before.
    Snapshot(SnapshotHeader),
    /// A metadata value of the driver.
    Note(Note<'a>),
    /// Records of the replica, and a metadata value of the driver.
    RecordsAndNote(Cow<'a, [Record]>, Note<'a>),
}

/// A metadata value of the driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note<'a> {
    /// The name of the value.
    pub name: Cow<'a, str>,
    /// The value, which replaces an earlier one of that name.
    pub value: Bytes,
}

impl<'a> Note<'a> {
    pub(super) fn new(name: &'a str, value: &[u8]) -> Self {
        Self { name: Cow::Borrowed(name), value: Bytes::copy_from_slice(value) }
    }
}

impl Change<'_> {
    /// Returns the records of the change.
    pub fn records(&self) -> &[Record] {
        match self {
            Self::Records(records) | Self::RecordsAndNote(records, _) => records,
            Self::Head(_) | Self::Snapshot(_) | Self::Note(_) => &[],
        }
    }

    /// Returns the metadata value of the change.
    pub fn note(&self) -> Option<&Note<'_>> {
        match self {
            Self::Note(note) | Self::RecordsAndNote(_, note) => Some(note),
            Self::Head(_) | Self::Snapshot(_) | Self::Records(_) => None,
        }
    }
}

/// The first commit of a segment. It sums up all earlier commits except their votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The owner of the store.
    pub identity: Identity,
    /// The summary of all earlier commits.
    pub summary: Summary,
    /// The slot after the last vote in the other segment. Once all slots below this one are trimmed, that segment is
    /// not needed.
    pub votes_end: Slot,
}

/// The state that results from commits, without the votes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The highest promise.
    pub promised: Option<Ballot>,
    /// The snapshot has the effect of every slot below this one. The votes in these slots are dropped.
    pub trimmed: Slot,
    /// The durable snapshot.
    pub snapshot: Option<SnapshotHeader>,
    /// The metadata values by name.
    pub notes: BTreeMap<String, Bytes>,
}

/// The description of a snapshot in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotHeader {
    /// The snapshot contains the effect of every slot below this one.
    pub below: Slot,
    /// The number of bytes of the state.
    pub length: u64,
    /// The CRC-32C of the state.
    pub checksum: u32,
    /// The number of the snapshot file, 0 or 1.
    pub file: u8,
}

impl Summary {
    /// Adds the effect of one commit.
    pub(super) fn apply(&mut self, change: &Change<'_>) {
        for record in change.records() {
            match record {
                Record::Promised(ballot) | Record::Accepted { ballot, .. } => {
                    self.promised = self.promised.max(Some(*ballot));
                }
                Record::Trimmed { below } => self.trimmed = self.trimmed.max(*below),
            }
        }
        if let Change::Snapshot(header) = change {
            self.snapshot = Some(*header);
        }
        if let Some(Note { name, value }) = change.note() {
            self.notes.insert(name.clone().into_owned(), value.clone());
        }
    }

    /// Fails if the snapshot would not cover the trimmed slots after the change.
    pub(super) fn check(&self, change: &Change<'_>) -> Result<(), StorageError> {
        let snapshot = self.snapshot.map(|header| header.below);
        match change {
            Change::Snapshot(header) => check_covered(Some(header.below), self.trimmed),
            _ => check_covered(snapshot, highest_trim(change.records()).unwrap_or_default()),
        }
    }

    /// Returns records that lead to the same promise and the same trimmed slots as all records in the summary.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        let trimmed = (self.trimmed > Slot(0)).then_some(Record::Trimmed { below: self.trimmed });
        trimmed.into_iter().chain(self.promised.map(Record::Promised))
    }
}

/// Returns the slot after the last vote of a change, or slot 0 if the change has no vote.
pub(super) fn votes_end(change: &Change<'_>) -> Slot {
    let ends = change.records().iter().filter_map(|record| match record {
        Record::Accepted { first, values, .. } => Some(first.plus(values.len() as u64)),
        Record::Promised(_) | Record::Trimmed { .. } => None,
    });
    ends.max().unwrap_or_default()
}
