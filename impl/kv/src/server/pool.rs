//! Pools of memory that the connections of all clients share.
//!
//! A connection has a small buffer of its own. It takes the memory for a long request or a long answer from a
//! pool. If the pool has too little memory left, the connection waits.
//!
//! # Order
//!
//! Connections get memory in the order in which they began to wait, so that short requests do not overtake a long
//! one for ever. The first connection that waits blocks all later ones, even those whose requests would fit. There
//! is one exception: a connection that already holds memory comes before those that hold none, because it gives its
//! memory back only after it gets the rest. It cannot overtake for ever, because the length of a request and of a
//! transaction has a limit. If all connections that hold memory wait for more, the pool closes the one that began to
//! wait last.
//!
//! The pool is no semaphore, for two reasons. An existing answer may exceed the pool ([`Account::take`]). And with a
//! semaphore, two connections that both hold memory and wait for more would wait for each other.
//!
//! # Slow clients
//!
//! A client that neither sends nor reads must not keep other clients waiting. Each account counts the time for which
//! its client has delayed others:
//!
//! - The count grows while the account holds memory, except while the connection waits for the cluster or for memory.
//! - Each byte that the client sends or reads takes 1 s / [`RATE`] off the count, down to zero.
//! - While the account holds nothing, the count falls too, but [`FORGETTING`] times as slowly as it grows.
//!
//! While other connections wait, the pool closes those with the greatest counts, if their counts have reached
//! [`GRACE`]. So a request of 8 MiB has at most 13 s to arrive. A client gains little if it gives memory back for a
//! moment. For example, a client that holds memory for 3 s again and again, and sends 60 kB each time, is closed in
//! the second round. An account holds all the memory that its client has announced, so a client keeps this memory
//! only if it sends faster than [`RATE`]. The pool does not close a fast client that sends long requests one after
//! the other.
//!
//! # Copies
//!
//! A request is counted once, from its announcement until the connection reads again. For most of that time there is
//! one copy of it. Its forms, one after the other, are the input buffer, the entry of the key-value store, the entry
//! with the limit of the state, and the entry of the session. Each form is a copy of the one before, which is then
//! dropped. So there are two copies only while a thread makes the second. The connection drops the input buffer
//! before it asks the cluster, and keeps no copy while it waits.
//!
//! The pool does not count:
//!
//! - a second copy of the short requests that share an entry, with at most [`OWN_BYTES`] per connection;
//! - the unused part of the buffer that holds a transaction, which is at most as long as the transaction;
//! - an input buffer in which more than 64 KiB of further requests follow the long one, until these are handled as
//!   well;
//! - the frames to and from peers, which have bounds of their own;
//! - the buffer from which a record is written to the disk;
//! - the log: on the leader it shares the memory of the entry of the session, on a follower it has a copy.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use thiserror::Error;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// The number of bytes that a connection may hold in each direction without counting them in an account.
pub(super) const OWN_BYTES: usize = 64 << 10;
/// A connection may be closed if its client has delayed others for this time.
const GRACE: Duration = Duration::from_secs(5);
/// The number of bytes per second that a client must send or read while it holds memory.
const RATE: u32 = 1 << 20;
/// The number of seconds without memory that take one second off the count of a client.
const FORGETTING: u32 = 10;
/// The interval at which the first waiting connection looks for slow clients.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A number of bytes of memory that accounts share.
#[derive(Debug)]
pub(super) struct Pool {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    accounts: BTreeMap<u64, Entry>,
    next: u64,
    /// The accounts that wait, in the order in which they get memory. Those that hold memory come before those that
    /// hold none.
    queue: VecDeque<Wanted>,
}

/// A waiting account, and the bytes that it wants to hold.
#[derive(Debug)]
struct Wanted {
    id: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    bytes: usize,
    /// The time for which the client had delayed others at `counted_at`.
    delay: Duration,
    counted_at: Instant,
    /// True while the connection waits for something other than its client.
    waits: bool,
    /// True after the connection was told to close.
    is_closing: bool,
    signals: Arc<Signals>,
}

/// The signals to the connection of an account.
#[derive(Debug, Default)]
struct Signals {
    closed: Notify,
    /// The account may have become the first of the queue, or may have left it.
    moved: Notify,
}

/// The memory of one connection. Dropping the account gives it back.
#[derive(Debug)]
pub(super) struct Account {
    pool: Arc<Pool>,
    id: u64,
    signals: Arc<Signals>,
}

/// The error of a connection that must be closed, because other connections need its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("other clients needed the memory of this one")]
pub(super) struct Closed;

impl From<Closed> for io::Error {
    fn from(closed: Closed) -> Self {
        Self::other(closed)
    }
}

impl Pool {
    pub(super) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, state: Mutex::default() })
    }

    /// Returns a new account that holds nothing.
    pub(super) fn account(self: &Arc<Self>) -> Account {
        let signals = Arc::new(Signals::default());
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        let entry = Entry {
            bytes: 0,
            delay: Duration::ZERO,
            counted_at: Instant::now(),
            waits: false,
            is_closing: false,
            signals: signals.clone(),
        };
        state.accounts.insert(id, entry);
        Account { pool: self.clone(), id, signals }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// Makes the account hold this number of bytes. Waits until all accounts before it in the queue have theirs, and
    /// until the bytes are free. For more bytes than the whole pool has, waits until no other account holds any.
    ///
    /// # Errors
    /// Fails if the connection must be closed.
    pub(super) async fn hold(&self, bytes: usize) -> Result<(), Closed> {
        let Some(_guard) = QueueGuard::enter(self, bytes) else { return Ok(()) };
        loop {
            let is_first = {
                let mut state = self.pool.state();
                match state.queue.iter().position(|wanted| wanted.id == self.id) {
                    None => return Ok(()),
                    Some(0) => state.close_others(self.pool.bytes_max),
                    Some(_) => {}
                }
                state.queue.front().is_some_and(|wanted| wanted.id == self.id)
            };
            tokio::select! {
                closed = self.closed() => return Err(closed),
                () = self.signals.moved.notified() => {}
                () = sleep(LOOK_AGAIN), if is_first => {}
            }
        }
    }

    /// Makes the account hold this number of bytes at once, because they are in use already. If that exceeds the
    /// pool, closes the slowest other connections, even if they have delayed others for less than [`GRACE`].
    pub(super) fn take(&self, bytes: usize) {
        let mut state = self.pool.state();
        state.set(self.id, bytes);
        state.close_slowest(self.id, bytes, self.pool.bytes_max, Duration::ZERO);
        state.serve(self.pool.bytes_max);
    }

    /// Makes the account hold at most this number of bytes.
    pub(super) fn shrink(&self, bytes: usize) {
        let mut state = self.pool.state();
        if bytes < state.held(self.id) {
            state.set(self.id, bytes);
            state.serve(self.pool.bytes_max);
        }
    }

    /// Records whether the connection waits for something other than its client: the cluster, or memory.
    pub(super) fn set_waiting(&self, waits: bool) {
        if let Some(entry) = self.pool.state().accounts.get_mut(&self.id) {
            // The time has no effect on an account that holds nothing and has delayed no other.
            if entry.bytes > 0 || !entry.delay.is_zero() {
                entry.count();
            }
            entry.waits = waits;
        }
    }

    /// Records that the client has sent or read this number of bytes.
    pub(super) fn progress(&self, bytes: usize) {
        if let Some(entry) = self.pool.state().accounts.get_mut(&self.id) {
            entry.count();
            let worth = Duration::from_secs(bytes as u64) / RATE;
            entry.delay = entry.delay.saturating_sub(worth);
        }
    }

    /// Waits until the connection must be closed, because others need its memory.
    pub(super) async fn closed(&self) -> Closed {
        self.signals.closed.notified().await;
        Closed
    }
}

/// An account in the queue. It leaves the queue when this guard is dropped.
struct QueueGuard<'a>(&'a Account);

impl<'a> QueueGuard<'a> {
    /// Makes the account hold this number of bytes and returns `None`, if it need not wait. Otherwise enters it into
    /// the queue.
    fn enter(account: &'a Account, bytes: usize) -> Option<Self> {
        let mut state = account.pool.state();
        let held = state.held(account.id);
        if bytes <= held {
            state.set(account.id, bytes);
            state.serve(account.pool.bytes_max);
            return None;
        }
        let at = if held > 0 { state.waiting_holders() } else { state.queue.len() };
        state.queue.insert(at, Wanted { id: account.id, bytes });
        state.serve(account.pool.bytes_max);
        if state.held(account.id) == bytes {
            return None;
        }
        drop(state);
        account.set_waiting(true);
        Some(Self(account))
    }
}

impl Drop for QueueGuard<'_> {
    fn drop(&mut self) {
        let Self(account) = self;
        account.set_waiting(false);
        let mut state = account.pool.state();
        state.queue.retain(|wanted| wanted.id != account.id);
        state.serve(account.pool.bytes_max);
    }
}

impl State {
    fn held(&self, id: u64) -> usize {
        self.accounts.get(&id).map_or(0, |entry| entry.bytes)
    }

    fn set(&mut self, id: u64, bytes: usize) {
        let Some(entry) = self.accounts.get_mut(&id).filter(|entry| entry.bytes != bytes) else {
            return;
        };
        entry.count();
        let before = std::mem::replace(&mut entry.bytes, bytes);
        self.taken = self.taken - before + bytes;
    }

    /// Returns the number of accounts that hold memory and wait for more. They are the first ones of the queue.
    fn waiting_holders(&self) -> usize {
        self.queue.partition_point(|wanted| self.held(wanted.id) > 0)
    }

    /// Gives memory to accounts from the front of the queue, until the next one does not fit.
    fn serve(&mut self, bytes_max: usize) {
        while let Some(&Wanted { id, bytes }) = self.queue.front() {
            let others = self.taken - self.held(id);
            let fits = others == 0 || others + bytes <= bytes_max;
            if fits {
                self.queue.pop_front();
                self.set(id, bytes);
            }
            if let Some(entry) = self.accounts.get(&id) {
                entry.signals.moved.notify_one();
            }
            if !fits {
                break;
            }
        }
    }

    /// Closes connections for which the first account of the queue waits. If all accounts that hold memory wait for
    /// more, closes the last of these. Otherwise closes slow ones.
    fn close_others(&mut self, bytes_max: usize) {
        let Some(&Wanted { id, bytes }) = self.queue.front() else { return };
        let waiting = self.waiting_holders();
        let holders = self.accounts.values().filter(|entry| entry.bytes > 0).count();
        if waiting < holders {
            return self.close_slowest(id, bytes, bytes_max, GRACE);
        }
        let last = waiting.checked_sub(1).and_then(|last| self.queue.get(last));
        if let Some(entry) = last.and_then(|last| self.accounts.get_mut(&last.id))
            && !entry.is_closing
        {
            entry.close();
        }
    }

    /// Closes the slowest other connections until this number of bytes is free for one account. Spares connections
    /// that wait for something other than their client, and those that have delayed others for less than `delay`.
    fn close_slowest(&mut self, id: u64, bytes: usize, bytes_max: usize, delay: Duration) {
        let mut left = self.taken - self.held(id) + bytes;
        if left <= bytes_max {
            return; // Nearly every answer ends here, so its cost does not grow with the number of accounts.
        }
        let closing = self.accounts.values().filter(|entry| entry.is_closing);
        left -= closing.map(|entry| entry.bytes).sum::<usize>();
        while left > bytes_max
            && let Some(entry) = self.slowest(id)
            && entry.delay() >= delay
        {
            entry.close();
            left -= entry.bytes;
        }
    }

    /// Returns the account, other than `excluded`, that has delayed others for the longest time. It holds memory
    /// and is not being closed.
    fn slowest(&mut self, excluded: u64) -> Option<&mut Entry> {
        let others = self.accounts.iter_mut().filter(|(id, _)| **id != excluded);
        let holding = others
            .map(|(_, entry)| entry)
            .filter(|entry| entry.bytes > 0 && !entry.waits && !entry.is_closing);
        holding.max_by_key(|entry| entry.delay())
    }
}

impl Entry {
    /// Returns the time for which the client has delayed others until now.
    fn delay(&self) -> Duration {
        let elapsed = self.counted_at.elapsed();
        match self.bytes {
            _ if self.waits => self.delay,
            0 => self.delay.saturating_sub(elapsed / FORGETTING),
            _ => self.delay + elapsed,
        }
    }

    fn count(&mut self) {
        self.delay = self.delay();
        self.counted_at = Instant::now();
    }

    fn close(&mut self) {
        tracing::warn!(
            bytes = self.bytes,
            delay_ms = self.delay().as_millis(),
            "a client is disconnected: other clients need its memory"
        );
        self.is_closing = true;
        self.signals.closed.notify_one();
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        if let Some(entry) = state.accounts.remove(&self.id) {
            state.taken -= entry.bytes;
        }
        state.serve(self.pool.bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// Returns true if the account gets the bytes while nothing else happens.
    async fn gets(account: &Account, bytes: usize) -> bool {
        timeout(LOOK_AGAIN * 2, account.hold(bytes)).await.is_ok()
    }

    async fn is_closed(account: &Account) -> bool {
        timeout(LOOK_AGAIN, account.closed()).await.is_ok()
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
        assert!(gets(&other, 100).await, "no other account holds anything");
    }

    /// Short requests that arrive one after the other do not overtake a long one.
    #[tokio::test(start_paused = true)]
    async fn first_come_first_served() {
        for long in [10, 100] {
            let pool = Pool::new(10);
            let served = Arc::new(Mutex::new(Vec::new()));
            for (at, bytes) in [5, long, 5, 5, long, 5].into_iter().enumerate() {
                let (account, served) = (pool.account(), served.clone());
                tokio::spawn(async move {
                    sleep(Duration::from_millis(at as u64)).await;
                    account.hold(bytes).await.unwrap();
                    served.lock().unwrap().push(at);
                    sleep(Duration::from_millis(500 + 10 * at as u64)).await;
                });
            }
            sleep(GRACE).await;
            assert_eq!(*served.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
            assert_eq!(pool.state().taken, 0);
        }
    }

    /// An account that leaves the queue does not block others.
    #[tokio::test(start_paused = true)]
    async fn an_account_can_leave_the_queue() {
        let pool = Pool::new(10);
        let [one, long, short] = [(); 3].map(|()| pool.account());
        one.hold(5).await.unwrap();
        let long = tokio::spawn(async move { long.hold(10).await });
        sleep(LOOK_AGAIN).await;
        let short = tokio::spawn(async move { timeout(GRACE / 2, short.hold(5)).await });
        sleep(LOOK_AGAIN).await;
        long.abort();
        assert_eq!(short.await.unwrap(), Ok(Ok(())));
    }

    /// An account that holds memory comes before those that hold none. Otherwise both would wait for ever.
    #[tokio::test(start_paused = true)]
    async fn an_account_that_holds_memory_gets_more() {
        let pool = Pool::new(10);
        let [holding, other, long] = [(); 3].map(|()| pool.account());
        holding.hold(4).await.unwrap();
        other.hold(4).await.unwrap();
        let long = tokio::spawn(async move { long.hold(10).await });
        sleep(LOOK_AGAIN).await;
        assert!(gets(&holding, 6).await, "so much is free");
        let more = tokio::spawn(async move { holding.hold(8).await });
        sleep(LOOK_AGAIN).await;
        drop(other);
        assert_eq!(timeout(LOOK_AGAIN, more).await.unwrap().unwrap(), Ok(()));
        assert_eq!(long.await.unwrap(), Ok(()));
    }

    /// None of these accounts would ever give memory back, and none of their clients is slow.
    #[tokio::test(start_paused = true)]
    async fn of_accounts_that_wait_for_each_other_the_last_is_closed() {
        let pool = Pool::new(10);
        let accounts = [(); 2].map(|()| pool.account());
        for account in &accounts {
            account.hold(5).await.unwrap();
        }
        let [first, last] = accounts
            .map(|account| tokio::spawn(async move { timeout(GRACE / 2, account.hold(6)).await }));
        assert_eq!(first.await.unwrap(), Ok(Ok(())));
        assert_eq!(last.await.unwrap(), Ok(Err(Closed)));
    }

    /// An account holds an existing answer at once. The pool closes the slowest other connection for it.
    #[tokio::test(start_paused = true)]
    async fn an_existing_answer_is_held_at_once() {
        let pool = Pool::new(10);
        let [slow, quick, other, last] = [(); 4].map(|()| pool.account());
        slow.hold(5).await.unwrap();
        sleep(LOOK_AGAIN).await;
        quick.hold(5).await.unwrap();
        other.take(5);
        assert!(is_closed(&slow).await && !is_closed(&quick).await && !is_closed(&other).await);
        drop(slow);
        quick.set_waiting(true);
        last.take(1);
        assert!(!is_closed(&quick).await && is_closed(&other).await, "one waits for the cluster");
        drop((quick, other));
        last.take(100);
        assert!(!is_closed(&last).await, "no other account holds memory");
        last.take(0);
        assert_eq!(pool.state().taken, 0);
    }

    /// The actions of a client that holds all of the memory while others wait for it.
    #[derive(Clone, Copy)]
    enum Conduct {
        Nothing,
        WaitsForCluster,
        /// The client waits for the cluster for a moment every 3 s.
        WaitsForClusterNowAndThen,
        /// The client gives all memory back for a moment every 3 s.
        GivesBack,
        /// The client sends this number of bytes per second.
        Sends(u32),
    }

    /// Returns true if the account is closed within this time.
    async fn is_closed_within(after: Duration, conduct: Conduct) -> bool {
        let pool = Pool::new(10);
        let [account, other] = [pool.account(), pool.account()];
        let others = tokio::spawn(async move {
            loop {
                other.hold(1).await.unwrap();
                other.shrink(0);
                sleep(LOOK_AGAIN).await;
            }
        });
        let behave = async {
            account.hold(10).await.unwrap();
            loop {
                match conduct {
                    Conduct::Nothing => sleep(GRACE).await,
                    Conduct::WaitsForCluster => {
                        account.set_waiting(true);
                        sleep(GRACE).await;
                    }
                    Conduct::WaitsForClusterNowAndThen => {
                        sleep(Duration::from_secs(3)).await;
                        account.set_waiting(true);
                        sleep(Duration::from_millis(1)).await;
                        account.set_waiting(false);
                    }
                    Conduct::GivesBack => {
                        sleep(Duration::from_secs(3)).await;
                        account.shrink(0);
                        account.hold(10).await.unwrap();
                    }
                    Conduct::Sends(rate) => {
                        sleep(LOOK_AGAIN).await;
                        account.progress(rate as usize / 10);
                    }
                }
            }
        };
        let closed = tokio::select! {
            closed = timeout(after, account.closed()) => closed.is_ok(),
            () = behave => unreachable!("it never ends"),
        };
        others.abort();
        closed
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_client_is_closed() {
        let closed = GRACE + LOOK_AGAIN * 2;
        assert!(!is_closed_within(GRACE / 2, Conduct::Nothing).await, "it has some time");
        assert!(is_closed_within(closed, Conduct::Nothing).await);
        assert!(
            !is_closed_within(GRACE * 10, Conduct::WaitsForCluster).await,
            "it is not the client that is slow"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_closed_despite_pauses() {
        let closed = GRACE * 3 / 2;
        assert!(is_closed_within(closed, Conduct::WaitsForClusterNowAndThen).await);
        assert!(is_closed_within(closed, Conduct::GivesBack).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_keeps_memory_while_it_makes_progress() {
        assert!(!is_closed_within(GRACE * 20, Conduct::Sends(RATE * 2)).await);
        assert!(is_closed_within(GRACE * 3, Conduct::Sends(RATE / 2)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_of_a_client_falls_while_it_holds_nothing() {
        let pool = Pool::new(10);
        let account = pool.account();
        account.hold(10).await.unwrap();
        sleep(GRACE).await;
        account.shrink(0);
        sleep(GRACE * FORGETTING / 2).await;
        let delay = |account: &Account| pool.state().accounts[&account.id].delay();
        assert_eq!(delay(&account), GRACE / 2);
        sleep(GRACE * FORGETTING).await;
        assert_eq!(delay(&account), Duration::ZERO);
    }
}
