//! The file of a snapshot, written from its beginning to its end.

use std::io::{self, Write};

use super::{SnapshotHeader, file::SharedFile};
use crate::SnapshotFile;
use paxos::types::Slot;

/// The snapshot is synced each time that this many of its bytes are written. The number is small, because a sync of the
/// log may have to wait for these bytes.
const UNSYNCED_BYTES_MAX: u64 = 512 << 10;

/// A snapshot in a file.
#[derive(Clone, Debug)]
pub struct DiskSnapshot {
    medium: SharedFile,
    /// The number of the file, 0 or 1.
    file: u8,
    length: u64,
    /// The CRC-32C of the bytes.
    checksum: u32,
    /// The number of bytes written since the last sync.
    unsynced: u64,
    /// True if the file ends where the snapshot ends, and all of it is durable.
    is_whole: bool,
    /// The first error of a write. The content of the file is unknown after it.
    failed: Option<String>,
}

impl DiskSnapshot {
    /// Returns the durable snapshot.
    pub(super) fn durable(files: &[SharedFile; 2], header: &SnapshotHeader) -> Self {
        let SnapshotHeader { length, checksum, file, .. } = *header;
        let medium = files[usize::from(file)].clone();
        Self { medium, file, length, checksum, unsynced: 0, is_whole: true, failed: None }
    }

    /// Returns an empty snapshot. Its bytes will overwrite those of an earlier snapshot, because a sync of overwritten
    /// blocks is faster than a sync of new ones.
    pub(super) fn begin(files: &[SharedFile; 2], file: u8) -> Self {
        let medium = files[usize::from(file)].clone();
        let (length, checksum, unsynced) = (0, 0, 0);
        Self { medium, file, length, checksum, unsynced, is_whole: false, failed: None }
    }

    /// Changes the file, unless an earlier change failed.
    fn change(&mut self, change: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        if let Some(failed) = &self.failed {
            return Err(io::Error::other(failed.clone()));
        }
        let changed = change(self);
        self.failed = changed.as_ref().err().map(ToString::to_string);
        changed
    }

    /// Returns the CRC-32C of the bytes.
    pub(super) fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Returns the description of the snapshot for the log.
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
