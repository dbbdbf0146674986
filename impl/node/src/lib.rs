//! A node of Paxos for programs to embed: the replica of the crate [`paxos`] with a store, a replicated state machine,
//! clients and peers.
//!
//! [`ready`] makes a node, and [`start`] runs it on a thread of its own; to share a thread, poll the future yourself.
//! The node works in turns. A turn steps the replica for all inputs that are ready, and sends, applies and answers whatever
//! rests on durable records. A thread of its own writes and syncs the records. The records of all turns during a sync
//! share the next one.
//!
//! ```text
//! clients --ClientHandle--> Input \                         / Packet --Transport--> peers
//!                                  > Node: step, release
//! peers -----PeerHandle---> Input /      |         ^        \ answers --> clients
//!                                      Commit   Durable
//!                                        v         |
//!                                       thread of the disk
//! ```
//!
//! Three rules keep a turn cheap:
//!
//! - A batch of commands waits while the batch before it is in flight, and for a short time for the clients that the
//!   last batch has just answered.
//! - An Accept message leaves before the leader's own sync if the promise of its ballot is durable, so that the
//!   followers sync at the same time.
//! - A message that depends only on earlier syncs leaves at once.
//!
//! Safety is decided in [`paxos::protocol`]. The protocol needs two things from its surroundings: the node makes
//! records durable before anything that depends on them leaves, and the store loses no record. Messages that are lost,
//! repeated or delayed cost only time. Nothing here is encrypted or authenticated, and the members of a cluster cannot
//! change.
//!
//! # Modules, in reading order
//!
//! - [`machine`]: the state machine that a program brings. [`typed`]: machines and clients with Rust types in place of
//!   bytes. [`session`]: the client table, by which a command that is chosen twice is applied once.
//! - `node`: one turn, and the parts that it connects:
//!   - `peers`: the peers that take part. `handshake` is the data that nodes exchange on connecting, and `bootstrap`
//!     forms a cluster. `incarnations` finds stores that have lost memory, `metadata` is the data that a store keeps
//!     beside the log, and `plausible` refuses packets with absurd numbers.
//!   - `elections`, `timers`: pre-votes, the leader that is heard, and the times for everything. `hand_over`: a leader
//!     lets another node lead.
//!   - `promises`: long promises in parts.
//!   - `proposals`: commands that wait (`pending`), batches (`batching`, `batch_delay`), and proposals in flight
//!     (`in_flight`).
//!   - `reads`: linearizable reads. `catching_up`: one question for chosen values at a time.
//!   - `replicated`: applies the log to the state machine.
//!   - `snapshots`: takes snapshots, and fetches those of peers (`transfer`). `saving` writes and restores them while
//!     the node goes on.
//!   - `noted_votes`: the commits of records, each with the note of the votes that are for chosen values.
//! - `disk_thread`: makes commits durable while the node goes on.
//! - `client_handle`, `peer_handle`: the ways into a node, from any thread. `leadership`: a watch of the leader.
//!   `options`, `status`, `event_log`, `error`: for the operator of a node. `packet`: the data that nodes send.
//! - [`wire`] and [`tcp`]: frames, and connections between processes. For another network, implement [`Transport`].
//! - [`turn`]: a node whose turns and syncs its caller runs. The crate `paxos-simulator` runs clusters of them in
//!   virtual time.
//! - `recording`: writes each thing that the node does to a recording, if the options ask for one.
//! - `simulation`, in tests: one node, turn by turn. `faults`: known bugs of drivers, which tests inject.
//!
//! # Embedding: your own machine, your own transport
//!
//! ```
//! use std::{collections::BTreeMap, io::Read, sync::{Arc, Mutex}};
//!
//! use bytes::Bytes;
//! use paxos::{Config, NodeId, To};
//! use paxos_node::{Frozen, Handshakes, Options, Packet, PeerHandle, RestoreError, StateMachine, Transport, ready, start};
//! use paxos_store::{MemoryStore, StoreId};
//!
//! /// The state machine: counts each word.
//! #[derive(Default)]
//! struct Words(BTreeMap<String, u64>);
//!
//! impl StateMachine for Words {
//!     type Answer = Bytes;
//!
//!     fn apply(&mut self, command: &[u8]) -> Bytes {
//!         let count = self.0.entry(String::from_utf8_lossy(command).into()).or_default();
//!         *count += 1;
//!         count.to_string().into()
//!     }
//!     fn snapshot(&self) -> Frozen {
//!         let words = self.0.clone();
//!         Box::new(move |file| Ok(serde_json::to_writer(file, &words)?))
//!     }
//!     fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
//!         let words = serde_json::from_reader(snapshot);
//!         self.0 = words.map_err(|error| RestoreError::new(error.to_string()))?;
//!         Ok(())
//!     }
//! }
//!
//! /// The transport: the handles of all nodes, and a task for each packet.
//! #[derive(Clone, Default)]
//! struct Table(Arc<Mutex<BTreeMap<NodeId, PeerHandle<Words>>>>);
//!
//! struct Link { me: NodeId, table: Table, runtime: tokio::runtime::Handle }
//!
//! impl Transport for Link {
//!     fn send(&mut self, to: To, packet: Packet) {
//!         for (&node, handle) in self.table.0.lock().unwrap().iter() {
//!             if node != self.me && (to == To::Peers || to == To::Node(node)) {
//!                 let (me, handle, packet) = (self.me, handle.clone(), packet.clone());
//!                 self.runtime.spawn(async move { handle.deliver(me, packet).await });
//!             }
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (nodes, table) = ([NodeId(1), NodeId(2), NodeId(3)], Table::default());
//! let mut clients = BTreeMap::new();
//! for me in nodes {
//!     let link = Link { me, table: table.clone(), runtime: tokio::runtime::Handle::current() };
//!     let (config, store) = (Config::new(me, nodes), MemoryStore::new(StoreId(me.0.into())));
//!     let machine = Words::default();
//!     let (options, handshakes) = (Options::default(), Handshakes::Omitted);
//!     let (running, node) = ready(config, options, handshakes, machine, store, link)?;
//!     start(node)?;
//!     table.0.lock().unwrap().insert(me, running.peers);
//!     clients.insert(me, running.clients);
//! }
//! assert_eq!(clients[&NodeId(1)].propose("hello").await?, "1");
//! assert_eq!(clients[&NodeId(2)].propose("hello").await?, "2"); // any node will do
//! assert_eq!(clients[&NodeId(3)].read(|words| words.0["hello"]).await?, 2);
//! # Ok(())
//! # }
//! ```

/// The code of the document compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
mod embedding {}

mod catching_up;
mod client_handle;
mod disk_thread;
mod elections;
mod error;
mod event_log;
mod faults;
mod hand_over;
mod kept_log;
mod leadership;
pub mod machine;
mod node;
mod noted_votes;
mod options;
mod packet;
mod peer_handle;
mod peers;
mod promises;
mod proposals;
mod reads;
mod recording;
mod replicated;
mod saving;
pub mod session;
#[cfg(test)]
mod simulation;
mod snapshots;
mod status;
pub mod tcp;
mod timers;
mod transfer;
pub mod turn;
pub mod typed;
mod window;
pub mod wire;

use std::{io, pin::pin, thread};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

#[cfg(feature = "faults")]
pub use self::faults::Fault;
pub use self::{
    client_handle::ClientHandle,
    error::NodeError,
    hand_over::TransferError,
    leadership::Leadership,
    machine::{Answer, Frozen, RestoreError, StateMachine},
    node::Transport,
    options::{Options, OptionsBuilder, OptionsError},
    packet::Packet,
    peer_handle::PeerHandle,
    peers::{Admission, Handshake, Members, describe_metadata},
    proposals::ProposeError,
    reads::ReadError,
    status::{Counts, Role, Status},
};
use self::{
    client_handle::RequestLimits,
    disk_thread::{DiskThread, SharedStorage},
    node::{Input, Node},
    saving::Saving,
};
use paxos::config::Config;
use paxos_store::Storage;

/// The choice between a cluster with handshakes and one without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshakes {
    /// The transport carries a handshake on each connection ([`Running::handshake`], [`PeerHandle::admit`],
    /// [`PeerHandle::admitted`]), so that a node that has lost its disk does not take part again.
    Made,
    /// There are no handshakes. The nodes do not notice a node that has lost its memory or was given other members, and
    /// agreement may be lost. This is for tests, and for clusters that exclude both by other means.
    Omitted,
}

/// The handles of a node.
pub struct Running<M: StateMachine> {
    /// The handle for clients, which also stops the node.
    pub clients: ClientHandle<M>,
    /// The handle for the transport.
    pub peers: PeerHandle<M>,
    /// The handshake that the transport carries to each peer, on every connection.
    pub handshake: Handshake,
    /// Resolves when the node has stopped, with an error if the node had to stop. Dropping the receiver does not stop
    /// the node.
    pub stopped: oneshot::Receiver<Result<(), NodeError>>,
}

/// Makes a node. The node runs while the future is polled, and has stopped when the future is done.
///
/// The future needs a tokio runtime with time. A thread of its own makes records durable. The tasks that carry the packets
/// of the node and serve its clients are faster on the thread of the future, because nothing has to be passed from thread
/// to thread.
///
/// # Errors
/// The configuration cannot work, or the contents of the store cannot be read or belong to another node.
pub fn ready<M: StateMachine, S: Storage + Send + 'static, T: Transport>(
    config: Config,
    options: Options,
    handshakes: Handshakes,
    machine: M,
    storage: S,
    transport: T,
) -> Result<(Running<M>, impl Future<Output = ()> + Send + 'static), NodeError> {
    let inputs_max = options.inputs_per_turn_max;
    let (inputs, arriving) = mpsc::channel(inputs_max * 4);
    let limits = RequestLimits::new(&options);
    let handshakes = handshakes == Handshakes::Made;
    let storage = SharedStorage::new(storage);
    let node = Node::recover(config, options, machine, storage.clone(), handshakes)?;
    let clients = ClientHandle::new(inputs.clone(), limits, node.leadership());
    let peers = PeerHandle { inputs };
    let handshake = node.handshake();
    let (end, stopped) = oneshot::channel();
    let running = async move {
        let ended = run(node, storage, arriving, transport).await;
        let _ = end.send(ended); // The receiver may have been dropped.
    };
    Ok((Running { clients, peers, handshake, stopped }, running))
}

/// Runs the future that [`ready`] has returned on a thread of its own.
///
/// # Errors
/// The system cannot start the thread.
pub fn start(node: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    thread::Builder::new().name("paxos".into()).spawn(move || runtime.block_on(node))?;
    Ok(())
}

/// Runs one turn after the other, until the node stops.
async fn run<M: StateMachine, S: Storage + Send + 'static>(
    mut node: Node<M, SharedStorage<S>>,
    storage: SharedStorage<S>,
    mut arriving: mpsc::Receiver<Input<M>>,
    mut transport: impl Transport,
) -> Result<(), NodeError> {
    let start = Instant::now();
    // Both threads end before the store is closed.
    let mut disk = DiskThread::start(storage).map_err(NodeError::Thread)?;
    let mut saving: Option<Saving<M, S::SnapshotFile>> = None;
    let mut inputs = Vec::new();
    // All turns share one timer: moving it to a later time does not wake the runtime.
    let mut alarm = pin!(tokio::time::sleep_until(start));
    let ended = loop {
        let wake_at = node.wake_at().map(|at| start + at);
        if let Some(at) = wake_at
            && at != alarm.deadline()
        {
            alarm.as_mut().reset(at);
        }
        let inputs_max = node.inputs_max();
        tokio::select! {
            biased;
            saved = async { saving.as_mut().expect("it is there").saved().await },
                if saving.is_some() =>
            {
                saving = None;
                if let Err(error) = node.saved(saved) {
                    break Err(error);
                }
            }
            committed = disk.committed(), if disk.is_busy() => {
                if let Err(error) = node.committed(committed, start.elapsed(), &mut transport) {
                    break Err(error);
                }
            }
            count = arriving.recv_many(&mut inputs, inputs_max), if inputs_max > 0 => {
                if count == 0 {
                    break Ok(()); // All handles were dropped.
                }
            }
            () = &mut alarm, if wake_at.is_some() => {}
        }
        match node.turn(inputs.drain(..), start.elapsed(), &mut transport) {
            Ok(true) => {}
            Ok(false) => break last_commits(&mut node, &mut disk, start, &mut transport).await,
            Err(error) => break Err(error),
        }
        if let Some(commit) = node.take_commit(&mut transport) {
            disk.begin(commit);
        }
        if let Some(job) = node.take_job() {
            saving = Some(Saving::start(job));
        }
        if node.is_behind() {
            // The next turn follows at once. Lets other tasks on this thread run between the two.
            tokio::task::yield_now().await;
        }
    };
    node.stop();
    ended
}

/// Makes the records of a node durable that was told to stop, releases their effects, and ends the node.
async fn last_commits<M: StateMachine, S: Storage + Send + 'static>(
    node: &mut Node<M, SharedStorage<S>>,
    disk: &mut DiskThread,
    start: Instant,
    transport: &mut impl Transport,
) -> Result<(), NodeError> {
    loop {
        if let Some(commit) = node.take_commit(transport) {
            disk.begin(commit);
        }
        if !disk.is_busy() {
            return node.end();
        }
        node.committed(disk.committed().await, start.elapsed(), transport)?;
    }
}
