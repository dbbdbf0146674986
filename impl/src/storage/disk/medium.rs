//! The files of a store, as little as the store has to know of them.

use std::{io, sync::Arc};

use redb::StorageBackend;

/// What a file is to the store: bytes that can be read, written and synced. Shared, so that a file
/// can be looked at before it is written to.
#[derive(Clone, Debug)]
pub(super) struct Medium(Arc<dyn StorageBackend>);

impl Medium {
    pub(super) fn new(file: impl StorageBackend) -> Self {
        Self(Arc::new(file))
    }
}

/// Locking is not the business of these: the directory is locked as a whole.
impl StorageBackend for Medium {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
