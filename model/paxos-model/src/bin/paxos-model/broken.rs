//! The arguments that describe a cluster, optionally with a bug of the catalogue.

use clap::Args;
use paxos_model::{
    arguments::BoundsArgs,
    cluster::{BoundsError, Bug, Cluster},
};

#[derive(Args)]
pub(crate) struct ClusterModelArgs {
    #[command(flatten)]
    bounds: BoundsArgs,
    /// Break it with this bug of the catalogue, which `paxos-model mutants` lists.
    #[arg(long, value_name = "N", value_parser = bug)]
    bug: Option<Bug>,
}

impl ClusterModelArgs {
    pub(crate) fn cluster(&self) -> Result<Cluster, BoundsError> {
        let cluster = Cluster::new(self.bounds.bounds())?;
        Ok(match self.bug {
            Some(bug) => cluster.with_bug(bug),
            None => cluster,
        })
    }
}

/// A bug of the catalogue, as an argument.
pub(crate) fn bug(argument: &str) -> Result<Bug, String> {
    Bug::labelled(argument).map_err(|error| error.to_string())
}
