//! `OmniPaxos`, with entries of `Bytes` or `Vec<u8>`, and with or without its batching.
//!
//! With batching, a batch is a round, so that no entry waits for a timer. The log is the memory storage that the
//! project publishes. In a file, its changes are written as well: a node holds its messages and its decided entries
//! back until one sync has made all changes of its turn durable. The decided index is written and not synced.

use std::{cell::RefCell, path::Path, rc::Rc};

use bytes::Bytes;
use omnipaxos::{
    ClusterConfig, OmniPaxos, ServerConfig,
    ballot_leader_election::Ballot,
    messages::Message,
    storage::{Entry, NoSnapshot, StopSign, Storage, StorageOp, StorageResult},
    util::LogEntry,
};
use omnipaxos_storage::memory_storage::MemoryStorage;

use super::turns::{self, Turns};
use crate::{
    disk::{Kind, LogFile},
    workload::{Contestant, Fault, Leadership, Work},
};

/// A command in the log of `OmniPaxos`.
#[derive(Clone, Debug)]
struct Command<P>(P);

/// The bytes of a command.
pub(super) trait Payload: Clone + std::fmt::Debug + AsRef<[u8]> + 'static {
    fn of(command: &[u8]) -> Self;
}

impl Payload for Bytes {
    fn of(command: &[u8]) -> Self {
        Self::copy_from_slice(command)
    }
}

impl Payload for Vec<u8> {
    fn of(command: &[u8]) -> Self {
        command.to_vec()
    }
}

impl<P: Payload> Entry for Command<P> {
    type Snapshot = NoSnapshot;
}

struct Node<P: Payload> {
    core: OmniPaxos<Command<P>, Log<P>>,
    applied: usize,
    outgoing: Vec<Message<Command<P>>>,
    file: Option<Rc<RefCell<LogFile>>>,
}

pub(super) fn start<P: Payload, const BATCHED: bool>(
    work: &Work,
    directory: &Path,
) -> Result<Box<dyn Contestant>, Fault> {
    let node = |index| {
        let file = LogFile::create(work, directory, index)?.map(|file| Rc::new(RefCell::new(file)));
        let cluster = ClusterConfig {
            configuration_id: 1,
            nodes: (0..work.nodes).map(pid).collect(),
            flexible_quorum: None,
        };
        let server = ServerConfig {
            pid: pid(index),
            batch_size: if BATCHED { work.outstanding as usize } else { 1 },
            ..ServerConfig::default()
        };
        let log = Log { memory: MemoryStorage::default(), written: 0, file: file.clone() };
        let core = cluster
            .build_for_server(server, log)
            .map_err(|error| Fault::Refused(error.to_string()))?;
        Ok(Node { core, applied: 0, outgoing: Vec::new(), file })
    };
    let nodes = (0..work.nodes).map(node).collect::<Result<_, Fault>>()?;
    Ok(Box::new(Turns::<Node<P>>::led(nodes)?))
}

/// Returns the name of a node, which must not be 0.
fn pid(index: usize) -> u64 {
    index as u64 + 1
}

impl<P: Payload> turns::Node for Node<P> {
    type Message = Message<Command<P>>;

    fn campaign(&mut self) -> Result<(), Fault> {
        self.core.try_become_leader();
        Ok(())
    }

    fn propose(&mut self, commands: &[Vec<u8>]) -> Result<(), Fault> {
        for command in commands {
            self.core
                .append(Command(P::of(command)))
                .map_err(|error| Fault::Refused(format!("omnipaxos refused: {error:?}")))?;
        }
        Ok(())
    }

    fn receive(&mut self, _: usize, message: Self::Message) -> Result<(), Fault> {
        self.core.handle_incoming(message);
        Ok(())
    }

    fn trim(&mut self, entries: u64) -> Result<(), Fault> {
        // The leader tells the others.
        if self.core.get_current_leader().is_some_and(|(leader, _)| leader == self.core.get_pid()) {
            self.core
                .trim(Some(entries as usize))
                .map_err(|error| Fault::Refused(format!("omnipaxos does not trim: {error}")))?;
        }
        Ok(())
    }

    fn end_turn(
        &mut self,
        mut send: impl FnMut(usize, Self::Message),
        mut apply: impl FnMut(&[u8]),
    ) -> Result<(), Fault> {
        if let Some(file) = &self.file {
            file.borrow_mut().sync()?;
        }
        for entry in self.core.read_decided_suffix(self.applied).into_iter().flatten() {
            match entry {
                LogEntry::Decided(Command(payload)) => apply(payload.as_ref()),
                other => return Err(Fault::Refused(format!("omnipaxos decided {other:?}"))),
            }
        }
        self.applied = self.core.get_decided_idx();
        self.core.take_outgoing_messages(&mut self.outgoing);
        for message in self.outgoing.drain(..) {
            send(message.get_receiver() as usize - 1, message);
        }
        Ok(())
    }

    fn leadership(&self) -> Option<Leadership> {
        // The second part is true in the phase in which a node accepts entries.
        let (leader, true) = self.core.get_current_leader()? else { return None };
        Some(Leadership { leader: leader - 1, ballot: self.core.get_promise().n.into() })
    }

    fn syncs(&self) -> u64 {
        turns::syncs_of(self.file.as_ref().map(|file| file.borrow()).as_deref())
    }
}

/// The log in memory, whose changes are also written to a file if there is one.
struct Log<P: Payload> {
    memory: MemoryStorage<Command<P>>,
    /// The position of the next entry.
    written: u64,
    file: Option<Rc<RefCell<LogFile>>>,
}

impl<P: Payload> Log<P> {
    fn write(&mut self, kind: Kind, first: u64, second: u64) {
        if let Some(file) = &self.file {
            file.borrow_mut().append(kind, first, second, b"");
        }
    }

    fn write_lazily(&mut self, kind: Kind, number: usize) {
        if let Some(file) = &self.file {
            file.borrow_mut().append_lazily(kind, number as u64, 0, b"");
        }
    }

    fn write_entries(&mut self, entries: &[Command<P>]) {
        if let Some(file) = &self.file {
            let mut file = file.borrow_mut();
            for Command(payload) in entries {
                file.append(Kind::Entry, self.written, 0, payload.as_ref());
                self.written += 1;
            }
        }
    }
}

/// Each function is that of the memory storage, with the record of the change.
impl<P: Payload> Storage<Command<P>> for Log<P> {
    fn write_atomically(&mut self, ops: Vec<StorageOp<Command<P>>>) -> StorageResult<()> {
        for op in ops {
            match op {
                StorageOp::AppendEntry(entry) => self.append_entry(entry)?,
                StorageOp::AppendEntries(entries) => self.append_entries(entries)?,
                StorageOp::AppendOnPrefix(from, entries) => self.append_on_prefix(from, entries)?,
                StorageOp::SetPromise(ballot) => self.set_promise(ballot)?,
                StorageOp::SetDecidedIndex(index) => self.set_decided_idx(index)?,
                StorageOp::SetAcceptedRound(ballot) => self.set_accepted_round(ballot)?,
                StorageOp::SetCompactedIdx(index) => self.set_compacted_idx(index)?,
                StorageOp::Trim(index) => self.trim(index)?,
                StorageOp::SetStopsign(stop) => self.set_stopsign(stop)?,
                StorageOp::SetSnapshot(snapshot) => self.set_snapshot(snapshot)?,
            }
        }
        Ok(())
    }

    fn append_entry(&mut self, entry: Command<P>) -> StorageResult<()> {
        self.write_entries(std::slice::from_ref(&entry));
        self.memory.append_entry(entry)
    }

    fn append_entries(&mut self, entries: Vec<Command<P>>) -> StorageResult<()> {
        self.write_entries(&entries);
        self.memory.append_entries(entries)
    }

    fn append_on_prefix(&mut self, from: usize, entries: Vec<Command<P>>) -> StorageResult<()> {
        self.written = from as u64;
        self.write_entries(&entries);
        self.memory.append_on_prefix(from, entries)
    }

    fn set_promise(&mut self, ballot: Ballot) -> StorageResult<()> {
        self.write(Kind::Promise, ballot.n.into(), ballot.pid);
        self.memory.set_promise(ballot)
    }

    fn set_decided_idx(&mut self, index: usize) -> StorageResult<()> {
        self.write_lazily(Kind::Chosen, index);
        self.memory.set_decided_idx(index)
    }

    fn get_decided_idx(&self) -> StorageResult<usize> {
        self.memory.get_decided_idx()
    }

    fn set_accepted_round(&mut self, ballot: Ballot) -> StorageResult<()> {
        self.write(Kind::Promise, ballot.n.into(), ballot.pid);
        self.memory.set_accepted_round(ballot)
    }

    fn get_accepted_round(&self) -> StorageResult<Option<Ballot>> {
        self.memory.get_accepted_round()
    }

    fn get_entries(&self, from: usize, to: usize) -> StorageResult<Vec<Command<P>>> {
        self.memory.get_entries(from, to)
    }

    fn get_log_len(&self) -> StorageResult<usize> {
        self.memory.get_log_len()
    }

    fn get_suffix(&self, from: usize) -> StorageResult<Vec<Command<P>>> {
        self.memory.get_suffix(from)
    }

    fn get_promise(&self) -> StorageResult<Option<Ballot>> {
        self.memory.get_promise()
    }

    fn set_stopsign(&mut self, stop: Option<StopSign>) -> StorageResult<()> {
        // Only a change of members has one.
        self.memory.set_stopsign(stop)
    }

    fn get_stopsign(&self) -> StorageResult<Option<StopSign>> {
        self.memory.get_stopsign()
    }

    fn trim(&mut self, index: usize) -> StorageResult<()> {
        self.write_lazily(Kind::Trimmed, index);
        self.memory.trim(index)
    }

    fn set_compacted_idx(&mut self, index: usize) -> StorageResult<()> {
        self.memory.set_compacted_idx(index)
    }

    fn get_compacted_idx(&self) -> StorageResult<usize> {
        self.memory.get_compacted_idx()
    }

    fn set_snapshot(&mut self, snapshot: Option<NoSnapshot>) -> StorageResult<()> {
        self.memory.set_snapshot(snapshot)
    }

    fn get_snapshot(&self) -> StorageResult<Option<NoSnapshot>> {
        self.memory.get_snapshot()
    }
}
