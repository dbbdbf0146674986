//! `paxos log`: what is on a node's disk, offline, to be read by people.

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
    disk::{Change, Commit, Reader},
};
use thiserror::Error;

/// What is on a node's disk: who it is, its snapshot, and every record it has kept
///
/// The node must not be running. Nothing is changed.
///
/// Exit codes: 0 all of it is as it was written; 1 it is damaged; 2 bad input.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  paxos log d1")]
pub(crate) struct Args {
    /// The node's directory
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// Only the last commits
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

/// Prints it.
pub(crate) fn main(args: &Args) -> ExitCode {
    let reader = match Reader::open(&args.data) {
        Ok(reader) => reader,
        Err(error) => {
            eprintln!("error: {}", in_place(&args.data, &error));
            return ExitCode::from(if is_of_the_disk(&error) { 1 } else { 2 });
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
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
        Err(LogError::Storage(error)) => {
            eprintln!("error: {}", in_place(&args.data, &error));
            ExitCode::from(1)
        }
    }
}

/// Whether the disk failed or the store is damaged: another directory would not have the error.
pub(crate) fn is_of_the_disk(error: &StorageError) -> bool {
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

/// What is wrong with a store, and where it is, if that is not said anyway.
pub(crate) fn in_place(data: &Path, error: &StorageError) -> String {
    use StorageError::{Exists, InUse, Missing};
    match error {
        Missing { .. } | Exists { .. } | InUse { .. } => error.to_string(),
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
    for (name, fact) in reader.notes() {
        writeln!(out, "noted: {name}: {}", described(name, fact))?;
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
        "before that: trimmed below {}, promised {}",
        base.trimmed,
        base.promised.map_or("nothing".to_owned(), |ballot| ballot.to_string())
    )?;
    let commits = reader.commits();
    let skipped = last.map_or(0, |last| commits.len().saturating_sub(last));
    for Commit { number, change } in &commits[skipped..] {
        match change {
            Change::Head(_) => writeln!(out, "{number:>8}  a file begins")?,
            Change::Snapshot(header) => {
                writeln!(out, "{number:>8}  snapshot of slots below {}", header.below)?;
            }
            Change::Note { name, fact } => {
                writeln!(out, "{number:>8}  noted {name}: {}", described(name, fact))?;
            }
            Change::Records(records) => {
                for record in &**records {
                    write!(out, "{number:>8}  ")?;
                    show(record, out)?;
                }
            }
        }
    }
    Ok(reader.verify()?)
}

fn described(name: &str, fact: &[u8]) -> String {
    paxos_node::describe_metadata(name, fact)
        .unwrap_or_else(|| format!("\"{}\"", fact.escape_ascii()))
}

fn show(record: &Record, out: &mut impl Write) -> io::Result<()> {
    match record {
        Record::Promised(ballot) => writeln!(out, "promised {ballot}"),
        Record::Trimmed { below } => writeln!(out, "trimmed below {below}"),
        Record::Accepted { ballot, first, values } => {
            for (place, value) in values.iter().enumerate() {
                if place > 0 {
                    write!(out, "{:>8}  ", "")?;
                }
                writeln!(
                    out,
                    "accepted {ballot} slot {} {}",
                    first.plus(place as u64),
                    said(value)
                )?;
            }
            Ok(())
        }
    }
}

/// What a value says, as far as a session's entry, a command of the key-value store, or bytes can be told.
fn said(value: &Value) -> String {
    let Value::Command(bytes) = value else { return "no-op".to_owned() };
    match Entry::decode(bytes) {
        Some(Entry::Open { owner: Owner::Node, .. }) => "a node opens a session".to_owned(),
        Some(Entry::Open { owner: Owner::Client, .. }) => "a client opens a session".to_owned(),
        Some(Entry::Command { session, sequence, command, .. }) => {
            let command = paxos_kv::shown(&command)
                .unwrap_or_else(|| format!("\"{}\"", command.escape_ascii()));
            format!("session {session} command {sequence}: {command}")
        }
        None => format!("\"{}\"", bytes.escape_ascii()),
    }
}
