//! Incarnations: the starts of a node on its store.
//!
//! A copy of a store does not contain the promises that the node has made after the copy. So a store remembers a random
//! number for each start of its node, and each peer notes the last start that it has met. A node whose store does not
//! remember the start that a peer has met runs on an older copy.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use paxos_store::StoreId;

/// The incarnations of a node, as its store remembers them. A copy of the store shares the incarnations from before the
/// copy was made, and no later one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Incarnations {
    /// The number of incarnations that are not remembered any more.
    forgotten: u64,
    /// A random number for each remembered incarnation, oldest first.
    nonces: VecDeque<u64>,
}

/// One incarnation of a node, as a peer has met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Incarnation {
    pub(super) store: StoreId,
    /// The number of times this store has been opened, including this one.
    pub(super) number: u64,
    nonce: u64,
}

impl Incarnations {
    /// The number of incarnations that are remembered. A peer that has last met an earlier one cannot check the store.
    const REMEMBERED_MAX: usize = 256;

    /// Begins a new incarnation with a random number.
    pub(crate) fn begin(&mut self, nonce: u64) {
        self.nonces.push_back(nonce);
        if self.nonces.len() > Self::REMEMBERED_MAX {
            self.nonces.pop_front();
            self.forgotten += 1;
        }
    }

    /// The number of the present incarnation; the first is 1.
    pub(crate) fn number(&self) -> u64 {
        // A peer may claim any number of incarnations.
        self.forgotten.saturating_add(self.nonces.len() as u64)
    }

    /// A number that no other incarnation on this store has, and most likely no incarnation on a copy of it.
    pub(crate) fn unique(&self) -> u64 {
        self.number() << 32 | self.last_nonce() >> 32
    }

    /// The present incarnation of the node on this store.
    pub(super) fn present(&self, store: StoreId) -> Incarnation {
        Incarnation { store, number: self.number(), nonce: self.last_nonce() }
    }

    /// Returns true if these incarnations contain the one that was met, or have forgotten its number.
    pub(super) fn contain(&self, met: &Incarnation) -> bool {
        met.number <= self.forgotten || self.nonce(met.number) == Some(met.nonce)
    }

    fn last_nonce(&self) -> u64 {
        self.nonces.back().copied().unwrap_or_default()
    }

    fn nonce(&self, number: u64) -> Option<u64> {
        let place = number.checked_sub(self.forgotten)?.checked_sub(1)?;
        self.nonces.get(usize::try_from(place).ok()?).copied()
    }
}
