//! `paxos-model check`: explores a model within bounds.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use indicatif::HumanBytes;
use itertools::Itertools as _;
use paxos_model::{
    arguments::{RunArgs, SynodArgs},
    cluster::Cluster,
    diagrams::Drawn,
    outputs,
    synod::Synod,
    trace::Traced,
};
use state_explorer::{
    Checkpoint, Estimate, Explorable, Options, Processes, estimate, explore_and_keep, refuse,
};
use verdict::Interrupt;

use crate::{Form, broken::ClusterModelArgs, complain, deliver, keep::KeepArgs, unusable};

#[derive(Subcommand)]
pub(crate) enum Check {
    /// The specification: Lamport's Paxos as a set of messages.
    Synod(SynodCheckArgs),
    /// Replicas as they are built, with each step checked against the specification.
    Cluster(ClusterArgs),
}

#[derive(Args)]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    model: ClusterModelArgs,
    /// Also check that no state is stuck. A state is stuck if no value can be chosen any more, although a
    /// node could still begin a ballot that a quorum has not gone beyond.
    #[arg(long)]
    not_stuck: bool,
    #[command(flatten)]
    search: SearchArgs,
}

#[derive(Args)]
pub(crate) struct SynodCheckArgs {
    #[command(flatten)]
    bounds: SynodArgs,
    /// With --symmetry, rename acceptors only.
    #[arg(long, requires = "symmetry")]
    distinct_values: bool,
    #[command(flatten)]
    search: SearchArgs,
}

/// The search options that only `check` has.
#[derive(Args)]
struct SearchArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    keep: KeepArgs,
    /// Count states that differ only in the names of nodes or values as one; not with --bug.
    #[arg(long)]
    symmetry: bool,
    /// Keep each level in DIR, so that a stopped run can be resumed (timely only).
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// Resume from the directory of --checkpoint; the number of threads and processes may differ.
    #[arg(long, requires = "checkpoint")]
    resume: bool,
    /// Explore together with other processes. FILE has a line `host:port` for each process (timely only). There
    /// is no authentication, so the network between them has to be trusted.
    #[arg(long, value_name = "FILE", requires = "process")]
    hosts: Option<PathBuf>,
    /// The line of --hosts for this process, counted from 0.
    #[arg(long, value_name = "N", requires = "hosts", value_parser = line)]
    process: Option<usize>,
}

/// Parses the number of a line.
fn line(argument: &str) -> Result<usize, String> {
    argument.parse().map_err(|_| "give the number of a line of --hosts, counted from 0".to_owned())
}

impl SearchArgs {
    fn options(&self, interrupt: &Interrupt) -> Result<Options, String> {
        let cluster = self.hosts.as_deref().zip(self.process);
        let cluster = cluster.map(|(file, this)| hosts(file, this)).transpose()?;
        let checkpoint =
            self.checkpoint.clone().map(|directory| Checkpoint { directory, resume: self.resume });
        Ok(Options {
            symmetry: self.symmetry,
            show: self.keep.show.clone(),
            cluster,
            checkpoint,
            interrupt: interrupt.clone(),
            ..self.run.options()
        })
    }
}

/// Reads the list of processes. Ignores empty lines, and text after a `#`.
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
    if let Some(twice) = addresses.iter().duplicates().next() {
        return Err(format!("{}: {twice} stands there twice", file.display()));
    }
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
            let cluster = args.model.cluster();
            let cluster =
                if args.not_stuck { cluster.map(Cluster::with_not_stuck) } else { cluster };
            explored(cluster.map(Cluster::checked), &args.search, interrupt)
        }
        Check::Synod(args) => {
            let synod = Synod::new(args.bounds.bounds());
            let distinct = args.distinct_values;
            let synod =
                synod.map(|synod| if distinct { synod.with_distinct_values() } else { synod });
            explored(synod, &args.search, interrupt)
        }
    }
}

/// Prints an estimate of a long search before it begins.
///
/// # Errors
/// Fails if the search cannot finish and no limit ends it.
fn prospects<M: Explorable>(model: &M, options: &Options) -> Result<(), String> {
    let limited = options.max_states.is_some()
        || options.max_depth.is_some()
        || options.timeout.is_some()
        || options.max_memory_bytes.is_some();
    if limited && !options.progress {
        // A search with a limit is never refused, and the estimate is not shown with --quiet.
        return Ok(());
    }
    let Some(estimate) = estimate(model, options) else { return Ok(()) };
    let Estimate { states, memory_bytes, available_bytes } = estimate;
    let available = available_bytes
        .map_or("an unknown amount".to_owned(), |bytes| HumanBytes(bytes).to_string());
    let guess = format!(
        "about {states:.0e} states, judging by fewer ballots, which take about {} of memory; there is {available}",
        HumanBytes(memory_bytes)
    );
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

/// Explores a model, prints the report, and writes the files. Returns the exit code of unusable arguments if `model` is an
/// error.
fn explored<M: Drawn + Traced, E: std::error::Error>(
    model: Result<M, E>,
    args: &SearchArgs,
    interrupt: &Interrupt,
) -> ExitCode {
    let model = match model {
        Ok(model) => model,
        Err(error) => return unusable(&error),
    };
    if let Some(folder) = &args.checkpoint
        && let Err(error) = outputs::try_folder("--checkpoint", folder)
    {
        return unusable(&error);
    }
    let options = match args.options(interrupt) {
        Ok(options) => options,
        Err(error) => return unusable(&error),
    };
    if let Err(refusal) = refuse(&model, &options) {
        return unusable(&refusal);
    }
    if let Err(error) = args.keep.check(&model) {
        return unusable(&error);
    }
    if let Err(error) = prospects(&model, &options) {
        return unusable(&error);
    }
    let explored = explore_and_keep(&model, &options);
    let delivered = deliver(
        &explored.report,
        &explored.report.verdict,
        Form::of(args.run.json, args.run.verbose),
    );
    match args.keep.keep(&model, &explored) {
        Ok(()) => delivered,
        Err(error) => unusable(&error),
    }
}
