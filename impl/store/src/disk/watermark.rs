//! The commit watermark: the number of a commit that was durable, in the file `mark`.
//!
//! A crash may tear the last commit before the store acknowledges it. The log then rightly ends with the commit before.
//! Damage to a last commit that was acknowledged looks the same, but the store must not drop such a commit, because it
//! may contain a promise. The watermark tells the two cases apart.
//!
//! The store writes the number of each commit to the watermark, after the commit is durable and before it acknowledges
//! the commit. It does not sync this write, so the write costs little. The written number survives the end of the
//! process, and in most cases a crash of the machine.
//!
//! Invariant: the watermark is at most the number of the last durable commit. A log that ends before the watermark has
//! lost a commit. If the watermark is behind, the store may not notice such a loss.

use super::{
    file::{File, SharedFile},
    frame::{Frame, append_frame, read_frame},
};
use crate::{StorageError, StoreId};

/// The number of copies. They are written in turn, each in a sector of its own. A torn write of one copy leaves the
/// other intact.
const COPIES: u64 = 2;
const SECTOR: u64 = 512;
/// The length of a copy: the id of the store, and an empty frame with the number.
const LENGTH: usize = 16 + 24;

/// The watermark of a store that is open.
#[derive(Debug)]
pub(super) struct Watermark {
    file: SharedFile,
    id: StoreId,
    row: Vec<u8>,
}

impl Watermark {
    /// Writes the watermark of a store without commits. It is durable on return.
    pub(super) fn create(file: SharedFile, id: StoreId) -> Result<(), StorageError> {
        let mut watermark = Self::of(file, id);
        watermark
            .file
            .set_length(COPIES * SECTOR)
            .map_err(StorageError::io("set the length of the file \"mark\""))?;
        for copy in 0..COPIES {
            watermark.write(copy, 0)?;
        }
        watermark.sync()
    }

    /// Returns the watermark of a store, to write to.
    pub(super) fn of(file: SharedFile, id: StoreId) -> Self {
        Self { file, id, row: Vec::new() }
    }

    /// Writes the number of a durable commit.
    pub(super) fn raise(&mut self, commit: u64) -> Result<(), StorageError> {
        self.write(commit % COPIES, commit)
    }

    /// Makes the written number durable.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        self.file.sync().map_err(StorageError::io("sync the file \"mark\""))
    }

    fn write(&mut self, copy: u64, commit: u64) -> Result<(), StorageError> {
        self.row.clear();
        self.row.extend_from_slice(&self.id.0.to_le_bytes());
        append_frame(&mut self.row, self.id, commit, |_| {});
        self.file
            .write(copy * SECTOR, &self.row)
            .map_err(StorageError::io("write the file \"mark\""))
    }
}

/// Reads the watermark of a store.
///
/// # Errors
/// Fails if the watermark is damaged or belongs to another store.
pub(super) fn acknowledged(file: &dyn File, id: StoreId) -> Result<u64, StorageError> {
    let (commit, found) = read(file)?;
    if found != id {
        return Err(StorageError::damaged(format!(
            "the log is of store {id}, the file \"mark\" of store {found}"
        )));
    }
    Ok(commit)
}

/// Reads the number in a watermark, and the id of its store.
///
/// # Errors
/// Fails if both copies are damaged.
pub(super) fn read(file: &dyn File) -> Result<(u64, StoreId), StorageError> {
    let length = file.length().map_err(StorageError::io("find the length of the file \"mark\""))?;
    if length != COPIES * SECTOR {
        let expected = COPIES * SECTOR;
        return Err(StorageError::damaged(format!(
            "the file \"mark\" has length {length}, not {expected}"
        )));
    }
    match [0, 1].map(|copy| read_copy(file, copy)) {
        [Ok(one), Ok(other)] => Ok(one.max(other)),
        [Ok(one), Err(StorageError::Damaged { .. })]
        | [Err(StorageError::Damaged { .. }), Ok(one)] => Ok(one),
        [Err(error), _] | [_, Err(error)] => Err(error),
    }
}

fn read_copy(file: &dyn File, copy: u64) -> Result<(u64, StoreId), StorageError> {
    let mut row = [0; LENGTH];
    file.read(copy * SECTOR, &mut row).map_err(StorageError::io("read the file \"mark\""))?;
    let (id, commit) = row.split_first_chunk().expect("it is longer");
    let id = StoreId(u128::from_le_bytes(*id));
    match read_frame(commit, id, |_| true) {
        Some(Frame { number, .. }) => Ok((number, id)),
        None => Err(StorageError::damaged(format!(
            "copy {copy} in the file \"mark\" has a wrong checksum"
        ))),
    }
}
