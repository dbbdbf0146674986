//! The file of a snapshot, written from its beginning to its end.

use std::io::{self, Write};

use super::{SnapshotHeader, medium::Medium};
use crate::SnapshotFile;
use paxos::types::Slot;

/// The most bytes that wait to be synced. The sync of the log may have to wait for them, so they are few.
const UNSYNCED_BYTES_MAX: u64 = 4 << 20;

/// A snapshot in a file.
#[derive(Clone, Debug)]
pub struct DiskSnapshot {
    medium: Medium,
    /// The number of the file, 0 or 1.
    file: u8,
    length: u64,
    /// The CRC-32C of its bytes.
    checksum: u32,
    unsynced: u64,
    /// True if the file ends where the snapshot ends, and all of it is durable.
    is_whole: bool,
    /// The error that writing it has met. The content of the file is unknown then.
    failed: Option<String>,
}

impl DiskSnapshot {
    /// The durable snapshot.
    pub(super) fn durable(files: &[Medium; 2], header: &SnapshotHeader) -> Self {
        let SnapshotHeader { length, checksum, file, .. } = *header;
        let medium = files[usize::from(file)].clone();
        Self { medium, file, length, checksum, unsynced: 0, is_whole: true, failed: None }
    }

    /// An empty snapshot. The bytes of an earlier one are overwritten where they lie: that is faster to sync than
    /// new blocks of the file.
    pub(super) fn begin(files: &[Medium; 2], file: u8) -> Self {
        let medium = files[usize::from(file)].clone();
        let (length, checksum, unsynced) = (0, 0, 0);
        Self { medium, file, length, checksum, unsynced, is_whole: false, failed: None }
    }

    /// Changes the file, unless that has failed before.
    fn change(&mut self, change: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        if let Some(failed) = &self.failed {
            return Err(io::Error::other(failed.clone()));
        }
        let changed = change(self);
        self.failed = changed.as_ref().err().map(ToString::to_string);
        changed
    }

    /// The CRC-32C of its bytes.
    pub(super) fn checksum(&self) -> u32 {
        self.checksum
    }

    /// The record of it in the log.
    pub(super) fn header(&self, below: Slot) -> SnapshotHeader {
        let Self { file, length, checksum, .. } = *self;
        SnapshotHeader { below, length, checksum, file }
    }
}

impl Write for DiskSnapshot {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_whole = false;
        self.change(|snapshot| {
            snapshot.medium.write(snapshot.length, bytes)?;
            snapshot.length += bytes.len() as u64;
            snapshot.checksum = crc32c::crc32c_append(snapshot.checksum, bytes);
            snapshot.unsynced += bytes.len() as u64;
            if snapshot.unsynced >= UNSYNCED_BYTES_MAX {
                snapshot.medium.sync()?;
                snapshot.unsynced = 0;
            }
            Ok(())
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SnapshotFile for DiskSnapshot {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.medium.read(offset, out)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_whole {
            return Ok(());
        }
        self.change(|snapshot| {
            snapshot.medium.set_length(snapshot.length)?;
            snapshot.medium.sync()
        })?;
        (self.unsynced, self.is_whole) = (0, true);
        Ok(())
    }
}
