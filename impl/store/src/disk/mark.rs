//! How far the store is known to have come, kept outside of it.
//!
//! A commit is one sync, so a crash may tear the last one, and the log then ends with the one before, as
//! it must. But damage to a last commit that *was* acknowledged looks just the same, and ending before
//! it would forget a promise. Hence this file: after each commit, and before anybody
//! hears of it, its number is written here. Nobody waits for that to be synced, so it costs next to
//! nothing. It survives the end of the process, and most often that of the machine. If it is
//! behind, it does no harm; but a store that ends below it has lost something.

use super::{
    medium::{File, Medium},
    sealed::{Unsealed, seal, unseal},
};
use crate::{StorageError, StoreId};

/// Written in turn, each in a sector of its own: tearing one leaves the other.
const PLACES: u64 = 2;
const SECTOR: u64 = 512;
/// The store, and the number with its checksum.
const LENGTH: usize = 16 + 24;

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
        let mut mark = Self::of(file, id);
        mark.file
            .set_length(PLACES * SECTOR)
            .map_err(StorageError::io("make room for the mark"))?;
        for place in 0..PLACES {
            mark.write(place, 0)?;
        }
        mark.sync()
    }

    /// The mark of a store.
    pub(super) fn of(file: Medium, id: StoreId) -> Self {
        Self { file, id, row: Vec::new() }
    }

    /// Says that a commit is durable.
    pub(super) fn raise(&mut self, commit: u64) -> Result<(), StorageError> {
        self.write(commit % PLACES, commit)
    }

    /// Makes what it says durable.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        self.file.sync().map_err(StorageError::io("sync the mark"))
    }

    fn write(&mut self, place: u64, commit: u64) -> Result<(), StorageError> {
        self.row.clear();
        self.row.extend_from_slice(&self.id.0.to_le_bytes());
        seal(&mut self.row, self.id, commit, |_| {});
        self.file.write(place * SECTOR, &self.row).map_err(StorageError::io("write the mark"))
    }
}

/// The number that the mark of a store says.
pub(super) fn acknowledged(file: &dyn File, id: StoreId) -> Result<u64, StorageError> {
    let (commit, found) = read(file)?;
    if found != id {
        return Err(StorageError::damaged(format!(
            "the log is of store {id}, the mark of store {found}"
        )));
    }
    Ok(commit)
}

/// What a mark says: the number, and of which store.
pub(super) fn read(file: &dyn File) -> Result<(u64, StoreId), StorageError> {
    let length = file.length().map_err(StorageError::io("find the length of the mark"))?;
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

fn read_place(file: &dyn File, place: u64) -> Result<(u64, StoreId), StorageError> {
    let mut row = [0; LENGTH];
    file.read(place * SECTOR, &mut row).map_err(StorageError::io("read the mark"))?;
    let (id, commit) = row.split_first_chunk().expect("it is longer");
    let id = StoreId(u128::from_le_bytes(*id));
    match unseal(commit, id, |_| true) {
        Some(Unsealed { number, .. }) => Ok((number, id)),
        None => {
            Err(StorageError::damaged(format!("place {place} of the mark has a wrong checksum")))
        }
    }
}
