//! What is in the database, read and held against what can have been written.

use std::fmt::Display;

use bytes::{Bytes, BytesMut};
use redb::{OwnedRange, ReadOnlyTable, ReadTransaction, ReadableTable};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    identity::{self, Identity},
    rows::{BASE, FACTS, IDENTITY, LOG, NOTE, PIECES, SNAPSHOT, fenced},
    sealed::unseal,
};
use crate::{
    event::Record,
    storage::{Recovered, Snapshot, StorageError, StoreId},
    types::{Ballot, Slot},
};

/// What is left of the records that are trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The highest promise when they were trimmed.
    pub promised: Option<Ballot>,
    /// Every slot below is in the snapshot, and nowhere else.
    pub trimmed: Slot,
    /// The first commit whose records are kept.
    pub first: u64,
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
}

/// One commit: everything in it became durable in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Counts all commits of the store from 1, without a gap.
    pub number: u64,
    /// What was persisted; empty if it was a snapshot or a note.
    pub records: Vec<Record>,
}

/// The database as one transaction sees it.
pub(super) struct Contents {
    log: ReadOnlyTable<u64, &'static [u8]>,
    facts: ReadOnlyTable<&'static str, &'static [u8]>,
    pieces: ReadOnlyTable<u64, &'static [u8]>,
}

impl Contents {
    pub(super) fn of(transaction: &ReadTransaction) -> Result<Self, StorageError> {
        Ok(Self {
            log: transaction.open_table(LOG)?,
            facts: transaction.open_table(FACTS)?,
            pieces: transaction.open_table(PIECES)?,
        })
    }

    /// Whose store it is.
    pub(super) fn identity(&self) -> Result<(Identity, StoreId), StorageError> {
        let row = self.fact(IDENTITY)?;
        identity::read(&row.ok_or_else(|| StorageError::damaged("there is no identity"))?)
    }

    pub(super) fn base(&self) -> Result<Base, StorageError> {
        let row = self.fact(BASE)?.ok_or_else(|| StorageError::damaged("there is no base"))?;
        decoded(&row, &"the base")
    }

    pub(super) fn noted(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        self.fact(&[NOTE, name].concat())
    }

    /// The names under which something is noted.
    pub(super) fn notes(&self) -> Result<Vec<String>, StorageError> {
        let mut names = Vec::new();
        for fact in self.facts.range(NOTE..)? {
            let (name, _) = fact?;
            let Some(name) = name.value().strip_prefix(NOTE) else { break };
            names.push(name.to_owned());
        }
        Ok(names)
    }

    pub(super) fn snapshot_header(&self) -> Result<Option<SnapshotHeader>, StorageError> {
        let row = self.fact(SNAPSHOT)?;
        row.map(|row| decoded(&row, &"the header of the snapshot")).transpose()
    }

    pub(super) fn snapshot(&self) -> Result<Option<Snapshot>, StorageError> {
        let Some(header) = self.snapshot_header()? else { return Ok(None) };
        let mut state = BytesMut::new();
        for (expected, piece) in (0..).zip(self.pieces.iter()?) {
            let (number, piece) = piece?;
            if number.value() != expected {
                return Err(StorageError::damaged(format!(
                    "piece {expected} of the snapshot is missing"
                )));
            }
            state.extend_from_slice(piece.value());
        }
        let found = (state.len() as u64, crc32c::crc32c(&state));
        if found != (header.length, header.checksum) {
            return Err(StorageError::damaged(format!(
                "the snapshot has {} bytes with the checksum {:08x}, not {} with {:08x}",
                found.0, found.1, header.length, header.checksum
            )));
        }
        Ok(Some(Snapshot { below: header.below, state: state.freeze() }))
    }

    /// All commits that are kept, in order.
    pub(super) fn commits(&self) -> Result<Commits, StorageError> {
        let first = self.base()?.first;
        Ok(Commits { rows: self.log.range_owned::<u64>(..)?, next: first })
    }

    /// The number of the last commit that is kept, if any is.
    pub(super) fn last(&self) -> Result<Option<u64>, StorageError> {
        Ok(self.log.last()?.map(|(number, _)| number.value()))
    }

    /// All that was made durable.
    pub(super) fn recovered(&self) -> Result<Recovered, StorageError> {
        let base = self.base()?;
        let trimmed = (base.trimmed > Slot(0)).then_some(Record::Trimmed { below: base.trimmed });
        let mut records = Vec::from_iter(trimmed);
        records.extend(base.promised.map(Record::Promised));
        for commit in self.commits()? {
            records.append(&mut commit?.records);
        }
        Ok(Recovered { snapshot: self.snapshot()?, records })
    }

    fn fact(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        let Some(row) = self.facts.get(name)? else { return Ok(None) };
        let content = unseal(row.value(), name.as_bytes(), || format!("\"{name}\""))?;
        Ok(Some(Bytes::copy_from_slice(content)))
    }
}

/// The commits of a store, in order. One that cannot be read is an error in its place.
pub struct Commits {
    rows: OwnedRange<u64, &'static [u8]>,
    next: u64,
}

impl Iterator for Commits {
    type Item = Result<Commit, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        fenced(|| {
            self.rows
                .next()
                .map(|row| {
                    let (number, row) = row?;
                    let expected = self.next;
                    let number = number.value();
                    self.next = number + 1;
                    if number != expected {
                        return Err(StorageError::damaged(format!(
                            "commit {number} follows where {expected} should be"
                        )));
                    }
                    let what = || format!("commit {number}");
                    let records = unseal(row.value(), &number.to_le_bytes(), what)?;
                    Ok(Commit { number, records: decoded(records, &what())? })
                })
                .transpose()
        })
        .transpose()
    }
}

/// Content that has the right checksum was written by somebody; still it need not make sense.
fn decoded<T: DeserializeOwned>(content: &[u8], what: &dyn Display) -> Result<T, StorageError> {
    match postcard::take_from_bytes(content) {
        Ok((content, [])) => Ok(content),
        Ok((_, rest)) => Err(StorageError::damaged(format!("{} bytes follow {what}", rest.len()))),
        Err(error) => Err(StorageError::damaged(format!("{what} cannot be read: {error}"))),
    }
}
