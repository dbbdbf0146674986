//! What is in the files, read and held against what can have been written.

use std::{io, mem};

use super::{
    change::{Change, Facts, Head},
    log::{Half, Log, Room, recognise},
    mark,
    medium::{Medium, read_all},
    place::Files,
    scan::{Commit, Scan, beyond},
    snapshot::DiskSnapshot,
};
use crate::{Snapshot, SnapshotFile as _, StorageError, StoreId, covers};
use paxos::event::Record;

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
    wrong: Option<String>,
}

impl Contents {
    /// Reads the log and the mark of a store.
    ///
    /// # Errors
    /// They cannot be read, or nothing in them makes sense. What is wrong beyond that is told by
    /// [`recovered`](Self::recovered).
    pub(super) fn read(files: &Files) -> Result<Self, StorageError> {
        let read = |file: &Medium| read_all(&**file).map_err(StorageError::io("read the log"));
        let bytes = [read(&files.logs[0])?, read(&files.logs[1])?];
        let id = recognise("log.0", &bytes[0])?;
        let other = recognise("log.1", &bytes[1])?;
        if id != other {
            return Err(StorageError::damaged(format!("log.0 is of store {id}, log.1 of {other}")));
        }
        let acknowledged = mark::acknowledged(&*files.mark, id)?;
        let mut scans = [Scan::of(&bytes[0], id)?, Scan::of(&bytes[1], id)?];
        let current = usize::from(scans[1].first() > scans[0].first());
        let (older, newer) = (&scans[1 - current], &scans[current]);
        let Some(head) = newer.head() else {
            return Err(StorageError::damaged("neither file of the log has a commit"));
        };
        let (facts, last, mut wrong) = (fold(head, &newer.commits), newer.last(), None);
        let mut head = head.clone();
        let mut commits = Vec::new();
        if facts.trimmed < head.votes_end {
            match older.head() {
                Some(oldest) if older.last() + 1 == newer.first() => {
                    head = oldest.clone();
                    commits = mem::take(&mut scans[1 - current].commits);
                }
                _ => {
                    let (last, first) = (older.last(), newer.first());
                    wrong = Some(format!("commit {last} is followed by commit {first}"));
                }
            }
        }
        commits.append(&mut scans[current].commits);
        if fold(&head, &commits) != facts {
            wrong = Some("the files of the log do not fit together".into());
        }
        let rests = [0, 1].map(|file| &bytes[file][scans[file].end..]);
        if let Some(number) = rests.iter().find_map(|rest| beyond(rest, id, last)) {
            let missing = last + 1;
            wrong = Some(format!("commit {number} is there, but commit {missing} cannot be read"));
        }
        Ok(Self { id, head, commits, facts, last, acknowledged, scans, current, wrong })
    }

    /// All that was made durable, after everything was held against everything else.
    ///
    /// # Errors
    /// The first thing that is not as it was left.
    pub(super) fn recovered(&self, files: &Files) -> Result<Vec<Record>, StorageError> {
        if let Some(wrong) = &self.wrong {
            return Err(StorageError::damaged(wrong.clone()));
        }
        if self.last < self.acknowledged {
            let (acknowledged, found) = (self.acknowledged, self.last);
            return Err(StorageError::Lost { acknowledged, found });
        }
        covers(self.facts.snapshot.map(|header| header.below), self.facts.trimmed)?;
        if let Some(snapshot) = self.snapshot_file(files)? {
            check(&snapshot, |_| {})?;
        }
        let mut records: Vec<_> = self.head.facts.records().collect();
        for commit in &self.commits {
            if let Change::Records(more) = &commit.change {
                records.extend_from_slice(more);
            }
        }
        Ok(records)
    }

    /// The last snapshot, in memory.
    ///
    /// # Errors
    /// It is damaged, or cannot be read.
    pub(super) fn snapshot(&self, files: &Files) -> Result<Option<Snapshot>, StorageError> {
        let Some(header) = self.facts.snapshot else { return Ok(None) };
        let Some(file) = self.snapshot_file(files)? else { return Ok(None) };
        let mut state = Vec::new();
        check(&file, |bytes| state.extend_from_slice(bytes))?;
        Ok(Some(Snapshot { below: header.below, state: state.into() }))
    }

    /// The file of the last snapshot, if it has the length that the log says.
    fn snapshot_file(&self, files: &Files) -> Result<Option<DiskSnapshot>, StorageError> {
        let Some(header) = &self.facts.snapshot else { return Ok(None) };
        let file = files.snapshots.get(usize::from(header.file));
        let file = file.ok_or_else(|| damaged(&format!("is in file {}", header.file)))?;
        let length = file.length().map_err(StorageError::io("read the snapshot"))?;
        if length != header.length {
            return Err(damaged(&format!("has {length} bytes, not {}", header.length)));
        }
        Ok(Some(DiskSnapshot::durable(&files.snapshots, header)))
    }

    /// The log, to go on with.
    ///
    /// Its last commit is written once more: if its sync had failed, the system may show what the disk
    /// does not have, and think that there is nothing left to write.
    pub(super) fn resume(&self, files: &Files, room: Room) -> Result<Log, StorageError> {
        let (scan, file) = (&self.scans[self.current], &files.logs[self.current]);
        let start = scan.end - scan.last_row.len();
        let again = file.write(start as u64, &scan.last_row).and_then(|()| file.sync());
        again.map_err(StorageError::io("write to the log"))?;
        let half = |number: usize| {
            let scan = &self.scans[number];
            Half {
                file: files.logs[number].clone(),
                length: scan.length as u64,
                end: scan.end as u64,
                votes_end: scan.votes_end,
            }
        };
        Ok(Log::resume(self.id, [half(0), half(1)], self.current, self.last, room))
    }
}

/// Reads a snapshot piece by piece, and holds its bytes against its checksum.
fn check(snapshot: &DiskSnapshot, mut show: impl FnMut(&[u8])) -> Result<(), StorageError> {
    const PIECE_BYTES: usize = 1 << 20;
    let (mut reader, mut piece, mut checksum) = (snapshot.reader(), vec![0; PIECE_BYTES], 0);
    loop {
        let length = io::Read::read(&mut reader, &mut piece);
        let length = length.map_err(StorageError::io("read the snapshot"))?;
        if length == 0 {
            break;
        }
        checksum = crc32c::crc32c_append(checksum, &piece[..length]);
        show(&piece[..length]);
    }
    let expected = snapshot.checksum();
    if checksum != expected {
        return Err(damaged(&format!("has the checksum {checksum:08x}, not {expected:08x}")));
    }
    Ok(())
}

fn damaged(found: &str) -> StorageError {
    StorageError::damaged(format!("the snapshot {found}"))
}

/// What follows from a head and the commits from it on.
fn fold(head: &Head, commits: &[Commit]) -> Facts {
    let mut facts = head.facts.clone();
    for commit in commits {
        facts.take(&commit.change);
    }
    facts
}
