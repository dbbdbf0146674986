//! `paxos-model check`: a model, explored within bounds.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use indicatif::HumanBytes;
use paxos_model::{
    arguments::{BoundsArgs, RunArgs},
    cluster::Cluster,
    explore::{
        Checkpoint, Estimate, Explorable, Interrupt, Options, Processes, estimate,
        explore_and_keep, refuse,
    },
    synod::{Bounds, Synod},
};

use crate::{complain, deliver, unusable};

#[derive(Subcommand)]
pub(crate) enum Check {
    /// The specification: Lamport's Paxos as a set of messages.
    Synod(SynodArgs),
    /// Replicas as they are built, each step held against the specification.
    Cluster(ClusterArgs),
}

#[derive(Args)]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    bounds: BoundsArgs,
    /// Also look in each state whether it is stuck: whether no value can be chosen any more, although a
    /// node could still begin a ballot that a quorum has not gone beyond.
    #[arg(long)]
    not_stuck: bool,
    #[command(flatten)]
    search: SearchArgs,
}

#[derive(Args)]
pub(crate) struct SynodArgs {
    /// How many acceptors promise and vote.
    #[arg(long, default_value_t = 3)]
    acceptors: u8,
    /// How many values may be proposed.
    #[arg(long, default_value_t = 2)]
    values: u8,
    /// How many ballots may be started.
    #[arg(long, default_value_t = 3)]
    ballots: u8,
    /// How many promises allow a proposal [default: a majority].
    #[arg(long, value_name = "SIZE")]
    phase1_quorum: Option<u8>,
    /// How many votes choose a value [default: a majority].
    #[arg(long, value_name = "SIZE")]
    phase2_quorum: Option<u8>,
    /// With --symmetry, rename acceptors only.
    #[arg(long, requires = "symmetry")]
    distinct_values: bool,
    #[command(flatten)]
    search: SearchArgs,
}

/// How to search, beside what every search has.
#[derive(Args)]
struct SearchArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Count states that can be renamed to each other as one.
    #[arg(long)]
    symmetry: bool,
    /// Keep each level in DIR, so that a run that was stopped can go on (timely only).
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// Go on from what is in the directory of --checkpoint; the number of threads and processes may be
    /// another.
    #[arg(long, requires = "checkpoint")]
    resume: bool,
    /// Explore together with other processes: FILE has a line `host:port` for each (timely only). There
    /// is no authentication, so the network between them has to be trusted.
    #[arg(long, value_name = "FILE", requires = "process")]
    hosts: Option<PathBuf>,
    /// Which line of --hosts this process is, counted from 0.
    #[arg(long, value_name = "N", requires = "hosts")]
    process: Option<usize>,
}

impl SearchArgs {
    fn options(&self, interrupt: &Interrupt) -> Result<Options, String> {
        let cluster = self.hosts.as_deref().zip(self.process);
        let cluster = cluster.map(|(file, this)| hosts(file, this)).transpose()?;
        let checkpoint =
            self.checkpoint.clone().map(|directory| Checkpoint { directory, resume: self.resume });
        Ok(Options {
            symmetry: self.symmetry,
            cluster,
            checkpoint,
            interrupt: interrupt.clone(),
            ..self.run.options()
        })
    }
}

/// Reads the list of processes; empty lines and what follows a `#` are not meant.
fn hosts(file: &Path, this: usize) -> Result<Processes, String> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let addresses: Vec<_> = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let port = |address: &str| {
        address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    match addresses.iter().find(|address| !port(address)) {
        Some(bad) => Err(format!("{}: {bad:?} is no address; give host:port", file.display())),
        None if addresses.is_empty() => {
            Err(format!("{} names no process; give a line host:port for each", file.display()))
        }
        None => Ok(Processes { addresses, this }),
    }
}

pub(crate) fn run(check: Check, interrupt: &Interrupt) -> ExitCode {
    match check {
        Check::Cluster(args) => {
            let cluster = Cluster::new(args.bounds.bounds());
            let cluster =
                if args.not_stuck { cluster.map(Cluster::with_not_stuck) } else { cluster };
            explored(cluster, &args.search, interrupt)
        }
        Check::Synod(args) => {
            let bounds = Bounds {
                acceptors: args.acceptors,
                values: args.values,
                ballots: args.ballots,
                phase1_quorum: args.phase1_quorum,
                phase2_quorum: args.phase2_quorum,
            };
            let synod = Synod::new(bounds);
            let synod =
                if args.distinct_values { synod.map(Synod::with_distinct_values) } else { synod };
            explored(synod, &args.search, interrupt)
        }
    }
}

/// Says what a long search will take, before it begins.
///
/// # Errors
/// If it is hopeless, and nothing else will end it.
fn prospects<M: Explorable>(model: &M, options: &Options) -> Result<(), String> {
    let Some(estimate) = estimate(model, options) else { return Ok(()) };
    let Estimate { states, memory_bytes, available_bytes } = estimate;
    let available = available_bytes
        .map_or("an unknown amount".to_owned(), |bytes| HumanBytes(bytes).to_string());
    let guess = format!(
        "about {states:.0e} states, judging by fewer ballots, which take about {} of memory; there is {available}",
        HumanBytes(memory_bytes as u64)
    );
    let limited = options.max_states.is_some()
        || options.max_depth.is_some()
        || options.timeout.is_some()
        || options.max_memory_bytes.is_some();
    if estimate.hopeless() && !limited {
        return Err(format!(
            "{guess}; lower the bounds, try --engine timely or --symmetry, or set a limit (--max-states, \
             --max-depth, --max-memory or --timeout) to explore a part"
        ));
    }
    if options.progress {
        complain(&guess);
    }
    Ok(())
}

/// Explores a model, if its bounds make one, and delivers the report.
fn explored<M: Explorable, E: std::error::Error>(
    model: Result<M, E>,
    args: &SearchArgs,
    interrupt: &Interrupt,
) -> ExitCode {
    let model = match model {
        Ok(model) => model,
        Err(error) => return unusable(&error),
    };
    let options = match args.options(interrupt) {
        Ok(options) => options,
        Err(error) => return unusable(&error),
    };
    if let Err(refusal) = refuse(&model, &options) {
        return unusable(&refusal);
    }
    if let Err(error) = prospects(&model, &options) {
        return unusable(&error);
    }
    let report = explore_and_keep(&model, &options).report;
    deliver(&report, &report.verdict, args.run.json)
}
