//! A snapshot on its way from a peer, part by part, each asked for by whoever wants it.

use bytes::{Bytes, BytesMut};

use super::{packet::Packet, timing::Now};
use crate::{
    storage::Snapshot,
    types::{NodeId, Slot},
};

/// How long a part is at most, in bytes.
const PART: usize = 256 << 10;

/// The longest snapshot that is taken from a peer, in bytes.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 36;

/// What has arrived so far.
#[derive(Debug)]
pub(super) struct Transfer {
    from: NodeId,
    /// Which snapshot, and how long it is; unknown until the first part has come.
    what: Option<(Slot, u64)>,
    bytes: BytesMut,
    asked: Now,
}

impl Transfer {
    /// Begins to ask a peer.
    pub(super) fn begin(from: NodeId, now: Now) -> (Self, Packet) {
        let transfer = Self { from, what: None, bytes: BytesMut::new(), asked: now };
        let first = transfer.next();
        (transfer, first)
    }

    /// Whom it is asked of.
    pub(super) fn from(&self) -> NodeId {
        self.from
    }

    /// When a part was last asked for.
    pub(super) fn asked(&self) -> Now {
        self.asked
    }

    /// Asks for the next part.
    fn next(&self) -> Packet {
        let below = self.what.map(|(below, _)| below);
        Packet::Fetch { below, offset: self.bytes.len() as u64 }
    }

    /// Asks for the next part once more.
    pub(super) fn again(&mut self, now: Now) -> Packet {
        self.asked = now;
        self.next()
    }

    /// Takes in a part. Gives the whole, once it is.
    pub(super) fn take(
        &mut self,
        below: Slot,
        length: u64,
        offset: u64,
        part: &[u8],
    ) -> Option<Snapshot> {
        if length > SNAPSHOT_BYTES_MAX {
            return None;
        }
        if self.what != Some((below, length)) {
            // The peer has taken a new one meanwhile, or this is the first part.
            self.what = Some((below, length));
            self.bytes.clear();
        }
        let fits = offset == self.bytes.len() as u64 && offset + part.len() as u64 <= length;
        if !fits {
            return None; // A part that has come already, or one that was not asked for.
        }
        self.bytes.extend_from_slice(part);
        (self.bytes.len() as u64 == length)
            .then(|| Snapshot { below, state: std::mem::take(&mut self.bytes).freeze() })
    }
}

/// The part of a snapshot that a peer asks for.
pub(super) fn part(snapshot: &Snapshot, below: Option<Slot>, offset: u64) -> Packet {
    let state = &snapshot.state;
    let same = below.is_none_or(|below| below == snapshot.below);
    let offset = usize::try_from(offset).ok().filter(|&offset| same && offset <= state.len());
    let offset = offset.unwrap_or(0); // Of another one: from the beginning.
    let part: Bytes = state.slice(offset..state.len().min(offset + PART));
    let length = state.len() as u64;
    Packet::Chunk { below: snapshot.below, length, offset: offset as u64, part }
}
