//! `paxos-model mutants`: known bugs, put into the model and looked for.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use paxos_model::{
    arguments::seconds,
    catalogue::{LADDER, hunt, numbered},
    cluster::Bug,
    explore::Interrupt,
};

use crate::{deliver, unusable};

#[derive(Args)]
pub(crate) struct MutantsArgs {
    /// Show one bug only: what it is, why it matters, and the shortest ways to see it.
    #[arg(long, value_name = "NUMBER")]
    show: Option<u8>,
    /// Give up after so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(args: &MutantsArgs, interrupt: &Interrupt) -> ExitCode {
    let bugs = match args.show.map_or(Ok(Bug::ALL.to_vec()), numbered) {
        Ok(bugs) => bugs,
        Err(error) => return unusable(&error),
    };
    let bar = progress((LADDER.rungs.len() + bugs.len()) as u64, args.quiet);
    let catalogue = hunt(&bugs, &LADDER, args.timeout, interrupt, |done| {
        bar.set_message(done.to_owned());
        bar.inc(1);
    });
    bar.finish_and_clear();
    match args.show {
        Some(_) => deliver(&catalogue.shown(), &catalogue.verdict, args.json),
        None => deliver(&catalogue, &catalogue.verdict, args.json),
    }
}

fn progress(count: u64, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    // Where standard error is no terminal, nothing is shown: it takes seconds.
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} done  {msg}");
    ProgressBar::new(count).with_style(style.expect("the template is a constant"))
}
