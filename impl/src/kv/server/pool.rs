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
        state.accounts.insert(id, Entry { bytes: 0, since: None, closed: closed.clone() });
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
            self.close_the_slowest(GRACE);
            tokio::select! {
                closed = self.closed() => return Err(closed),
                () = given_back => {}
                () = sleep(LOOK_AGAIN) => {} // A grace may have ended.
            }
        }
    }

    /// Makes the account hold no more than so many bytes.
    pub(super) fn shrink(&self, bytes: usize) {
        let held = self.pool.state().accounts.get(&self.id).map_or(0, |entry| entry.bytes);
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
        let mut guard = self.pool.state();
        let state = &mut *guard;
        let Some(entry) = state.accounts.get_mut(&self.id) else { return true };
        let others = state.taken - entry.bytes;
        if bytes > entry.bytes && others > 0 && others + bytes > self.pool.bytes_max {
            return false;
        }
        let less = bytes < entry.bytes;
        state.taken = others + bytes;
        entry.bytes = bytes;
        entry.since = (bytes > 0).then(|| entry.since.unwrap_or_else(Instant::now));
        drop(guard);
        if less {
            self.pool.given_back.notify_waiters();
        }
        true
    }

    /// Has the connection closed that has held memory for the longest time, if that is longer than `grace`.
    fn close_the_slowest(&self, grace: Duration) {
        let state = self.pool.state();
        let others = state.accounts.iter().filter(|(id, _)| **id != self.id);
        let slowest = others
            .filter_map(|(_, entry)| Some((entry.since?, entry)))
            .min_by_key(|(since, _)| *since);
        if let Some((since, entry)) = slowest
            && since.elapsed() >= grace
        {
            tracing::warn!(
                bytes = entry.bytes,
                held_ms = since.elapsed().as_millis(),
                "a slow client is disconnected: other clients need its memory"
            );
            entry.closed.notify_one();
        }
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

    #[tokio::test(start_paused = true)]
    async fn the_slowest_client_makes_room() {
        assert!(!is_closed(GRACE / 2, false).await, "it has some time");
        assert!(is_closed(GRACE + LOOK_AGAIN * 2, false).await);
        assert!(!is_closed(GRACE * 10, true).await, "it is not the client that is slow");
    }
}
