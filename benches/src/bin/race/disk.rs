//! The log of a node on disk: a plain file, the same for all contestants.
//!
//! A record is a kind, two numbers, and the length and the bytes of a command. Records are collected in memory. One
//! `write` and one `fdatasync` make them durable.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use crate::workload::{Storage, Work};

/// The kinds of records.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// An entry: its position, and the ballot or term in which the node accepted it.
    Entry,
    /// A promise, a vote for a candidate, or a term.
    Promise,
    /// The number of chosen entries.
    Chosen,
    /// The number of trimmed entries.
    Trimmed,
}

/// An append-only file.
pub(crate) struct LogFile {
    file: File,
    records: Vec<u8>,
    syncs: u64,
    /// True if the records must be durable before the next message.
    must_sync: bool,
}

impl LogFile {
    /// Creates the log of a node in a directory, if the work has files.
    pub(crate) fn create(work: &Work, directory: &Path, node: usize) -> io::Result<Option<Self>> {
        if work.storage == Storage::Memory {
            return Ok(None);
        }
        let file = File::create_new(directory.join(format!("node-{node}")))?;
        Ok(Some(Self { file, records: Vec::new(), syncs: 0, must_sync: false }))
    }

    /// Adds a record that must be durable before the next message.
    pub(crate) fn append(&mut self, kind: Kind, first: u64, second: u64, command: &[u8]) {
        self.append_lazily(kind, first, second, command);
        self.must_sync = true;
    }

    /// Adds a record that the next sync makes durable, if there is one.
    pub(crate) fn append_lazily(&mut self, kind: Kind, first: u64, second: u64, command: &[u8]) {
        self.records.push(kind as u8);
        self.records.extend_from_slice(&first.to_le_bytes());
        self.records.extend_from_slice(&second.to_le_bytes());
        self.records.extend_from_slice(&(command.len() as u64).to_le_bytes());
        self.records.extend_from_slice(command);
    }

    /// Makes the records durable, if they must be.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.must_sync {
            self.file.write_all(&self.records)?;
            self.file.sync_data()?;
            self.records.clear();
            self.syncs += 1;
            self.must_sync = false;
        }
        Ok(())
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.syncs
    }
}
