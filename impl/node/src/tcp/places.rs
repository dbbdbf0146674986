//! Places for connections in their handshakes. Their number is bounded: if all are taken, a new connection takes the
//! place of the oldest.
//!
//! A stranger can connect and say nothing. If strangers kept their places until their time is up, peers would wait
//! for a place behind them. A peer sends its handshake at once, so it keeps its place long enough unless hundreds of
//! newer connections arrive within one round trip.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use tokio::task::AbortHandle;

/// The right of a connection to stay during its handshake. Dropping it gives the place back.
pub(super) struct Place {
    _held: Arc<()>,
}

/// The tasks that have a place, oldest first.
pub(super) struct Places {
    most: usize,
    taken: VecDeque<(Weak<()>, AbortHandle)>,
}

impl Places {
    /// Returns `most` places, none of them taken.
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: VecDeque::new() }
    }

    /// Gives a place to a new task, which `spawn` must start. If all places are taken, aborts the task that has had its
    /// place for the longest time, and returns true.
    pub(super) fn give(&mut self, spawn: impl FnOnce(Place) -> AbortHandle) -> bool {
        self.taken.retain(|(place, _)| place.strong_count() > 0);
        let crowded = self.taken.len() >= self.most;
        if crowded && let Some((_, oldest)) = self.taken.pop_front() {
            oldest.abort();
        }
        let held = Arc::new(());
        let taken = Arc::downgrade(&held);
        self.taken.push_back((taken, spawn(Place { _held: held })));
        crowded
    }
}
