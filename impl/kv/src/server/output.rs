//! Encoded replies that wait to be written. Short texts are copied into one buffer, and long texts are shared.

use std::{collections::VecDeque, io, time::Duration};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use crate::{
    Reply,
    resp::{self, Protocol, Sink},
};

/// A text with at least this number of bytes is shared and not copied.
const SHARED_BYTES: usize = 16 << 10;

/// The encoded replies that are not written.
#[derive(Debug, Default)]
pub(super) struct Output {
    chunks: VecDeque<Bytes>,
    /// The bytes after the chunks.
    last: BytesMut,
    bytes: usize,
}

impl Output {
    pub(super) fn push(&mut self, reply: &Reply, protocol: Protocol) {
        resp::encode(reply, protocol, self);
    }

    /// Returns the number of bytes that are not written.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes all bytes, and calls `progress` with the number of bytes of each write.
    ///
    /// # Errors
    /// Fails if the connection breaks, or if no byte could be written for the time `patience`.
    pub(super) async fn write_to(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        patience: Duration,
        mut progress: impl FnMut(usize),
    ) -> io::Result<()> {
        self.chunks.push_back(self.last.split().freeze());
        while let Some(chunk) = self.chunks.front_mut() {
            if chunk.is_empty() {
                self.chunks.pop_front();
                continue;
            }
            // Each write has the full time, because any number of bytes is progress.
            let written = timeout(patience, stream.write(chunk)).await;
            let written = written.map_err(|_| io::ErrorKind::TimedOut)??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            chunk.advance(written);
            self.bytes -= written;
            progress(written);
        }
        // The buffers are dropped, so that an idle client takes no memory.
        *self = Self::default();
        Ok(())
    }
}

impl Sink for Output {
    fn put(&mut self, bytes: &[u8]) {
        self.last.extend_from_slice(bytes);
        self.bytes += bytes.len();
    }

    fn put_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED_BYTES {
            return self.put(bytes);
        }
        self.chunks.extend([self.last.split().freeze(), bytes.clone()]);
        self.bytes += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn long_texts_are_not_copied() {
        let long = Bytes::from(vec![b'x'; SHARED_BYTES]);
        let replies = [Reply::ok(), Reply::Bulk(long.clone()), Reply::Bulk("short".into())];
        let (mut output, mut expected) = (Output::default(), BytesMut::new());
        for reply in &replies {
            output.push(reply, Protocol::Resp2);
            resp::encode(reply, Protocol::Resp2, &mut expected);
        }
        assert_eq!(output.bytes(), expected.len());
        assert!(output.chunks.iter().any(|chunk| chunk.as_ptr() == long.as_ptr()));
        let mut written = Vec::new();
        let mut progress = 0;
        output.write_to(&mut written, PATIENCE, |bytes| progress += bytes).await.unwrap();
        assert_eq!(progress, expected.len());
        assert_eq!((written, output.bytes()), (expected.to_vec(), 0));
        assert_eq!(
            (output.last.capacity(), output.chunks.capacity()),
            (0, 0),
            "an idle client takes no memory"
        );
    }

    /// A client that reads slowly is not disconnected, even if it takes very long to read everything.
    #[tokio::test(start_paused = true)]
    async fn only_a_client_that_makes_no_progress_is_disconnected() {
        let (mut ours, mut theirs) = tokio::io::duplex(1000);
        let reader = tokio::spawn(async move {
            let mut piece = [0; 1000];
            for _ in 0..100 {
                tokio::time::sleep(PATIENCE / 2).await;
                theirs.read_exact(&mut piece).await.unwrap();
            }
            theirs
        });
        let mut output = Output::default();
        let reply = Reply::Bulk(vec![b'x'; 200_000].into());
        output.push(&reply, Protocol::Resp2);
        let error = output.write_to(&mut ours, PATIENCE, |_| {}).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let _theirs = reader.await.unwrap();
        assert!(output.bytes() < 100_000, "{} bytes were not read", output.bytes());
    }
}
