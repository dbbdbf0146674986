//! Packets over TCP.
//!
//! A node connects to each peer, and sends on the connection that it made; it receives on those that
//! were made to it. So a connection carries one direction, and one that breaks, or carries damage,
//! costs what was on its way and nothing else: it is made again, with growing pauses, and the nodes
//! send again what they still need. Nothing here is encrypted or authenticated.

mod dial;
pub mod handshake;
mod listen;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

use super::{Handle, Packet, Running, Transport};
use crate::{
    message::{Message, To},
    types::NodeId,
    wire,
};

/// How many frames wait for a peer at most; what is more is dropped.
const FRAMES_WAITING_MAX: usize = 4096;

/// Batches of values in a frame are cut when they are longer than this, in bytes.
const BATCH_BYTES: usize = 1 << 20;

/// Who is where.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Nodes of another cluster are not let in.
    pub cluster: String,
    /// This node.
    pub id: NodeId,
    /// Where its peers listen: names or addresses, with ports.
    pub peers: BTreeMap<NodeId, String>,
}

/// What the network did, for metrics.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Frames that could not be read; each has cost its connection.
    pub rejected_frames: AtomicU64,
    /// Greetings that were refused.
    pub refused_greetings: AtomicU64,
    /// Packets dropped, since too many waited for a peer or one was too long.
    pub dropped: AtomicU64,
    /// Connections made to peers.
    pub connected: AtomicU64,
}

impl Traffic {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The sending half: queues, one for each peer. The connections are made by [`run`].
pub struct Tcp {
    peers: BTreeMap<NodeId, mpsc::Sender<Bytes>>,
    traffic: Arc<Traffic>,
}

/// The queues' other ends.
pub struct Queues {
    peers: BTreeMap<NodeId, mpsc::Receiver<Bytes>>,
    traffic: Arc<Traffic>,
}

impl Tcp {
    /// A transport to these peers, and what is to be given to [`run`].
    pub fn new(addresses: &Addresses) -> (Self, Queues) {
        let traffic = Arc::<Traffic>::default();
        let (senders, receivers) = addresses
            .peers
            .keys()
            .map(|&peer| {
                let (sender, receiver) = mpsc::channel(FRAMES_WAITING_MAX);
                ((peer, sender), (peer, receiver))
            })
            .unzip();
        (Self { peers: senders, traffic: traffic.clone() }, Queues { peers: receivers, traffic })
    }

    fn send_frame(&self, to: To, frame: &Bytes) {
        let send = |queue: &mpsc::Sender<Bytes>| {
            if queue.try_send(frame.clone()).is_err() {
                Traffic::count(&self.traffic.dropped);
            }
        };
        match to {
            To::Peers => self.peers.values().for_each(send),
            To::Node(peer) => self.peers.get(&peer).into_iter().for_each(send),
        }
    }
}

impl Queues {
    /// What the network does.
    pub fn traffic(&self) -> Arc<Traffic> {
        self.traffic.clone()
    }
}

impl Transport for Tcp {
    fn send(&mut self, to: To, packet: Packet) {
        for packet in cut(packet) {
            let mut frame = Vec::new();
            match wire::encode(&packet, &mut frame) {
                Ok(()) => self.send_frame(to, &frame.into()),
                Err(error) => {
                    tracing::error!(%error, kind = Packet::KINDS[packet.kind()], "not sent");
                    Traffic::count(&self.traffic.dropped);
                }
            }
        }
    }
}

/// Cuts batches so that no frame gets long: a batch says the same as its parts.
fn cut(packet: Packet) -> Vec<Packet> {
    let Packet::Message(Message::Accept { values, .. } | Message::Learned { values, .. }) = &packet
    else {
        return vec![packet];
    };
    let length = |values: &[crate::types::Value]| -> usize {
        values
            .iter()
            .map(|value| match value {
                crate::types::Value::Noop => 1,
                crate::types::Value::Command(bytes) => bytes.len() + 8,
            })
            .sum()
    };
    if values.len() < 2 || length(values) <= BATCH_BYTES {
        return vec![packet];
    }
    let half = values.len() / 2;
    let (head, tail) = (values[..half].into(), values[half..].into());
    let parts = match packet {
        Packet::Message(Message::Accept { ballot, first, .. }) => [
            Message::Accept { ballot, first, values: head },
            Message::Accept { ballot, first: first.plus(half as u64), values: tail },
        ],
        Packet::Message(Message::Learned { first, .. }) => [
            Message::Learned { first, values: head },
            Message::Learned { first: first.plus(half as u64), values: tail },
        ],
        _ => unreachable!("only these have batches"),
    };
    parts.into_iter().map(Packet::Message).flat_map(cut).collect()
}

/// Listens for peers, and connects to them, until the node stops or this is dropped.
///
/// # Errors
/// If nothing can be accepted any more.
pub async fn run<M: Send + 'static>(
    addresses: Addresses,
    listener: TcpListener,
    queues: Queues,
    running: &Running<M>,
) -> io::Result<()> {
    let Queues { peers, traffic } = queues;
    let mut tasks = JoinSet::new();
    for (peer, queue) in peers {
        let line = dial::Line {
            cluster: addresses.cluster.clone(),
            me: addresses.id,
            store: running.store,
            peer,
            address: addresses.peers[&peer].clone(),
            traffic: traffic.clone(),
        };
        tasks.spawn(line.keep(queue, running.handle.clone()));
    }
    let handle = running.handle.clone();
    tokio::select! {
        ended = listen::accept(&addresses, listener, handle, &traffic) => ended,
        () = running.handle.inputs.closed() => Ok(()),
    }
}

/// Listens on an address.
///
/// # Errors
/// If it is not this machine's, or in use.
pub async fn bind(address: &str) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

type Inbox<M> = Handle<M>;
