//! The command-line arguments that several commands share.

use std::{fmt::Display, num::NonZeroUsize, str::FromStr, time::Duration};

use clap::{Args, ValueEnum, builder::RangedI64ValueParser};

use crate::{
    cluster::{
        Bounds,
        state::{BALLOTS_MAX, NODES_MAX, READS_MAX, SLOTS_MAX, UNSYNCED_MAX, VALUES_MAX},
    },
    synod,
};
use state_explorer::{self, Options};

/// The options of a search, for every model.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The engine of the search, which decides the order of the states.
    #[arg(long, value_enum, default_value_t = Engine::Bfs)]
    pub engine: Engine,
    /// The number of workers. With more than one, bfs measures no depth.
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN, value_parser = threads)]
    pub threads: NonZeroUsize,
    /// The highest depth of the search. An initial state is at depth 1. Not with dfs.
    #[arg(long, value_name = "DEPTH", value_parser = number(NonZeroUsize::MIN, NonZeroUsize::MAX))]
    pub max_depth: Option<NonZeroUsize>,
    /// The highest amount of memory, in megabytes. The search always ends before it has used up the memory that the system
    /// allows.
    #[arg(long, value_name = "MB", value_parser = megabytes)]
    pub max_memory: Option<u64>,
    /// The longest time of the search, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// The highest number of distinct states.
    #[arg(long, value_name = "N", value_parser = number(0, usize::MAX))]
    pub max_states: Option<usize>,
    /// Print the report as one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Also print the number of actions of each kind.
    #[arg(long, short, conflicts_with = "json")]
    pub verbose: bool,
    /// Show no progress.
    #[arg(long, short)]
    pub quiet: bool,
}

/// The order of a search, as an argument.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Engine {
    /// Nearest states first: finds shortest counterexamples.
    Bfs,
    /// Deepest states first: lighter, and its counterexamples are shortened afterwards.
    Dfs,
    /// Level by level, on any number of threads and machines: keeps whole states in a few bytes, and finds shortest
    /// counterexamples.
    Timely,
}

/// The highest number of workers. More workers than cores only wait for each other.
const THREADS_MAX: usize = 256;

/// Parses a number of workers.
///
/// # Errors
/// Fails if the argument is no number from 1 to the highest number of workers.
pub fn threads(argument: &str) -> Result<NonZeroUsize, String> {
    let threads =
        argument.parse().ok().filter(|threads: &NonZeroUsize| threads.get() <= THREADS_MAX);
    threads.ok_or_else(|| format!("give a number from 1 to {THREADS_MAX}"))
}

/// Returns a parser of numbers that only their type limits. `least` and `most` are for its errors.
fn number<T: FromStr + Display + Clone + Send + Sync>(
    least: T,
    most: T,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync {
    move |argument| argument.parse().map_err(|_| format!("give a number from {least} to {most}"))
}

/// Parses a number of megabytes, and returns it in bytes.
fn megabytes(argument: &str) -> Result<u64, String> {
    const BYTES: u64 = 1_000_000;
    let bytes = argument.parse().ok().and_then(|megabytes: u64| megabytes.checked_mul(BYTES));
    bytes.ok_or_else(|| format!("give a number of megabytes from 0 to {}", u64::MAX / BYTES))
}

/// Returns a parser of the numbers from `least` to `most`. `most` must fit in one byte.
fn range(least: u8, most: usize) -> RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(i64::from(least)..=i64::from(most as u8))
}

/// Parses a number of seconds.
///
/// # Errors
/// Fails if the argument is no number, is negative, or exceeds the range of [`Duration`].
pub fn seconds(argument: &str) -> Result<Duration, String> {
    let seconds = argument.parse().ok().and_then(|it| Duration::try_from_secs_f64(it).ok());
    seconds.ok_or_else(|| format!("give a number of seconds from 0 to {}", u64::MAX))
}

impl RunArgs {
    /// Returns the options of a search.
    pub fn options(&self) -> Options {
        Options {
            engine: match self.engine {
                Engine::Bfs => state_explorer::Engine::Bfs,
                Engine::Dfs => state_explorer::Engine::Dfs,
                Engine::Timely => state_explorer::Engine::Timely,
            },
            threads: self.threads,
            timeout: self.timeout,
            max_states: self.max_states,
            max_depth: self.max_depth,
            max_memory_bytes: self.max_memory,
            progress: !self.quiet,
            ..Options::default()
        }
    }
}

/// The bounds of a cluster.
#[derive(Clone, Debug, Args)]
pub struct BoundsArgs {
    /// The number of nodes. Each node plays all roles.
    #[arg(long, default_value_t = 3, value_parser = range(1, NODES_MAX))]
    pub nodes: u8,
    /// The number of slots of the log.
    #[arg(long, default_value_t = 1, value_parser = range(1, SLOTS_MAX))]
    pub slots: u8,
    /// The number of ballots. The campaigners own them in turn.
    #[arg(long, default_value_t = 3, value_parser = range(1, BALLOTS_MAX))]
    pub ballots: u8,
    /// The number of nodes that campaign [default: two, or one if there is only one].
    #[arg(long, value_name = "N", value_parser = range(1, NODES_MAX))]
    pub campaigners: Option<u8>,
    /// The number of different values that clients ask for.
    #[arg(long, default_value_t = 2, value_parser = range(1, VALUES_MAX))]
    pub values: u8,
    /// The number of promises that let a candidate lead [default: a majority].
    #[arg(long, value_name = "SIZE", value_parser = range(1, NODES_MAX))]
    pub phase1_quorum: Option<u8>,
    /// The number of votes that choose a value [default: a majority].
    #[arg(long, value_name = "SIZE", value_parser = range(1, NODES_MAX))]
    pub phase2_quorum: Option<u8>,
    /// The highest number of crashes in a run [default: any number].
    #[arg(long, value_name = "N")]
    pub crashes: Option<u8>,
    /// The highest number of steps of a node that wait for their sync.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = range(0, UNSYNCED_MAX.into()))]
    pub unsynced: u8,
    /// Leave out refusals.
    #[arg(long)]
    pub no_nack: bool,
    /// Leave out news of chosen values.
    #[arg(long)]
    pub no_chosen: bool,
    /// Let nodes take snapshots, and trim the log.
    #[arg(long)]
    pub snapshots: bool,
    /// The highest number of rounds of reads that a leader begins in a ballot.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = range(0, READS_MAX.into()))]
    pub reads: u8,
}

impl BoundsArgs {
    /// Returns the bounds, which are not validated.
    pub fn bounds(&self) -> Bounds {
        let usual = Bounds::of(self.nodes, self.slots, self.ballots);
        Bounds {
            campaigners: self.campaigners.unwrap_or(usual.campaigners),
            values: self.values,
            phase1_quorum: self.phase1_quorum.unwrap_or(usual.phase1_quorum),
            phase2_quorum: self.phase2_quorum.unwrap_or(usual.phase2_quorum),
            crashes: self.crashes,
            unsynced: self.unsynced,
            nacks: !self.no_nack,
            chosen: !self.no_chosen,
            snapshots: self.snapshots,
            reads: self.reads,
            ..usual
        }
    }
}

/// The bounds of the specification.
#[derive(Clone, Debug, Args)]
pub struct SynodArgs {
    /// The number of acceptors.
    #[arg(long, default_value_t = 3, value_parser = range(1, synod::ACCEPTORS_MAX))]
    pub acceptors: u8,
    /// The number of values that may be proposed.
    #[arg(long, default_value_t = 2, value_parser = range(1, synod::VALUES_MAX))]
    pub values: u8,
    /// The number of ballots that may be started.
    #[arg(long, default_value_t = 3, value_parser = range(1, synod::BALLOTS_MAX))]
    pub ballots: u8,
    /// The number of promises that allow a proposal [default: a majority].
    #[arg(long, value_name = "SIZE", value_parser = range(1, synod::ACCEPTORS_MAX))]
    pub phase1_quorum: Option<u8>,
    /// The number of votes that choose a value [default: a majority].
    #[arg(long, value_name = "SIZE", value_parser = range(1, synod::ACCEPTORS_MAX))]
    pub phase2_quorum: Option<u8>,
}

impl SynodArgs {
    /// Returns the bounds, which are not validated.
    pub fn bounds(&self) -> synod::Bounds {
        let &Self { acceptors, values, ballots, phase1_quorum, phase2_quorum } = self;
        synod::Bounds { acceptors, values, ballots, phase1_quorum, phase2_quorum }
    }
}
