//! Recordings of other machines, over TCP.
//!
//! A [`Server`] runs beside a node, and serves the recordings of one directory, which may grow. A [`Copies`] pulls: it asks each
//! server for the bytes that it does not have yet, and appends them to its own copies.
//!
//! # The protocol
//!
//! Both sides first send [`MAGIC`] and [`VERSION`]. Then the client sends a request, and the server sends the reply. Each is a
//! length of four bytes, little-endian, and as many bytes of postcard. The client may send the next request after the reply.
//! There is no other state: a request names the file and the place.
//!
//! The server cannot name a path outside its directory, since a request has the numbers of a [`FileName`] and not a path.
//! It serves regular files only. Nothing is encrypted or authenticated.
//!
//! # Causality without a clock
//!
//! A node hands its frames to the system before a message leaves. So the frame of a message that arrives is written after
//! the frame of its sender. A pull that begins after a frame was copied therefore finds everything on which the frame depends,
//! at each server that it reaches. [`Pulled`] names the nodes of these servers.

mod copies;
mod error;
mod remote;
mod server;

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use bytes::Bytes;
use paxos_recording::FileName;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::{
    copies::{Copies, Pulled},
    error::CopyError,
    remote::Limits,
    server::Server,
};

/// The first bytes that each side sends.
pub const MAGIC: [u8; 6] = *b"PAXSTR";
/// The version of the protocol. It follows [`MAGIC`] as two bytes, little-endian.
pub const VERSION: u16 = 1;
/// The bytes of [`MAGIC`] and [`VERSION`].
const HELLO: usize = MAGIC.len() + size_of::<u16>();
/// The most bytes of a request.
const REQUEST_MAX: usize = 256;
/// The most bytes of a file in a reply.
const CHUNK_MAX: u32 = 256 << 10;
/// The most bytes of a file whose digest a reply has.
const DIGEST_MAX: u32 = 1 << 20;
/// The most files in a reply.
const LISTED_MAX: usize = 1000;
/// The most bytes of a reply.
const REPLY_MAX: usize = 1 << 20;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Request {
    /// The files after this one, in the order of their names.
    List { after: Option<FileName> },
    /// Bytes of a file.
    Read {
        name: FileName,
        /// The place of the first byte.
        offset: u64,
        /// The number of bytes before the place whose digest is asked for.
        before: u32,
        /// The most bytes of the reply.
        most: u32,
    },
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Reply {
    /// Files, in the order of their names.
    Files {
        files: Vec<Listed>,
        /// True if there are more files.
        more: bool,
    },
    /// Bytes of a file: none at its end.
    Bytes {
        /// XXH3 of the bytes before the place.
        before: u64,
        bytes: Bytes,
    },
    /// The file ends before the place.
    Short { length: u64 },
    /// There is no such file.
    Missing,
    /// The server could not read the directory or the file.
    Failed { error: String },
}

/// A file of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    name: FileName,
    length: u64,
    /// True if the node has given up the file.
    given_up: bool,
}

fn hello() -> [u8; HELLO] {
    let mut hello = [0; HELLO];
    hello[..MAGIC.len()].copy_from_slice(&MAGIC);
    hello[MAGIC.len()..].copy_from_slice(&VERSION.to_le_bytes());
    hello
}

/// Returns the version in a greeting, if it is one of this protocol.
fn version(hello: [u8; HELLO]) -> Option<u16> {
    let (magic, version) = hello.split_at(MAGIC.len());
    (magic == MAGIC).then(|| u16::from_le_bytes(version.try_into().expect("two bytes")))
}

/// A message that cannot be read.
#[derive(Debug)]
enum Unread {
    /// The connection is lost, or the time is over.
    Lost(io::Error),
    /// The bytes have no meaning.
    Meaningless(String),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

/// A connection on which each message has a time limit as a whole, so that a peer that sends a byte now and then cannot hold
/// the other side.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    patience: Duration,
}

impl Connection {
    fn new(stream: TcpStream, patience: Duration) -> io::Result<Self> {
        // A listener that does not block may hand on connections that do not block either.
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, patience })
    }

    /// Reads bytes until the buffer is full.
    fn fill(&mut self, mut buffer: &mut [u8], until: Instant) -> io::Result<()> {
        while !buffer.is_empty() {
            self.stream.set_read_timeout(Some(left(until)?))?;
            match self.stream.read(buffer) {
                Ok(0) => return Err(io::Error::other("the connection was closed")),
                Ok(count) => buffer = &mut buffer[count..],
                Err(error) => again(error)?,
            }
        }
        Ok(())
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let until = Instant::now() + self.patience;
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(left(until)?))?;
            match self.stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) => again(error)?,
            }
        }
        Ok(())
    }

    fn read_hello(&mut self) -> io::Result<[u8; HELLO]> {
        let mut hello = [0; HELLO];
        self.fill(&mut hello, Instant::now() + self.patience)?;
        Ok(hello)
    }

    fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut bytes = vec![0; size_of::<u32>()];
        bytes = postcard::to_extend(message, bytes).expect("there is memory");
        let length = (bytes.len() - size_of::<u32>()) as u32;
        bytes[..size_of::<u32>()].copy_from_slice(&length.to_le_bytes());
        self.write(&bytes)
    }

    /// Reads a message of at most `most` bytes. Waits at most `patience` for it.
    fn receive<T: DeserializeOwned>(&mut self, most: usize) -> Result<T, Unread> {
        let until = Instant::now() + self.patience;
        let mut length = [0; size_of::<u32>()];
        self.fill(&mut length, until)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > most {
            let what = format!("a message claims {length} bytes; the most is {most}");
            return Err(Unread::Meaningless(what));
        }
        let mut bytes = vec![0; length];
        self.fill(&mut bytes, until)?;
        match postcard::take_from_bytes(&bytes) {
            Ok((message, [])) => Ok(message),
            _ => Err(Unread::Meaningless(format!("a message of {length} bytes has no meaning"))),
        }
    }
}

/// Returns the time until a moment.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(timed_out()) } else { Ok(left) }
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "there was no answer in time")
}

/// Returns Ok if an operation may be tried again. The time until which it is tried is checked before each try.
fn again(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Ok(()),
        _ => Err(error),
    }
}
