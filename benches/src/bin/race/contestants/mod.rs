//! The contestants: clusters of an implementation each, in one thread.
//!
//! Our replica, omnipaxos and raft-rs are state machines. They share the loop in [`turns`], which moves messages and ends
//! the turns of nodes. Openraft brings its own tasks, which run on a runtime of one thread.

mod omnipaxos;
mod openraft;
mod ours;
mod raft_rs;
mod turns;

use std::path::Path;

use bytes::Bytes;

use crate::workload::{Fault, Leadership, Ledger, Work};

/// A cluster whose first node leads.
pub(crate) trait Contestant {
    /// Proposes commands at the leader, and returns when the cluster has nothing left to do. Each node reports the commands
    /// that it applies to `ledger`.
    fn propose(&mut self, commands: &[Bytes], ledger: &mut Ledger) -> Result<(), Fault>;

    /// Drops the first `entries` entries, which all nodes have applied, from the logs of all nodes.
    fn trim(&mut self, entries: u64) -> Result<(), Fault>;

    /// Returns the leadership that all nodes follow.
    fn leadership(&self) -> Result<Leadership, Fault>;

    /// Returns the number of syncs of all nodes.
    fn syncs(&self) -> u64;
}

/// Starts a cluster. Logs of [`Storage::File`](crate::workload::Storage) are in the directory.
type Start = fn(&Work, &Path) -> Result<Box<dyn Contestant>, Fault>;

/// An implementation, in one of its variants.
#[derive(Clone, Copy)]
pub(crate) struct Entrant {
    /// The implementation. The best of its variants counts.
    pub(crate) name: &'static str,
    /// The implementation and its variant.
    pub(crate) variant: &'static str,
    pub(crate) start: Start,
}

/// The name of our replica.
pub(crate) const OURS: &str = "ours";

/// All contestants, ours first. Variants of an implementation are neighbours.
pub(crate) const ENTRANTS: [Entrant; 7] = [
    Entrant { name: OURS, variant: OURS, start: ours::start },
    Entrant {
        name: "omnipaxos",
        variant: "omnipaxos-bytes",
        start: omnipaxos::start::<Bytes, false>,
    },
    Entrant {
        name: "omnipaxos",
        variant: "omnipaxos-vec",
        start: omnipaxos::start::<Vec<u8>, false>,
    },
    Entrant {
        name: "omnipaxos",
        variant: "omnipaxos-bytes-batched",
        start: omnipaxos::start::<Bytes, true>,
    },
    Entrant {
        name: "omnipaxos",
        variant: "omnipaxos-vec-batched",
        start: omnipaxos::start::<Vec<u8>, true>,
    },
    Entrant { name: "raft-rs", variant: "raft-rs", start: raft_rs::start },
    Entrant { name: "openraft", variant: "openraft", start: openraft::start },
];
