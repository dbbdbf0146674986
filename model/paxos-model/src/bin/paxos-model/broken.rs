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
    /// Give the cluster this bug of the catalogue. `paxos-model mutants` lists the bugs.
    #[arg(long, value_name = "N", value_parser = bug)]
    bug: Option<Bug>,
}

impl ClusterModelArgs {
    /// Returns the cluster, with the bug if one is given.
    pub(crate) fn cluster(&self) -> Result<Cluster, BoundsError> {
        let cluster = Cluster::new(self.bounds.bounds())?;
        Ok(match self.bug {
            Some(bug) => cluster.with_bug(bug),
            None => cluster,
        })
    }
}

/// Parses the number of a bug of the catalogue.
pub(crate) fn bug(argument: &str) -> Result<Bug, String> {
    Bug::labelled(argument).map_err(|error| error.to_string())
}
