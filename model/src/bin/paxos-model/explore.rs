//! `paxos-model explore`: a model in the browser, one step after the other.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use paxos_model::{
    arguments::BoundsArgs,
    cluster::{Bug, Cluster},
    story::{Shown, Storied},
    synod::{Bounds, Synod},
};
use stateright::Model as _;

use crate::{complain, trace::bug, unusable};

/// Open a model in the browser: choose one step after the other, and see the way so far as a picture
///
/// This is stateright's Explorer, served to this machine only until you stop it. "Run to completion"
/// searches the space; a property that does not hold is then a link to a way there. What it says of
/// the others may come of a search that ended early: for a verdict, use `check`.
#[derive(Subcommand)]
#[command(after_help = "Examples:
  paxos-model explore synod
  paxos-model explore cluster --ballots 2
  paxos-model explore cluster --nodes 2 --phase2-quorum 1 --ballots 2 --bug 8")]
pub(crate) enum Explore {
    /// The specification: Lamport's Paxos as a set of messages.
    Synod(SynodArgs),
    /// Replicas as they are built.
    Cluster(ClusterArgs),
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
    serve: ServeArgs,
}

#[derive(Args)]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    bounds: BoundsArgs,
    /// Switch on this bug of the catalogue.
    #[arg(long, value_name = "N", value_parser = bug)]
    bug: Option<Bug>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Args)]
struct ServeArgs {
    /// Where to listen, on this machine only; 0 takes any port that is free.
    #[arg(long, default_value_t = 3000)]
    port: u16,
}

pub(crate) fn run(explore: Explore) -> ExitCode {
    match explore {
        Explore::Synod(args) => {
            let SynodArgs { acceptors, values, ballots, phase1_quorum, phase2_quorum, serve } =
                args;
            match Synod::new(Bounds { acceptors, values, ballots, phase1_quorum, phase2_quorum }) {
                Ok(synod) => served(synod, &serve),
                Err(error) => unusable(&error),
            }
        }
        Explore::Cluster(args) => match Cluster::new(args.bounds.bounds()) {
            Ok(cluster) => {
                let cluster = match args.bug {
                    None => cluster,
                    Some(bug) => cluster.with_bug(bug),
                };
                served(cluster, &args.serve)
            }
            Err(error) => unusable(&error),
        },
    }
}

/// Serves a model until the process is stopped.
fn served<M: Storied>(model: M, args: &ServeArgs) -> ExitCode
where
    M::Action: std::fmt::Debug + Send + Sync,
{
    let address = match free(args.port) {
        Ok(address) => address,
        Err(error) => {
            let port = args.port;
            return unusable(&format!(
                "cannot listen on 127.0.0.1:{port}: {error}; give another --port, or 0 for any that \
                 is free"
            ));
        }
    };
    complain(&format!("{}\nexplore it at http://{address}/ until you stop this", model.title()));
    let _ = Shown::new(model).checker().serve(address);
    ExitCode::SUCCESS
}

/// The address of a port, which is free: stateright panics where it is not.
fn free(port: u16) -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.local_addr()
}
