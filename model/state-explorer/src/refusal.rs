//! What is asked for and cannot be done is said before anything is done.

use thiserror::Error;

use super::{Engine, Explorable, Options, Processes, engine};
pub use engine::CheckpointError;

/// Why a search is not begun.
#[derive(Debug, Error)]
pub enum Refusal {
    /// timely keeps states themselves.
    #[error(
        "the timely engine keeps states in at most 64 bytes, for which these have no room; use --engine bfs \
         or dfs"
    )]
    NoRoom,
    /// Only timely keeps levels, and talks to others.
    #[error("{0} needs --engine timely")]
    NeedsTimely(&'static str),
    /// Depth-first search meets states by detours.
    #[error(
        "depth-first search with a depth limit would miss states that it first meets by a detour; use \
         --engine bfs or timely"
    )]
    DepthFirst,
    /// Nothing can be renamed.
    #[error("in this model nothing can be renamed; leave out --symmetry")]
    NoSymmetry,
    /// A process that is not in the list.
    #[error(
        "there is no process {this} among {count}; they are counted from 0 in the order of the file"
    )]
    NoSuchProcess {
        /// The process asked for.
        this: usize,
        /// How many there are.
        count: usize,
    },
    /// The checkpoint is in the way, or not there, or another one.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Says whether a search can be begun.
///
/// # Errors
/// The first thing that cannot be done.
pub fn refuse<M: Explorable>(model: &M, options: &Options) -> Result<(), Refusal> {
    let timely = options.engine == Engine::Timely;
    if timely && engine::timely::words(model).is_none() {
        return Err(Refusal::NoRoom);
    }
    if options.cluster.is_some() && !timely {
        return Err(Refusal::NeedsTimely("--hosts"));
    }
    if options.checkpoint.is_some() && !timely {
        return Err(Refusal::NeedsTimely("--checkpoint"));
    }
    if options.engine == Engine::Dfs && options.max_depth.is_some() {
        return Err(Refusal::DepthFirst);
    }
    if options.symmetry && model.symmetry().is_none() {
        return Err(Refusal::NoSymmetry);
    }
    if let Some(Processes { addresses, this }) = &options.cluster
        && *this >= addresses.len()
    {
        return Err(Refusal::NoSuchProcess { this: *this, count: addresses.len() });
    }
    Ok(engine::timely::inspect(options, &engine::identity(model, options))?)
}
