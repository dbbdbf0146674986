//! A minimal client of the protocol of Redis.

use std::io;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

pub(crate) struct Client {
    stream: TcpStream,
    out: BytesMut,
    input: BytesMut,
}

impl Client {
    pub(crate) async fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, out: BytesMut::new(), input: BytesMut::new() })
    }

    /// Adds a request to the output.
    pub(crate) fn send(&mut self, words: &[&[u8]]) {
        self.out.put_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.out.put_slice(format!("${}\r\n", word.len()).as_bytes());
            self.out.put_slice(word);
            self.out.put_slice(b"\r\n");
        }
    }

    /// Writes the output.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all_buf(&mut self.out).await
    }

    /// Returns the next answer: a line without its end, or the content of a bulk string.
    pub(crate) async fn answer(&mut self) -> io::Result<Bytes> {
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
