//! How far the store is known to have come, kept outside of it.
//!
//! A commit is one sync, so a crash may tear the last one, and the database then goes back to the
//! one before, as it must. But damage to a last commit that *was* acknowledged looks just the same,
//! and going back would forget a promise. Hence this file: after each commit, and before anybody
//! hears of it, its number is written here. Nobody waits for that to be synced, so it costs next to
//! nothing. It survives the end of the process, and most often that of the machine. If it is
//! behind, it does no harm; but a store that ends below it has lost something.

use redb::StorageBackend;

use super::{medium::Medium, sealed};
use crate::storage::{StorageError, StoreId};

/// Written in turn, each in a sector of its own: tearing one leaves the other.
const PLACES: u64 = 2;
const SECTOR: u64 = 512;
/// A checksum, the number, and the store.
const LENGTH: usize = 4 + 8 + 16;

/// The highest commit that was acknowledged.
#[derive(Debug)]
pub(super) struct Mark {
    file: Medium,
    id: StoreId,
    row: Vec<u8>,
}

impl Mark {
    /// Makes the mark of a store without commits, durable on return.
    pub(super) fn create(file: Medium, id: StoreId) -> Result<(), StorageError> {
        let mut mark = Self { file, id, row: Vec::new() };
        mark.file.set_len(PLACES * SECTOR).map_err(StorageError::io("make room for the mark"))?;
        for place in 0..PLACES {
            mark.write(place, 0)?;
        }
        mark.sync()
    }

    /// The mark of a store, and what it says.
    pub(super) fn open(file: Medium, id: StoreId) -> Result<(Self, u64), StorageError> {
        let (commit, found) = read(&file)?;
        if found != id {
            return Err(StorageError::damaged(format!(
                "the database is of store {id}, the mark of store {found}"
            )));
        }
        Ok((Self { file, id, row: Vec::new() }, commit))
    }

    /// Says that a commit is durable.
    pub(super) fn raise(&mut self, commit: u64) -> Result<(), StorageError> {
        self.write(commit % PLACES, commit)
    }

    /// Makes what it says durable.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        self.file.sync_data().map_err(StorageError::io("sync the mark"))
    }

    fn write(&mut self, place: u64, commit: u64) -> Result<(), StorageError> {
        let id = self.id;
        sealed::seal(&mut self.row, &[], |row| {
            row.extend_from_slice(&commit.to_le_bytes());
            row.extend_from_slice(&id.0.to_le_bytes());
        });
        self.file.write(place * SECTOR, &self.row).map_err(StorageError::io("write the mark"))
    }
}

/// What a mark says: the number, and of which store.
pub(super) fn read(file: &Medium) -> Result<(u64, StoreId), StorageError> {
    let length = file.len().map_err(StorageError::io("find the length of the mark"))?;
    if length != PLACES * SECTOR {
        return Err(StorageError::damaged(format!("the mark has {length} bytes")));
    }
    match [0, 1].map(|place| read_place(file, place)) {
        [Ok(one), Ok(other)] => Ok(one.max(other)),
        [Ok(one), Err(StorageError::Damaged { .. })]
        | [Err(StorageError::Damaged { .. }), Ok(one)] => Ok(one),
        [Err(error), _] | [_, Err(error)] => Err(error),
    }
}

fn read_place(file: &Medium, place: u64) -> Result<(u64, StoreId), StorageError> {
    let mut row = [0; LENGTH];
    file.read(place * SECTOR, &mut row).map_err(StorageError::io("read the mark"))?;
    let content = sealed::unseal(&row, &[], || format!("place {place} of the mark"))?;
    let (commit, id) = content.split_at(8);
    let commit = u64::from_le_bytes(commit.try_into().expect("8 bytes"));
    let id = u128::from_le_bytes(id.try_into().expect("16 bytes"));
    Ok((commit, StoreId(id)))
}
