//! Traces of the model, and what they are good for here.
//!
//! The model says what a trace is, and reads and writes it. [`replay`] takes it on the production
//! replicas; [`cover`] writes traces that together take every transition of a space; [`stories`] are a
//! few that people read.

pub mod cover;
pub mod replay;
pub mod stories;

use std::{
    fs,
    path::{Path, PathBuf},
};

use paxos_model::cluster::CheckedCluster;
pub use paxos_model::trace::{EXTENSION, NoBehaviour, TraceError, file_name};

/// A behaviour of a cluster, or what claims to be one.
pub type Trace = paxos_model::trace::Trace<CheckedCluster>;

/// The traces in a folder, by name.
///
/// # Errors
/// If the folder cannot be read, or has none.
pub fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, TraceError> {
    let refuse = |what| TraceError { file: folder.display().to_string(), what };
    let entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(format!("cannot be read: {error}")))?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(EXTENSION));
    files.sort();
    if files.is_empty() {
        return Err(refuse(format!("has no traces; their names end in {EXTENSION}")));
    }
    Ok(files)
}
