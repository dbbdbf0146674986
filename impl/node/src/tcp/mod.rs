//! Packets over TCP.
//!
//! A node connects to each peer, and sends on the connection that it made. It receives on the connections that its
//! peers made. So a connection carries packets in one direction. If a connection breaks or carries damaged bytes, only
//! the packets on their way are lost. The node makes the connection again, after growing pauses, and the nodes send
//! again what they still need. Nothing here is encrypted or authenticated.
//!
//! The receiver acknowledges what arrives with single bytes on the same connection. The sender closes a connection on
//! which nothing was acknowledged for [`Addresses::ack_timeout`], and makes a new one. So a network that drops packets
//! in silence costs no more time than one that resets connections. docs/decisions/0001 has the reasons.

mod acks;
mod dial;
pub mod hello;
mod listen;
mod places;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
};

use super::{
    Handshake, Handshakes, NodeError, Options, Packet, PeerHandle, Running, Transport, ready,
};
use crate::{machine::StateMachine, packet::value_bytes, wire};
use paxos::{
    config::Config,
    message::{Message, To},
    types::NodeId,
};
use paxos_store::Storage;

/// The most frames that wait for a peer. Further frames are dropped.
const FRAMES_WAITING_MAX: usize = 4096;
/// The most bytes of these frames, except for the last one and for short frames. The limit bounds the memory for a peer
/// that does not read.
const BYTES_WAITING_MAX: usize = 32 << 20;
/// Frames up to this length, such as heartbeats, may wait even if long frames have used up all bytes.
const SHORT_BYTES: usize = 1 << 10;

/// A batch of values that is longer than this, in bytes, is cut into several frames.
const BATCH_BYTES: usize = 1 << 20;

/// The number of connections that may be in their handshakes, where file descriptors are not scarce.
pub const HANDSHAKES_MAX: usize = 64;

/// The addresses of a node's cluster.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The name of the cluster. The node refuses nodes of another cluster.
    pub cluster: String,
    /// This node.
    pub id: NodeId,
    /// The address of each peer: a name or an IP address, with a port.
    pub peers: BTreeMap<NodeId, String>,
    /// The longest time for which a peer may acknowledge nothing. The connection is then closed, and made again. An
    /// attempt to connect to one address takes a quarter of this time at most. The function [`ack_timeout`] returns a
    /// value that suits an election timeout.
    pub ack_timeout: Duration,
    /// The number of connections that may be in their handshakes. A further connection takes the place of the oldest.
    pub handshakes_max: usize,
}

impl Addresses {
    /// Returns the addresses of a cluster whose nodes have the default options. Every node names the same cluster.
    /// `peers` are all nodes but `id`.
    pub fn new(
        cluster: impl Into<String>,
        id: NodeId,
        peers: impl IntoIterator<Item = (NodeId, String)>,
    ) -> Self {
        Self {
            cluster: cluster.into(),
            id,
            peers: peers.into_iter().collect(),
            ack_timeout: ack_timeout(Options::default().election_timeout()),
            handshakes_max: HANDSHAKES_MAX,
        }
    }
}

/// The [`Addresses::ack_timeout`] for nodes with this election timeout: twice as long, and at least a second, because
/// TCP itself waits for 0.2 seconds before it sends a lost segment again.
pub fn ack_timeout(election_timeout: Duration) -> Duration {
    (election_timeout * 2).max(Duration::from_secs(1))
}

/// The numbers of network events, for metrics.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Frames that could not be read. Each has closed its connection.
    pub rejected_frames: AtomicU64,
    /// Handshakes that were refused.
    pub refused_handshakes: AtomicU64,
    /// Packets that were dropped, because too many waited for a peer or one was too long.
    pub dropped: AtomicU64,
    /// Connections made to peers.
    pub connected: AtomicU64,
    /// Connections to peers closed because nothing was acknowledged for [`Addresses::ack_timeout`].
    pub unacknowledged: AtomicU64,
    /// Connections closed during their handshake, because newer connections needed their places.
    pub crowded_out: AtomicU64,
}

impl Traffic {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The sending half: one queue for each peer. [`run`] makes the connections.
pub struct Tcp {
    peers: BTreeMap<NodeId, Queue>,
    traffic: Arc<Traffic>,
}

/// The receiving ends of the queues.
pub struct Queues {
    peers: BTreeMap<NodeId, mpsc::Receiver<Waiting>>,
    traffic: Arc<Traffic>,
}

/// The frames that wait for a peer.
struct Queue {
    frames: mpsc::Sender<Waiting>,
    /// A permit for each byte.
    room: Arc<Semaphore>,
}

/// The depths of the queues, for metrics. This value does not keep the queues open.
pub struct Depths(BTreeMap<NodeId, (mpsc::WeakSender<Waiting>, Arc<Semaphore>)>);

/// The depth of the queue of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// The peer.
    pub peer: NodeId,
    /// The number of frames that wait.
    pub frames: usize,
    /// The bytes of these frames.
    pub bytes: usize,
}

impl Depths {
    /// Returns the present depths.
    pub fn read(&self) -> impl Iterator<Item = Depth> {
        self.0.iter().map(|(&peer, (frames, room))| {
            let waiting = |queue: mpsc::Sender<_>| queue.max_capacity() - queue.capacity();
            let bytes = BYTES_WAITING_MAX - room.available_permits();
            Depth { peer, frames: frames.upgrade().map_or(0, waiting), bytes }
        })
    }
}

/// A frame that waits, with the permits for its bytes.
struct Waiting {
    frame: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Queue {
    fn new() -> (Self, mpsc::Receiver<Waiting>) {
        let (frames, waiting) = mpsc::channel(FRAMES_WAITING_MAX);
        (Self { frames, room: Arc::new(Semaphore::new(BYTES_WAITING_MAX)) }, waiting)
    }

    /// Queues a frame. Returns false if the queue is full.
    fn push(&self, frame: &Bytes) -> bool {
        // A frame that is longer than the limit has to get through, too.
        let room = self.room.available_permits();
        let taken = frame.len().min(room) as u32;
        let permit = Arc::clone(&self.room).try_acquire_many_owned(taken);
        let waiting = permit.map(|room| Waiting { frame: frame.clone(), _room: room });
        let may_wait = room > 0 || frame.len() <= SHORT_BYTES;
        may_wait && waiting.is_ok_and(|waiting| self.frames.try_send(waiting).is_ok())
    }
}

impl Tcp {
    /// Returns a transport to these peers, and the queues for [`run`].
    pub fn new(addresses: &Addresses) -> (Self, Queues) {
        let traffic = Arc::<Traffic>::default();
        let (senders, receivers) = addresses
            .peers
            .keys()
            .map(|&peer| {
                let (queue, waiting) = Queue::new();
                ((peer, queue), (peer, waiting))
            })
            .unzip();
        (Self { peers: senders, traffic: traffic.clone() }, Queues { peers: receivers, traffic })
    }

    /// The depths of the queues.
    pub fn depths(&self) -> Depths {
        let depth = |(&peer, queue): (&NodeId, &Queue)| {
            (peer, (queue.frames.downgrade(), Arc::clone(&queue.room)))
        };
        Depths(self.peers.iter().map(depth).collect())
    }

    fn send_frame(&self, to: To, frame: &Bytes) {
        let send = |queue: &Queue| {
            if !queue.push(frame) {
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
    /// The numbers of network events.
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

/// Cuts a long batch into packets that fit. The packets together have the same effect, except for a Learned message: of
/// that, only the beginning is sent. Its receiver then asks for more, so one question has one answer.
fn cut(packet: Packet) -> Vec<Packet> {
    match packet {
        Packet::Message(Message::Learned { first, values, more }) => {
            let ends = values.iter().scan(0, |length, value| {
                *length += value_bytes(value);
                Some(*length)
            });
            let count = ends.take_while(|length| *length <= BATCH_BYTES).count().max(1);
            let (count, more) = (count.min(values.len()), more || count < values.len());
            let values = values.part(0..count);
            vec![Packet::Message(Message::Learned { first, values, more })]
        }
        Packet::Message(Message::Accept { ballot, first, values })
            if values.len() > 1 && values.iter().map(value_bytes).sum::<usize>() > BATCH_BYTES =>
        {
            let (half, count) = (values.len() / 2, values.len());
            let halves = [(first, 0..half), (first.plus(half as u64), half..count)];
            let halves = halves.map(|(first, half)| {
                let values = values.part(half);
                Packet::Message(Message::Accept { ballot, first, values })
            });
            halves.into_iter().flat_map(cut).collect()
        }
        Packet::Forward(mut head)
            if head.len() > 1 && head.iter().map(Bytes::len).sum::<usize>() > BATCH_BYTES =>
        {
            let tail = head.split_off(head.len() / 2);
            [head, tail].map(Packet::Forward).into_iter().flat_map(cut).collect()
        }
        packet => vec![packet],
    }
}

/// Starts a node that talks to its peers over TCP. The node runs on a thread of its own, and the connections are tasks
/// of the runtime in which this is called. The members of the cluster are the nodes of `addresses`, with majorities as
/// quorums. The node runs until it is stopped. If the runtime ends, the node loses its connections, and stops once all
/// its handles are dropped.
///
/// [`Running::stopped`] resolves when the node has stopped.
///
/// # Errors
/// The addresses cannot work, the contents of the store cannot be read or belong to another node, or the system cannot
/// start the thread.
///
/// # Panics
/// There is no tokio runtime.
pub fn start<M: StateMachine, S: Storage + Send + 'static>(
    addresses: Addresses,
    listener: TcpListener,
    options: Options,
    machine: M,
    storage: S,
) -> Result<Running<M>, NodeError> {
    let nodes = addresses.peers.keys().copied().chain([addresses.id]);
    let config = Config::new(addresses.id, nodes);
    let (transport, queues) = Tcp::new(&addresses);
    let (running, node) = ready(config, options, Handshakes::Made, machine, storage, transport)?;
    crate::start(node).map_err(NodeError::Thread)?;
    let (peers, handshake) = (running.peers.clone(), running.handshake.clone());
    tokio::spawn(async move { run(addresses, listener, queues, &peers, &handshake).await });
    Ok(running)
}

/// Listens for peers, and connects to them, until the node stops or the future is dropped. If a connection cannot be
/// accepted, the node logs a warning and tries again.
pub async fn run<M: StateMachine>(
    addresses: Addresses,
    listener: TcpListener,
    queues: Queues,
    node: &PeerHandle<M>,
    handshake: &Handshake,
) {
    let Queues { peers, traffic } = queues;
    let mut tasks = JoinSet::new();
    for (peer, queue) in peers {
        let line = dial::Line {
            cluster: addresses.cluster.clone(),
            me: addresses.id,
            handshake: handshake.clone(),
            peer,
            address: addresses.peers[&peer].clone(),
            resolved: Vec::new(),
            ack_timeout: addresses.ack_timeout,
            traffic: traffic.clone(),
        };
        tasks.spawn(line.keep(queue, node.clone()));
    }
    tokio::select! {
        () = listen::accept(&addresses, listener, node.clone(), &traffic) => {}
        () = node.stopped() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paxos::types::{Ballot, Slot, Value};

    #[test]
    fn depths_are_counted() {
        let peers = BTreeMap::from([(NodeId(2), String::new()), (NodeId(3), String::new())]);
        let (mut tcp, mut queues) = Tcp::new(&Addresses {
            cluster: "paxos".into(),
            id: NodeId(1),
            peers,
            ack_timeout: Duration::MAX,
            handshakes_max: 1,
        });
        tcp.send(To::Peers, Packet::PreVote);
        tcp.send(To::Node(NodeId(3)), Packet::PreVote);
        let depths = tcp.depths();
        let frames = |depths: &Depths| depths.read().map(|depth| depth.frames).collect::<Vec<_>>();
        let bytes = |depths: &Depths| depths.read().map(|depth| depth.bytes).collect::<Vec<_>>();
        assert_eq!(frames(&depths), [1, 2]);
        let [one, two] = bytes(&depths)[..] else { panic!("two peers") };
        assert!(one > wire::HEADER && two == 2 * one);
        let sent = queues.peers.get_mut(&NodeId(3)).unwrap();
        while sent.try_recv().is_ok() {}
        assert_eq!((frames(&depths), bytes(&depths)), (vec![1, 0], vec![one, 0]));
        drop(tcp);
        assert!(matches!(sent.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    }

    #[test]
    fn queues_are_limited_in_bytes_and_frames() {
        let (queue, mut waiting) = Queue::new();
        let large = Bytes::from(vec![0; BYTES_WAITING_MAX - 1]);
        let small = Bytes::from_static(b"small");
        let medium = Bytes::from(vec![0; SHORT_BYTES + 1]);
        let pushed = [&large, &large, &medium, &small].map(|frame| queue.push(frame));
        assert_eq!(pushed, [true, true, false, true]);
        while waiting.try_recv().is_ok() {}
        assert!((0..FRAMES_WAITING_MAX).all(|_| queue.push(&small)));
        assert!(!queue.push(&small));
    }

    #[test]
    fn long_batches_are_cut_and_mean_the_same() {
        let commands: Vec<_> =
            (0..9).map(|byte| Bytes::from(vec![byte; BATCH_BYTES / 4])).collect();
        let mut joined = Vec::new();
        for part in cut(Packet::Forward(commands.clone())) {
            let Packet::Forward(part) = part else { panic!("{part:?}") };
            assert!(part.len() <= 4);
            joined.extend(part);
        }
        assert_eq!(joined, commands);

        let values: Vec<_> = commands.into_iter().map(Value::Command).collect();
        let ballot = Ballot::new(1, NodeId(1)).expect("not round 0");
        let message = Message::Accept { ballot, first: Slot(5), values: values.clone().into() };
        let (mut next, mut joined) = (Slot(5), Vec::new());
        for part in cut(Packet::Message(message)) {
            let Packet::Message(Message::Accept { first, values, .. }) = part else {
                panic!("{part:?}")
            };
            assert_eq!(first, next);
            next = first.plus(values.len() as u64);
            joined.extend(values.iter().cloned());
        }
        assert_eq!(joined, values);
    }

    /// The receiver of an answer that was shortened asks for the rest. If two answers were sent, it would ask twice.
    #[test]
    fn a_long_answer_is_shortened_and_says_that_there_is_more() {
        let learned = |bytes: &[usize], more| {
            let value = |bytes: &usize| Value::Command(Bytes::from(vec![0; *bytes]));
            let values = bytes.iter().map(value).collect();
            Packet::Message(Message::Learned { first: Slot(5), values, more })
        };
        let sizes = [BATCH_BYTES / 2, BATCH_BYTES / 3, BATCH_BYTES / 3];
        assert_eq!(cut(learned(&sizes, false)), [learned(&sizes[..2], true)]);
        assert_eq!(cut(learned(&sizes[..2], false)), [learned(&sizes[..2], false)]);
        // A value that is too long by itself is sent nonetheless.
        let sizes = [2 * BATCH_BYTES, 1];
        assert_eq!(cut(learned(&sizes, false)), [learned(&sizes[..1], true)]);
        assert_eq!(cut(learned(&sizes[..1], false)), [learned(&sizes[..1], false)]);
    }
}
