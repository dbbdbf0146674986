//! `paxos-model check`: a model, explored within bounds.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use paxos_model::{
    arguments::{BoundsArgs, RunArgs},
    cluster::Cluster,
    explore::{Explorable, explore},
    synod::{Bounds, Synod},
};

use crate::{deliver, unusable};

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
    #[command(flatten)]
    run: RunArgs,
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
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) fn run(check: Check) -> ExitCode {
    match check {
        Check::Cluster(args) => explored(Cluster::new(args.bounds.bounds()), &args.run),
        Check::Synod(args) => {
            let bounds = Bounds {
                acceptors: args.acceptors,
                values: args.values,
                ballots: args.ballots,
                phase1_quorum: args.phase1_quorum,
                phase2_quorum: args.phase2_quorum,
            };
            explored(Synod::new(bounds), &args.run)
        }
    }
}

/// Explores a model, if its bounds make one, and delivers the report.
fn explored<M: Explorable, E: std::error::Error>(model: Result<M, E>, args: &RunArgs) -> ExitCode {
    match model {
        Err(error) => unusable(&error),
        Ok(model) => {
            let report = explore(&model, &args.options());
            deliver(&report, &report.verdict, args.json)
        }
    }
}
