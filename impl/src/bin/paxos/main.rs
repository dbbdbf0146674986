//! The command `paxos`.
//!
//! Exit codes: 0 a value was chosen, 1 nodes disagree (a defect), 2 bad input, 3 nothing was chosen.

mod vote;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Paxos at work.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Vote(vote::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Vote(args) => vote::main(args),
    }
}
