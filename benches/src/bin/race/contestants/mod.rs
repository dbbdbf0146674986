//! The contestants: clusters of an implementation each, in one thread.
//!
//! Our replica, omnipaxos and raft-rs are state machines. They share the loop in [`turns`], which moves messages and
//! ends the turns of nodes. Openraft brings its own tasks, which run on a runtime of one thread.

mod omnipaxos;
mod openraft;
mod ours;
mod raft_rs;
mod turns;

use std::path::Path;

use bytes::Bytes;

use crate::workload::{Contestant, Fault, Work};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        results::{Column, Failed},
        workload::{Leadership, Ledger, Log, Storage},
    };

    /// Our replica behind a client that loses the first command of a round.
    struct Lossy(Box<dyn Contestant>);

    impl Contestant for Lossy {
        fn propose(&mut self, commands: &[Vec<u8>], ledger: &mut Ledger) -> Result<(), Fault> {
            self.0.propose(&commands[1..], ledger)
        }

        fn trim(&mut self, entries: u64) -> Result<(), Fault> {
            self.0.trim(entries)
        }

        fn leadership(&self) -> Result<Leadership, Fault> {
            self.0.leadership()
        }

        fn syncs(&self) -> u64 {
            self.0.syncs()
        }
    }

    fn work(storage: Storage, log: Log, outstanding: u64, entries: u64) -> Work {
        Work { storage, size: 16, outstanding, log, entries: 0, nodes: 3 }.with_entries(entries)
    }

    #[test]
    fn every_contestant_applies_all_entries() {
        for entrant in &ENTRANTS {
            for storage in [Storage::Memory, Storage::File] {
                for outstanding in [1, 64] {
                    let work = work(storage, Log::Retained, outstanding, 200);
                    let column =
                        Column::run(&work, &[*entrant], 1, |_| ()).expect("all are applied");
                    let syncs = column.contestants[0].variants[0].runs[0].syncs;
                    // Each node syncs each round at least once.
                    let expected = 3 * work.entries / outstanding;
                    let enough =
                        if storage == Storage::File { syncs >= expected } else { syncs == 0 };
                    assert!(enough, "{} {work}: {syncs} syncs", entrant.variant);
                    // The others sync no more often. Openraft syncs once for each command.
                    let is_tight = entrant.name == "openraft" || syncs <= expected;
                    assert!(is_tight, "{} {work}: {syncs} syncs", entrant.variant);
                }
            }
        }
    }

    #[test]
    fn every_contestant_trims_its_log() {
        for entrant in &ENTRANTS {
            // The log is trimmed twice, and used after that.
            let work = work(Storage::Memory, Log::Trimmed, 64, 2560);
            Column::run(&work, &[*entrant], 1, |_| ()).expect("all entries are applied");
        }
    }

    #[test]
    fn our_replica_runs_with_more_nodes() {
        for nodes in [5, 7, 9] {
            let work = Work { nodes, ..work(Storage::Memory, Log::Retained, 64, 200) };
            Column::run(&work, &ENTRANTS[..1], 1, |_| ()).expect("all entries are applied");
        }
    }

    #[test]
    fn a_lost_entry_is_an_error_and_not_a_number() {
        let start: Start = |work, directory| Ok(Box::new(Lossy(ours::start(work, directory)?)));
        let entrants = [ENTRANTS[0], Entrant { name: "lossy", variant: "lossy", start }];
        let work = work(Storage::Memory, Log::Retained, 64, 200);
        let failed = Column::run(&work, &entrants, 1, |_| ()).expect_err("an entry is lost");
        assert!(matches!(failed, Failed { variant: "lossy", fault: Fault::Wrong { .. }, .. }));
        assert!(
            failed.to_string().starts_with("memory/16B/64/retained: lossy did not"),
            "{failed}"
        );
    }

    #[test]
    fn the_first_node_leads() {
        let work = work(Storage::Memory, Log::Retained, 64, 64);
        for entrant in &ENTRANTS {
            let directory = tempfile::tempdir().expect("a directory");
            let cluster = (entrant.start)(&work, directory.path()).expect("it starts");
            assert_eq!(cluster.leadership().expect("all follow").leader, 0, "{}", entrant.variant);
        }
    }
}
