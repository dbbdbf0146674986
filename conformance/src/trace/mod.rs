//! Traces of the model on production replicas.
//!
//! The crate of the model defines, reads and writes traces. [`replay`] takes a trace on the production replicas, and
//! [`on_disk`] gives each of them a store on disk. [`cover`]
//! writes traces that together take every transition of a space. [`scenario`] defines a scenario: a short trace for people.
//! [`scenarios`] lists all of them. [`shorten`] shortens a trace that shows a difference. [`guide`] is a trace for a foreign
//! implementation, and [`counterexamples`] has those of the known bugs.

pub mod counterexamples;
pub mod cover;
pub mod guide;
pub mod on_disk;
pub mod replay;
pub mod scenario;
pub mod scenarios;
pub mod shorten;

use std::{
    fs,
    path::{Path, PathBuf},
};

use paxos_model::cluster::CheckedCluster;
pub use paxos_model::trace::{EXTENSION, NoBehaviour, TraceError, file_name};

/// A behaviour of a cluster, or a file that claims to be one.
pub type Trace = paxos_model::trace::Trace<CheckedCluster>;

/// Returns the files of the traces in a folder, sorted by name.
///
/// # Errors
/// Fails if the folder cannot be read, or has no traces.
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
