//! The content of a store: all files are read, and checked against each other.

use std::{io, mem};

use super::{
    change::{Head, Summary},
    data_directory::Files,
    file::{SharedFile, read_all},
    log::{Log, Segment, SegmentSizes, recognise},
    scan::{Commit, Scan, beyond},
    snapshot::DiskSnapshot,
    watermark,
};
use crate::{Snapshot, SnapshotFile as _, StorageError, StoreId, check_covered};
use paxos::event::Record;

/// The content of a store, and a fault that was found in the log.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) id: StoreId,
    /// The head of the oldest segment that is needed.
    pub(super) head: Head,
    /// The commits from that head on, in order and without a gap.
    pub(super) commits: Vec<Commit>,
    /// The summary of all commits.
    pub(super) summary: Summary,
    /// The number of the last commit.
    pub(super) last: u64,
    /// The commit watermark. The commit with this number was durable.
    pub(super) acknowledged: u64,
    scans: [Scan; 2],
    current: usize,
    wrong: Option<String>,
}

impl Contents {
    /// Reads the log and the commit watermark of a store.
    ///
    /// # Errors
    /// Fails if the files cannot be read or decoded, or if they belong to different stores.
    /// [`recovered`](Self::recovered) fails with other faults, so that a reader can show a damaged store.
    pub(super) fn read(files: &Files) -> Result<Self, StorageError> {
        let read = |file: &SharedFile| read_all(&**file).map_err(StorageError::io("read the log"));
        let bytes = [read(&files.logs[0])?, read(&files.logs[1])?];
        let id = recognise("log.0", &bytes[0])?;
        let other = recognise("log.1", &bytes[1])?;
        if id != other {
            return Err(StorageError::damaged(format!("log.0 is of store {id}, log.1 of {other}")));
        }
        let acknowledged = watermark::acknowledged(&*files.watermark, id)?;
        let mut scans = [Scan::of(&bytes[0], id)?, Scan::of(&bytes[1], id)?];
        let current = usize::from(scans[1].first() > scans[0].first());
        let (older, newer) = (&scans[1 - current], &scans[current]);
        let Some(head) = newer.head() else {
            return Err(StorageError::damaged("neither file of the log has a commit"));
        };
        let (summary, last, mut wrong) = (fold(head, &newer.commits), newer.last(), None);
        let mut head = head.clone();
        let mut commits = Vec::new();
        if summary.trimmed < head.votes_end {
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
        if fold(&head, &commits) != summary {
            wrong = Some("the files of the log do not fit together".into());
        }
        let rests = [0, 1].map(|file| &bytes[file][scans[file].end..]);
        if let Some(number) = rests.iter().find_map(|rest| beyond(rest, id, last)) {
            let missing = last + 1;
            wrong = Some(format!("commit {number} is there, but commit {missing} cannot be read"));
        }
        Ok(Self { id, head, commits, summary, last, acknowledged, scans, current, wrong })
    }

    /// Checks the log, the watermark and the snapshot. Returns records that lead to the same state as all durable ones.
    ///
    /// # Errors
    /// Fails with the first fault that it finds.
    pub(super) fn recovered(&self, files: &Files) -> Result<Vec<Record>, StorageError> {
        if let Some(wrong) = &self.wrong {
            return Err(StorageError::damaged(wrong.clone()));
        }
        if self.last < self.acknowledged {
            let (acknowledged, found) = (self.acknowledged, self.last);
            return Err(StorageError::Lost { acknowledged, found });
        }
        check_covered(self.summary.snapshot.map(|header| header.below), self.summary.trimmed)?;
        if let Some(snapshot) = self.snapshot_file(files)? {
            check(&snapshot, |_| {})?;
        }
        let mut records: Vec<_> = self.head.summary.records().collect();
        for commit in &self.commits {
            records.extend_from_slice(commit.change.records());
        }
        Ok(records)
    }

    /// Reads the durable snapshot into memory.
    ///
    /// # Errors
    /// Fails if it is damaged or cannot be read.
    pub(super) fn snapshot(&self, files: &Files) -> Result<Option<Snapshot>, StorageError> {
        let Some(header) = self.summary.snapshot else { return Ok(None) };
        let Some(file) = self.snapshot_file(files)? else { return Ok(None) };
        let mut state = Vec::new();
        check(&file, |bytes| state.extend_from_slice(bytes))?;
        Ok(Some(Snapshot { below: header.below, state: state.into() }))
    }

    /// Returns the file of the durable snapshot, if there is a snapshot.
    ///
    /// # Errors
    /// Fails if the file does not have the length that the log says.
    fn snapshot_file(&self, files: &Files) -> Result<Option<DiskSnapshot>, StorageError> {
        let Some(header) = &self.summary.snapshot else { return Ok(None) };
        let file = files.snapshots.get(usize::from(header.file));
        let file = file.ok_or_else(|| damaged(&format!("is in file {}", header.file)))?;
        let length = file.length().map_err(StorageError::io("read the snapshot"))?;
        if length != header.length {
            return Err(damaged(&format!("has length {length}, not {}", header.length)));
        }
        Ok(Some(DiskSnapshot::durable(&files.snapshots, header)))
    }

    /// Returns the log, to append to.
    ///
    /// Writes the last commit again and syncs it. If an earlier sync of that commit failed, the system may show bytes
    /// that the disk does not have. It may treat these bytes as written, so that a sync without a write would do
    /// nothing.
    pub(super) fn resume(&self, files: &Files, sizes: SegmentSizes) -> Result<Log, StorageError> {
        let (scan, file) = (&self.scans[self.current], &files.logs[self.current]);
        let start = scan.end - scan.last_row.len();
        let again = file.write(start as u64, &scan.last_row).and_then(|()| file.sync());
        again.map_err(StorageError::io("write to the log"))?;
        let segment = |number: usize| {
            let scan = &self.scans[number];
            Segment {
                file: files.logs[number].clone(),
                length: scan.length as u64,
                end: scan.end as u64,
                votes_end: scan.votes_end,
            }
        };
        Ok(Log::resume(self.id, [segment(0), segment(1)], self.current, self.last, sizes))
    }
}

/// Reads a snapshot piece by piece, calls `show` with each piece, and compares the checksum.
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

/// Returns the summary of a head and the commits from it on.
fn fold(head: &Head, commits: &[Commit]) -> Summary {
    let mut summary = head.summary.clone();
    for commit in commits {
        summary.apply(&commit.change);
    }
    summary
}
