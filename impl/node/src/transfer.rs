//! The transfer of a snapshot from a peer. The receiver asks for one part after the other, and writes each to its
//! store.

use super::{packet::Packet, timers::Now};
use paxos::types::{NodeId, Slot};
use paxos_store::{SnapshotFile, StorageError};

/// The length of a part in bytes, except for the last one.
pub(super) const PART: usize = 256 << 10;

/// The longest snapshot that is taken from a peer, in bytes.
pub(super) const SNAPSHOT_BYTES_MAX: u64 = 1 << 36;

/// A part of a snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// The snapshot has the effect of every slot below.
    pub(super) below: Slot,
    /// The length of the whole snapshot in bytes.
    pub(super) length: u64,
    /// The byte at which the part begins.
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
}

/// The use of a part that has arrived.
#[derive(Debug)]
pub(super) enum Taken<F> {
    /// The part was the last one. The snapshot has the effect of every slot below.
    Whole(Slot, F),
    /// The part was taken, and the next one is wanted.
    Part,
    /// The part was not taken: it has come before, belongs to another snapshot, or does not fit. The node asks for no
    /// part in return. Otherwise each repetition would cause another one, for as long as the transfer lasts.
    Nothing,
}

/// A snapshot that arrives.
#[derive(Debug)]
pub(super) struct Transfer<F> {
    from: NodeId,
    /// The snapshot, as far as it has arrived; `None` until the first part has arrived.
    what: Option<What<F>>,
    asked: Now,
}

#[derive(Debug)]
struct What<F> {
    below: Slot,
    length: u64,
    file: F,
}

impl<F: SnapshotFile> Transfer<F> {
    /// Begins a transfer from a peer. Returns it with the question for the first part.
    pub(super) fn begin(from: NodeId, now: Now) -> (Self, Packet) {
        let transfer = Self { from, what: None, asked: now };
        let first = transfer.next();
        (transfer, first)
    }

    /// The peer that sends the snapshot.
    pub(super) fn from(&self) -> NodeId {
        self.from
    }

    /// The time at which a part was last asked for.
    pub(super) fn asked(&self) -> Now {
        self.asked
    }

    /// Returns the question for the next part.
    fn next(&self) -> Packet {
        let below = self.what.as_ref().map(|what| what.below);
        let offset = self.what.as_ref().map_or(0, |what| what.file.length());
        Packet::Fetch { below, offset }
    }

    /// Returns the question for the next part, and notes the time of it.
    pub(super) fn again(&mut self, now: Now) -> Packet {
        self.asked = now;
        self.next()
    }

    /// Takes a part. The first part of a snapshot begins a file.
    ///
    /// # Errors
    /// The store has failed.
    pub(super) fn take(
        &mut self,
        part: Part<'_>,
        begin: impl FnOnce() -> Result<F, StorageError>,
    ) -> Result<Taken<F>, StorageError> {
        let Part { below, length, offset, bytes } = part;
        if length > SNAPSHOT_BYTES_MAX {
            return Ok(Taken::Nothing);
        }
        let same =
            self.what.as_ref().is_some_and(|what| (what.below, what.length) == (below, length));
        let newest = self.what.as_ref().is_none_or(|what| what.below <= below);
        if !same && offset == 0 && newest {
            // This is the first part, or the peer has a newer snapshot by now.
            self.what = Some(What { below, length, file: begin()? });
        }
        let fits = |what: &&mut What<F>| {
            (what.below, what.length, what.file.length()) == (below, length, offset)
                && bytes.len() as u64 <= length - offset
        };
        let Some(what) = self.what.as_mut().filter(fits) else { return Ok(Taken::Nothing) };
        what.file.write_all(bytes).map_err(StorageError::io("write the snapshot"))?;
        if what.file.length() < length {
            return Ok(Taken::Part);
        }
        let whole = self.what.take().map(|what| Taken::Whole(below, what.file));
        Ok(whole.unwrap_or(Taken::Nothing))
    }
}

/// Returns the part of the durable snapshot that a peer asks for.
///
/// # Errors
/// The part cannot be read.
pub(super) fn part(
    durable: &(Slot, impl SnapshotFile),
    below: Option<Slot>,
    offset: u64,
) -> Result<Packet, StorageError> {
    let (durable, file) = durable;
    let length = file.length();
    let same = below.is_none_or(|below| below == *durable) && offset <= length;
    let offset = if same { offset } else { 0 }; // Another snapshot is sent from its beginning.
    let bytes = usize::try_from(length - offset).unwrap_or(usize::MAX).min(PART);
    let mut part = vec![0; bytes];
    file.read_at(offset, &mut part).map_err(StorageError::io("read the snapshot"))?;
    Ok(Packet::Chunk { below: *durable, length, offset, part: part.into() })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use paxos_store::MemorySnapshot;

    fn snapshot(below: u64) -> (Slot, MemorySnapshot) {
        let mut file = MemorySnapshot::default();
        file.write_all(&vec![below as u8; 2 * PART + 1]).unwrap();
        (Slot(below), file)
    }

    fn part(below: u64, asked: Option<Slot>, offset: u64) -> Packet {
        super::part(&snapshot(below), asked, offset).unwrap()
    }

    fn begin() -> (Transfer<MemorySnapshot>, Packet) {
        Transfer::begin(NodeId(2), Now::ZERO)
    }

    /// Takes a packet, and returns its use.
    fn give(transfer: &mut Transfer<MemorySnapshot>, packet: Packet) -> &'static str {
        let Packet::Chunk { below, length, offset, part } = packet else { panic!("{packet:?}") };
        let begin = || Ok(MemorySnapshot::default());
        let part = Part { below, length, offset, bytes: &part };
        match transfer.take(part, begin).unwrap() {
            Taken::Whole(below, file) => {
                let mut bytes = Vec::new();
                file.reader().read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes, vec![below.0 as u8; 2 * PART + 1]);
                "whole"
            }
            Taken::Part => "part",
            Taken::Nothing => "nothing",
        }
    }

    #[test]
    fn all_parts_are_the_whole() {
        let (mut transfer, mut packet) = begin();
        for expected in ["part", "part", "whole"] {
            let Packet::Fetch { below, offset } = packet else { panic!("{packet:?}") };
            assert_eq!(give(&mut transfer, part(7, below, offset)), expected);
            packet = transfer.again(Now::ZERO);
        }
    }

    #[test]
    fn a_part_that_comes_again_causes_no_question() {
        let (mut transfer, _) = begin();
        let first = part(7, None, 0);
        assert_eq!(give(&mut transfer, first.clone()), "part");
        assert_eq!(give(&mut transfer, first), "nothing");
    }

    #[test]
    fn a_newer_snapshot_begins_anew_and_an_older_one_does_not() {
        let (mut transfer, _) = begin();
        let offset = PART as u64;
        assert_eq!(give(&mut transfer, part(7, None, 0)), "part");
        assert_eq!(give(&mut transfer, part(8, Some(Slot(7)), offset)), "part");
        assert_eq!(give(&mut transfer, part(7, Some(Slot(7)), offset)), "nothing", "it is late");
        assert_eq!(give(&mut transfer, part(7, None, 0)), "nothing");
        assert_eq!(give(&mut transfer, part(8, Some(Slot(8)), offset)), "part");
    }
}
