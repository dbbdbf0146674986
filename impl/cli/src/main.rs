//! The command `paxos`.
//!
//! Exit codes: 0 as hoped for; 1 a defect or a failing disk; 2 bad input; 3 undecided. Each command
//! says what they mean for it.

mod address;
mod cluster;
mod log;
mod serve;
mod status;
mod vote;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Every command of a client is allocated in one place and dropped in another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Paxos at work
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Args>),
    Cluster(cluster::Args),
    Status(status::Args),
    Log(log::Args),
    Vote(vote::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::main(*args),
        Command::Cluster(args) => cluster::main(&args),
        Command::Status(args) => status::main(&args),
        Command::Log(args) => log::main(&args),
        Command::Vote(args) => vote::main(args),
    }
}
