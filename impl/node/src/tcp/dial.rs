//! The connection to one peer. The node makes it, uses it until it breaks, and makes it again.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, lookup_host},
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    Traffic, Waiting,
    acks::{await_acks, beat, empty_frame},
    hello::Hello,
    listen::read_frame,
};
use crate::{Admission, Handshake, PeerHandle, machine::StateMachine, wire};
use paxos::types::NodeId;

/// The first pause after a connection could not be made; the next is twice as long.
const PAUSE_LEAST: Duration = Duration::from_millis(20);
/// The longest pause. After a cut, a node connects again only when the pause is over.
const PAUSE_MOST: Duration = Duration::from_millis(200);
/// The pause after a peer has refused this node. An operator has to correct that.
const PAUSE_REFUSED: Duration = Duration::from_secs(1);
/// The longest time for a handshake, and for the first look-up of a name.
const PATIENCE: Duration = Duration::from_secs(3);
/// The bytes of frames that are collected before they are written.
const WRITE_BYTES: usize = 256 << 10;

/// The data for connections to one peer.
pub(super) struct Line {
    pub(super) cluster: String,
    pub(super) me: NodeId,
    pub(super) handshake: Handshake,
    pub(super) peer: NodeId,
    pub(super) address: String,
    /// The last addresses that the name was resolved to.
    pub(super) resolved: Vec<SocketAddr>,
    pub(super) ack_timeout: Duration,
    pub(super) traffic: Arc<Traffic>,
}

impl Line {
    /// Connects to the peer and sends the queued frames, again and again, until the node stops or the peer refuses this
    /// node for good.
    pub(super) async fn keep<M: StateMachine>(
        mut self,
        mut queue: mpsc::Receiver<Waiting>,
        node: PeerHandle<M>,
    ) {
        let mut pause = PAUSE_LEAST;
        loop {
            match self.connect().await {
                Ok((connection, Admission::Welcome)) => {
                    tracing::debug!(peer = self.peer.0, "connected");
                    Traffic::count(&self.traffic.connected);
                    node.admitted(self.peer, Admission::Welcome).await;
                    pause = PAUSE_LEAST;
                    // Frames that waited without a connection are old. The node sends again what it needs.
                    while queue.try_recv().is_ok() {}
                    match self.send(connection, &mut queue).await {
                        Ok(()) => return, // The node has stopped.
                        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                            tracing::info!(
                                peer = self.peer.0,
                                "acknowledges nothing, is connected to anew"
                            );
                            Traffic::count(&self.traffic.unacknowledged);
                        }
                        Err(error) => {
                            tracing::debug!(peer = self.peer.0, %error, "disconnected");
                        }
                    }
                }
                Ok((_, answer @ (Admission::Replaced(_) | Admission::Banned(_)))) => {
                    node.admitted(self.peer, answer).await;
                    return;
                }
                Ok((_, Admission::Refused(reason))) => {
                    tracing::warn!(peer = self.peer.0, reason, "refused");
                    sleep(PAUSE_REFUSED).await;
                }
                Err(error) => tracing::debug!(peer = self.peer.0, %error, "not connected"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MOST);
        }
    }

    /// Makes a connection, and exchanges the handshake. Returns the connection and the answer of the peer.
    async fn connect(&mut self) -> io::Result<(TcpStream, Admission)> {
        let connection = self.reach().await?;
        connection.set_nodelay(true)?;
        within(PATIENCE, self.handshake(connection)).await
    }

    /// Makes a connection to the first address that answers. Each address has little time, because the kernel repeats a
    /// lost segment only after one second, then two, then four: after a cut, a new attempt connects sooner.
    async fn reach(&mut self) -> io::Result<TcpStream> {
        self.resolve().await?;
        let mut reached = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        for &address in &self.resolved {
            reached = within(self.ack_timeout / 4, TcpStream::connect(address)).await;
            if reached.is_ok() {
                break;
            }
        }
        reached
    }

    /// Looks up the name of the peer. Keeps the last addresses if there is no answer soon, because a cut may also
    /// separate this node from its name server.
    async fn resolve(&mut self) -> io::Result<()> {
        let known = !self.resolved.is_empty();
        let patience = if known { self.ack_timeout / 4 } else { PATIENCE };
        match within(patience, lookup_host(&self.address)).await {
            Ok(found) => self.resolved = found.collect(),
            Err(_) if known => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn handshake(&self, mut connection: TcpStream) -> io::Result<(TcpStream, Admission)> {
        let hello = Hello::new(&self.cluster, self.me, self.peer, &self.handshake);
        let mut frame = Vec::new();
        wire::encode(&hello, &mut frame).map_err(io::Error::other)?;
        connection.write_all(&frame).await?;
        let mut buffer = BytesMut::new();
        let answer = read_frame(&mut connection, &mut buffer, wire::HANDSHAKE_MAX, || {}).await?;
        let answer = answer.ok_or(io::ErrorKind::UnexpectedEof)?.map_err(io::Error::other)?;
        let answer = wire::decode(&answer).map_err(io::Error::other)?;
        Ok((connection, answer))
    }

    /// Sends the queued frames. Fails when the connection breaks or nothing is acknowledged any more; returns `Ok`
    /// when the queue is closed.
    async fn send(
        &self,
        mut connection: TcpStream,
        queue: &mut mpsc::Receiver<Waiting>,
    ) -> io::Result<()> {
        let (reader, writer) = connection.split();
        tokio::select! {
            ended = write(writer, queue, beat(self.ack_timeout)) => ended,
            error = await_acks(reader, self.ack_timeout) => Err(error),
        }
    }
}

/// Waits for an attempt. Fails with [`io::ErrorKind::TimedOut`] if it takes too long.
async fn within<T>(
    patience: Duration,
    attempt: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    timeout(patience, attempt).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Writes the queued frames, and an empty frame whenever nothing was queued for the time of a beat. Returns `Ok` when
/// the queue is closed.
async fn write(
    mut writer: impl AsyncWrite + Unpin,
    queue: &mut mpsc::Receiver<Waiting>,
    beat: Duration,
) -> io::Result<()> {
    let mut frames = Vec::new();
    let mut bytes = BytesMut::with_capacity(WRITE_BYTES);
    let empty = empty_frame();
    loop {
        match timeout(beat, queue.recv_many(&mut frames, 256)).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(_) => bytes.extend_from_slice(&empty),
        }
        for Waiting { frame, .. } in frames.drain(..) {
            bytes.extend_from_slice(&frame);
            if bytes.len() >= WRITE_BYTES {
                writer.write_all(&bytes).await?;
                bytes.clear();
            }
        }
        writer.write_all(&bytes).await?;
        bytes.clear();
    }
}
