//! Recordings on disk.
//!
//! Each start of a node has its own files, numbered from 0. A file begins with [`MAGIC`] and the format's [`VERSION`], and
//! then has frames:
//!
//! | bytes | content |
//! |---|---|
//! | 4 | the length of the payload, little-endian |
//! | as many | the payload: the [`Header`] in the first frame of a file, a [`Body`](crate::Body) in all others |
//! | 8 | the chain: XXH3 of the payload with the chain of the frame before as its seed, little-endian |
//!
//! The chain goes on from one file of a start to the next. It begins with a number that depends on the node and the start.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use paxos::NodeId;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The first bytes of each file.
pub const MAGIC: [u8; 6] = *b"PAXREC";
/// The version of the format. It follows [`MAGIC`] as two bytes, little-endian.
pub const VERSION: u16 = 5;
/// The ending of the name of each file.
pub const EXTENSION: &str = "paxrec";
/// The ending of the name of a file to which its node could not write any more.
pub(crate) const GIVEN_UP: &str = "given-up";
/// The bytes of [`MAGIC`] and [`VERSION`].
pub(crate) const PREAMBLE: usize = MAGIC.len() + size_of::<u16>();
/// The most bytes of a payload.
pub(crate) const PAYLOAD_MAX: usize = 1 << 30;
/// The bytes of a frame beside its payload.
pub(crate) const FRAME_BYTES: usize = size_of::<u32>() + size_of::<u64>();

/// The start of a node that a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StartId {
    /// The node.
    pub node: NodeId,
    /// The number of the start on the store of the node. The first is 1.
    pub incarnation: u64,
    /// A random number that the start drew.
    pub nonce: u64,
}

impl fmt::Display for StartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "start {} of node {}", self.incarnation, self.node)
    }
}

/// The name of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileName {
    /// The start that the file belongs to.
    pub start: StartId,
    /// The number of files of the same start before this one.
    pub file: u32,
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start: StartId { node, incarnation, nonce }, file } = self;
        write!(f, "node-{node}-start-{incarnation}-{nonce:016x}-{file:05}.{EXTENSION}")
    }
}

impl FileName {
    /// Returns the name that a path has, if the path is that of a recording. The second part is true if the node has given
    /// up the file.
    pub fn parse(path: &Path) -> Option<(Self, bool)> {
        let name = path.file_name()?.to_str()?;
        let (name, given_up) = match name.strip_suffix(GIVEN_UP) {
            Some(name) => (name.strip_suffix('.')?, true),
            None => (name, false),
        };
        let mut parts = name.strip_suffix(EXTENSION)?.strip_suffix('.')?.split('-');
        let mut part = |label: Option<&str>| {
            if let Some(label) = label {
                (parts.next()? == label).then_some(())?;
            }
            parts.next()
        };
        let node = NodeId(part(Some("node"))?.parse().ok()?);
        let incarnation = part(Some("start"))?.parse().ok()?;
        let nonce = u64::from_str_radix(part(None)?, 16).ok()?;
        let file = part(None)?.parse().ok()?;
        let start = StartId { node, incarnation, nonce };
        Some((Self { start, file }, given_up))
    }

    /// Returns the path of the file in a directory.
    pub fn within(&self, directory: &Path) -> PathBuf {
        directory.join(self.to_string())
    }

    /// Returns the path of the file in a directory, once its node has given it up.
    pub fn given_up_within(&self, directory: &Path) -> PathBuf {
        self.within(directory).with_added_extension(GIVEN_UP)
    }
}

/// The payload of the first frame of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The start that the file belongs to.
    pub start: StartId,
    /// The number of files of this start before this one.
    pub file: u32,
    /// The number of frames of this start in the files before this one, without headers.
    pub frames_before: u64,
}

/// The checksum of a frame and of every frame before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain(pub(crate) u64);

impl Chain {
    /// Returns the chain before the first frame of a start.
    pub(crate) fn new(start: StartId) -> Self {
        let bytes = postcard::to_allocvec(&start).expect("there is memory");
        Self(xxh3_64(&bytes))
    }

    /// Returns the chain after one more frame.
    #[must_use]
    pub(crate) fn after(self, payload: &[u8]) -> Self {
        Self(xxh3_64_with_seed(payload, self.0))
    }
}

/// A place in the files of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// The file.
    pub file: PathBuf,
    /// The byte in the file.
    pub offset: u64,
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, byte {}", self.file.display(), self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let start = StartId { node: NodeId(3), incarnation: 12, nonce: 0xfeed };
        let name = FileName { start, file: 7 };
        assert_eq!(name.to_string(), "node-3-start-12-000000000000feed-00007.paxrec");
        let path = name.within(Path::new("/some/where"));
        assert_eq!(FileName::parse(&path), Some((name, false)));
        let given_up = name.given_up_within(Path::new("/some/where"));
        assert_eq!(given_up.extension(), Some(GIVEN_UP.as_ref()));
        assert_eq!(FileName::parse(&given_up), Some((name, true)));
        for other in ["notes.txt", "node-3-start-12-00.paxrec", "node-x-start-1-0-0.paxrec"] {
            assert_eq!(FileName::parse(Path::new(other)), None, "{other}");
        }
    }
}
