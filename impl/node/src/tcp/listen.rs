//! Connections that peers make: a handshake, then packets until the connection ends.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    Addresses, Traffic,
    acks::{is_empty, send_acks, while_waiting},
    hello::Hello,
    places::{Place, Places},
};
use crate::{
    Admission, PeerHandle,
    machine::StateMachine,
    wire::{self, FrameError},
};
use paxos::types::NodeId;

/// The longest time for a handshake.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most bytes of frames of one peer that have arrived and that the node has not taken yet, except for a single
/// frame that is longer. The limit bounds the memory of a busy node.
const BYTES_ARRIVED_MAX: usize = 32 << 20;
/// The most bytes that are read at once.
const READ_BYTES: usize = 64 << 10;

/// Accepts connections, for ever.
pub(super) async fn accept<M: StateMachine>(
    addresses: &Addresses,
    listener: TcpListener,
    node: PeerHandle<M>,
    traffic: &Arc<Traffic>,
) {
    let latest = addresses.peers.keys().map(|&peer| (peer, watch::Sender::new(0)));
    let latest: Arc<BTreeMap<_, _>> = Arc::new(latest.collect());
    let (mut connections, mut places) = (JoinSet::new(), Places::new(addresses.handshakes_max));
    loop {
        let (connection, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // The process has too many open files, most likely. That may pass.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let addresses = addresses.clone();
        let incoming = Incoming { addresses, traffic: traffic.clone(), latest: latest.clone() };
        let node = node.clone();
        let receive = async move |place| match incoming.receive(connection, place, &node).await {
            Ok(()) => {}
            Err(error) => tracing::debug!(%address, %error, "a peer's connection has ended"),
        };
        if places.give(|place| connections.spawn(receive(place))) {
            Traffic::count(&traffic.crowded_out);
        }
    }
}

/// A connection that another process has made.
struct Incoming {
    addresses: Addresses,
    traffic: Arc<Traffic>,
    /// The number of admitted connections of each peer. Only the last connection is read, because an earlier one may
    /// belong to an earlier incarnation.
    latest: Arc<BTreeMap<NodeId, watch::Sender<u64>>>,
}

impl Incoming {
    async fn receive<M: StateMachine>(
        &self,
        mut connection: TcpStream,
        place: Place,
        node: &PeerHandle<M>,
    ) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut buffer = BytesMut::new();
        let handshake = self.handshake(&mut connection, &mut buffer, place, node);
        let handshake = timeout(PATIENCE, handshake).await;
        let Some(peer) = handshake.map_err(|_| io::ErrorKind::TimedOut)?? else { return Ok(()) };
        let Some(latest) = self.latest.get(&peer) else { return Ok(()) };
        let mut superseded = latest.subscribe();
        latest.send_modify(|count| *count += 1);
        let own = *superseded.borrow_and_update();
        let (reader, writer) = connection.split();
        let arrived = Notify::new();
        let is_latest = || *latest.borrow() == own;
        tokio::select! {
            biased;
            _ = superseded.wait_for(|&count| count > own) => Ok(()),
            ended = self.read(peer, (reader, buffer), &arrived, is_latest, node) => ended,
            error = send_acks(writer, &arrived) => Err(error),
        }
    }

    /// Passes the packets of a peer to the node, until the connection ends or a newer connection of the peer replaces
    /// it.
    async fn read<M: StateMachine>(
        &self,
        peer: NodeId,
        (mut reader, mut buffer): (impl AsyncRead + Unpin, BytesMut),
        arrived: &Notify,
        is_latest: impl Fn() -> bool,
        node: &PeerHandle<M>,
    ) -> io::Result<()> {
        let room = Arc::new(Semaphore::new(BYTES_ARRIVED_MAX));
        loop {
            let progress = || arrived.notify_one();
            let frame = read_frame(&mut reader, &mut buffer, wire::PAYLOAD_MAX, progress).await?;
            let Some(frame) = frame.filter(|_| is_latest()) else { return Ok(()) };
            if frame.as_ref().is_ok_and(|frame| is_empty(frame)) {
                continue;
            }
            let taken = frame.as_ref().map_or(0, Bytes::len).min(BYTES_ARRIVED_MAX) as u32;
            match frame.and_then(|frame| wire::decode(&frame)) {
                Ok(packet) => {
                    let room = Arc::clone(&room);
                    let deliver = async {
                        if let Ok(room) = room.acquire_many_owned(taken).await {
                            node.deliver_metered(peer, packet, room).await;
                        }
                    };
                    while_waiting(arrived, deliver).await;
                }
                Err(error) => {
                    Traffic::count(&self.traffic.rejected_frames);
                    tracing::warn!(peer = peer.0, %error, "damage; the connection is closed");
                    return Err(io::Error::other(error));
                }
            }
        }
    }

    /// Answers the handshake. Returns the peer if it is admitted.
    async fn handshake<M: StateMachine>(
        &self,
        connection: &mut TcpStream,
        buffer: &mut BytesMut,
        place: Place,
        node: &PeerHandle<M>,
    ) -> io::Result<Option<NodeId>> {
        let Some(frame) = read_frame(connection, buffer, wire::HANDSHAKE_MAX, || {}).await? else {
            return Ok(None);
        };
        let hello: Hello = match frame.and_then(|frame| wire::decode(&frame)) {
            Ok(hello) => hello,
            Err(error) => {
                Traffic::count(&self.traffic.rejected_frames);
                return Err(io::Error::other(error));
            }
        };
        let Addresses { cluster, id, .. } = &self.addresses;
        let answer = match hello.check(cluster, *id) {
            Err(reason) => Admission::Refused(reason),
            Ok(handshake) => {
                // A member gives its place back now, so that it is not crowded out while the node waits for its disk.
                let stranger = (!self.latest.contains_key(&hello.from)).then_some(place);
                let answer = node.admit(hello.from, handshake).await;
                drop(stranger);
                let Some(answer) = answer else { return Ok(None) };
                answer
            }
        };
        let mut frame = Vec::new();
        wire::encode(&answer, &mut frame).map_err(io::Error::other)?;
        connection.write_all(&frame).await?;
        match answer {
            Admission::Welcome => Ok(Some(hello.from)),
            Admission::Refused(reason)
            | Admission::Replaced(reason)
            | Admission::Banned(reason) => {
                Traffic::count(&self.traffic.refused_handshakes);
                tracing::warn!(peer = hello.from.0, reason, "a handshake was refused");
                Ok(None)
            }
        }
    }
}

/// Reads one frame. Returns `None` at the end of the stream. Memory is allocated only for the bytes that have arrived
/// and one more read, whatever length the frame claims. `progress` is called whenever bytes have arrived.
pub(super) async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    payload_max: usize,
    progress: impl Fn(),
) -> io::Result<Option<Result<Bytes, FrameError>>> {
    loop {
        match wire::split(buffer, payload_max) {
            Ok(Some(frame)) => return Ok(Some(Ok(frame))),
            Ok(None) => {}
            Err(error) => return Ok(Some(Err(error))),
        }
        buffer.reserve(READ_BYTES);
        if stream.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        progress();
    }
}
