//! The options of a search: engine, threads, limits, and checkpoints.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use verdict::Interrupt;

/// The engine of a search, and its order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Engine {
    /// stateright, breadth-first. With one thread it reports the depth and finds shortest counterexamples.
    #[default]
    Bfs,
    /// stateright, depth-first. Takes less time and much less memory than [`Engine::Bfs`].
    Dfs,
    /// timely, level by level, on any number of threads and processes. Keeps packed states, and finds shortest
    /// counterexamples.
    Timely,
}

/// The options of a search.
#[derive(Clone, Debug)]
pub struct Options {
    /// The engine.
    pub engine: Engine,
    /// The number of workers in this process. With more than one, stateright only approximates its order.
    pub threads: NonZeroUsize,
    /// True to count states that are equal up to renaming as one.
    pub symmetry: bool,
    /// The time limit, including the search for shortest counterexamples.
    pub timeout: Option<Duration>,
    /// The limit of distinct states. A search may exceed it slightly.
    pub max_states: Option<usize>,
    /// The limit of depth. Initial states have depth 1. Not with [`Engine::Dfs`].
    pub max_depth: Option<NonZeroUsize>,
    /// The limit of this process's memory.
    pub max_memory_bytes: Option<u64>,
    /// The processes that explore together, and which of them this is. Only with [`Engine::Timely`].
    pub cluster: Option<Processes>,
    /// The directory for checkpoints, from which a run that was stopped can resume. Only with [`Engine::Timely`].
    pub checkpoint: Option<Checkpoint>,
    /// The name of a `sometimes` property. The report then has a shortest path to a state where it is true.
    pub show: Option<String>,
    /// True to print progress on standard error.
    pub progress: bool,
    /// A request from outside to end the search.
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
    /// Returns the number of processes that explore together.
    pub(super) fn processes(&self) -> usize {
        self.cluster.as_ref().map_or(1, |cluster| cluster.addresses.len())
    }
}

/// The processes of a run that spans several processes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Processes {
    /// The address at which each process listens, as `host:port`.
    pub addresses: Vec<String>,
    /// The index of this process in `addresses`.
    pub this: usize,
}

/// The checkpoint of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The directory of its files. To resume, each process needs the files of all processes in its directory.
    pub directory: PathBuf,
    /// True to resume from the files in the directory. False to begin, which fails if the directory has a checkpoint.
    pub resume: bool,
}
