//! `paxos-model explore`: shows a model in the browser, one step at a time.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use paxos_model::{
    arguments::SynodArgs,
    cluster::Cluster,
    diagrams::{Drawn, ExplorerAdapter},
    synod::Synod,
};
use stateright::Model as _;

use crate::{broken::ClusterModelArgs, complain, unusable};

/// Open a model in the browser: choose one step after the other, and see a diagram of the path so far
///
/// The command serves stateright's Explorer, to this machine only, until you stop it. "Run to completion"
/// searches the space. A property that does not hold then links to a path that violates it. The search may
/// end early, before it has checked the other properties. For a verdict, use `check`.
#[derive(Subcommand)]
#[command(after_help = "Examples:
  paxos-model explore synod
  paxos-model explore cluster --ballots 2
  paxos-model explore cluster --nodes 2 --phase2-quorum 1 --ballots 2 --bug 8")]
pub(crate) enum Explore {
    /// The specification: Lamport's Paxos as a set of messages.
    Synod(SynodExploreArgs),
    /// Replicas as they are built.
    Cluster(ClusterArgs),
}

#[derive(Args)]
pub(crate) struct SynodExploreArgs {
    #[command(flatten)]
    bounds: SynodArgs,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Args)]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    model: ClusterModelArgs,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Args)]
struct ServeArgs {
    /// The port to listen on, on this machine only; 0 takes any free port.
    #[arg(long, default_value_t = 3000)]
    port: u16,
}

pub(crate) fn run(explore: Explore) -> ExitCode {
    match explore {
        Explore::Synod(args) => served(Synod::new(args.bounds.bounds()), &args.serve),
        Explore::Cluster(args) => served(args.model.cluster().map(Cluster::checked), &args.serve),
    }
}

/// Serves a model until the process is stopped.
fn served<M: Drawn, E: std::error::Error>(model: Result<M, E>, args: &ServeArgs) -> ExitCode
where
    M::Action: std::fmt::Debug + Send + Sync,
{
    let model = match model {
        Ok(model) => model,
        Err(error) => return unusable(&error),
    };
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
    let _ = ExplorerAdapter::new(model).checker().serve(address);
    ExitCode::SUCCESS
}

/// Returns the address of a free port: `port`, or any if it is 0. Fails if the port is in use, because stateright would panic.
fn free(port: u16) -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.local_addr()
}
