//! The files of a store, as little as the store has to know of them: so that a test can put others in
//! their place, which record what is done to them, or fail.

use std::{fmt::Debug, fs, io, os::unix::fs::FileExt as _, sync::Arc};

/// What a file is to the store: bytes that can be read, written and synced. Locking is not the business
/// of these: the directory is locked as a whole.
pub(super) trait File: Debug + Send + Sync {
    /// How many bytes it has.
    fn length(&self) -> io::Result<u64>;

    /// Fills `out` with the bytes from `offset` on; fails if there are not so many.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, and makes the file longer if need be.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the file shorter, or longer by zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Returns when everything that was done to it is durable.
    fn sync(&self) -> io::Result<()>;
}

/// A file of a store. Shared, so that it can be looked at before it is written to.
pub(super) type Medium = Arc<dyn File>;

/// All bytes of a file.
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
