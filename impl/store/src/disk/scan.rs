//! Reading one segment of the log: its commits, up to the first that is torn or missing.

use super::{
    change::{Change, Head, votes_end},
    frame::{ALIGNMENT, read_frame},
    log::START,
};
use crate::{StorageError, StoreId};
use paxos::types::Slot;

/// No store ever has so many commits. Numbers of commits are below it, so that sums with small numbers do not overflow.
const NUMBER_MAX: u64 = 1 << 63;

/// One commit: a change that became durable in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The position among all commits of the store. The first is 1, and there are no gaps.
    pub number: u64,
    /// The content.
    pub change: Change<'static>,
}

/// The commits of one segment.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) commits: Vec<Commit>,
    /// The bytes of the last commit in the file.
    pub(super) last_row: Vec<u8>,
    /// The offset of the next commit.
    pub(super) end: usize,
    /// The length of the file in bytes.
    pub(super) length: usize,
    /// The slot after the last vote.
    pub(super) votes_end: Slot,
}

impl Scan {
    /// Reads commits until one is torn or missing.
    ///
    /// # Errors
    /// Fails if a commit with a correct checksum has content that no store writes there.
    pub(super) fn of(bytes: &[u8], id: StoreId) -> Result<Self, StorageError> {
        let mut scan = Self { end: START as usize, length: bytes.len(), ..Self::default() };
        let mut last = scan.end..scan.end;
        while let Some(found) = read_frame(&bytes[scan.end..], id, |number| scan.expects(number)) {
            let number = found.number;
            let change = decode(found.content, number)?;
            if scan.commits.is_empty() != matches!(change, Change::Head(_)) {
                return Err(StorageError::damaged(format!("commit {number} is out of place")));
            }
            scan.votes_end = scan.votes_end.max(votes_end(&change));
            scan.commits.push(Commit { number, change });
            last = scan.end..scan.end + found.size;
            scan.end = last.end;
        }
        scan.last_row = bytes[last].to_vec();
        Ok(scan)
    }

    fn expects(&self, number: u64) -> bool {
        match self.commits.last() {
            None => (1..NUMBER_MAX).contains(&number),
            Some(last) => number == last.number + 1,
        }
    }

    /// Returns the first commit, if there is one.
    pub(super) fn head(&self) -> Option<&Head> {
        match &self.commits.first()?.change {
            Change::Head(head) => Some(head),
            _ => None,
        }
    }

    /// Returns the number of the first commit, or 0 if there is none.
    pub(super) fn first(&self) -> u64 {
        self.commits.first().map_or(0, |commit| commit.number)
    }

    /// Returns the number of the last commit, or 0 if there is none.
    pub(super) fn last(&self) -> u64 {
        self.commits.last().map_or(0, |commit| commit.number)
    }
}

/// Searches these bytes for a commit with a number above `last`, and returns the number. The log writes a commit only
/// when the one before is durable. So such a commit shows that commit `last + 1` is damaged or not in its place.
pub(super) fn beyond(bytes: &[u8], id: StoreId, last: u64) -> Option<u64> {
    // So many bytes have no space for commits with higher numbers. With this limit, bytes of a command are unlikely to
    // pass for a number.
    let most = last + (bytes.len() / ALIGNMENT) as u64;
    let offsets = (0..bytes.len()).step_by(ALIGNMENT);
    let mut found = offsets.filter_map(|at| {
        read_frame(&bytes[at..], id, |number| (last + 1..=most).contains(&number))
    });
    found.next().map(|found| found.number)
}

/// Decodes the content of a commit. Fails if the content makes no sense although its checksum is correct.
fn decode(content: &[u8], number: u64) -> Result<Change<'static>, StorageError> {
    match postcard::take_from_bytes(content) {
        Ok((change, [])) => Ok(change),
        Ok((_, rest)) => {
            let length = rest.len();
            Err(StorageError::damaged(format!("commit {number} is too long by {length}")))
        }
        Err(error) => {
            Err(StorageError::damaged(format!("commit {number} cannot be read: {error}")))
        }
    }
}
