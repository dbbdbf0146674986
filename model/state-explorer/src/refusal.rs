//! Checks, before a search begins, that its options can be satisfied.

use thiserror::Error;

use super::{Engine, Explorable, Options, Processes, engine};
pub use engine::CheckpointError;

/// The reason why a search cannot begin.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The packed states are too large for [`Engine::Timely`], or there is no packing.
    #[error(
        "the timely engine stores a state in at most 64 bytes, and the states of this model need more; use \
         --engine bfs or dfs"
    )]
    NoRoom,
    /// The option is for [`Engine::Timely`] only.
    #[error("{0} needs --engine timely")]
    NeedsTimely(&'static str),
    /// Depth-first search has no depth limit: it would stop at a state that it reaches by a long path first.
    #[error(
        "depth-first search with a depth limit would miss states, since it may reach a state by a long path \
         first; use --engine bfs or timely"
    )]
    DepthFirst,
    /// The model has no symmetry.
    #[error("this model has no symmetry; leave out --symmetry")]
    NoSymmetry,
    /// The index of this process is not in the list of processes.
    #[error(
        "there is no process {this} among {count}; they are counted from 0 in the order of the file"
    )]
    NoSuchProcess {
        /// The process asked for.
        this: usize,
        /// The number of processes.
        count: usize,
    },
    /// The checkpoint cannot be written, or cannot be resumed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Checks that a search can begin.
///
/// # Errors
/// Returns the first reason why it cannot.
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
