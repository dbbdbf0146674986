//! Frames: content with a number and checksums.
//!
//! ```text
//! | number: u64 | length: u64 | checksums: 2 u32 | content | zeros up to a multiple of 8 bytes |
//! ```
//!
//! The checksums are CRC-32C. The first one covers store, number and length. The second one covers store, number and
//! content. So the reader does not take old bytes of an earlier use of the file, or bytes of another store, for the
//! expected frame. The first checksum also protects it from arbitrary bytes that look like a header with a large
//! length.

use crate::StoreId;

/// The length of a frame is a multiple of this many bytes.
pub(super) const ALIGNMENT: usize = 8;
const HEADER: usize = 24;

/// Appends a frame to `row`. The content of the frame is the bytes that `write` appends.
pub(super) fn append_frame(
    row: &mut Vec<u8>,
    store: StoreId,
    number: u64,
    write: impl FnOnce(&mut Vec<u8>),
) {
    let start = row.len();
    row.resize(start + HEADER, 0);
    write(row);
    let size = (row.len() - start).next_multiple_of(ALIGNMENT);
    let (header, content) = row[start..].split_at_mut(HEADER);
    let length = (content.len() as u64).to_le_bytes();
    header[..8].copy_from_slice(&number.to_le_bytes());
    header[8..16].copy_from_slice(&length);
    header[16..20].copy_from_slice(&checksum(store, number, &length).to_le_bytes());
    header[20..].copy_from_slice(&checksum(store, number, content).to_le_bytes());
    row.resize(start + size, 0);
}

/// A frame with correct checksums.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) number: u64,
    pub(super) content: &'a [u8],
    /// The number of bytes of the whole frame.
    pub(super) size: usize,
}

/// Returns the frame at the beginning of these bytes, if there is one and `wanted` returns true for its number.
pub(super) fn read_frame(
    bytes: &[u8],
    store: StoreId,
    wanted: impl FnOnce(u64) -> bool,
) -> Option<Frame<'_>> {
    let (number, rest) = bytes.split_first_chunk()?;
    let number = u64::from_le_bytes(*number);
    if !wanted(number) {
        return None;
    }
    let (length, rest) = rest.split_first_chunk()?;
    let (of_length, rest) = rest.split_first_chunk()?;
    let (of_content, rest) = rest.split_first_chunk()?;
    if u32::from_le_bytes(*of_length) != checksum(store, number, length) {
        return None;
    }
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let content = rest.get(..length)?;
    let size = (HEADER + length).next_multiple_of(ALIGNMENT);
    let right = u32::from_le_bytes(*of_content) == checksum(store, number, content);
    (right && size <= bytes.len()).then_some(Frame { number, content, size })
}

fn checksum(store: StoreId, number: u64, content: &[u8]) -> u32 {
    let key = crc32c::crc32c_append(crc32c::crc32c(&store.0.to_le_bytes()), &number.to_le_bytes());
    crc32c::crc32c_append(key, content)
}
