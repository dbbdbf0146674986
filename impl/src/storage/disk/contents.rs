//! What is in the files, read and held against what can have been written.

use std::ops::Range;

use bytes::Bytes;

use super::{
    change::{Change, Facts, Head, votes_end},
    log::{Half, Log, Room, START, recognise},
    mark,
    medium::{Medium, read_all},
    place::Files,
    sealed::{ALIGNMENT, unseal},
};
use crate::{
    storage::{Recovered, Snapshot, StorageError, StoreId, covers},
    types::Slot,
};

/// One commit: everything in it became durable in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Counts all commits of the store from 1, without a gap.
    pub number: u64,
    /// What it is of.
    pub change: Change<'static>,
}

/// All that can be read of a store, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) id: StoreId,
    /// What its oldest file that is needed began with.
    pub(super) head: Head,
    /// From that one on, in order, without a gap.
    pub(super) commits: Vec<Commit>,
    /// What follows from them.
    pub(super) facts: Facts,
    /// The number of the last commit.
    pub(super) last: u64,
    /// The highest commit that is known to have been acknowledged.
    pub(super) acknowledged: u64,
    scans: [Scan; 2],
    current: usize,
    wrong: Option<StorageError>,
}

/// What is in one file of the log: commits, until there is no more.
#[derive(Debug, Default)]
struct Scan {
    commits: Vec<Commit>,
    /// Where the last of them is.
    end: Range<usize>,
    /// How long the file is.
    length: usize,
    /// The slot after the last one that is voted in.
    votes_end: Slot,
}

impl Contents {
    /// Reads the log and the mark of a store.
    ///
    /// # Errors
    /// They cannot be read, or nothing in them makes sense. What is wrong beyond that is told by
    /// [`verify`](Self::verify).
    pub(super) fn read(files: &Files) -> Result<Self, StorageError> {
        let read = |file: &Medium| read_all(&**file).map_err(StorageError::io("read the log"));
        let bytes = [read(&files.logs[0])?, read(&files.logs[1])?];
        let id = recognise("log.0", &bytes[0])?;
        let other = recognise("log.1", &bytes[1])?;
        if id != other {
            return Err(StorageError::damaged(format!("log.0 is of store {id}, log.1 of {other}")));
        }
        let acknowledged = mark::acknowledged(&*files.mark, id)?;
        let scans = [Scan::of(&bytes[0], id)?, Scan::of(&bytes[1], id)?];
        let current = usize::from(scans[1].first() > scans[0].first());
        let (older, newer) = (&scans[1 - current], &scans[current]);
        let damaged = |found: String| Some(StorageError::damaged(found));
        let Some(head) = newer.head() else {
            return Err(StorageError::damaged("neither file of the log has a commit"));
        };
        let (facts, last) = (fold(head, &newer.commits), newer.last());
        let (mut head, mut commits, mut wrong) = (head, newer.commits.clone(), None);
        if facts.trimmed < head.votes_end {
            match older.head() {
                Some(oldest) if older.last() + 1 == newer.first() => {
                    head = oldest;
                    commits.splice(..0, older.commits.iter().cloned());
                }
                _ => {
                    let (last, first) = (older.last(), newer.first());
                    wrong = damaged(format!("commit {last} is followed by commit {first}"));
                }
            }
        }
        if fold(head, &commits) != facts {
            wrong = damaged("the files of the log do not fit together".into());
        }
        if let Some(number) = bytes.iter().find_map(|bytes| beyond(bytes, id, last)) {
            let missing = last + 1;
            wrong =
                damaged(format!("commit {number} is there, but commit {missing} cannot be read"));
        }
        if wrong.is_none() && last < acknowledged {
            wrong = Some(StorageError::Lost { acknowledged, found: last });
        }
        let head = head.clone();
        Ok(Self { id, head, commits, facts, last, acknowledged, scans, current, wrong })
    }

    /// Holds everything against everything else.
    ///
    /// # Errors
    /// The first thing that is not as it was left.
    pub(super) fn verify(self, files: &Files) -> Result<Self, StorageError> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        covers(self.facts.snapshot.map(|header| header.below), self.facts.trimmed)?;
        self.snapshot(files)?;
        Ok(self)
    }

    /// The last snapshot.
    pub(super) fn snapshot(&self, files: &Files) -> Result<Option<Snapshot>, StorageError> {
        let Some(header) = self.facts.snapshot else { return Ok(None) };
        let damaged = |found: String| StorageError::damaged(format!("the snapshot {found}"));
        let file = files.snapshots.get(usize::from(header.file));
        let file = file.ok_or_else(|| damaged(format!("is in file {}", header.file)))?;
        let length = file.length().map_err(StorageError::io("read the snapshot"))?;
        if length != header.length {
            return Err(damaged(format!("has {length} bytes, not {}", header.length)));
        }
        let state = read_all(&**file).map_err(StorageError::io("read the snapshot"))?;
        let checksum = crc32c::crc32c(&state);
        if checksum != header.checksum {
            return Err(damaged(format!(
                "has the checksum {checksum:08x}, not {:08x}",
                header.checksum
            )));
        }
        Ok(Some(Snapshot { below: header.below, state: Bytes::from(state) }))
    }

    /// All that was made durable.
    pub(super) fn recovered(self, files: &Files) -> Result<Recovered, StorageError> {
        let snapshot = self.snapshot(files)?;
        let mut records: Vec<_> = self.head.facts.records().collect();
        for commit in self.commits {
            if let Change::Records(more) = commit.change {
                records.append(&mut more.into_owned());
            }
        }
        Ok(Recovered { snapshot, records })
    }

    /// The log, to go on with.
    ///
    /// Its last commit is written once more: if its sync had failed, the system may show what the disk
    /// does not have, and think that there is nothing left to write.
    pub(super) fn resume(&self, files: &Files, room: Room) -> Result<Log, StorageError> {
        let Range { start, end } = self.scans[self.current].end;
        let (file, mut row) = (&files.logs[self.current], vec![0; end - start]);
        let again = file.read(start as u64, &mut row).and_then(|()| file.write(start as u64, &row));
        again.and_then(|()| file.sync()).map_err(StorageError::io("write to the log"))?;
        let half = |number: usize| {
            let scan = &self.scans[number];
            Half {
                file: files.logs[number].clone(),
                length: scan.length as u64,
                end: scan.end.end as u64,
                votes_end: scan.votes_end,
            }
        };
        Ok(Log::resume(self.id, [half(0), half(1)], self.current, self.last, room))
    }
}

impl Scan {
    fn of(bytes: &[u8], id: StoreId) -> Result<Self, StorageError> {
        let mut scan = Self { length: bytes.len(), ..Self::default() };
        let mut at = START as usize;
        scan.end = at..at;
        while let Some(found) =
            bytes.get(at..).and_then(|rest| unseal(rest, id, |number| scan.expects(number)))
        {
            let (number, end) = (found.number, at + found.size);
            let change = decode(found.content, number)?;
            if scan.commits.is_empty() != matches!(change, Change::Head(_)) {
                return Err(StorageError::damaged(format!("commit {number} is out of place")));
            }
            scan.votes_end = scan.votes_end.max(votes_end(&change));
            scan.commits.push(Commit { number, change });
            scan.end = at..end;
            at = end;
        }
        Ok(scan)
    }

    fn expects(&self, number: u64) -> bool {
        match self.commits.last() {
            None => number > 0,
            Some(last) => number == last.number + 1,
        }
    }

    fn head(&self) -> Option<&Head> {
        match &self.commits.first()?.change {
            Change::Head(head) => Some(head),
            _ => None,
        }
    }

    /// The number of the first commit, 0 if there is none.
    fn first(&self) -> u64 {
        self.commits.first().map_or(0, |commit| commit.number)
    }

    /// The number of the last commit, 0 if there is none.
    fn last(&self) -> u64 {
        self.commits.last().map_or(0, |commit| commit.number)
    }
}

/// What follows from a head and the commits from it on.
fn fold(head: &Head, commits: &[Commit]) -> Facts {
    let mut facts = head.facts.clone();
    for commit in commits {
        facts.take(commit.change.clone());
    }
    facts
}

/// A commit after the last one, wherever it is. A commit is written when the one before is durable; so
/// if there is one, the one before was acknowledged, and is damaged now.
fn beyond(bytes: &[u8], id: StoreId, last: u64) -> Option<u64> {
    let places = (START as usize..bytes.len()).step_by(ALIGNMENT);
    let mut found = places.filter_map(|at| unseal(&bytes[at..], id, |number| number > last));
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
