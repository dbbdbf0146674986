//! The sockets of the store: clients of Redis talk to a node.
//!
//! Requests that arrive together are answered together, in their order. What only reads is asked of
//! the node at once, and so is what only writes; between the two, the first is awaited, so that a
//! client reads what it has written. Replies to writes that could not be confirmed say so: an error
//! that begins with `MAYBE` leaves open whether the command was or will be applied; `CLUSTERDOWN` says that nobody
//! was asked for it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Action, Client, Kv, Query, Reply, info,
    resp::{self, Decoder, Protocol},
};
use crate::runtime::{Handle, ProposeError, ReadError};

/// The most clients that are connected at once; further ones wait to be accepted.
const CLIENTS_MAX: usize = 10_000;
/// How many bytes are read at once.
const READ_BYTES: usize = 16 << 10;
/// How long a client may take to read its replies.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves clients until the node stops or this is dropped.
///
/// # Errors
/// If no connection can be accepted any more.
pub async fn serve(listener: TcpListener, node: Handle<Kv>) -> io::Result<()> {
    let (mut connections, room) = (JoinSet::new(), Arc::new(Semaphore::new(CLIENTS_MAX)));
    let next_id = AtomicU64::new(1);
    loop {
        let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Too many open files, most likely: it may pass.
                tracing::warn!(%error, "a client could not be accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let connection = Connection {
            stream,
            node: node.clone(),
            client: Client::new(next_id.fetch_add(1, Ordering::Relaxed)),
            waiting: Vec::new(),
            output: BytesMut::new(),
        };
        connections.spawn(async move {
            let _permit = permit;
            if let Err(error) = connection.run().await {
                tracing::debug!(%error, "a client's connection has ended");
            }
        });
    }
}

/// One client's connection.
struct Connection {
    stream: TcpStream,
    node: Handle<Kv>,
    client: Client,
    /// What was asked for, and the version in which it is to be answered.
    waiting: Vec<(Asked, Protocol)>,
    output: BytesMut,
}

/// What the node is asked for.
enum Asked {
    Read(Query),
    Write(Bytes),
}

impl Connection {
    async fn run(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let (mut decoder, mut input) = (Decoder::default(), BytesMut::new());
        loop {
            let goes_on = self.answer_all(&mut decoder, &mut input).await;
            if !self.output.is_empty() {
                let written = self.stream.write_all(&self.output);
                timeout(PATIENCE, written).await.map_err(|_| io::ErrorKind::TimedOut)??;
                self.output.clear();
            }
            if !goes_on {
                return Ok(());
            }
            input.reserve(READ_BYTES);
            if self.stream.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Answers all requests that are there. Gives whether there may be more.
    async fn answer_all(&mut self, decoder: &mut Decoder, input: &mut BytesMut) -> bool {
        loop {
            let arguments = match decoder.decode(input) {
                Ok(Some(arguments)) => arguments,
                Ok(None) => {
                    self.flush().await;
                    return true;
                }
                Err(error) => {
                    self.flush().await;
                    self.reply(&error.reply());
                    return false;
                }
            };
            let action = self.client.handle(&arguments);
            let protocol = self.client.protocol();
            match action {
                Action::Read(query) => self.ask(Asked::Read(query), protocol).await,
                Action::Write(entry) => self.ask(Asked::Write(entry), protocol).await,
                Action::Reply(reply) => {
                    self.flush().await;
                    self.reply(&reply);
                }
                Action::OpenSession => {
                    self.flush().await;
                    let reply = match self.node.open_session().await {
                        Ok(session) => Reply::Integer(session.id().slot.0.cast_signed()),
                        Err(error) => unwritten(&error),
                    };
                    self.reply(&reply);
                }
                Action::Once(request) => {
                    self.flush().await;
                    let answer = self.node.request(&request).await;
                    self.reply(
                        &answer.map_or_else(|error| unanswered(&error), |bytes| read(&bytes)),
                    );
                }
                Action::Info(sections) => {
                    self.flush().await;
                    let reply = match self.node.status().await {
                        Some(status) => Reply::Bulk(info::text(&status, &sections).into()),
                        None => stopped(),
                    };
                    self.reply(&reply);
                }
                Action::Close(reply) => {
                    self.flush().await;
                    self.reply(&reply);
                    return false;
                }
            }
        }
    }

    fn reply(&mut self, reply: &Reply) {
        resp::encode(reply, self.client.protocol(), &mut self.output);
    }

    async fn ask(&mut self, asked: Asked, protocol: Protocol) {
        let reads = |asked: &Asked| matches!(asked, Asked::Read(_));
        if self.waiting.first().is_some_and(|(first, _)| reads(first) != reads(&asked)) {
            self.flush().await;
        }
        self.waiting.push((asked, protocol));
    }

    /// Asks the node for all that waits, and answers it.
    async fn flush(&mut self) {
        let (mut queries, mut entries, mut protocols) = (Vec::new(), Vec::new(), Vec::new());
        for (asked, protocol) in self.waiting.drain(..) {
            protocols.push(protocol);
            match asked {
                Asked::Read(query) => queries.push(query),
                Asked::Write(entry) => entries.push(entry),
            }
        }
        let replies = match protocols.len() {
            0 => return,
            count if queries.is_empty() => self.write(entries, count).await,
            count => {
                let answers = move |kv: &Kv| queries.iter().map(|query| kv.answer(query)).collect();
                self.node.read(answers).await.unwrap_or_else(|error| vec![unread(&error); count])
            }
        };
        for (reply, protocol) in replies.iter().zip(protocols) {
            resp::encode(reply, protocol, &mut self.output);
        }
    }

    /// Writes that came together are one entry, so that nothing puts them into another order.
    async fn write(&self, mut entries: Vec<Bytes>, count: usize) -> Vec<Reply> {
        let pipeline = count > 1;
        let entry = match entries.pop() {
            Some(only) if !pipeline => only,
            last => {
                entries.extend(last);
                super::Entry::Pipeline(entries).to_bytes()
            }
        };
        let answer = self.node.propose(entry).await;
        let reply = answer.map(|bytes| read(&bytes)).map_err(|error| unwritten(&error));
        match reply {
            Ok(Reply::Array(replies)) if pipeline && replies.len() == count => replies,
            Ok(reply) | Err(reply) => vec![reply; count],
        }
    }
}

/// What the machine answered.
fn read(answer: &Bytes) -> Reply {
    Reply::from_bytes(answer).unwrap_or_else(|_| Reply::error("ERR malformed answer"))
}

fn stopped() -> Reply {
    Reply::error("CLUSTERDOWN the node has stopped")
}

fn unread(error: &ReadError) -> Reply {
    match error {
        ReadError::Stopped => stopped(),
        ReadError::Timeout(_) => Reply::Error(format!("CLUSTERDOWN {error}").into()),
    }
}

/// Whether there is any use in asking again.
fn unanswered(error: &ProposeError) -> Reply {
    if error.is_final() && error.may_be_applied() {
        return Reply::Error(format!("NOANSWER {error}").into());
    }
    unwritten(error)
}

fn unwritten(error: &ProposeError) -> Reply {
    let word = match error {
        ProposeError::Unsent(_) => "CLUSTERDOWN",
        error if error.may_be_applied() => "MAYBE",
        _ => "ERR",
    };
    Reply::Error(format!("{word} {error}").into())
}
