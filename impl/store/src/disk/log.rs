//! The log: commits in two segments, written in turn.
//!
//! The log appends a commit to the current segment with one write and one sync. It writes zeros behind the commits in
//! advance, so that most syncs have to write only the commit.
//!
//! The log switches segments when the current one is long enough and the other has no vote that is still needed. It
//! then overwrites the other segment from its beginning. The first commit there is a [`Head`], which sums up all
//! earlier commits.
//!
//! Invariant: the log writes a commit only when the one before is durable. So after a crash the log ends with the last
//! commit that was acknowledged, or with the one after it.

use std::borrow::Cow;

use super::{
    change::{Change, Head, votes_end},
    file::SharedFile,
    frame::append_frame,
};
use crate::{StorageError, StoreId};
use paxos::types::Slot;

/// The version of the format on disk. The program reads no other one.
pub const FORMAT: u32 = 2;

/// The offset of the first commit in a segment. The preamble has a sector of its own.
pub(super) const START: u64 = 512;
const MAGIC: &[u8; 8] = b"paxoslog";

/// The sizes at which segments grow and switch.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentSizes {
    /// A segment that grows gets a multiple of this length.
    pub(super) grow_bytes: u64,
    /// The log switches to the other segment when the current one has this many bytes and the other is not needed.
    pub(super) switch_bytes: u64,
}

impl Default for SegmentSizes {
    fn default() -> Self {
        Self { grow_bytes: 1 << 20, switch_bytes: 1 << 20 }
    }
}

/// The log of a store that is written to.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) id: StoreId,
    pub(super) segments: [Segment; 2],
    /// The index of the segment that is written to.
    pub(super) current: usize,
    /// The number of the last commit.
    pub(super) last: u64,
    pub(super) sizes: SegmentSizes,
    /// The bytes of the commit that is being written. The field exists so that its memory is reused.
    row: Vec<u8>,
}

/// One of the two files of the log.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: SharedFile,
    /// The length of the file in bytes.
    pub(super) length: u64,
    /// The offset of the next commit.
    pub(super) end: u64,
    /// The slot after the last vote in this segment.
    pub(super) votes_end: Slot,
}

impl Log {
    /// Writes the files of a new log. They are durable on return.
    pub(super) fn create(
        files: &[SharedFile; 2],
        id: StoreId,
        head: &Head,
    ) -> Result<(), StorageError> {
        let mut first = preamble(id).to_vec();
        append_frame(&mut first, id, 1, |row| encode(&Change::Head(Cow::Borrowed(head)), row));
        for (file, bytes) in files.iter().zip([&first[..], &preamble(id)]) {
            let made = file.set_length(0).and_then(|()| file.write(0, bytes));
            made.and_then(|()| file.sync()).map_err(StorageError::io("begin the log"))?;
        }
        Ok(())
    }

    /// Returns a log that continues after the commit `last`.
    pub(super) fn resume(
        id: StoreId,
        segments: [Segment; 2],
        current: usize,
        last: u64,
        sizes: SegmentSizes,
    ) -> Self {
        Self { id, segments, current, last, sizes, row: Vec::new() }
    }

    /// Appends a commit. It is durable on return.
    pub(super) fn append(&mut self, change: &Change<'_>) -> Result<(), StorageError> {
        let Self { row, id, last, sizes, .. } = self;
        row.clear();
        append_frame(row, *id, *last + 1, |row| encode(change, row));
        let segment = &mut self.segments[self.current];
        let end = segment.end + row.len() as u64;
        if end > segment.length {
            // The zeros are really written, because in a file with holes every sync would have to allocate blocks.
            let length = end.next_multiple_of(sizes.grow_bytes);
            row.resize(row.len() + (length - end) as usize, 0);
            segment.length = length;
        }
        let written = segment.file.write(segment.end, row).and_then(|()| segment.file.sync());
        written.map_err(StorageError::io("write to the log"))?;
        segment.end = end;
        segment.votes_end = segment.votes_end.max(votes_end(change));
        self.last += 1;
        Ok(())
    }

    /// Returns true if the log should switch to the other segment.
    pub(super) fn switch_is_due(&self, trimmed: Slot) -> bool {
        let (current, other) = (&self.segments[self.current], &self.segments[1 - self.current]);
        current.end >= self.sizes.switch_bytes && other.votes_end <= trimmed
    }

    /// Returns the slot after the last vote in the current segment.
    pub(super) fn votes_end(&self) -> Slot {
        self.segments[self.current].votes_end
    }

    /// Switches to the other segment, and begins it with a head.
    pub(super) fn switch(&mut self, head: &Head) -> Result<(), StorageError> {
        self.current = 1 - self.current;
        let segment = &mut self.segments[self.current];
        (segment.end, segment.votes_end) = (START, Slot(0));
        self.append(&Change::Head(Cow::Borrowed(head)))
    }
}

/// Returns the first bytes of each segment: a magic number, the format and the id of the store. They never change.
fn preamble(id: StoreId) -> [u8; START as usize] {
    let mut preamble = [0; START as usize];
    preamble[..8].copy_from_slice(MAGIC);
    preamble[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    preamble[12..28].copy_from_slice(&id.0.to_le_bytes());
    let checksum = crc32c::crc32c(&preamble[..28]);
    preamble[28..32].copy_from_slice(&checksum.to_le_bytes());
    preamble
}

/// Returns the id of the store to which a segment belongs.
///
/// # Errors
/// Fails if the bytes do not begin with a correct preamble of the known format.
pub(super) fn recognise(name: &str, bytes: &[u8]) -> Result<StoreId, StorageError> {
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return Err(StorageError::damaged(format!("{name} does not begin like a log")));
    };
    // Every format has its number at this offset, so that the error can name an unknown format.
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
