//! How to explore: by what, for how long, and up to what.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use verdict::Interrupt;

/// What visits the states, and in which order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Engine {
    /// stateright, nearest first: knows the depth.
    #[default]
    Bfs,
    /// stateright, deepest first: takes less time and much less memory.
    Dfs,
    /// timely, level by level, on any number of threads and processes: keeps states themselves, packed,
    /// and finds shortest counterexamples.
    Timely,
}

/// How to explore.
#[derive(Clone, Debug)]
pub struct Options {
    /// In which order.
    pub engine: Engine,
    /// By how many workers in this process. With more than one, stateright's orders are not strict.
    pub threads: NonZeroUsize,
    /// Whether states that can be renamed to each other count as one.
    pub symmetry: bool,
    /// For how long at most; the search for a shortest counterexample included.
    pub timeout: Option<Duration>,
    /// Until how many distinct states are known. A search may overshoot a little.
    pub max_states: Option<usize>,
    /// Up to which depth, the initial states being at depth 1. Not with [`Engine::Dfs`].
    pub max_depth: Option<NonZeroUsize>,
    /// Until this process holds so much memory.
    pub max_memory_bytes: Option<u64>,
    /// The processes that explore together, and which of them this is. Only with [`Engine::Timely`].
    pub cluster: Option<Processes>,
    /// Where each level is kept, so that a run can go on after it was stopped. Only with
    /// [`Engine::Timely`].
    pub checkpoint: Option<Checkpoint>,
    /// A property of which a shortest way to where it is seen is to be found, if it is a `sometimes`.
    pub show: Option<String>,
    /// Whether to show progress on standard error.
    pub progress: bool,
    /// How somebody outside calls it off.
    pub interrupt: Interrupt,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            engine: Engine::default(),
            threads: NonZeroUsize::MIN,
            symmetry: false,
            timeout: None,
            max_states: None,
            max_depth: None,
            max_memory_bytes: None,
            cluster: None,
            checkpoint: None,
            show: None,
            progress: false,
            interrupt: Interrupt::default(),
        }
    }
}

impl Options {
    /// How many processes explore together.
    pub(super) fn processes(&self) -> usize {
        self.cluster.as_ref().map_or(1, |cluster| cluster.addresses.len())
    }
}

/// The processes of a run that spans several.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Processes {
    /// Where each of them listens, as `host:port`.
    pub addresses: Vec<String>,
    /// Which of them this is, from 0.
    pub this: usize,
}

/// Where a run keeps what it needs to go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The directory; every process has to find in it what all of them have written.
    pub directory: PathBuf,
    /// Whether to go on from what is there, rather than to begin.
    pub resume: bool,
}
