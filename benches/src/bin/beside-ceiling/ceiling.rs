//! The ceiling: a store in one process, without replication. It has the parser, the store and the durability of
//! `paxos serve`, and nothing else.
//!
//! In each round, the ceiling reads once from each socket that is ready, appends the entries of all complete requests
//! to its log with one write and one `fdatasync`, executes them, and writes the answers. The log is overwritten from its
//! beginning when it is full, so that a sync never has to write the size of a file.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

use bytes::{Bytes, BytesMut};
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use paxos_kv::{
    Action, Client, Kv, Reply,
    resp::{Decoder, encode},
};
use paxos_node::StateMachine as _;

/// The length of the log.
const LOG_BYTES: u64 = 64 << 20;
/// The most bytes that are read from a socket at once, as in `paxos serve`.
const READ_BYTES: usize = 16 << 10;

const LISTENER: Token = Token(0);

struct Connection {
    stream: TcpStream,
    client: Client,
    decoder: Decoder,
    input: BytesMut,
    output: BytesMut,
    /// The actions of the requests of this round.
    actions: Vec<Action>,
}

struct Log {
    file: File,
    end: u64,
    /// The entries of this round.
    round: Vec<u8>,
}

/// Serves clients at this address until the process is killed.
pub(crate) fn serve(address: &str, data: &Path) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let address = address.parse().map_err(io::Error::other)?;
    let mut listener = TcpListener::bind(address)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut log = Log::create(data)?;
    let mut kv = Kv::default();
    let mut connections = HashMap::new();
    let (mut next, mut events) = (1, Events::with_capacity(1024));
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                accept(&poll, &listener, &mut next, &mut connections)?;
            } else if let Some(connection) = connections.get_mut(&event.token())
                && !connection.read(&mut log.round)?
            {
                connections.remove(&event.token());
            }
        }
        log.sync()?;
        for event in &events {
            if let Some(connection) = connections.get_mut(&event.token())
                && !connection.answer(&mut kv)?
            {
                connections.remove(&event.token());
            }
        }
    }
}

fn accept(
    poll: &Poll,
    listener: &TcpListener,
    next: &mut usize,
    connections: &mut HashMap<Token, Connection>,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        poll.registry().register(&mut stream, Token(*next), Interest::READABLE)?;
        let connection = Connection {
            stream,
            client: Client::new(*next as u64),
            decoder: Decoder::default(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            actions: Vec::new(),
        };
        connections.insert(Token(*next), connection);
        *next += 1;
    }
}

impl Connection {
    /// Reads all that has arrived, and adds the entries of complete requests to the log. Returns false at the end of
    /// the input.
    fn read(&mut self, log: &mut Vec<u8>) -> io::Result<bool> {
        let mut bytes = [0; READ_BYTES];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(false),
                Ok(read) => {
                    self.input.extend_from_slice(&bytes[..read]);
                    // A short read has emptied the socket. More input is another event.
                    if read < READ_BYTES {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        while let Some(arguments) =
            self.decoder.decode(&mut self.input).map_err(io::Error::other)?
        {
            let action = self.client.handle(&arguments);
            if let Action::Write { entry, .. } = &action {
                log.extend_from_slice(&(entry.len() as u64).to_le_bytes());
                log.extend_from_slice(entry);
            }
            self.actions.push(action);
        }
        Ok(true)
    }

    /// Executes the requests of this round, and writes their answers. Returns false after a `QUIT`.
    fn answer(&mut self, kv: &mut Kv) -> io::Result<bool> {
        let mut goes_on = true;
        for action in self.actions.drain(..) {
            let reply = match action {
                Action::Reply(reply) => reply,
                Action::Close(reply) => {
                    goes_on = false;
                    reply
                }
                Action::Read(question) => kv.answer(&question),
                Action::Write { entry, .. } => kv.apply(&entry),
                _ => Reply::Error(Bytes::from_static(b"ERR the ceiling has no cluster")),
            };
            encode(&reply, self.client.protocol(), &mut self.output);
        }
        // Clients that wait for their answers have room for them.
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(goes_on)
    }
}

impl Log {
    fn create(data: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(data.join("log"))?;
        let zeros = vec![0; 1 << 20];
        for offset in (0..LOG_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, offset)?;
        }
        file.sync_all()?;
        Ok(Self { file, end: 0, round: Vec::new() })
    }

    /// Makes the entries of the round durable.
    fn sync(&mut self) -> io::Result<()> {
        if self.round.is_empty() {
            return Ok(());
        }
        if self.end + self.round.len() as u64 > LOG_BYTES {
            self.end = 0;
        }
        self.file.write_all_at(&self.round, self.end)?;
        self.file.sync_data()?;
        self.end += self.round.len() as u64;
        self.round.clear();
        Ok(())
    }
}
