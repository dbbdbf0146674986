//! The connection to one peer: made, used until it breaks, and made again.

use std::{io, sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{Traffic, Waiting, handshake::Hello, listen::read_frame};
use crate::{
    machine::StateMachine,
    runtime::{Answer, Handle, Introduction},
    types::NodeId,
    wire,
};

/// The first pause after a connection could not be made; the next is twice as long.
const PAUSE_LEAST: Duration = Duration::from_millis(20);
/// The longest pause.
const PAUSE_MOST: Duration = Duration::from_secs(1);
/// How long a connection or greeting may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many bytes are gathered before they are written.
const WRITE_BYTES: usize = 256 << 10;

/// A line to a peer.
pub(super) struct Line {
    pub(super) cluster: String,
    pub(super) me: NodeId,
    pub(super) introduction: Introduction,
    pub(super) peer: NodeId,
    pub(super) address: String,
    pub(super) traffic: Arc<Traffic>,
}

impl Line {
    /// Keeps the line up.
    pub(super) async fn keep<M: StateMachine>(
        self,
        mut queue: mpsc::Receiver<Waiting>,
        node: Handle<M>,
    ) {
        let mut pause = PAUSE_LEAST;
        loop {
            match timeout(PATIENCE, self.connect())
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            {
                Ok((connection, Answer::Welcome)) => {
                    tracing::debug!(peer = self.peer.0, "connected");
                    Traffic::count(&self.traffic.connected);
                    node.answered(self.peer, Answer::Welcome).await;
                    pause = PAUSE_LEAST;
                    // What waited while nobody listened is old; the node sends again what it needs.
                    while queue.try_recv().is_ok() {}
                    match send(connection, &mut queue).await {
                        Ok(()) => return, // The node has stopped.
                        Err(error) => {
                            tracing::debug!(peer = self.peer.0, %error, "disconnected");
                        }
                    }
                }
                Ok((_, answer @ (Answer::Replaced(_) | Answer::Banned(_)))) => {
                    node.answered(self.peer, answer).await;
                    return;
                }
                Ok((_, Answer::Refused(reason))) => {
                    tracing::warn!(peer = self.peer.0, reason, "refused");
                    pause = PAUSE_MOST;
                }
                Err(error) => tracing::debug!(peer = self.peer.0, %error, "not connected"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MOST);
        }
    }

    async fn connect(&self) -> io::Result<(TcpStream, Answer)> {
        let mut connection = TcpStream::connect(&self.address).await?;
        connection.set_nodelay(true)?;
        let hello = Hello::new(&self.cluster, self.me, self.peer, &self.introduction);
        let mut frame = Vec::new();
        wire::encode(&hello, &mut frame).map_err(io::Error::other)?;
        connection.write_all(&frame).await?;
        let mut buffer = BytesMut::new();
        let answer = read_frame(&mut connection, &mut buffer, wire::GREETING_MAX).await?;
        let answer = answer.ok_or(io::ErrorKind::UnexpectedEof)?.map_err(io::Error::other)?;
        Ok((connection, answer))
    }
}

/// Sends what is queued until the connection breaks; `Ok` when there will be no more.
async fn send(mut connection: TcpStream, queue: &mut mpsc::Receiver<Waiting>) -> io::Result<()> {
    let mut frames = Vec::new();
    let mut bytes = BytesMut::with_capacity(WRITE_BYTES);
    let mut gone = [0; 1];
    loop {
        tokio::select! {
            count = queue.recv_many(&mut frames, 256) => {
                if count == 0 {
                    return Ok(());
                }
            }
            // The peer says nothing on this connection: whatever can be read is its end.
            _ = connection.read(&mut gone) => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
        for Waiting { frame, .. } in frames.drain(..) {
            bytes.extend_from_slice(&frame);
            if bytes.len() >= WRITE_BYTES {
                connection.write_all(&bytes).await?;
                bytes.clear();
            }
        }
        connection.write_all(&bytes).await?;
        bytes.clear();
    }
}
