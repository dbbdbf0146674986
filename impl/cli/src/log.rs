//! `paxos log`: prints the data directory of a node that does not run.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use paxos::{Record, Value};
use paxos_node::{
    self,
    session::{Entry, Owner},
};
use paxos_store::{
    StorageError,
    disk::{Change, Commit, Note, Reader},
};
use thiserror::Error;

use crate::complain;

/// Print a node's data directory: its identity, its metadata, its snapshot and its records
///
/// The node must not be running. The command changes nothing.
///
/// Exit codes: 0 the store is intact; 1 it is damaged; 2 bad input.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  paxos log d1")]
pub(crate) struct Args {
    /// The node's data directory
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// Print only the last N commits
    #[arg(long, value_name = "N")]
    last: Option<usize>,
}

#[derive(Debug, Error)]
enum LogError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// Prints the store, and returns the exit code.
pub(crate) fn main(args: &Args) -> ExitCode {
    let reader = match Reader::open(&args.data) {
        Ok(reader) => reader,
        Err(error) => {
            complain(format_args!("error: {}", with_directory(&args.data, &error)));
            return ExitCode::from(if is_disk_fault(&error) { 1 } else { 2 });
        }
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = print(&reader, args.last, &mut out).and_then(|()| Ok(out.flush()?));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(LogError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(LogError::Output(error)) => {
            complain(format_args!("error: {error}"));
            ExitCode::from(2)
        }
        Err(LogError::Storage(error)) => {
            complain(format_args!("error: {}", with_directory(&args.data, &error)));
            ExitCode::from(1)
        }
    }
}

/// Returns true if the cause of the error is a failed disk or a damaged store, and not an argument.
pub(crate) fn is_disk_fault(error: &StorageError) -> bool {
    use StorageError::{Contradiction, Damaged, Io, Lost, Poisoned, Uncovered};
    matches!(
        error,
        Damaged { .. }
            | Lost { .. }
            | Uncovered { .. }
            | Contradiction(_)
            | Io { .. }
            | Poisoned { .. }
    )
}

/// Returns the text of an error with the data directory, and with a remedy if the user has one.
pub(crate) fn with_directory(data: &Path, error: &StorageError) -> String {
    use StorageError::{Exists, Foreign, InUse, Missing};
    match error {
        Missing { .. } | Exists { .. } => error.to_string(),
        InUse { .. } => format!("{error}; stop the process that uses it first"),
        Foreign { what, found, .. } => {
            let flag = if *what == "node" { "id" } else { what };
            let data = data.display();
            format!("{data}: {error}; start it with --{flag} {found}, or choose another --data")
        }
        _ => format!("{}: {error}", data.display()),
    }
}

fn print(reader: &Reader, last: Option<usize>, out: &mut impl Write) -> Result<(), LogError> {
    let identity = reader.identity();
    writeln!(
        out,
        "node {} of cluster `{}`, store {}",
        identity.node,
        identity.cluster,
        reader.id()
    )?;
    for (name, value) in reader.notes() {
        writeln!(out, "metadata: {}", metadata(name, value))?;
    }
    match reader.snapshot_header() {
        None => writeln!(out, "no snapshot")?,
        Some(header) => {
            writeln!(out, "snapshot: slots below {}, {} bytes", header.below, header.length)?;
        }
    }
    let base = reader.base();
    writeln!(
        out,
        "earlier commits: trimmed below {}, promised {}",
        base.trimmed,
        base.promised.map_or("nothing".to_owned(), |ballot| ballot.to_string())
    )?;
    let commits = reader.commits();
    let skipped = last.map_or(0, |last| commits.len().saturating_sub(last));
    for Commit { number, change } in &commits[skipped..] {
        match change {
            Change::Head(_) => writeln!(out, "{number:>8}  a segment begins")?,
            Change::Snapshot(header) => {
                writeln!(out, "{number:>8}  snapshot of slots below {}", header.below)?;
            }
            Change::Note(_) | Change::Records(_) | Change::RecordsAndNote(..) => {}
        }
        for record in change.records() {
            write!(out, "{number:>8}  ")?;
            show(record, out)?;
        }
        if let Some(Note { name, value }) = change.note() {
            writeln!(out, "{number:>8}  metadata {}", metadata(name, value))?;
        }
    }
    Ok(reader.verify()?)
}

/// Describes an item of metadata by the name that operators know, and its value.
fn metadata(name: &str, value: &[u8]) -> String {
    let value = paxos_node::describe_metadata(name, value)
        .unwrap_or_else(|| format!("\"{}\"", value.escape_ascii()));
    // The number of starts has an older name on disk.
    format!("{}: {value}", if name == "lives" { "starts" } else { name })
}

fn show(record: &Record, out: &mut impl Write) -> io::Result<()> {
    match record {
        Record::Promised(ballot) => writeln!(out, "promised {ballot}"),
        Record::Trimmed { below } => writeln!(out, "trimmed below {below}"),
        Record::Accepted { ballot, first, values } => {
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    write!(out, "{:>8}  ", "")?;
                }
                writeln!(
                    out,
                    "accepted {ballot} slot {} {}",
                    first.plus(index as u64),
                    described(value)
                )?;
            }
            Ok(())
        }
    }
}

/// Describes a value: a no-op, the opening of a session, a command of a session, or else the escaped bytes.
fn described(value: &Value) -> String {
    let Value::Command(bytes) = value else { return "no-op".to_owned() };
    match Entry::decode(bytes) {
        Some(Entry::Open { owner: Owner::Node, .. }) => "a node opens a session".to_owned(),
        Some(Entry::Open { owner: Owner::Client, .. }) => "a client opens a session".to_owned(),
        Some(Entry::Command { session, sequence, command, .. }) => {
            let command = paxos_kv::describe(&command)
                .unwrap_or_else(|| format!("\"{}\"", command.escape_ascii()));
            format!("session {session} command {sequence}: {command}")
        }
        None => format!("\"{}\"", bytes.escape_ascii()),
    }
}
