//! Openraft. It has no state machine to step, but tasks, which run on a tokio runtime of one thread.
//!
//! - A message is a call of the other node's handle, which passes it through a channel without encoding.
//! - Clocks are off: nothing but commands makes a node act.
//! - A message has as many entries as there are.
//! - The log is a queue in memory. In a file, its changes are written as well. The leader of this version waits for the
//!   log after each command, so it syncs once for each command and not once for each round.

use std::{cell::RefCell, collections::VecDeque, fmt, io::Cursor, ops::RangeBounds, path::Path};
use std::{rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use openraft::{
    BasicNode, Config, Entry, EntryPayload, LogId, LogState, Raft, RaftLogReader, RaftNetwork,
    RaftNetworkFactory, RaftSnapshotBuilder, Snapshot, SnapshotMeta, SnapshotPolicy, StorageError,
    StorageIOError, StoredMembership, Vote,
    error::{InstallSnapshotError, RPCError, RaftError, RemoteError},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest,
        InstallSnapshotResponse, VoteRequest, VoteResponse,
    },
    storage::{LogFlushed, RaftLogStorage, RaftStateMachine},
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
    task::LocalSet,
    time,
};

use crate::{
    disk::{Kind, LogFile},
    workload::{Contestant, Fault, Leadership, Ledger, Work},
};

openraft::declare_raft_types!(Types: D = Bytes, R = ());

/// The time after which a cluster that does nothing has failed.
const PATIENCE: Duration = Duration::from_mins(1);

struct Cluster {
    runtime: Runtime,
    tasks: LocalSet,
    peers: Peers,
    logs: Vec<Log>,
    applied: Rc<Applied>,
    /// The number of log entries that are not commands. They are the first ones.
    others: u64,
}

type Peers = Rc<RefCell<Vec<Raft<Types>>>>;

/// The commands that the nodes have applied and not yet reported.
#[derive(Default)]
struct Applied {
    commands: RefCell<VecDeque<(usize, Bytes)>>,
    more: Notify,
}

pub(super) fn start(work: &Work, directory: &Path) -> Result<Box<dyn Contestant>, Fault> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let tasks = LocalSet::new();
    let peers = Peers::default();
    let applied = Rc::new(Applied::default());
    let mut logs = Vec::new();
    for node in 0..work.nodes {
        let file = LogFile::create(work, directory, node)?;
        logs.push(Log(Rc::new(RefCell::new(LogContent { file, ..LogContent::default() }))));
    }
    let others = tasks.block_on(&runtime, lead(&peers, &logs, &applied))?;
    Ok(Box::new(Cluster { runtime, tasks, peers, logs, applied, others }))
}

/// Starts the nodes, waits until all follow the first one, and returns the number of entries that this took.
async fn lead(peers: &Peers, logs: &[Log], applied: &Rc<Applied>) -> Result<u64, Fault> {
    let config = Arc::new(Config {
        enable_tick: false,
        enable_heartbeat: false,
        enable_elect: false,
        // A message is lost if it takes longer.
        heartbeat_interval: 100_000,
        election_timeout_min: 200_000,
        election_timeout_max: 300_000,
        max_payload_entries: 1 << 20,
        replication_lag_threshold: 1 << 40,
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        ..Config::default()
    });
    for (node, log) in logs.iter().enumerate() {
        let machine = Machine {
            node,
            applied: applied.clone(),
            last: None,
            members: StoredMembership::default(),
        };
        let network = Network(peers.clone());
        let raft = Raft::new(node as u64, config.clone(), network, log.clone(), machine).await;
        peers.borrow_mut().push(raft.map_err(refused)?);
    }
    let rafts = peers.borrow().clone();
    let members: Vec<_> = (0..).zip(&rafts).map(|(id, _)| (id, BasicNode::default())).collect();
    rafts[0]
        .initialize(members.into_iter().collect::<std::collections::BTreeMap<_, _>>())
        .await
        .map_err(refused)?;
    rafts[0]
        .wait(Some(PATIENCE))
        .current_leader(0, "the first node leads")
        .await
        .map_err(refused)?;
    // The entries are the members, and the empty entry of the new leader.
    let others = 2;
    for raft in &rafts {
        raft.wait(Some(PATIENCE))
            .applied_index(Some(others - 1), "the first entries are applied")
            .await
            .map_err(refused)?;
    }
    Ok(others)
}

fn refused(error: impl fmt::Display) -> Fault {
    Fault::Refused(format!("openraft: {error}"))
}

impl Contestant for Cluster {
    fn propose(&mut self, commands: &[Vec<u8>], ledger: &mut Ledger) -> Result<(), Fault> {
        let leader = self.peers.borrow()[0].clone();
        let nodes = self.logs.len();
        let applied = self.applied.clone();
        self.tasks.block_on(&self.runtime, async move {
            let mut answers = Vec::with_capacity(commands.len());
            for command in commands {
                answers.push(
                    leader
                        .client_write_ff(Bytes::copy_from_slice(command))
                        .await
                        .map_err(refused)?,
                );
            }
            let mut missing = nodes * commands.len();
            while missing > 0 {
                if applied.commands.borrow().is_empty() {
                    let more = time::timeout(PATIENCE, applied.more.notified()).await;
                    more.map_err(|_| refused(format!("{missing} entries are not applied")))?;
                }
                for (node, command) in applied.commands.borrow_mut().drain(..) {
                    ledger.apply(node, &command);
                    missing = missing.saturating_sub(1);
                }
            }
            for answer in answers {
                answer.await.map_err(refused)?.map_err(refused)?;
            }
            Ok(())
        })
    }

    fn trim(&mut self, entries: u64) -> Result<(), Fault> {
        let last = self.others + entries - 1;
        let rafts = self.peers.borrow().clone();
        self.tasks.block_on(&self.runtime, async move {
            // A node trims its log behind its own snapshot.
            for raft in &rafts {
                raft.trigger().snapshot().await.map_err(refused)?;
            }
            for raft in &rafts {
                raft.wait(Some(PATIENCE))
                    .metrics(|now| now.purged.is_some_and(|log| log.index >= last), "it is trimmed")
                    .await
                    .map_err(refused)?;
            }
            Ok(())
        })
    }

    fn leadership(&self) -> Result<Leadership, Fault> {
        let follows = |raft: &Raft<Types>| {
            let metrics = raft.metrics();
            let metrics = metrics.borrow();
            let leader = metrics.current_leader?;
            Some(Leadership { leader, ballot: metrics.current_term })
        };
        let peers = self.peers.borrow();
        let leadership = follows(&peers[0]).ok_or(Fault::NoLeader { node: 0 })?;
        match peers.iter().position(|raft| follows(raft) != Some(leadership)) {
            Some(node) => Err(Fault::NoLeader { node }),
            None => Ok(leadership),
        }
    }

    fn syncs(&self) -> u64 {
        self.logs.iter().filter_map(|log| Some(log.0.borrow().file.as_ref()?.syncs())).sum()
    }
}

/// The connections of a node.
struct Network(Peers);

/// The connection to a node.
struct Connection {
    target: u64,
    peers: Peers,
}

impl Connection {
    fn raft(&self) -> Raft<Types> {
        self.peers.borrow()[self.target as usize].clone()
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, _: &BasicNode) -> Connection {
        Connection { target, peers: self.0.clone() }
    }
}

type CallError<E = openraft::error::Infallible> = RPCError<u64, BasicNode, RaftError<u64, E>>;

impl RaftNetwork<Types> for Connection {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, CallError> {
        let answer = self.raft().append_entries(request).await;
        answer.map_err(|error| RemoteError::new(self.target, error).into())
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Types>,
        _: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, CallError<InstallSnapshotError>> {
        let answer = self.raft().install_snapshot(request).await;
        answer.map_err(|error| RemoteError::new(self.target, error).into())
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        _: RPCOption,
    ) -> Result<VoteResponse<u64>, CallError> {
        let answer = self.raft().vote(request).await;
        answer.map_err(|error| RemoteError::new(self.target, error).into())
    }
}

/// The log of a node.
#[derive(Clone)]
struct Log(Rc<RefCell<LogContent>>);

#[derive(Default)]
struct LogContent {
    vote: Option<Vote<u64>>,
    purged: Option<LogId<u64>>,
    /// The entries after those that were purged.
    entries: VecDeque<Entry<Types>>,
    file: Option<LogFile>,
}

impl LogContent {
    /// Returns the index of the first entry.
    fn first(&self) -> u64 {
        self.purged.map_or(0, |purged| purged.index + 1)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.file.as_mut().map_or(Ok(()), LogFile::sync)
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + fmt::Debug>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry<Types>>, StorageError<u64>> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let log = self.0.borrow();
        let first = log.first();
        let begin = match range.start_bound() {
            Included(&index) => index,
            Excluded(&index) => index + 1,
            Unbounded => first,
        };
        let end = match range.end_bound() {
            Included(&index) => index + 1,
            Excluded(&index) => index,
            Unbounded => u64::MAX,
        };
        let end = end.min(first + log.entries.len() as u64);
        let begin = begin.clamp(first, end);
        let range = (begin - first) as usize..(end - first) as usize;
        Ok(log.entries.range(range).cloned().collect())
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError<u64>> {
        let log = self.0.borrow();
        let last = log.entries.back().map(|entry| entry.log_id).or(log.purged);
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), StorageError<u64>> {
        let mut log = self.0.borrow_mut();
        log.vote = Some(*vote);
        if let Some(file) = &mut log.file {
            let leader = vote.leader_id();
            file.append(Kind::Promise, leader.term, leader.node_id, b"");
        }
        log.sync().map_err(|error| StorageIOError::write_vote(&error).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, StorageError<u64>> {
        Ok(self.0.borrow().vote)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Types>,
    ) -> Result<(), StorageError<u64>>
    where
        I: IntoIterator<Item = Entry<Types>>,
    {
        let mut log = self.0.borrow_mut();
        let LogContent { entries: kept, file, .. } = &mut *log;
        for entry in entries {
            if let Some(file) = file {
                let command: &[u8] = match &entry.payload {
                    EntryPayload::Normal(command) => command,
                    EntryPayload::Blank | EntryPayload::Membership(_) => b"",
                };
                let LogId { index, leader_id } = entry.log_id;
                file.append(Kind::Entry, index, leader_id.term, command);
            }
            kept.push_back(entry);
        }
        let synced = log.sync();
        callback.log_io_completed(synced);
        Ok(())
    }

    async fn truncate(&mut self, from: LogId<u64>) -> Result<(), StorageError<u64>> {
        let mut log = self.0.borrow_mut();
        let first = log.first();
        log.entries.truncate(from.index.saturating_sub(first) as usize);
        Ok(())
    }

    async fn purge(&mut self, through: LogId<u64>) -> Result<(), StorageError<u64>> {
        let mut log = self.0.borrow_mut();
        let dropped = (through.index + 1).saturating_sub(log.first()) as usize;
        let dropped = dropped.min(log.entries.len());
        log.entries.drain(..dropped);
        log.purged = Some(through);
        if let Some(file) = &mut log.file {
            file.append_lazily(Kind::Trimmed, through.index, 0, b"");
        }
        Ok(())
    }
}

/// The state machine of a node, which reports commands and keeps nothing.
#[derive(Clone)]
struct Machine {
    node: usize,
    applied: Rc<Applied>,
    last: Option<LogId<u64>>,
    members: StoredMembership<u64, BasicNode>,
}

impl RaftSnapshotBuilder<Types> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError<u64>> {
        let meta = SnapshotMeta {
            last_log_id: self.last,
            last_membership: self.members.clone(),
            snapshot_id: String::new(),
        };
        Ok(Snapshot { meta, snapshot: Box::default() })
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<u64>>, StoredMembership<u64, BasicNode>), StorageError<u64>> {
        Ok((self.last, self.members.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError<u64>>
    where
        I: IntoIterator<Item = Entry<Types>>,
    {
        let mut answers = Vec::new();
        let mut commands = self.applied.commands.borrow_mut();
        for entry in entries {
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(command) => commands.push_back((self.node, command)),
                EntryPayload::Membership(members) => {
                    self.members = StoredMembership::new(Some(entry.log_id), members);
                }
            }
            self.last = Some(entry.log_id);
            answers.push(());
        }
        self.applied.more.notify_one();
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(
        &mut self,
    ) -> Result<Box<Cursor<Vec<u8>>>, StorageError<u64>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, BasicNode>,
        _: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<u64>> {
        // The ledger misses the commands in the snapshot, so that the run is a fault.
        self.last = meta.last_log_id;
        self.members = meta.last_membership.clone();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError<u64>> {
        Ok(None)
    }
}
