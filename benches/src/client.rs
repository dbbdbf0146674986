//! A minimal client of the protocol of Redis, for `paxos serve`.

use std::{
    io,
    ops::Range,
    time::{Duration, Instant},
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};

/// The number of clients that fill a store, and of the puts that each sends at once.
const FILLERS: u64 = 16;
const FILL_PIPELINE: u64 = 16;

/// The reason for which a client has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection has failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The node accepts no puts.
    #[error("a node was not ready after a minute")]
    NotReady,
    /// The answer is not the expected one.
    #[error("{0}")]
    Answer(String),
}

/// A connection to a node.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    out: BytesMut,
    input: BytesMut,
}

impl Client {
    /// Connects to a node.
    ///
    /// # Errors
    /// The node does not accept the connection.
    pub async fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, out: BytesMut::new(), input: BytesMut::new() })
    }

    /// Adds a request to the output.
    pub fn send(&mut self, words: &[&[u8]]) {
        self.out.put_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.out.put_slice(format!("${}\r\n", word.len()).as_bytes());
            self.out.put_slice(word);
            self.out.put_slice(b"\r\n");
        }
    }

    /// Writes the output.
    ///
    /// # Errors
    /// The connection has failed.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all_buf(&mut self.out).await
    }

    /// Returns the next answer: a line without its end, or the content of a bulk string.
    ///
    /// # Errors
    /// The connection has failed, or the answer is malformed.
    pub async fn answer(&mut self) -> io::Result<Bytes> {
        let line = loop {
            if let Some(end) = self.input.windows(2).position(|end| end == b"\r\n") {
                let line = self.input.split_to(end);
                self.input.advance(2);
                break line.freeze();
            }
            self.read().await?;
        };
        let Some(length) = line.strip_prefix(b"$") else { return Ok(line) };
        let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
        let length: usize = length.ok_or_else(|| io::Error::other("a length is no number"))?;
        while self.input.len() < length + 2 {
            self.read().await?;
        }
        let content = self.input.split_to(length).freeze();
        self.input.advance(2);
        Ok(content)
    }

    async fn read(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// Connects to a node, and waits until it accepts puts.
///
/// # Errors
/// The node accepts none for a minute.
pub async fn ready(address: &str) -> Result<Client, ClientError> {
    let begun = Instant::now();
    loop {
        if let Ok(mut client) = Client::connect(address).await {
            client.send(&[b"SET", b"ready", b"1"]);
            if client.flush().await.is_ok() && client.answer().await?.as_ref() == b"+OK" {
                return Ok(client);
            }
        }
        if begun.elapsed() > Duration::from_mins(1) {
            return Err(ClientError::NotReady);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Returns the answer to `INFO`.
///
/// # Errors
/// The node does not answer.
pub async fn info(client: &mut Client) -> Result<String, ClientError> {
    client.send(&[b"INFO"]);
    client.flush().await?;
    Ok(String::from_utf8_lossy(&client.answer().await?).into_owned())
}

/// Returns a number of the answer to `INFO`.
///
/// # Errors
/// There is no such number.
pub fn number(info: &str, name: &str) -> Result<u64, ClientError> {
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = value.and_then(|value| value.trim().parse().ok());
    number.ok_or_else(|| ClientError::Answer(format!("INFO has no number {name}: {info}")))
}

/// Returns a key of 16 bytes.
pub fn key(number: u64) -> String {
    format!("key:{number:012}")
}

/// Sets as many keys of a node, from key 0 on.
///
/// # Errors
/// A put is not answered, or refused.
pub async fn fill(address: &str, keys: u64, value_bytes: usize) -> Result<(), ClientError> {
    let mut filling = JoinSet::new();
    for part in 0..FILLERS {
        let keys = part * keys / FILLERS..(part + 1) * keys / FILLERS;
        filling.spawn(fill_some(address.to_owned(), keys, value_bytes));
    }
    while let Some(filled) = filling.join_next().await {
        filled.map_err(io::Error::other)??;
    }
    Ok(())
}

async fn fill_some(
    address: String,
    keys: Range<u64>,
    value_bytes: usize,
) -> Result<(), ClientError> {
    let mut client = Client::connect(&address).await?;
    let value = vec![b'x'; value_bytes];
    for first in keys.clone().step_by(FILL_PIPELINE as usize) {
        let pipeline = first..keys.end.min(first + FILL_PIPELINE);
        for nth in pipeline.clone() {
            client.send(&[b"SET", key(nth).as_bytes(), &value]);
        }
        client.flush().await?;
        for _ in pipeline {
            expect_ok(&client.answer().await?)?;
        }
    }
    Ok(())
}

/// Checks the answer to a put.
///
/// # Errors
/// The put was refused.
pub fn expect_ok(answer: &[u8]) -> Result<(), ClientError> {
    if answer == b"+OK" {
        return Ok(());
    }
    let answer = String::from_utf8_lossy(answer);
    Err(ClientError::Answer(format!("a put was answered {answer}")))
}
