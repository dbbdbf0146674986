//! The log: commits in two files, written in turn.
//!
//! A commit is appended to the current file with one write and one sync. The files are longer than what
//! is in them, by zeros that are there already, so that a sync has nothing but the commit to write.
//! When the current file has grown, and the other one holds no vote that is still needed, the other is
//! begun anew: its first commit, a [`Head`], says all that followed from the commits before.
//!
//! A commit is written only when the one before is durable. So whatever a crash leaves is a log that
//! ends with the last commit that was acknowledged, or with the one after it.

use std::borrow::Cow;

use super::{
    change::{Change, Head, votes_end},
    medium::Medium,
    sealed::seal,
};
use crate::{StorageError, StoreId};
use paxos::types::Slot;

/// The format that is written, and the only one that is read.
pub const FORMAT: u32 = 2;

/// Where the commits begin, in either file: in a sector of their own.
pub(super) const START: u64 = 512;
const MAGIC: &[u8; 8] = b"paxoslog";

/// How the files grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// By multiples of this many bytes.
    pub(super) grow_bytes: u64,
    /// The other file is begun when the current one has so many, if it can be.
    pub(super) turn_bytes: u64,
}

impl Default for Room {
    fn default() -> Self {
        Self { grow_bytes: 1 << 20, turn_bytes: 1 << 20 }
    }
}

/// The log of a store that is written to.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) id: StoreId,
    pub(super) halves: [Half; 2],
    /// The one that is written to.
    pub(super) current: usize,
    /// The number of the last commit.
    pub(super) last: u64,
    pub(super) room: Room,
    /// What is being written; kept for its memory.
    row: Vec<u8>,
}

/// One of the two files.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) file: Medium,
    /// How many bytes the file has.
    pub(super) length: u64,
    /// Where the next commit goes.
    pub(super) end: u64,
    /// The slot after the last one that is voted in.
    pub(super) votes_end: Slot,
}

impl Log {
    /// A new log, durable on return.
    pub(super) fn create(
        files: &[Medium; 2],
        id: StoreId,
        head: &Head,
    ) -> Result<(), StorageError> {
        let mut first = preamble(id).to_vec();
        seal(&mut first, id, 1, |row| encode(&Change::Head(Cow::Borrowed(head)), row));
        for (file, bytes) in files.iter().zip([&first[..], &preamble(id)]) {
            let made = file.set_length(0).and_then(|()| file.write(0, bytes));
            made.and_then(|()| file.sync()).map_err(StorageError::io("begin the log"))?;
        }
        Ok(())
    }

    /// A log that goes on after its last commit.
    pub(super) fn resume(
        id: StoreId,
        halves: [Half; 2],
        current: usize,
        last: u64,
        room: Room,
    ) -> Self {
        Self { id, halves, current, last, room, row: Vec::new() }
    }

    /// Appends a commit; it is durable on return.
    pub(super) fn append(&mut self, change: &Change<'_>) -> Result<(), StorageError> {
        let Self { row, id, last, room, .. } = self;
        row.clear();
        seal(row, *id, *last + 1, |row| encode(change, row));
        let half = &mut self.halves[self.current];
        let end = half.end + row.len() as u64;
        if end > half.length {
            // Written, not only counted: a file with holes has to find room at every sync.
            let length = end.next_multiple_of(room.grow_bytes);
            row.resize(row.len() + (length - end) as usize, 0);
            half.length = length;
        }
        let written = half.file.write(half.end, row).and_then(|()| half.file.sync());
        written.map_err(StorageError::io("write to the log"))?;
        half.end = end;
        half.votes_end = half.votes_end.max(votes_end(change));
        self.last += 1;
        Ok(())
    }

    /// Whether the other file should be begun.
    pub(super) fn is_due(&self, trimmed: Slot) -> bool {
        let (current, other) = (&self.halves[self.current], &self.halves[1 - self.current]);
        current.end >= self.room.turn_bytes && other.votes_end <= trimmed
    }

    /// The slot after the last one that is voted in in the current file.
    pub(super) fn votes_end(&self) -> Slot {
        self.halves[self.current].votes_end
    }

    /// Begins the other file.
    pub(super) fn turn(&mut self, head: &Head) -> Result<(), StorageError> {
        self.current = 1 - self.current;
        let half = &mut self.halves[self.current];
        (half.end, half.votes_end) = (START, Slot(0));
        self.append(&Change::Head(Cow::Borrowed(head)))
    }
}

/// What either file begins with, and keeps: that it is one, its format, and whose it is.
fn preamble(id: StoreId) -> [u8; START as usize] {
    let mut preamble = [0; START as usize];
    preamble[..8].copy_from_slice(MAGIC);
    preamble[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    preamble[12..28].copy_from_slice(&id.0.to_le_bytes());
    let checksum = crc32c::crc32c(&preamble[..28]);
    preamble[28..32].copy_from_slice(&checksum.to_le_bytes());
    preamble
}

/// The store that a file of a log is of.
pub(super) fn recognise(name: &str, bytes: &[u8]) -> Result<StoreId, StorageError> {
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return Err(StorageError::damaged(format!("{name} does not begin like a log")));
    };
    // The format comes first and will always be there.
    let Some((format, rest)) = rest.split_first_chunk() else {
        return Err(StorageError::damaged(format!("{name} has no format")));
    };
    let found = u32::from_le_bytes(*format);
    if found != FORMAT {
        return Err(StorageError::Format { found, known: FORMAT });
    }
    let id = rest.first_chunk().map(|id| StoreId(u128::from_le_bytes(*id)));
    match id.filter(|&id| bytes.starts_with(&preamble(id))) {
        Some(id) => Ok(id),
        None => Err(StorageError::damaged(format!("the beginning of {name} is not as it was"))),
    }
}

fn encode(change: &Change<'_>, row: &mut Vec<u8>) {
    postcard::to_io(change, row).expect("anything can be written to memory");
}
