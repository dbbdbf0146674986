//! `paxos transfer`: lets a node of the user's choice lead.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use crate::{
    address::with_port,
    complain,
    status::{self, ask},
};

/// The longest time to wait for the answer of a node. The leader itself gives up the transfer after its election timeout.
const PATIENCE: Duration = Duration::from_mins(1);

/// Let a node lead, without the pause of an election
///
/// The leader finishes the commands that it has proposed, and asks the node to take over. Requests of clients wait meanwhile,
/// and none is refused. The command asks the nodes at the given addresses one after the other until it finds the leader.
///
/// Exit codes: 0 the node leads; 3 it does not; 2 bad input.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  paxos transfer 2 127.0.0.1:7001 127.0.0.1:7002 127.0.0.1:7003")]
pub(crate) struct Args {
    /// The number of the node that is to lead
    #[arg(value_name = "NODE")]
    node: u32,
    /// The addresses at which the nodes listen for clients
    #[arg(required = true, value_name = "ADDR", value_parser = with_port)]
    nodes: Vec<String>,
}

/// Asks the leader to hand over to the node, and returns the exit code.
pub(crate) fn main(args: &Args) -> ExitCode {
    match transfer(args) {
        Ok(leader) if leader == args.node.to_string() => {
            // If the reader is gone, the exit code says the same.
            let _ = writeln!(io::stdout(), "node {leader} leads");
            ExitCode::SUCCESS
        }
        Ok(leader) => {
            complain(format_args!("error: node {leader} leads, and not node {}", args.node));
            ExitCode::from(3)
        }
        Err(error) => {
            complain(format_args!("error: {error}"));
            ExitCode::from(3)
        }
    }
}

/// Asks the leader to hand over to the node. Returns the number of the node that then leads.
fn transfer(args: &Args) -> Result<String, String> {
    let mut silent = String::new();
    for address in &args.nodes {
        match status::info(address, PATIENCE) {
            Ok(said) if said.get("paxos_role").is_some_and(|role| role == "leader") => {
                let node = args.node.to_string();
                let reply =
                    ask(address, &["PAXOS", "TRANSFER", &node], PATIENCE, status::read_integer);
                return reply.map_err(|error| format!("{address}: {error}"));
            }
            Ok(_) => {}
            Err(error) => silent = format!("; {address}: {error}"),
        }
    }
    Err(format!("no node at these addresses leads; name the addresses of all nodes{silent}"))
}
