//! Rows with a checksum, so that what the database returns is what was put there.
//!
//! The database has checksums of its own. These are for all that they cannot see: a bug above or
//! below them, a file that was put together from two, a row under another's key.

use crate::storage::StorageError;

/// How many bytes precede the content of a row.
const CHECKSUM: usize = 4;

/// Makes `row` the sealed row of what `write` appends. Its memory is used again.
pub(super) fn seal(row: &mut Vec<u8>, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
    row.clear();
    row.extend_from_slice(&[0; CHECKSUM]);
    write(row);
    let checksum = checksum(key, &row[CHECKSUM..]);
    row[..CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
}

/// The content of a sealed row; `what` says whose it is, should it be damaged.
pub(super) fn unseal<'a>(
    row: &'a [u8],
    key: &[u8],
    what: impl FnOnce() -> String,
) -> Result<&'a [u8], StorageError> {
    let Some((announced, content)) = row.split_first_chunk::<CHECKSUM>() else {
        return Err(StorageError::damaged(format!("{} has {} bytes", what(), row.len())));
    };
    let (announced, found) = (u32::from_le_bytes(*announced), checksum(key, content));
    if announced != found {
        return Err(StorageError::damaged(format!(
            "the checksum of {} is {found:08x}, not {announced:08x}",
            what()
        )));
    }
    Ok(content)
}

/// CRC-32C of a key and what is under it.
fn checksum(key: &[u8], content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), content)
}
