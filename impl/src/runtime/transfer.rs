//! A snapshot on its way from a peer, part by part, each asked for by whoever wants it.

use bytes::{Bytes, BytesMut};

use super::{packet::Packet, timing::Now};
use crate::{
    storage::Snapshot,
    types::{NodeId, Slot},
};

/// How long a part is at most, in bytes.
pub(super) const PART: usize = 256 << 10;

/// The longest snapshot that is taken from a peer, in bytes.
pub(super) const SNAPSHOT_BYTES_MAX: u64 = 1 << 36;

/// What a part was good for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was the last.
    Whole(Snapshot),
    /// The next one is wanted.
    Part,
    /// It has come before, or belongs to another snapshot. Nothing is asked for because of it: each
    /// repetition would bring another, for as long as the transfer lasts.
    Nothing,
}

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

    /// Takes in a part.
    pub(super) fn take(&mut self, below: Slot, length: u64, offset: u64, part: &[u8]) -> Taken {
        if length > SNAPSHOT_BYTES_MAX {
            return Taken::Nothing;
        }
        let newest = self.what.is_none_or(|(known, _)| known <= below);
        if self.what != Some((below, length)) && offset == 0 && newest {
            // The first part, or the peer has taken another one meanwhile.
            self.what = Some((below, length));
            self.bytes.clear();
        }
        let fits = self.what == Some((below, length))
            && offset == self.bytes.len() as u64
            && offset + part.len() as u64 <= length;
        if !fits {
            return Taken::Nothing;
        }
        self.bytes.extend_from_slice(part);
        if (self.bytes.len() as u64) < length {
            return Taken::Part;
        }
        Taken::Whole(Snapshot { below, state: std::mem::take(&mut self.bytes).freeze() })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(below: u64) -> Snapshot {
        Snapshot { below: Slot(below), state: vec![below as u8; 2 * PART + 1].into() }
    }

    fn give(transfer: &mut Transfer, packet: Packet) -> Taken {
        let Packet::Chunk { below, length, offset, part } = packet else { panic!("{packet:?}") };
        transfer.take(below, length, offset, &part)
    }

    #[test]
    fn all_parts_are_the_whole() {
        let (mut transfer, mut packet) = Transfer::begin(NodeId(2), Now::ZERO);
        for expected in [Taken::Part, Taken::Part, Taken::Whole(snapshot(7))] {
            let Packet::Fetch { below, offset } = packet else { panic!("{packet:?}") };
            assert_eq!(give(&mut transfer, part(&snapshot(7), below, offset)), expected);
            packet = transfer.again(Now::ZERO);
        }
    }

    #[test]
    fn a_part_that_comes_again_asks_for_nothing() {
        let (mut transfer, _) = Transfer::begin(NodeId(2), Now::ZERO);
        let first = part(&snapshot(7), None, 0);
        assert_eq!(give(&mut transfer, first.clone()), Taken::Part);
        assert_eq!(give(&mut transfer, first), Taken::Nothing);
    }

    #[test]
    fn a_newer_snapshot_begins_anew_and_an_older_one_does_not() {
        let (mut transfer, _) = Transfer::begin(NodeId(2), Now::ZERO);
        let offset = PART as u64;
        assert_eq!(give(&mut transfer, part(&snapshot(7), None, 0)), Taken::Part);
        assert_eq!(give(&mut transfer, part(&snapshot(8), Some(Slot(7)), offset)), Taken::Part);
        let late = part(&snapshot(7), Some(Slot(7)), offset);
        assert_eq!(give(&mut transfer, late), Taken::Nothing);
        assert_eq!(give(&mut transfer, part(&snapshot(7), None, 0)), Taken::Nothing);
        let next = part(&snapshot(8), Some(Slot(8)), offset);
        assert_eq!(give(&mut transfer, next), Taken::Part);
    }
}
