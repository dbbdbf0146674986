//! The files of a store behind a small trait. Tests replace them by files that record all operations, or that fail.

use std::{fmt::Debug, fs, io, os::unix::fs::FileExt as _, sync::Arc};

/// A file of a store: bytes that can be read, written and synced. It has no lock of its own, because one lock covers
/// the directory.
pub(super) trait File: Debug + Send + Sync {
    /// Returns the number of bytes.
    fn length(&self) -> io::Result<u64>;

    /// Fills `out` with the bytes from `offset` on. Fails if the file ends before `out` is full.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`. The file grows if it is too short.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file off, or makes it longer with zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Makes all earlier changes of the file durable.
    fn sync(&self) -> io::Result<()>;
}

/// A file of a store, shared by the parts of the store that read and write it.
pub(super) type SharedFile = Arc<dyn File>;

/// Returns all bytes of a file.
pub(super) fn read_all(file: &dyn File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.length()?).map_err(io::Error::other)?];
    file.read(0, &mut bytes)?;
    Ok(bytes)
}

impl File for fs::File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(out, offset)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
