//! The connection of one client. It reads requests, asks the cluster, and writes answers. Beside a small buffer of its
//! own, it takes no more memory than its accounts hold.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    output::Output,
    pool::{Account, OWN_BYTES},
    rounds::{self, ClusterRequest, Round, Waiting},
};
use crate::{
    ANSWER_MAX, Action, AnswerTooLong, Client, Copies, Entry, Kv, Question, Reply, info,
    resp::Decoder,
};
use paxos_node::{ClientHandle, ProposeError, ReadError, machine::Answer as _, session};

/// The highest number of bytes of short requests that are read at once. These requests are answered before the next
/// bytes are read.
const READ_BYTES: usize = 16 << 10;
/// The number of waiting requests at which the connection asks the cluster. Each waiting request takes memory that is
/// not in an account.
const WAITING_MAX: usize = 1 << 10;
/// The time after which a client that makes no progress in reading its answers is disconnected.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The limits on reading from a client whose request was refused. Such a client may still be sending the request,
/// and reads the answer only after it has sent all of it.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
const DRAIN_BYTES: usize = 1 << 30;

/// One client's connection.
pub(super) struct Connection<S> {
    pub(super) stream: S,
    pub(super) node: ClientHandle<Kv>,
    pub(super) client: Client,
    pub(super) state_max: u64,
    /// The memory of long requests that are not answered.
    pub(super) incoming: Account,
    /// The memory of long answers that are not written.
    pub(super) outgoing: Account,
    pub(super) waiting: VecDeque<Waiting>,
    /// True if a long request, or a part of one, has made the input buffer long.
    pub(super) has_long_buffer: bool,
    pub(super) output: Output,
}

/// The next step after a batch of requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Read more requests.
    Read,
    /// Close the connection without writing the last answers.
    HangUp,
    /// Write the last answers and close the connection.
    Close,
    /// Write the last answers, read the rest of a request that was refused, and close the connection.
    Drain,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Serves the client until it disconnects, breaks the protocol or is disconnected.
    pub(super) async fn run(mut self) -> io::Result<()> {
        let (mut decoder, mut input) = (Decoder::default(), BytesMut::new());
        loop {
            let next = self.answer_all(&mut decoder, &mut input).await?;
            if next == Next::HangUp {
                return Ok(());
            }
            self.write_out().await?;
            match next {
                Next::HangUp | Next::Close => return Ok(()),
                Next::Drain => {
                    drop((decoder, input));
                    return self.drain().await;
                }
                Next::Read => {}
            }
            if !self.read_more(&mut decoder, &mut input).await? {
                return Ok(());
            }
        }
    }

    /// Reads more of a request, or further requests. Returns false at the end of the input, or if the node has
    /// stopped.
    async fn read_more(&mut self, decoder: &mut Decoder, input: &mut BytesMut) -> io::Result<bool> {
        let unfinished = decoder.collected() + input.len();
        let held = self.client.queued_bytes() + unfinished;
        let mut bytes_max = READ_BYTES;
        if held + READ_BYTES <= OWN_BYTES {
            if self.has_long_buffer || input.is_empty() {
                self.release_buffer(decoder, input);
            }
            self.incoming.shrink(0);
        } else {
            self.has_long_buffer = true;
            // The account takes all the memory that the request may need at once. If several clients each had a part
            // of their memory, they would wait for each other.
            let rest = decoder.expects().saturating_sub(unfinished);
            self.incoming.hold(held + rest + READ_BYTES).await?;
            bytes_max += rest;
        }
        input.reserve(bytes_max);
        let mut input = input.limit(bytes_max);
        tokio::select! {
            biased;
            // Requests that a client sends after the node has stopped are not read.
            () = self.node.stopped() => Ok(false),
            read = self.stream.read_buf(&mut input) => {
                let read = read?;
                if self.has_long_buffer {
                    self.incoming.progress(read);
                }
                Ok(read > 0)
            }
            closed = self.incoming.closed() => Err(closed.into()),
        }
    }

    /// Copies the bytes after a long request into a new buffer, so that the long buffer can be dropped.
    fn release_buffer(&mut self, decoder: &mut Decoder, input: &mut BytesMut) {
        decoder.release_buffer();
        *input = BytesMut::from(&input[..]);
        self.has_long_buffer = false;
    }

    async fn write_out(&mut self) -> io::Result<()> {
        if self.output.bytes() == 0 {
            return Ok(());
        }
        let has_accounts = self.has_long_buffer || self.output.bytes() > OWN_BYTES;
        let progress = |bytes| {
            if has_accounts {
                self.incoming.progress(bytes);
                self.outgoing.progress(bytes);
            }
        };
        tokio::select! {
            written = self.output.write_to(&mut self.stream, WRITE_TIMEOUT, progress) => written?,
            closed = self.outgoing.closed() => return Err(closed.into()),
            closed = self.incoming.closed() => return Err(closed.into()),
        }
        self.outgoing.shrink(0);
        Ok(())
    }

    /// Reads and drops the rest of a refused request, because the client may read the error only after it has sent the
    /// whole request.
    async fn drain(&mut self) -> io::Result<()> {
        self.incoming.shrink(0);
        self.stream.shutdown().await?;
        let mut rest = vec![0; READ_BYTES];
        let mut bytes = 0;
        while bytes < DRAIN_BYTES {
            match timeout(DRAIN_TIMEOUT, self.stream.read(&mut rest)).await {
                Ok(Ok(read)) if read > 0 => bytes += read,
                _ => break,
            }
        }
        Ok(())
    }

    /// Answers all requests that have arrived completely.
    async fn answer_all(
        &mut self,
        decoder: &mut Decoder,
        input: &mut BytesMut,
    ) -> io::Result<Next> {
        loop {
            let arguments = match decoder.decode(input) {
                Ok(Some(arguments)) => arguments,
                Ok(None) => {
                    self.ask().await?;
                    return Ok(Next::Read);
                }
                Err(error) => {
                    self.answer(&error.reply()).await?;
                    return Ok(Next::Drain);
                }
            };
            let action = self.client.handle(&arguments);
            drop(arguments);
            // The entry is a copy of the request, so the buffer of the request can be dropped. Further requests in the
            // buffer are copied for this purpose only if they are short.
            if self.has_long_buffer && decoder.collected() + input.len() <= OWN_BYTES {
                self.release_buffer(decoder, input);
            }
            let protocol = self.client.protocol();
            let request = match action {
                Action::Read(question) => ClusterRequest::Read(question),
                Action::Write { entry, copies } => ClusterRequest::Write { entry, copies },
                Action::HangUp => {
                    tracing::warn!("a client speaks HTTP; it is disconnected");
                    return Ok(Next::HangUp);
                }
                Action::Close(reply) => {
                    self.answer(&reply).await?;
                    return Ok(Next::Close);
                }
                Action::Reply(reply) => {
                    self.answer(&reply).await?;
                    continue;
                }
                Action::OpenSession => {
                    self.ask().await?;
                    self.wait_for_cluster(true);
                    let opened = self.node.open_session().await;
                    self.wait_for_cluster(false);
                    let reply = match opened {
                        Ok(session) => Reply::Integer(session.id().slot.0.cast_signed()),
                        Err(error) => unwritten(&error),
                    };
                    self.answer(&reply).await?;
                    continue;
                }
                Action::Once(request) => {
                    self.ask().await?;
                    let reply = self.once(request).await;
                    self.answer(&reply).await?;
                    continue;
                }
                Action::Transfer(node) => {
                    self.ask().await?;
                    self.wait_for_cluster(true);
                    let ended = self.node.transfer(Some(node)).await;
                    self.wait_for_cluster(false);
                    let reply = match ended {
                        Ok(leader) => Reply::Integer(leader.0.into()),
                        Err(error) => Reply::Error(format!("ERR {error}").into()),
                    };
                    self.answer(&reply).await?;
                    continue;
                }
                Action::Info(sections) => {
                    self.ask().await?;
                    self.wait_for_cluster(true);
                    let status = self.node.status().await;
                    self.wait_for_cluster(false);
                    let reply = match status {
                        Some(status) => {
                            Reply::Bulk(info::text(&status, self.state_max, &sections).into())
                        }
                        None => stopped(),
                    };
                    self.answer(&reply).await?;
                    continue;
                }
            };
            self.waiting.push_back(Waiting { request, protocol });
            if self.waiting.len() >= WAITING_MAX {
                self.ask().await?;
            }
        }
    }

    /// Answers all requests that wait, and then adds this reply to the output.
    async fn answer(&mut self, reply: &Reply) -> io::Result<()> {
        self.ask().await?;
        self.output.push(reply, self.client.protocol());
        self.write_if_long().await
    }

    /// Sends all waiting requests to the cluster, and adds their answers to the output.
    async fn ask(&mut self) -> io::Result<()> {
        while let Some(round) = rounds::next(&mut self.waiting) {
            let replies = match round {
                Round::Read(questions) => self.read(questions).await?,
                Round::Propose { entry, requests, copies } => {
                    self.propose(entry, requests, copies).await?
                }
            };
            debug_assert!(!replies.is_empty(), "each round answers at least one request");
            for reply in &replies {
                let answered = self.waiting.pop_front();
                let protocol = answered.map_or(self.client.protocol(), |waiting| waiting.protocol);
                self.output.push(reply, protocol);
            }
            drop(replies);
            self.write_if_long().await?;
        }
        Ok(())
    }

    /// Writes the answers if they are longer than a connection may hold without an account.
    async fn write_if_long(&mut self) -> io::Result<()> {
        if self.output.bytes() > OWN_BYTES {
            self.write_out().await?;
        }
        Ok(())
    }

    /// Returns the answers to some of the questions, at least to the first, from one state. If the node cannot read,
    /// returns an error for each question.
    async fn read(&mut self, questions: Vec<Question>) -> io::Result<Vec<Reply>> {
        let questions: Arc<[Question]> = questions.into();
        let mut bytes_max = OWN_BYTES;
        loop {
            let request = questions.clone();
            self.wait_for_cluster(true);
            let answered = self.node.read(move |kv| kv.answer_some(&request, bytes_max)).await;
            self.wait_for_cluster(false);
            match answered {
                Ok(Ok(replies)) => return Ok(replies),
                // The account must hold the first answer. The answer may have grown when the node reads again.
                Ok(Err(AnswerTooLong { bytes })) => {
                    bytes_max = if bytes_max == OWN_BYTES { bytes } else { ANSWER_MAX };
                    self.hold_outgoing(self.output.bytes() + bytes_max).await?;
                }
                Err(error) => return Ok(vec![unread(&error); questions.len()]),
            }
        }
    }

    /// Proposes an entry, and returns the answers to its requests: to all, or to the first ones of a pipeline that
    /// ended early.
    async fn propose(
        &mut self,
        entry: Bytes,
        requests: usize,
        copies: Copies,
    ) -> io::Result<Vec<Reply>> {
        if copies.bytes_max() > 0 {
            self.hold_outgoing(self.output.bytes() + copies.bytes_max()).await?;
        }
        let entry = self.limited(entry);
        self.wait_for_cluster(true);
        let answer = self.node.propose(entry).await;
        self.wait_for_cluster(false);
        let replies = match answer {
            Ok(Reply::Array(replies)) if requests > 1 && !replies.is_empty() => replies,
            Ok(reply) => vec![reply; requests],
            Err(error) => vec![unwritten(&error); requests],
        };
        self.account_for(replies.iter().map(Reply::size).sum());
        Ok(replies)
    }

    async fn once(&mut self, request: session::Request) -> Reply {
        let request = request.map(|entry| self.limited(entry));
        self.wait_for_cluster(true);
        let answer = self.node.request(request).await;
        self.wait_for_cluster(false);
        let reply = answer.unwrap_or_else(|error| unanswered(&error));
        self.account_for(reply.size());
        reply
    }

    /// Makes the account for answers hold an answer that exists. So far the answer shared the memory of the state, or
    /// the account held enough for it. After the next write the answer may be the only holder of that memory.
    fn account_for(&self, size: usize) {
        let bytes = self.output.bytes() + size;
        self.outgoing.take(if bytes > OWN_BYTES { bytes } else { 0 });
    }

    /// Adds the limit of the whole state to an entry.
    fn limited(&self, entry: Bytes) -> Bytes {
        Entry::Within { state_max: self.state_max, entry }.to_bytes()
    }

    /// Makes the account for answers hold this number of bytes. While the connection waits for them, its client does
    /// not count as slow.
    async fn hold_outgoing(&self, bytes: usize) -> io::Result<()> {
        self.incoming.set_waiting(true);
        let held = self.outgoing.hold(bytes).await;
        self.incoming.set_waiting(false);
        Ok(held?)
    }

    fn wait_for_cluster(&self, waits: bool) {
        self.incoming.set_waiting(waits);
        self.outgoing.set_waiting(waits);
    }
}

fn stopped() -> Reply {
    Reply::error("CLUSTERDOWN the node has stopped")
}

fn unread(error: &ReadError) -> Reply {
    Reply::Error(format!("CLUSTERDOWN {error}").into())
}

/// Returns the error for a request of a session. `NOANSWER` says that a retry is useless.
fn unanswered(error: &ProposeError) -> Reply {
    if error.is_final() && error.may_be_applied() {
        return Reply::Error(format!("NOANSWER {error}").into());
    }
    unwritten(error)
}

fn unwritten(error: &ProposeError) -> Reply {
    let word = match error {
        ProposeError::TooLong { .. } => "ERR",
        error if error.may_be_applied() => "MAYBE",
        _ => "CLUSTERDOWN",
    };
    Reply::Error(format!("{word} {error}").into())
}

#[cfg(test)]
mod tests {
    use tokio::{io::DuplexStream, sync::mpsc, time::sleep};

    use super::*;
    use crate::{
        REQUEST_MAX,
        server::pool::{Closed, Pool},
    };

    /// The longest value that fits into a request.
    const LONGEST: usize = REQUEST_MAX - 100;

    fn connection(
        node: ClientHandle<Kv>,
        stream: DuplexStream,
        pool: &Arc<Pool>,
    ) -> Connection<DuplexStream> {
        Connection {
            stream,
            node,
            client: Client::new(1),
            state_max: 1 << 30,
            incoming: pool.account(),
            outgoing: Pool::new(0).account(),
            waiting: VecDeque::new(),
            has_long_buffer: false,
            output: Output::default(),
        }
    }

    /// Returns a request that sets a key to a value of this length.
    fn set(length: usize) -> Vec<u8> {
        let mut request = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${length}\r\n").into_bytes();
        request.extend(vec![b'x'; length]);
        request.extend(b"\r\n");
        request
    }

    /// Returns true if a client is disconnected within two minutes because other clients need its memory. It sends
    /// requests of this length one after the other: 60 kB at once, and the rest in pieces. It pauses after each
    /// piece.
    async fn is_closed(request: usize, piece: usize, pause: Duration) -> bool {
        const POOL: usize = 9 << 20;
        let pool = Pool::new(POOL);
        let node = ClientHandle::without_node(|_| Some(Reply::ok()));
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let connection = tokio::spawn(connection(node, ours, &pool).run());
        let (mut answers, mut requests) = tokio::io::split(theirs);
        let reader = tokio::spawn(async move {
            let _ = tokio::io::copy(&mut answers, &mut tokio::io::sink()).await;
        });
        let writer = tokio::spawn(async move {
            loop {
                let request = set(request);
                let (first, rest) = request.split_at(60_000);
                for piece in std::iter::once(first).chain(rest.chunks(piece)) {
                    if requests.write_all(piece).await.is_err() {
                        return;
                    }
                    sleep(pause).await;
                }
            }
        });
        let other = pool.account();
        let others = tokio::spawn(async move {
            loop {
                other.hold(POOL).await.unwrap();
                other.shrink(0);
                sleep(Duration::from_millis(100)).await;
            }
        });
        let ended = timeout(Duration::from_mins(2), connection).await;
        for task in [reader, writer, others] {
            task.abort();
        }
        ended.is_ok_and(|ended| {
            let error = ended.unwrap().unwrap_err().into_inner();
            error.unwrap().downcast::<Closed>().is_ok()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_does_not_keep_the_memory_of_its_requests() {
        assert!(
            is_closed(LONGEST, 1, Duration::from_secs(2)).await,
            "it sends a long request slowly"
        );
        assert!(
            is_closed(60_000, 100, Duration::from_secs(3)).await,
            "it sends short requests slowly"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_client_keeps_the_memory_of_its_requests() {
        assert!(!is_closed(LONGEST, 256 << 10, Duration::from_millis(125)).await, "2 MiB a second");
    }

    /// While the connection waits for the cluster, only the node has a copy of a long request.
    #[tokio::test]
    async fn a_long_request_is_kept_once() {
        const LENGTH: usize = 1 << 20;
        let (sender, mut proposed) = mpsc::unbounded_channel();
        let node = ClientHandle::without_node(move |command| {
            sender.send(command).unwrap();
            None
        });
        let (ours, _theirs) = tokio::io::duplex(1 << 10);
        let mut connection = connection(node, ours, &Pool::new(2 * LENGTH));
        let (mut decoder, mut input) = (Decoder::default(), BytesMut::from(&set(LENGTH)[..]));
        input.extend_from_slice(b"*2\r\n$3\r\nGET\r\n");
        connection.has_long_buffer = true;
        let command = tokio::select! {
            _ = connection.answer_all(&mut decoder, &mut input) => panic!("there is no answer"),
            command = proposed.recv() => command.unwrap(),
        };
        assert!(command.len() > LENGTH && command.is_unique());
        assert!(!input.try_reclaim(LENGTH), "the input buffer was dropped");
        let kept = connection.waiting.iter().map(|waiting| match &waiting.request {
            ClusterRequest::Write { entry, .. } => entry.len(),
            ClusterRequest::Read(_) => 0,
        });
        assert_eq!(kept.collect::<Vec<_>>(), [0]);
    }
}
