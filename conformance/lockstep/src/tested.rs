//! A node under test: a replica, its disk, and the records that are not yet synced.

use std::hash::{DefaultHasher, Hash, Hasher};

use paxos::{Envelope, NodeId, Output, Record, Write};
use paxos_store::Memory;

use crate::mutants::TestedReplica;

/// A production replica with its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestedNode {
    replica: TestedReplica,
    disk: Memory,
    /// The records of steps that are not yet synced, oldest first.
    unsynced: Vec<Vec<Record>>,
    /// The hash of the fields above. It is computed once, because nodes are hashed for every state.
    digest: u64,
}

impl Hash for TestedNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest);
    }
}

impl TestedNode {
    /// Returns a node that starts for the first time. `reads` is true if the space has reads.
    pub fn new(replica: TestedReplica, reads: bool) -> Self {
        Self::of(replica, Memory::default(), Vec::new(), reads)
    }

    /// Returns a node of these parts.
    pub(crate) fn of(
        replica: TestedReplica,
        disk: Memory,
        unsynced: Vec<Vec<Record>>,
        reads: bool,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        replica.hash_fields(reads, &mut hasher);
        (&disk, &unsynced).hash(&mut hasher);
        Self { replica, disk, unsynced, digest: hasher.finish() }
    }

    /// The replica.
    pub fn replica(&self) -> &TestedReplica {
        &self.replica
    }

    /// The disk: the durable records.
    pub fn disk(&self) -> &Memory {
        &self.disk
    }

    /// The records of steps that are not yet synced, oldest first.
    pub fn unsynced(&self) -> &[Vec<Record>] {
        &self.unsynced
    }

    /// Removes and returns the messages of `output` that may leave before the unsynced records and the records of `output`
    /// are durable. Each unsynced step is a write under way.
    pub fn take_early(&self, output: &mut Output) -> Vec<Envelope> {
        let last = std::mem::take(output);
        // The writes stay under way.
        let _ = self.begin_writes(output);
        output.append(last);
        self.replica.take_early(output)
    }

    /// Begins a write for each unsynced step, oldest first. The effects of each step are marked with its number.
    pub(crate) fn begin_writes(&self, output: &mut Output) -> Vec<Write> {
        let write = |(step, records): (u32, &Vec<Record>)| {
            output.records_mut().clone_from(records);
            output.held_mut().fetch.push(NodeId(step));
            output.write()
        };
        (0..).zip(&self.unsynced).filter_map(write).collect()
    }
}
