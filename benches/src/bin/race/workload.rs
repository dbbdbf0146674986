//! The work of a run, which is the same for every contestant, and the check that all of it was done.
//!
//! The workload proposes a round of numbered commands at the leader. The next round begins when all nodes have applied
//! all commands of this one, in this order. So a contestant that loses, repeats or reorders an entry at any node is
//! found in the round in which it does so.

use std::{fmt, io};

use serde::Serialize;

/// The number of different commands. The workload proposes them in turns, so that it allocates nothing while it
/// measures. A round has fewer commands, so that no command occurs twice in one.
const COMMANDS: u64 = 4096;
/// The least size of a command, in bytes. It has room for the number of the command.
pub(crate) const SIZE_MIN: usize = size_of::<u64>();
/// With [`Log::Trimmed`], the log is trimmed whenever it has this number of entries, or more.
const TRIM_AT: u64 = 1024;

/// The place of the log of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Storage {
    /// Nothing is written.
    Memory,
    /// Each node appends its records to a file, and syncs it before it sends a message that depends on them.
    File,
}

/// The fate of applied entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Log {
    /// The nodes keep all entries.
    Retained,
    /// The nodes drop applied entries about every [`TRIM_AT`] entries.
    Trimmed,
}

/// The work of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Work {
    pub(crate) storage: Storage,
    /// In bytes.
    pub(crate) size: usize,
    /// The number of commands in a round, a power of two below [`COMMANDS`].
    pub(crate) outstanding: u64,
    pub(crate) log: Log,
    /// A multiple of `outstanding`.
    pub(crate) entries: u64,
    pub(crate) nodes: usize,
}

/// The reason for which a run is not a result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("node {node} applied {found} in place of entry {entry}")]
    Wrong { node: usize, entry: u64, found: String },
    #[error("node {node} applied {applied} entries after {proposed} were proposed")]
    Count { node: usize, applied: u64, proposed: u64 },
    #[error("the leadership was {before}, and is {after}")]
    NewLeader { before: Leadership, after: Leadership },
    #[error("node {node} does not follow the leader that node 0 follows")]
    NoLeader { node: usize },
    #[error("{0}")]
    Refused(String),
    #[error("the log of a node cannot be written: {0}")]
    Disk(#[from] io::Error),
}

/// A leader and the number of its ballot or term. A leader that loses its leadership and wins it again has another
/// number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leadership {
    pub(crate) leader: u64,
    pub(crate) ballot: u64,
}

/// A cluster whose first node leads.
pub(crate) trait Contestant {
    /// Proposes commands at the leader, and returns when the cluster has nothing left to do. Each node reports the
    /// commands that it applies to `ledger`.
    ///
    /// Each command is copied once, into a new allocation of the type that the implementation takes. A server does the
    /// same when it reads a command from a socket.
    fn propose(&mut self, commands: &[Vec<u8>], ledger: &mut Ledger) -> Result<(), Fault>;

    /// Drops the first `entries` entries, which all nodes have applied, from the logs of all nodes.
    fn trim(&mut self, entries: u64) -> Result<(), Fault>;

    /// Returns the leadership that all nodes follow.
    fn leadership(&self) -> Result<Leadership, Fault>;

    /// Returns the number of syncs of all nodes.
    fn syncs(&self) -> u64;
}

/// The commands that the workload proposes.
pub(crate) struct Commands(Vec<Vec<u8>>);

/// The entries that each node has applied.
pub(crate) struct Ledger {
    size: usize,
    applied: Vec<u64>,
    fault: Option<Fault>,
}

impl fmt::Display for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "that of node {} in ballot {}", self.leader, self.ballot)
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::File => "file",
        })
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retained => "retained",
            Self::Trimmed => "trimmed",
        })
    }
}

/// `memory/16B/64/retained`: the name of the column.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}B/{}/{}", self.storage, self.size, self.outstanding, self.log)
    }
}

impl Work {
    /// Returns the work of all columns of the tables, without entries.
    pub(crate) fn columns() -> Vec<Self> {
        let mut columns = Vec::new();
        for storage in [Storage::Memory, Storage::File] {
            for size in [16, 1024] {
                for log in [Log::Retained, Log::Trimmed] {
                    for outstanding in [1, 64, 1024] {
                        let (entries, nodes) = (0, 3);
                        columns.push(Self { storage, size, outstanding, log, entries, nodes });
                    }
                }
            }
        }
        columns
    }

    /// Returns true if each part of the filter, as in `16B/64/retained`, is a part of the name of the column.
    pub(crate) fn matches(&self, filter: &str) -> bool {
        let name = self.to_string();
        filter.split('/').all(|part| name.split('/').any(|own| own == part))
    }

    /// Returns the number of entries for a run in which memory would have `entries` of them. A round waits for three
    /// syncs in turn, so that files have fewer if few are outstanding.
    pub(crate) fn entries_of(&self, entries: u64) -> u64 {
        let divisor = match (self.storage, self.outstanding) {
            (Storage::Memory, _) => 1,
            (Storage::File, 0..16) => 1000,
            (Storage::File, 16..256) => 50,
            (Storage::File, _) => 10,
        };
        (entries / divisor).max(1)
    }

    /// Returns this work with at least `entries` entries, in whole rounds.
    pub(crate) fn with_entries(self, entries: u64) -> Self {
        Self { entries: entries.next_multiple_of(self.outstanding), ..self }
    }

    /// Lets a cluster that has a leader do this work.
    pub(crate) fn run(
        &self,
        cluster: &mut dyn Contestant,
        commands: &Commands,
    ) -> Result<(), Fault> {
        let mut ledger = Ledger::new(self);
        let before = cluster.leadership()?;
        let (mut proposed, mut trimmed) = (0, 0);
        while proposed < self.entries {
            cluster.propose(commands.round(proposed, self.outstanding), &mut ledger)?;
            proposed += self.outstanding;
            ledger.check(proposed)?;
            if self.log == Log::Trimmed && proposed - trimmed >= TRIM_AT {
                cluster.trim(proposed)?;
                trimmed = proposed;
            }
        }
        // Ballots only grow, so equal ballots at both ends mean that there was no other between.
        let after = cluster.leadership()?;
        if before == after { Ok(()) } else { Err(Fault::NewLeader { before, after }) }
    }
}

impl Commands {
    /// Returns commands of `size` bytes. A command begins with its number.
    pub(crate) fn new(size: usize) -> Self {
        assert!(size >= SIZE_MIN, "a command has room for its number");
        let command = |number: u64| {
            let mut bytes = vec![b'x'; size];
            bytes[..SIZE_MIN].copy_from_slice(&number.to_le_bytes());
            bytes
        };
        Self((0..COMMANDS).map(command).collect())
    }

    /// Returns the commands of the round that begins with entry `first`.
    fn round(&self, first: u64, outstanding: u64) -> &[Vec<u8>] {
        let first = (first % COMMANDS) as usize;
        &self.0[first..first + outstanding as usize]
    }
}

impl Ledger {
    fn new(work: &Work) -> Self {
        assert!(work.outstanding.is_power_of_two() && work.outstanding < COMMANDS);
        assert_eq!(work.entries % work.outstanding, 0, "all rounds are whole");
        Self { size: work.size, applied: vec![0; work.nodes], fault: None }
    }

    /// Notes that a node applies a command.
    pub(crate) fn apply(&mut self, node: usize, command: &[u8]) {
        let applied = &mut self.applied[node];
        let number = command.first_chunk().copied().map(u64::from_le_bytes);
        if number == Some(*applied % COMMANDS) && command.len() == self.size {
            *applied += 1;
        } else if self.fault.is_none() {
            let found = format!("{} bytes that begin with {number:?}", command.len());
            self.fault = Some(Fault::Wrong { node, entry: *applied, found });
        }
    }

    /// Fails unless each node has applied all proposed entries, and nothing else.
    fn check(&mut self, proposed: u64) -> Result<(), Fault> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        match self.applied.iter().enumerate().find(|(_, applied)| **applied != proposed) {
            Some((node, &applied)) => Err(Fault::Count { node, applied, proposed }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cluster of two nodes without a protocol, with a fault in the third round.
    struct Fake {
        round: u64,
        fault: fn(&mut Vec<Vec<u8>>),
        ballots: [u64; 2],
    }

    impl Contestant for Fake {
        fn propose(&mut self, commands: &[Vec<u8>], ledger: &mut Ledger) -> Result<(), Fault> {
            self.round += 1;
            let mut applied = commands.to_vec();
            for command in commands {
                ledger.apply(0, command);
            }
            if self.round == 3 {
                (self.fault)(&mut applied);
            }
            for command in &applied {
                ledger.apply(1, command);
            }
            Ok(())
        }

        fn trim(&mut self, _: u64) -> Result<(), Fault> {
            Ok(())
        }

        fn leadership(&self) -> Result<Leadership, Fault> {
            Ok(Leadership { leader: 0, ballot: self.ballots[usize::from(self.round > 0)] })
        }

        fn syncs(&self) -> u64 {
            0
        }
    }

    fn run(fault: fn(&mut Vec<Vec<u8>>), ballots: [u64; 2]) -> Result<(), Fault> {
        let work = Work { nodes: 2, outstanding: 4, ..Work::columns()[0] }.with_entries(17);
        assert_eq!(work.entries, 20, "all rounds are whole");
        work.run(&mut Fake { round: 0, fault, ballots }, &Commands::new(work.size))
    }

    #[test]
    fn a_faultless_cluster_has_a_result() {
        assert!(run(|_| (), [1, 1]).is_ok());
    }

    #[test]
    fn lost_repeated_and_reordered_entries_are_faults() {
        let lost_last = run(|commands| drop(commands.pop()), [1, 1]);
        assert!(matches!(lost_last, Err(Fault::Count { node: 1, applied: 11, proposed: 12 })));
        let lost_first = run(|commands| drop(commands.remove(0)), [1, 1]);
        assert!(matches!(lost_first, Err(Fault::Wrong { node: 1, entry: 8, .. })));
        let repeated = run(|commands| commands.insert(1, commands[0].clone()), [1, 1]);
        assert!(matches!(repeated, Err(Fault::Wrong { node: 1, entry: 9, .. })));
        let reordered = run(|commands| commands.swap(1, 2), [1, 1]);
        assert!(matches!(reordered, Err(Fault::Wrong { node: 1, entry: 9, .. })));
        let cut = run(|commands| commands[3].truncate(15), [1, 1]);
        assert!(matches!(cut, Err(Fault::Wrong { node: 1, entry: 11, .. })));
        let invented = run(|commands| commands.push(Commands::new(16).0[12].clone()), [1, 1]);
        assert!(matches!(invented, Err(Fault::Count { node: 1, applied: 13, proposed: 12 })));
    }

    #[test]
    fn a_new_ballot_is_a_fault() {
        assert!(matches!(run(|_| (), [1, 2]), Err(Fault::NewLeader { .. })));
    }

    #[test]
    fn commands_differ_within_a_round_and_have_their_size() {
        let commands = Commands::new(64);
        let round = commands.round(2 * COMMANDS - 1024, 1024);
        assert!(round.windows(2).all(|two| two[0] != two[1] && two[0].len() == 64));
        assert_eq!(round[0][..8], (COMMANDS - 1024).to_le_bytes());
    }

    #[test]
    fn filters_select_columns() {
        let matching = |filter| Work::columns().iter().filter(|work| work.matches(filter)).count();
        assert_eq!(Work::columns().len(), 24);
        assert_eq!(matching("memory/16B/64/retained"), 1);
        assert_eq!((matching("16B/64/retained"), matching("file"), matching("1")), (2, 12, 8));
        assert_eq!((matching("16"), matching("disk/16B"), matching("")), (0, 0, 0));
    }
}
