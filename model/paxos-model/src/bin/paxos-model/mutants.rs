//! `paxos-model mutants`: explores the model with each known bug.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use paxos_model::{
    arguments::seconds,
    catalogue::{Catalogue, SCHEDULE, Sighting, search},
    cluster::{Bug, Cluster},
};
use verdict::Interrupt;

use crate::{Form, broken::bug, deliver, keep::FileArgs, unusable};

#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 each bug has the harm that the catalogue states (unsafe, stuck or safe); \
                        1 a bug has another harm; 2 unusable arguments; 3 not all bugs could be decided."
)]
pub(crate) struct MutantsArgs {
    /// Show one bug only: its description, its harm, and its shortest counterexamples.
    #[arg(long, value_name = "N", value_parser = bug)]
    show: Option<Bug>,
    #[command(flatten)]
    files: FileArgs,
    /// Give up after this number of seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
    /// Also print the property that fails first, and the spaces.
    #[arg(long, short, conflicts_with = "json")]
    verbose: bool,
    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(args: &MutantsArgs, interrupt: &Interrupt) -> ExitCode {
    if args.files.wanted() && args.show.is_none() {
        return unusable(&"--svg, --mermaid and --itf are for one bug: name it with --show N");
    }
    if let Err(error) = args.files.check() {
        return unusable(&error);
    }
    let bugs = args.show.map_or(Bug::ALL.to_vec(), |bug| vec![bug]);
    let bar = progress((SCHEDULE.spaces.len() + bugs.len()) as u64, args.quiet);
    let catalogue = search(&bugs, &SCHEDULE, args.timeout, interrupt, |done| {
        bar.set_message(done.to_owned());
        bar.inc(1);
    });
    bar.finish_and_clear();
    let form = Form::of(args.json, args.verbose);
    match args.show {
        Some(bug) => {
            let delivered = deliver(&catalogue.explained(), &catalogue.verdict, form);
            match keep(bug, &catalogue, &args.files) {
                Ok(()) => delivered,
                Err(error) => unusable(&error),
            }
        }
        None => deliver(&catalogue, &catalogue.verdict, form),
    }
}

/// Writes the counterexample that shows the harm of a bug, or else any counterexample.
fn keep(bug: Bug, catalogue: &Catalogue, files: &FileArgs) -> Result<(), String> {
    if !files.wanted() {
        return Ok(());
    }
    let sightings = catalogue.bugs.iter().find_map(|entry| entry.worst());
    let Some(Sighting { property, space, behaviour, .. }) = sightings else {
        return Err(
            "nothing in these spaces shows this bug, so there is nothing to draw".to_owned()
        );
    };
    let cluster = Cluster::new(catalogue.spaces[space - 1].bounds);
    let cluster = cluster.map_err(|error| error.to_string())?.with_bug(bug).checked();
    let title = format!("{}, {property}", bug.name());
    files.write(&cluster, behaviour, &title).map_err(|error| error.to_string())
}

fn progress(count: u64, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    // The search takes seconds. Without a terminal no progress is shown.
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} done  {msg}");
    ProgressBar::new(count).with_style(style.expect("the template is a constant"))
}
