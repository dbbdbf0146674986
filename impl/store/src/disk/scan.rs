//! What is in one file of the log: commits, until there is no more.

use super::{
    change::{Change, Head, votes_end},
    log::START,
    sealed::{ALIGNMENT, unseal},
};
use crate::{StorageError, StoreId};
use paxos::types::Slot;

/// No store lives to see commits with such numbers, and what is added to one does not overflow.
const NUMBER_MAX: u64 = 1 << 63;

/// One commit: everything in it became durable in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Counts all commits of the store from 1, without a gap.
    pub number: u64,
    /// What it is of.
    pub change: Change<'static>,
}

/// The commits of one file.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) commits: Vec<Commit>,
    /// The last of them, as it is in the file.
    pub(super) last_row: Vec<u8>,
    /// Where the next one goes.
    pub(super) end: usize,
    /// How long the file is.
    pub(super) length: usize,
    /// The slot after the last one that is voted in.
    pub(super) votes_end: Slot,
}

impl Scan {
    /// Reads commits until one is torn, or there is no more.
    ///
    /// # Errors
    /// A commit whose checksum is right makes no sense.
    pub(super) fn of(bytes: &[u8], id: StoreId) -> Result<Self, StorageError> {
        let mut scan = Self { end: START as usize, length: bytes.len(), ..Self::default() };
        let mut last = scan.end..scan.end;
        while let Some(found) = unseal(&bytes[scan.end..], id, |number| scan.expects(number)) {
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

    /// What the first commit says.
    pub(super) fn head(&self) -> Option<&Head> {
        match &self.commits.first()?.change {
            Change::Head(head) => Some(head),
            _ => None,
        }
    }

    /// The number of the first commit, 0 if there is none.
    pub(super) fn first(&self) -> u64 {
        self.commits.first().map_or(0, |commit| commit.number)
    }

    /// The number of the last commit, 0 if there is none.
    pub(super) fn last(&self) -> u64 {
        self.commits.last().map_or(0, |commit| commit.number)
    }
}

/// A commit after the last one, somewhere in these bytes. A commit is written when the one before is
/// durable; so if there is one, the one before was acknowledged, and is damaged now.
pub(super) fn beyond(bytes: &[u8], id: StoreId, last: u64) -> Option<u64> {
    // There is no room for more; so what clients have sent is seldom taken for a number.
    let most = last + (bytes.len() / ALIGNMENT) as u64;
    let places = (0..bytes.len()).step_by(ALIGNMENT);
    let mut found = places
        .filter_map(|at| unseal(&bytes[at..], id, |number| (last + 1..=most).contains(&number)));
    found.next().map(|found| found.number)
}

/// Content that has the right checksum was written by somebody; still it need not make sense.
fn decode(content: &[u8], number: u64) -> Result<Change<'static>, StorageError> {
    match postcard::take_from_bytes(content) {
        Ok((change, [])) => Ok(change),
        Ok((_, rest)) => {
            let length = rest.len();
            Err(StorageError::damaged(format!("{length} bytes follow commit {number}")))
        }
        Err(error) => {
            Err(StorageError::damaged(format!("commit {number} cannot be read: {error}")))
        }
    }
}
