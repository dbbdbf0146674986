//! What a running store knows of its own contents, so that it need not read while it writes.

use std::collections::VecDeque;

use super::contents::{Base, Contents};
use crate::{
    event::Record,
    storage::{StorageError, covers, trims},
    types::{Ballot, Slot},
};

/// The extent of a store. Eight bytes for each commit that is kept.
#[derive(Debug)]
pub(super) struct Extent {
    /// What is left of the commits that are not kept.
    base: Base,
    /// The highest promise of all commits.
    promised: Option<Ballot>,
    /// What the snapshot covers.
    covered: Option<Slot>,
    /// Of each commit that is kept, the slot after the last one that it votes in.
    ends: VecDeque<Slot>,
}

impl Extent {
    /// Reads everything once, and so finds whatever is wrong with it.
    pub(super) fn of(contents: &Contents) -> Result<Self, StorageError> {
        let base = contents.base()?;
        let covered = contents.snapshot()?.map(|snapshot| snapshot.below);
        let ends = VecDeque::new();
        let mut extent = Self { base, promised: base.promised, covered, ends };
        let mut trimmed = Slot(0);
        for commit in contents.commits()? {
            let records = commit?.records;
            trimmed = trimmed.max(trims(&records).unwrap_or_default());
            extent.grow(&records);
        }
        if trimmed != base.trimmed {
            return Err(StorageError::damaged(format!(
                "the base says that all below slot {} is trimmed, the commits say {trimmed}",
                base.trimmed
            )));
        }
        covers(covered, base.trimmed)?;
        Ok(extent)
    }

    /// The number of the last commit, 0 before the first.
    pub(super) fn last(&self) -> u64 {
        self.base.first + self.ends.len() as u64 - 1
    }

    /// How many commits are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn base(&self) -> Base {
        self.base
    }

    /// The base once everything below a slot is dropped: commits that lie wholly below it, up to
    /// the first one that does not, for they are kept without a gap.
    ///
    /// # Errors
    /// No snapshot covers what would be dropped.
    pub(super) fn trim(&self, below: Slot) -> Result<Option<Base>, StorageError> {
        if below <= self.base.trimmed {
            return Ok(None);
        }
        covers(self.covered, below)?;
        let dropped = self.ends.iter().take_while(|&&end| end <= below).count();
        let first = self.base.first + dropped as u64;
        Ok(Some(Base { promised: self.promised, trimmed: below, first }))
    }

    /// A snapshot may not cover less than what is trimmed.
    pub(super) fn accepts_snapshot(&self, below: Slot) -> Result<(), StorageError> {
        covers(Some(below), self.base.trimmed)
    }

    /// One more commit is durable.
    pub(super) fn grow(&mut self, records: &[Record]) {
        let mut end = Slot(0);
        for record in records {
            match record {
                Record::Promised(ballot) => self.promised = self.promised.max(Some(*ballot)),
                Record::Accepted { ballot, first, values } => {
                    self.promised = self.promised.max(Some(*ballot));
                    end = end.max(first.plus(values.len() as u64));
                }
                Record::Trimmed { .. } => {}
            }
        }
        self.ends.push_back(end);
    }

    /// What was to be trimmed is.
    pub(super) fn rebase(&mut self, base: Base) {
        self.ends.drain(..(base.first - self.base.first) as usize);
        self.base = base;
    }

    /// Another snapshot is durable.
    pub(super) fn covered(&mut self, below: Slot) {
        self.covered = Some(below);
    }
}
