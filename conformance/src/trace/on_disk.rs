//! Nodes whose records are in a real store: each is a production replica with a [`Disk`] in a temporary directory.
//!
//! The nodes take the steps that the lockstep takes in memory, all into one [`Output`]. The records of each step are a write. It
//! stays under way until the sync of the step, unless the model makes the step durable at once. A sync persists the oldest
//! write. A snapshot is written to the store before the replica trims its log. A crash drops the replica, the store, the output
//! and the writes. Then the node opens its directory and recovers.
//!
//! After each step the replica, its output and its writes are those of the node in memory, which the lockstep has compared with
//! the model. After each step that reaches the disk, and after each crash, a copy of the directory is opened, and its records are
//! compared with the acceptor that is durable in the model. The output gives up messages against the tokens of durable writes.
//! Each message that it gives up must be in the network of the model, and once the node of the model has no unsynced step, all
//! messages must have left.
//!
//! The nodes say nothing about the driver's loop, about TCP, or about a loss of power: the operating system stays up, so no
//! sync is lost. The bytes of a snapshot are a name, because the model has no state machine.

use std::{collections::VecDeque, fs, path::Path};

use bytes::Bytes;
use paxos::{Envelope, Output, Write};
use paxos_lockstep::{
    comparator::{Comparator, Divergence},
    mutants::TestedReplica,
    pairs::{Lockstep, Pair},
    projection::{real_node, real_slot},
};
use paxos_model::cluster::{
    Action, CheckedCluster,
    state::{Acceptor, Input, Message, Network, NodeId},
};
use paxos_store::{Disk, Identity, Memory, Snapshot, Storage as _, StorageError};
use tempfile::TempDir;

/// A fault of a store. Tests show that the replay finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The last record is missing when the directory is opened after a crash.
    DropsTheLastRecord,
    /// Records that no sync made durable survive a crash.
    KeepsUnsynced,
    /// A write is taken for durable as soon as it begins.
    BelievesEarly,
}

/// The reason for which the nodes do not follow.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// They differ from the model.
    Differs(Box<Divergence>),
    /// The system has failed a store.
    System(StorageError),
}

impl From<Box<Divergence>> for Trouble {
    fn from(divergence: Box<Divergence>) -> Self {
        Self::Differs(divergence)
    }
}

type Followed<T = ()> = Result<T, Trouble>;

/// The nodes of a cluster, each with a directory.
#[derive(Debug)]
pub struct Nodes {
    nodes: Vec<Node>,
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Node {
    replica: TestedReplica,
    /// `None` only while the node is down.
    store: Option<Disk>,
    output: Output,
    /// The writes of steps that are not yet synced, oldest first.
    writes: VecDeque<Write>,
    /// The messages that have not left, in order, each with the messages of the model.
    held: VecDeque<(Envelope, Vec<Message>)>,
    identity: Identity,
    /// The last field, so that the store is closed before its directory is removed.
    directory: TempDir,
}

impl Nodes {
    /// Makes the nodes of the first state, each with a new store.
    ///
    /// # Errors
    /// Fails if a directory or a store cannot be made.
    pub fn start(pair: &Pair, fault: Option<Fault>) -> Result<Self, StorageError> {
        let node = |id: u8, replica: &TestedReplica| {
            let directory = TempDir::with_prefix("paxos-replay-")
                .map_err(StorageError::io("make a temporary directory"))?;
            let identity = Identity { cluster: "replay".into(), node: real_node(NodeId(id)) };
            let store = Some(Disk::create(directory.path(), &identity)?);
            Ok(Node {
                replica: replica.clone(),
                store,
                output: Output::default(),
                writes: VecDeque::new(),
                held: VecDeque::new(),
                identity,
                directory,
            })
        };
        let nodes = (0..).zip(&pair.nodes).map(|(id, pair)| node(id, pair.tested.replica()));
        Ok(Self { nodes: nodes.collect::<Result<_, StorageError>>()?, fault })
    }

    /// Takes the step that leads from `before` to `after`, which agree with the model.
    ///
    /// # Errors
    /// Returns the first difference from the model, or the error of the system that the store met.
    pub(crate) fn follow(
        &mut self,
        cluster: &CheckedCluster,
        lockstep: &Lockstep,
        (before, after): (&Pair, &Pair),
        action: Action,
    ) -> Followed {
        let input = cluster.input(&before.model, action);
        let ((Action::Sync(id) | Action::Crash(id), _) | (_, Some((id, _)))) = (action, input)
        else {
            unreachable!("other actions are inputs of a node")
        };
        let comparator = lockstep.comparator(id);
        let place = usize::from(id.0);
        let (node, expected) = (&mut self.nodes[place], &after.nodes[place]);
        match (action, input) {
            (Action::Sync(_), _) => {
                let Some(oldest) = node.writes.pop_front() else {
                    return Ok(comparator.differ("unsynced steps", "one to sync", "none")?);
                };
                node.persist(&comparator, oldest)?;
            }
            (Action::Crash(_), _) => node.crash(&comparator, self.fault)?,
            (_, Some((_, input))) => {
                if let Input::Snapshot { below } = input {
                    let state = Bytes::from(format!("below {}", below.0));
                    let snapshot = Snapshot { below: real_slot(below), state };
                    stored(&comparator, node.store().persist_snapshot(&snapshot))?;
                }
                let event = comparator.projection.event(id, input);
                let (mut output, mut in_memory) = (Output::default(), Output::default());
                node.replica.step(event.clone(), &mut output);
                before.nodes[place].tested.replica().clone().step(event, &mut in_memory);
                if output != in_memory {
                    return Ok(comparator.differ("output of the node", in_memory, output)?);
                }
                node.hold(&comparator, &expected.model.live.acceptor, output)?;
                let early: Vec<_> = node.output.take_early().collect();
                node.leave(&comparator, &after.model.network, early)?;
                let write = node.output.write();
                if expected.model.unsynced.is_empty() || self.fault == Some(Fault::BelievesEarly) {
                    write.map_or(Ok(()), |write| node.persist(&comparator, write))?;
                } else {
                    node.writes.extend(write);
                }
            }
            _ => unreachable!("other actions are inputs of a node"),
        }
        comparator.compare_live(&node.replica, &expected.model.live)?;
        if node.replica != *expected.tested.replica() {
            let (one, other) = (expected.tested.replica(), &node.replica);
            return Ok(comparator.differ("replica of the node", one, other)?);
        }
        let released = std::mem::take(node.output.released());
        node.leave(&comparator, &after.model.network, released.messages)?;
        if expected.model.unsynced.is_empty() && !node.held.is_empty() {
            return Ok(comparator.differ("messages that wait", "none", &node.held)?);
        }
        let waiting = expected.tested.unsynced();
        if !node.writes.iter().map(Write::records).eq(waiting) {
            return Ok(comparator.differ("records that wait", waiting, &node.writes)?);
        }
        let found = stored(&comparator, node.found())?;
        Ok(comparator.compare_disk(&found, &expected.model.durable)?)
    }
}

impl Node {
    fn store(&mut self) -> &mut Disk {
        self.store.as_mut().expect("the node is up")
    }

    /// Makes a write durable in the store.
    fn persist(&mut self, comparator: &Comparator<'_>, write: Write) -> Followed {
        let durable = write.persist(|records| self.store().persist(records));
        self.output.durable(stored(comparator, durable)?);
        Ok(())
    }

    /// Adds the output of a step, after which the model's node has this acceptor.
    fn hold(&mut self, comparator: &Comparator<'_>, after: &Acceptor, step: Output) -> Followed {
        for envelope in &step.held().messages {
            let said = comparator.said(after, envelope)?;
            self.held.push_back((envelope.clone(), said));
        }
        self.output.append(step);
        Ok(())
    }

    /// Lets messages leave, which must be in the network of the model.
    fn leave(
        &mut self,
        comparator: &Comparator<'_>,
        network: &Network,
        messages: Vec<Envelope>,
    ) -> Followed {
        for message in messages {
            let place = self.held.iter().position(|(held, _)| *held == message);
            let said = place.and_then(|place| self.held.remove(place)).map(|(_, said)| said);
            if !said.is_some_and(|said| network.has_all(&said)) {
                return Ok(comparator.differ("messages that leave", "not sent yet", message)?);
            }
        }
        Ok(())
    }

    /// Loses the replica and all that is not durable, and recovers.
    fn crash(&mut self, comparator: &Comparator<'_>, fault: Option<Fault>) -> Followed {
        let writes = std::mem::take(&mut self.writes);
        if fault == Some(Fault::KeepsUnsynced) {
            for write in writes {
                self.persist(comparator, write)?;
            }
        }
        self.output = Output::default();
        self.held.clear();
        self.store = None;
        let mut store = stored(comparator, Disk::open(self.directory.path(), &self.identity))?;
        let mut records = stored(comparator, store.recover())?;
        if fault == Some(Fault::DropsTheLastRecord) {
            records.pop();
        }
        self.store = Some(store);
        let config = comparator.projection.config(comparator.node);
        match self.replica.recover(config, records) {
            Ok(replica) => self.replica = replica,
            Err(error) => comparator.differ("recovery", "recovers", error.to_string())?,
        }
        Ok(())
    }

    /// Returns the records in a copy of the directory. The store keeps the lock on the directory itself.
    fn found(&self) -> Result<Memory, StorageError> {
        let copy = copied(self.directory.path()).map_err(StorageError::io("copy the store"))?;
        let records = Disk::open(copy.path(), &self.identity)?.recover()?;
        let mut memory = Memory::default();
        memory
            .append(&records)
            .map_err(std::io::Error::other)
            .map_err(StorageError::io("replay"))?;
        Ok(memory)
    }
}

/// Copies the files of a directory to a new temporary directory.
fn copied(directory: &Path) -> std::io::Result<TempDir> {
    let copy = TempDir::with_prefix("paxos-replay-")?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
    }
    Ok(copy)
}

/// Makes an error of a store a difference, but for an error of the system: that says nothing about the store.
fn stored<T>(comparator: &Comparator<'_>, result: Result<T, StorageError>) -> Followed<T> {
    match result {
        Ok(done) => Ok(done),
        Err(error @ StorageError::Io { .. }) => Err(Trouble::System(error)),
        Err(error) => Ok(comparator.differ("the store", "works", error.to_string())?),
    }
}
