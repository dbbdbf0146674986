//! A file that seems to be written to and is not.
//!
//! A database that was not closed is repaired when it is opened, and a repair writes. Whoever only
//! wants to look must not change anything, and a store that is refused stays as it was found: so
//! what is written goes here.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use redb::StorageBackend;

use super::medium::Medium;

const BLOCK: u64 = 4096;

/// What was written over a file that stays as it is.
#[derive(Debug)]
pub(super) struct Overlay {
    below: Medium,
    over: Mutex<Over>,
}

#[derive(Debug)]
struct Over {
    /// How long the file seems to be.
    length: u64,
    /// How much of the file below still shows: what is cut off and then grown again is empty.
    shows: u64,
    /// The blocks that were written.
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    pub(super) fn new(below: Medium) -> io::Result<Self> {
        let length = below.len()?;
        let over = Mutex::new(Over { length, shows: length, blocks: BTreeMap::new() });
        Ok(Self { below, over })
    }

    fn over(&self) -> MutexGuard<'_, Over> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block as it is below.
    fn block(&self, block: u64, shows: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; BLOCK as usize];
        let shown = shows.saturating_sub(block * BLOCK).min(BLOCK) as usize;
        self.below.read(block * BLOCK, &mut bytes[..shown])?;
        Ok(bytes)
    }
}

/// The parts of a range that lie in one block each: the block, where in it, and how much.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = offset + length as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        let (block, within) = (at / BLOCK, at % BLOCK);
        let length = (BLOCK - within).min(end - at);
        at += length;
        (length > 0).then_some((block, within as usize, length as usize))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.over().length)
    }

    fn read(&self, offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        let over = self.over();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > over.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (block, within, length) in parts(offset, out.len()) {
            let part;
            (part, out) = out.split_at_mut(length);
            match over.blocks.get(&block) {
                Some(bytes) => part.copy_from_slice(&bytes[within..][..length]),
                None => {
                    part.copy_from_slice(&self.block(block, over.shows)?[within..][..length]);
                }
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut over = self.over();
        over.length = length;
        over.shows = over.shows.min(length);
        over.blocks.split_off(&length.div_ceil(BLOCK));
        if let Some(last) = over.blocks.get_mut(&(length / BLOCK)) {
            last[(length % BLOCK) as usize..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, mut data: &[u8]) -> io::Result<()> {
        let mut over = self.over();
        let shows = over.shows;
        over.length = over.length.max(offset + data.len() as u64);
        for (block, within, length) in parts(offset, data.len()) {
            let part;
            (part, data) = data.split_at(length);
            let bytes = match over.blocks.entry(block) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(self.block(block, shows)?),
            };
            bytes[within..][..length].copy_from_slice(part);
        }
        Ok(())
    }
}
