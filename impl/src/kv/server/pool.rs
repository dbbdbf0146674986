//! Memory that the connections of all clients share.
//!
//! A connection has a small buffer of its own. It takes the memory for a long request or a long answer from a
//! pool. When the pool is used up, further connections wait. A client that neither sends nor reads must not
//! keep them waiting: then the connection that has held memory for the longest time is closed, if that is longer
//! than [`GRACE`]. While a connection waits for the cluster, it counts as holding nothing.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use thiserror::Error;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// The time for which a connection may hold memory while others wait for it.
const GRACE: Duration = Duration::from_secs(5);
/// The time after which a waiting connection looks for memory again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Memory that accounts share.
#[derive(Debug)]
pub(super) struct Pool {
    bytes_max: usize,
    state: Mutex<State>,
    given_back: Notify,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    accounts: BTreeMap<u64, Entry>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    bytes: usize,
    /// The time since which the account holds memory on behalf of a client that is slow.
    since: Option<Instant>,
    /// Whether the connection was told to close.
    is_closing: bool,
    closed: Arc<Notify>,
}

/// The memory of one connection. Dropping the account gives it back.
#[derive(Debug)]
pub(super) struct Account {
    pool: Arc<Pool>,
    id: u64,
    closed: Arc<Notify>,
}

/// A connection has to be closed, since others need the memory that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the client was slow, and other clients needed its memory")]
pub(super) struct Closed;

impl From<Closed> for io::Error {
    fn from(closed: Closed) -> Self {
        Self::other(closed)
    }
}

impl Pool {
    pub(super) fn new(bytes_max: usize) -> Arc<Self> {
        let (state, given_back) = (Mutex::default(), Notify::new());
        Arc::new(Self { bytes_max, state, given_back })
    }

    /// An account that holds nothing.
    pub(super) fn account(self: &Arc<Self>) -> Account {
        let closed = Arc::new(Notify::new());
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state
            .accounts
            .insert(id, Entry { bytes: 0, since: None, is_closing: false, closed: closed.clone() });
        Account { pool: self.clone(), id, closed }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// Makes the account hold so many bytes. Waits until there is room for them; more than all the room has to
    /// wait until the account is the only one.
    ///
    /// # Errors
    /// The connection has to be closed.
    pub(super) async fn hold(&self, bytes: usize) -> Result<(), Closed> {
        loop {
            let given_back = self.pool.given_back.notified();
            if self.try_hold(bytes) {
                return Ok(());
            }
            self.close_the_slowest();
            tokio::select! {
                closed = self.closed() => return Err(closed),
                () = given_back => {}
                () = sleep(LOOK_AGAIN) => {} // A grace may have ended.
            }
        }
    }

    /// Makes the account hold so many bytes at once: they are taken already. If that is more than the pool has, the
    /// slowest other connections are closed, however short a time they hold theirs.
    pub(super) fn take(&self, bytes: usize) {
        let mut state = self.pool.state();
        let less = state.set(self.id, bytes);
        state.close_slowest(self.pool.bytes_max, self.id);
        drop(state);
        if less {
            self.pool.given_back.notify_waiters();
        }
    }

    /// Makes the account hold no more than so many bytes.
    pub(super) fn shrink(&self, bytes: usize) {
        let held = self.pool.state().held(self.id);
        if bytes < held {
            let shrunk = self.try_hold(bytes);
            debug_assert!(shrunk, "less is always allowed");
        }
    }

    /// Notes whether the connection waits for the cluster, and not for its client.
    pub(super) fn wait_for_cluster(&self, waits: bool) {
        if let Some(entry) = self.pool.state().accounts.get_mut(&self.id) {
            entry.since = (!waits && entry.bytes > 0).then(Instant::now);
        }
    }

    /// Resolves when the connection has to be closed, for others need its memory.
    pub(super) async fn closed(&self) -> Closed {
        self.closed.notified().await;
        Closed
    }

    fn try_hold(&self, bytes: usize) -> bool {
        let mut state = self.pool.state();
        let held = state.held(self.id);
        let others = state.taken - held;
        if bytes > held && others > 0 && others + bytes > self.pool.bytes_max {
            return false;
        }
        let less = state.set(self.id, bytes);
        drop(state);
        if less {
            self.pool.given_back.notify_waiters();
        }
        true
    }

    /// Has the connection closed that has held memory for the longest time, if that is longer than [`GRACE`].
    fn close_the_slowest(&self) {
        let mut state = self.pool.state();
        if let Some(entry) = state.slowest(self.id)
            && entry.since.is_some_and(|since| since.elapsed() >= GRACE)
        {
            entry.close();
        }
    }
}

impl State {
    fn held(&self, id: u64) -> usize {
        self.accounts.get(&id).map_or(0, |entry| entry.bytes)
    }

    /// Makes an account hold so many bytes. Returns whether these are less than before.
    fn set(&mut self, id: u64, bytes: usize) -> bool {
        let Some(entry) = self.accounts.get_mut(&id) else { return false };
        let before = std::mem::replace(&mut entry.bytes, bytes);
        entry.since = (bytes > 0).then(|| entry.since.unwrap_or_else(Instant::now));
        self.taken = self.taken - before + bytes;
        bytes < before
    }

    /// The account but for one that holds memory for the longest time, and is not being closed.
    fn slowest(&mut self, but: u64) -> Option<&mut Entry> {
        let others = self.accounts.iter_mut().filter(|(id, _)| **id != but);
        let holding = others.filter(|(_, entry)| entry.since.is_some() && !entry.is_closing);
        holding.map(|(_, entry)| entry).min_by_key(|entry| entry.since)
    }

    /// Has connections closed until the others hold no more than so many bytes.
    fn close_slowest(&mut self, bytes_max: usize, but: u64) {
        let closing = self.accounts.values().filter(|entry| entry.is_closing);
        let mut left = self.taken - closing.map(|entry| entry.bytes).sum::<usize>();
        while left > bytes_max
            && let Some(entry) = self.slowest(but)
        {
            entry.close();
            left -= entry.bytes;
        }
    }
}

impl Entry {
    fn close(&mut self) {
        tracing::warn!(
            bytes = self.bytes,
            held_ms = self.since.map(|since| since.elapsed().as_millis()),
            "a slow client is disconnected: other clients need its memory"
        );
        self.is_closing = true;
        self.closed.notify_one();
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        if let Some(entry) = state.accounts.remove(&self.id) {
            state.taken -= entry.bytes;
        }
        drop(state);
        self.pool.given_back.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// True if the account gets the bytes while nothing else happens.
    async fn gets(account: &Account, bytes: usize) -> bool {
        timeout(LOOK_AGAIN * 2, account.hold(bytes)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_limited_and_given_back() {
        let pool = Pool::new(10);
        let [one, other] = [pool.account(), pool.account()];
        assert!(gets(&one, 6).await);
        assert!(gets(&other, 4).await);
        assert!(!gets(&other, 5).await, "there is no more");
        one.shrink(5);
        assert!(gets(&other, 5).await);
        drop(one);
        assert!(gets(&other, 10).await);
        assert!(gets(&other, 100).await, "there is no other account that holds anything");
    }

    /// True if the second account closes the first within that time.
    async fn is_closed(after: Duration, waits_for_cluster: bool) -> bool {
        let pool = Pool::new(10);
        let [slow, other] = [pool.account(), pool.account()];
        slow.hold(10).await.unwrap();
        slow.wait_for_cluster(waits_for_cluster);
        let other = tokio::spawn(async move { other.hold(1).await });
        let closed = timeout(after, slow.closed()).await.is_ok();
        drop(slow);
        other.await.unwrap().unwrap();
        closed
    }

    /// An answer that is there has to be held. The connection that is the slowest makes room at once.
    #[tokio::test(start_paused = true)]
    async fn what_is_there_is_held_at_once() {
        let pool = Pool::new(10);
        let [slow, quick, other, last] = [(); 4].map(|()| pool.account());
        slow.hold(5).await.unwrap();
        sleep(LOOK_AGAIN).await;
        quick.hold(5).await.unwrap();
        let is_closed =
            async |account: &Account| timeout(LOOK_AGAIN, account.closed()).await.is_ok();
        other.take(5);
        assert!(is_closed(&slow).await && !is_closed(&quick).await && !is_closed(&other).await);
        drop(slow);
        quick.wait_for_cluster(true);
        last.take(1);
        assert!(!is_closed(&quick).await && is_closed(&other).await, "one waits for the cluster");
        drop((quick, other));
        last.take(100);
        assert!(!is_closed(&last).await, "there is no other that could make room");
        last.take(0);
        assert_eq!(pool.state().taken, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_client_makes_room() {
        assert!(!is_closed(GRACE / 2, false).await, "it has some time");
        assert!(is_closed(GRACE + LOOK_AGAIN * 2, false).await);
        assert!(!is_closed(GRACE * 10, true).await, "it is not the client that is slow");
    }
}
