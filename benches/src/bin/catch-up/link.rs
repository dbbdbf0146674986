//! A slow link in front of a node: a proxy that passes so many bytes a second, each after a while.

use std::{
    io,
    net::TcpListener,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

/// The bytes that are read at once.
const READ_BYTES: usize = 64 << 10;

/// The time by which a link reads ahead. A timer may be late by a millisecond, and the link would be free meanwhile.
const AHEAD: Duration = Duration::from_millis(5);

/// The reads that are on their way over a link, at most. With [`READ_BYTES`] they are more than a link has under way.
const READS_MAX: usize = 1 << 12;

/// The properties of a link, and what it has passed.
#[derive(Debug)]
pub(crate) struct Link {
    /// The bytes that pass in a second, of all connections together. `None` is no limit.
    rate: Option<u64>,
    /// The time that a byte is on its way, in each direction.
    delay: Duration,
    /// The bytes that have passed to the node.
    passed: AtomicU64,
    /// The time at which the link is free.
    free_at: Mutex<Instant>,
}

impl Link {
    pub(crate) fn new(rate: Option<u64>, delay: Duration) -> Self {
        let free_at = Mutex::new(Instant::now());
        Self { rate, delay, passed: AtomicU64::new(0), free_at }
    }

    /// The bytes that have passed to the node.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// Returns the time at which these bytes have passed.
    fn pass(&self, bytes: usize) -> Instant {
        self.passed.fetch_add(bytes as u64, Ordering::Relaxed);
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        *free_at = (*free_at).max(Instant::now());
        if let Some(rate) = self.rate {
            *free_at += Duration::from_nanos(bytes as u64 * 1_000_000_000 / rate);
        }
        *free_at
    }

    /// Passes on each connection of a listener to the node at this address, and back. A connection ends with either end.
    ///
    /// # Errors
    /// The listener has failed.
    pub(crate) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        node: String,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (from, _) = listener.accept().await?;
            // The node may be down. The peer then connects again.
            let Ok(to) = TcpStream::connect(&node).await else { continue };
            from.set_nodelay(true)?;
            to.set_nodelay(true)?;
            let (from_read, from_write) = from.into_split();
            let (to_read, to_write) = to.into_split();
            tokio::spawn(carry(from_read, to_write, self.delay, Some(self.clone())));
            tokio::spawn(carry(to_read, from_write, self.delay, None));
        }
    }
}

/// Carries bytes until either end is closed. Only one direction has the rate of the link.
async fn carry(
    mut from: OwnedReadHalf,
    to: OwnedWriteHalf,
    delay: Duration,
    link: Option<Arc<Link>>,
) {
    let (sender, on_the_way) = mpsc::channel(READS_MAX);
    tokio::spawn(deliver(on_the_way, to));
    let mut bytes = vec![0; READ_BYTES];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let passed = link.as_ref().map_or_else(Instant::now, |link| link.pass(count));
        if sender.send((passed + delay, bytes[..count].to_vec())).await.is_err() {
            break; // The other end is closed.
        }
        sleep(passed.saturating_duration_since(Instant::now() + AHEAD)).await;
    }
}

/// Writes bytes, each at its time.
async fn deliver(mut on_the_way: mpsc::Receiver<(Instant, Vec<u8>)>, mut to: OwnedWriteHalf) {
    while let Some((at, bytes)) = on_the_way.recv().await {
        sleep_until(at).await;
        if to.write_all(&bytes).await.is_err() {
            break; // The peers notice that the connection has ended.
        }
    }
}
