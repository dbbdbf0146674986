//! A node that runs: the replica of the crate [`paxos`] with a store, a state machine, clients and peers around it.
//!
//! [`ready`] makes a node, and [`start`] runs it on a thread of its own; to share a thread, poll the future yourself. Everything
//! happens in turns: take in what is ready, step the protocol for all of it, one write and one sync, then send, apply
//! and answer. All input that is ready shares one sync. A batch of commands waits while the batch before it is in flight, and
//! for a short time for the clients that the batch before has just answered. An Accept message leaves before the leader's own
//! sync if the promise of its ballot is durable, so that the followers sync at the same time. Messages that depend only
//! on earlier syncs leave before the sync, too.
//!
//! ```text
//! clients --Handle--> Input \                                   / Packet --Transport--> peers
//!                            > Node: step, persist, release
//! peers ---Packet---> Input /                                   \ answers --> clients
//! ```
//!
//! What it is not: nothing here decides what is safe. The [`protocol`](paxos::protocol) does. It needs two things: that
//! records are durable before anything that depends on them leaves (the order in a node's turn), and that the store loses
//! none. Messages that are lost, repeated or delayed cost only time.
//!
//! # Modules, in reading order
//!
//! - [`machine`]: the state machine to which the log is applied. [`session`]: a command that is chosen twice is applied
//!   once.
//! - `node`: one turn. Around it are elections and timers (`timing`), what is about to be proposed (`batching`,
//!   `returning`, `flight`), what clients wait for (`pending_proposals`, `pending_reads`), the state machine (`replicated`), snapshots (`snapshots`, `saving`, `transfer`), and which peers
//!   may take part (`introduction`, `formation`, `plausible`).
//! - `handle`: what a program asks of a node, from any thread.
//! - [`wire`] and [`tcp`]: frames, and connections between processes. For any other way there is [`Transport`].
//! - [`turn`]: a node whose turns the caller begins and ends. The crate `paxos-simulator` runs clusters of them in virtual time.
//! - `simulation`, in tests: one node, turn by turn.
//!
//! # Embedding: your own machine, your own transport
//!
//! ```
//! use std::{collections::BTreeMap, io::Read, sync::{Arc, Mutex}};
//!
//! use bytes::Bytes;
//! use paxos::{Config, NodeId, To};
//! use paxos_node::{Frozen, Handle, Introductions, Options, Packet, RestoreError, StateMachine, Transport, ready, start};
//! use paxos_store::{MemoryStore, StoreId};
//!
//! /// The machine: counts how often each word was said.
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
//! /// The transport: a table of all nodes, and a task for each packet.
//! #[derive(Clone, Default)]
//! struct Table(Arc<Mutex<BTreeMap<NodeId, Handle<Words>>>>);
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
//! for me in nodes {
//!     let link = Link { me, table: table.clone(), runtime: tokio::runtime::Handle::current() };
//!     let (config, store) = (Config::new(me, nodes), MemoryStore::new(StoreId(me.0.into())));
//!     let machine = Words::default();
//!     let (options, met) = (Options::default(), Introductions::Omitted);
//!     let (running, node) = ready(config, options, met, machine, store, link)?;
//!     start(node)?;
//!     table.0.lock().unwrap().insert(me, running.handle);
//! }
//! let handle = |node| table.0.lock().unwrap()[&node].clone();
//! assert_eq!(handle(NodeId(1)).propose("hello").await?, "1");
//! assert_eq!(handle(NodeId(2)).propose("hello").await?, "2"); // any node will do
//! assert_eq!(handle(NodeId(3)).read(|words| words.0["hello"]).await?, 2);
//! # Ok(())
//! # }
//! ```

mod batching;
mod error;
mod event_log;
mod flight;
mod formation;
mod handle;
mod introduction;
pub mod machine;
mod node;
mod notes;
mod options;
mod packet;
mod pending_proposals;
mod pending_reads;
mod plausible;
mod replicated;
mod returning;
mod saving;
pub mod session;
#[cfg(test)]
mod simulation;
mod snapshots;
mod status;
pub mod tcp;
mod timing;
mod transfer;
pub mod turn;
pub mod wire;

use std::{io, pin::pin, sync::Arc, thread};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

pub use self::{
    error::NodeError,
    handle::Handle,
    introduction::{Admission, Introduction, Members},
    machine::{Answer, Frozen, RestoreError, StateMachine},
    node::Transport,
    notes::told,
    options::Options,
    packet::Packet,
    pending_proposals::ProposeError,
    pending_reads::ReadError,
    status::{Counts, Role, Status},
};
use self::{
    handle::Room,
    node::{Begun, Input, Node},
    saving::Writing,
};
use paxos::config::Config;
use paxos_store::Storage;

/// Whether nodes introduce themselves before they take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Introductions {
    /// The transport introduces them ([`Running::introduction`], [`Handle::introduce`],
    /// [`Handle::answered`]), so that a node that has lost its disk does not come back.
    Made,
    /// Nobody does. Then nobody notices if a node comes back without its memory, or if nodes were told of
    /// different members, and agreement is lost: for tests, and where something else rules that out.
    Omitted,
}

/// A node that was started.
pub struct Running<M: StateMachine> {
    /// To ask it.
    pub handle: Handle<M>,
    /// What it says of itself to its peers, on every connection.
    pub introduction: Introduction,
    /// Resolves when it has stopped: with an error, if it had to. Dropping it changes nothing.
    pub stopped: oneshot::Receiver<Result<(), NodeError>>,
}

/// A node that runs when the future is polled, and has stopped when it is done: for whoever has a
/// thread for it. It needs a tokio runtime with time. While it waits for its disk its thread waits with
/// it, so share that only with tasks that can wait as well. Those that carry its packets and serve its
/// clients can, and gain by it: nothing has to be handed from thread to thread.
///
/// # Errors
/// A configuration that cannot work; a store whose contents cannot be read or are not this node's.
pub fn ready<M: StateMachine, S: Storage + Send + 'static, T: Transport>(
    config: Config,
    options: Options,
    introductions: Introductions,
    machine: M,
    storage: S,
    transport: T,
) -> Result<(Running<M>, impl Future<Output = ()> + Send + 'static), NodeError> {
    let (inputs, arriving) = mpsc::channel(options.inputs_per_turn_max * 4);
    let handle = Handle {
        inputs,
        room: Arc::new(Room::new(options.requests_max, options.request_bytes_max)),
        command_bytes_max: options.command_bytes_max,
    };
    let most = options.inputs_per_turn_max;
    let introduced = introductions == Introductions::Made;
    let node = Node::recover(config, options, machine, storage, introduced)?;
    let introduction = node.introduction();
    let (end, stopped) = oneshot::channel();
    let running = async move {
        let ended = run(node, arriving, most, transport).await;
        let _ = end.send(ended); // Nobody may want to know.
    };
    Ok((Running { handle, introduction, stopped }, running))
}

/// Gives a node that is [`ready`] a thread of its own.
///
/// # Errors
/// The system has none.
pub fn start(node: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    thread::Builder::new().name("paxos".into()).spawn(move || runtime.block_on(node))?;
    Ok(())
}

/// One turn after the other, until it is told to stop or has to.
async fn run<M: StateMachine, S: Storage>(
    mut node: Node<M, S>,
    mut arriving: mpsc::Receiver<Input<M>>,
    most: usize,
    mut transport: impl Transport,
) -> Result<(), NodeError> {
    let start = Instant::now();
    let mut inputs = Vec::with_capacity(most);
    // One for all turns: a timer that is only put off does not wake the runtime.
    let mut alarm = pin!(tokio::time::sleep_until(start));
    // A snapshot that another thread writes. That thread ends before the store is closed.
    let mut writing: Option<Writing<S::SnapshotFile>> = None;
    let ended = loop {
        let wake_at = node.wake_at().map(|at| start + at);
        if let Some(at) = wake_at
            && at != alarm.deadline()
        {
            alarm.as_mut().reset(at);
        }
        tokio::select! {
            biased;
            saved = async { writing.as_mut().expect("it is there").saved().await },
                if writing.is_some() =>
            {
                writing = None;
                if let Err(error) = node.saved(saved) {
                    break Err(error);
                }
            }
            count = arriving.recv_many(&mut inputs, most) => {
                if count == 0 {
                    break Ok(()); // All handles are gone.
                }
            }
            () = &mut alarm, if wake_at.is_some() => {}
        }
        let now = start.elapsed();
        let begun = node.begin_turn(inputs.drain(..), now, &mut transport);
        if matches!(begun, Ok(Begun { syncs: true, .. })) {
            // If whoever carries packets and answers shares this thread, it has to come before the disk.
            tokio::task::yield_now().await;
        }
        match begun.and_then(|begun| node.end_turn(begun, now, &mut transport)) {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
        if let Some(job) = node.take_job() {
            writing = Some(Writing::start(job));
        }
        if node.is_behind() {
            // The next turn follows at once. Whoever shares this thread comes in between.
            tokio::task::yield_now().await;
        }
    };
    node.stop();
    ended
}
