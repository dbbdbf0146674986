//! The command `paxos`: a node of a cluster, and tools for its operators.
//!
//! - `serve`: runs one node.
//! - `cluster`: runs all nodes of a cluster in one terminal, for trying.
//! - `status`: asks the nodes of a cluster for their state.
//! - `transfer`: lets a node of the user's choice lead.
//! - `log`: prints the data directory of a node that does not run.
//! - `vote`: simulates one decision over a bad network.
//!
//! The protocol and the storage are in `paxos`, `paxos-store`, `paxos-node` and `paxos-kv`.
//!
//! Exit codes: 0 success; 1 a defect or a failing disk; 2 bad input; 3 undecided. The help of each command has the
//! details. If the reader of the output is gone (`paxos log d1 | head -1`), a command reports no error about it, and its exit
//! code is the same.

// `println!` and `eprintln!` panic if the reader is gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod address;
mod cluster;
mod log;
mod serve;
mod status;
mod transfer;
mod vote;

use std::{
    fmt,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// Commands are allocated and freed in different parts of the program, which mimalloc handles faster than the
/// allocator of the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A replicated key-value store on Paxos, and tools for its operators
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
    Transfer(transfer::Args),
    Log(log::Args),
    Vote(vote::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::main(*args),
        Command::Cluster(args) => cluster::main(&args),
        Command::Status(args) => status::main(&args),
        Command::Transfer(args) => transfer::main(&args),
        Command::Log(args) => log::main(&args),
        Command::Vote(args) => vote::main(args),
    }
}

/// Prints a line on standard error. If that is closed, the exit code alone reports the error.
fn complain(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}
