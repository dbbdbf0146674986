//! The options of a recording.

use std::path::{Path, PathBuf};

/// The size after which a file is followed by the next, unless told otherwise.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// The place and the form of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingOptions {
    pub(crate) directory: PathBuf,
    pub(crate) file_bytes_max: u64,
    pub(crate) values: bool,
}

impl RecordingOptions {
    /// Returns the options of a recording in a directory, which several nodes may share. The recording has digests in place
    /// of commands.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), file_bytes_max: FILE_BYTES_MAX, values: false }
    }

    /// Records commands themselves, so that a reader sees them.
    #[must_use]
    pub fn with_values(self, values: bool) -> Self {
        Self { values, ..self }
    }

    /// Begins the next file when a file has this many bytes. Default: 64 MiB.
    #[must_use]
    pub fn file_bytes_max(self, file_bytes_max: u64) -> Self {
        Self { file_bytes_max, ..self }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}
