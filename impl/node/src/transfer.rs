//! The transfer of a snapshot from a peer. The receiver asks for the parts in their order, and writes each to its store.
//! Several parts are under way at once, so that neither node waits for the other one. Their number is that of a
//! [`Window`].

use std::{collections::VecDeque, time::Duration};

use super::{packet::Packet, timers::Now, window::Window};
use paxos::types::{NodeId, Slot};
use paxos_store::{SnapshotFile, StorageError};

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
    /// The part was not taken: it has come before, an earlier part is missing, it belongs to another snapshot, or it does
    /// not fit. The node asks for no part in return. Otherwise each repetition would cause another one, for as long as the
    /// transfer lasts.
    Nothing,
}

/// A snapshot that arrives.
#[derive(Debug)]
pub(super) struct Transfer<F> {
    from: NodeId,
    /// The snapshot, as far as it has arrived; `None` until the first part has arrived.
    incoming: Option<Incoming<F>>,
    /// The parts that are under way: the byte at which each begins, and the time of its question.
    asked: VecDeque<(u64, Now)>,
    /// The time of a part below this byte is not known, because the part may have been asked for twice.
    asked_twice_below: u64,
    window: Window,
    /// The time at which the last part was taken, or the first one asked for, or one asked for again.
    moved: Now,
}

#[derive(Debug)]
struct Incoming<F> {
    below: Slot,
    length: u64,
    /// The bytes of a part, as far as is known. All but the last one have as many.
    part_bytes: u64,
    file: F,
}

impl<F: SnapshotFile> Transfer<F> {
    /// Begins a transfer from a peer. Returns it with the question for the first part. A part counts as lost after this
    /// time at the earliest.
    pub(super) fn begin(from: NodeId, patience_min: Duration, now: Now) -> (Self, Packet) {
        let (window, asked) = (Window::new(patience_min), VecDeque::from([(0, now)]));
        let asked_twice_below = 0;
        let transfer = Self { from, incoming: None, asked, asked_twice_below, window, moved: now };
        (transfer, Packet::Fetch { below: None, offset: 0 })
    }

    /// The peer that sends the snapshot.
    pub(super) fn from(&self) -> NodeId {
        self.from
    }

    /// The snapshot, if its first part has come: the slot below which it has the effect of every slot, and its bytes.
    pub(super) fn snapshot(&self) -> Option<(Slot, u64)> {
        self.incoming.as_ref().map(|incoming| (incoming.below, incoming.length))
    }

    /// Returns true if the parts that are under way may be lost.
    pub(super) fn is_late(&self, now: Now) -> bool {
        now.saturating_sub(self.moved) >= self.window.patience()
    }

    /// Returns the questions for further parts, as many as the window has room for.
    pub(super) fn ask(&mut self, now: Now) -> Vec<Packet> {
        let Some(Incoming { below, length, part_bytes, file }) = &self.incoming else {
            return Vec::new();
        };
        let after_last = self.asked.back().map(|(offset, _)| offset + part_bytes);
        let mut offset = after_last.unwrap_or(file.length());
        let mut questions = Vec::new();
        while self.asked.len() < self.window.parts() && offset < *length {
            self.asked.push_back((offset, now));
            questions.push(Packet::Fetch { below: Some(*below), offset });
            offset += part_bytes;
        }
        questions
    }

    /// Returns the question for the next part, because the parts that are under way may be lost.
    pub(super) fn ask_again(&mut self, now: Now) -> Packet {
        let below = self.incoming.as_ref().map(|incoming| incoming.below);
        let offset = self.incoming.as_ref().map_or(0, |incoming| incoming.file.length());
        if let Some((last, _)) = self.asked.back() {
            self.asked_twice_below = self.asked_twice_below.max(last + 1);
        }
        self.window.lost();
        self.asked = VecDeque::from([(offset, now)]);
        self.moved = now;
        Packet::Fetch { below, offset }
    }

    /// Takes a part. The first part of a snapshot begins a file.
    ///
    /// # Errors
    /// The store has failed.
    pub(super) fn take(
        &mut self,
        part: Part<'_>,
        now: Now,
        begin: impl FnOnce() -> Result<F, StorageError>,
    ) -> Result<Taken<F>, StorageError> {
        let Part { below, length, offset, bytes } = part;
        if length > SNAPSHOT_BYTES_MAX {
            return Ok(Taken::Nothing);
        }
        let same = self
            .incoming
            .as_ref()
            .is_some_and(|incoming| (incoming.below, incoming.length) == (below, length));
        let newest = self.incoming.as_ref().is_none_or(|incoming| incoming.below <= below);
        if !same && offset == 0 && newest {
            // This is the first part, or the peer has a newer snapshot by now.
            let part_bytes = bytes.len() as u64;
            self.incoming = Some(Incoming { below, length, part_bytes, file: begin()? });
            self.asked.retain(|(asked, _)| *asked == 0);
            self.asked_twice_below = self.asked_twice_below.min(1);
        }
        let fits = |incoming: &&mut Incoming<F>| {
            (incoming.below, incoming.length, incoming.file.length()) == (below, length, offset)
                && bytes.len() as u64 <= length - offset
        };
        let Some(incoming) = self.incoming.as_mut().filter(fits) else { return Ok(Taken::Nothing) };
        incoming.file.write_all(bytes).map_err(StorageError::io("write the snapshot"))?;
        self.moved = now;
        let asked = self.asked.pop_front().filter(|_| offset >= self.asked_twice_below);
        if let Some((_, at)) = asked {
            self.window.came(now.saturating_sub(at), self.asked.len());
        }
        if incoming.file.length() < length {
            if bytes.len() as u64 != incoming.part_bytes {
                // The peer was started again with another option. The parts that were asked for do not fit together.
                incoming.part_bytes = bytes.len() as u64;
                self.asked.clear();
            }
            return Ok(Taken::Part);
        }
        let whole = self.incoming.take().map(|incoming| Taken::Whole(below, incoming.file));
        Ok(whole.unwrap_or(Taken::Nothing))
    }
}

/// Returns the part of the durable snapshot that a peer asks for, of this many bytes at most.
///
/// # Errors
/// The part cannot be read.
pub(super) fn part(
    durable: &(Slot, impl SnapshotFile),
    below: Option<Slot>,
    offset: u64,
    bytes_max: usize,
) -> Result<Packet, StorageError> {
    let (durable, file) = durable;
    let length = file.length();
    let same = below.is_none_or(|below| below == *durable) && offset <= length;
    let offset = if same { offset } else { 0 }; // Another snapshot is sent from its beginning.
    let bytes = usize::try_from(length - offset).unwrap_or(usize::MAX).min(bytes_max);
    let mut part = vec![0; bytes];
    file.read_at(offset, &mut part).map_err(StorageError::io("read the snapshot"))?;
    Ok(Packet::Chunk { below: *durable, length, offset, part: part.into() })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use paxos_store::MemorySnapshot;

    const PART: usize = 100;
    const PARTS: usize = 40;

    fn snapshot(below: u64) -> (Slot, MemorySnapshot) {
        let mut file = MemorySnapshot::default();
        file.write_all(&whole(below)).unwrap();
        (Slot(below), file)
    }

    fn whole(below: u64) -> Vec<u8> {
        let bytes = (PARTS - 1) * PART + 1; // The last part is short.
        (0..bytes).map(|byte| (byte as u64 ^ below) as u8).collect()
    }

    fn part(below: u64, asked: Option<Slot>, offset: u64) -> Packet {
        super::part(&snapshot(below), asked, offset, PART).unwrap()
    }

    fn begin() -> (Transfer<MemorySnapshot>, Packet) {
        Transfer::begin(NodeId(2), PATIENCE, Now::ZERO)
    }

    const PATIENCE: Duration = Duration::from_millis(300);

    /// Takes a packet, and returns its use.
    fn give(transfer: &mut Transfer<MemorySnapshot>, packet: Packet) -> &'static str {
        give_at(transfer, packet, Now::ZERO)
    }

    fn give_at(transfer: &mut Transfer<MemorySnapshot>, packet: Packet, now: Now) -> &'static str {
        let Packet::Chunk { below, length, offset, part } = packet else { panic!("{packet:?}") };
        let begin = || Ok(MemorySnapshot::default());
        let part = Part { below, length, offset, bytes: &part };
        match transfer.take(part, now, begin).unwrap() {
            Taken::Whole(below, file) => {
                let mut bytes = Vec::new();
                file.reader().read_to_end(&mut bytes).unwrap();
                assert!(bytes == whole(below.0), "the parts of {below} are in their order");
                "whole"
            }
            Taken::Part => "part",
            Taken::Nothing => "nothing",
        }
    }

    fn answer(below: u64, question: &Packet) -> Packet {
        let &Packet::Fetch { below: asked, offset } = question else { panic!("{question:?}") };
        part(below, asked, offset)
    }

    /// Each part is asked for once. The first ones show how many may be under way.
    #[test]
    fn all_parts_are_the_whole() {
        let (mut transfer, first) = begin();
        let (mut questions, mut asked, mut most) = (VecDeque::from([first]), 1, 0);
        loop {
            let question = questions.pop_front().expect("a part is under way");
            match give(&mut transfer, answer(7, &question)) {
                "part" => questions.extend(transfer.ask(Now::ZERO)),
                used => break assert_eq!(used, "whole"),
            }
            most = most.max(questions.len());
            asked += 1;
        }
        assert!(questions.is_empty());
        assert_eq!((asked, most), (PARTS, PARTS / 2), "each part lets one more be under way");
    }

    #[test]
    fn a_part_that_comes_again_causes_no_question() {
        let (mut transfer, _) = begin();
        let first = part(7, None, 0);
        assert_eq!(give(&mut transfer, first.clone()), "part");
        assert_eq!(give(&mut transfer, first), "nothing");
    }

    /// After a loss, the parts that were under way may still come. Each is taken once.
    #[test]
    fn lost_parts_are_asked_for_again() {
        let (mut transfer, first) = begin();
        assert_eq!(give(&mut transfer, answer(7, &first)), "part");
        let under_way = transfer.ask(Now::ZERO);
        let [lost, late] = &under_way[..] else { panic!("{under_way:?}") };
        assert_eq!(give(&mut transfer, answer(7, late)), "nothing", "an earlier part is missing");
        assert_eq!(transfer.ask_again(Now::ZERO), *lost);
        assert!(transfer.ask(Now::ZERO).is_empty(), "one part is under way after a loss");
        assert_eq!(give(&mut transfer, answer(7, lost)), "part");
        assert_eq!(give(&mut transfer, answer(7, late)), "part");
        assert_eq!(give(&mut transfer, answer(7, late)), "nothing");
    }

    /// A link that takes longer for a part than the least patience is asked for each part once, but for the first few.
    /// Otherwise each copy of a part would let the next part come later.
    #[test]
    fn a_slow_link_is_not_asked_for_each_part_twice() {
        const CHECK: Duration = Duration::from_millis(50);
        for part_ms in [250, 400, 1_000, 5_000] {
            let (mut transfer, first) = begin();
            let (mut now, mut free_at, mut sent) = (Now::ZERO, Now::ZERO, 0);
            let mut link = VecDeque::new();
            let mut questions = vec![first];
            'fetch: loop {
                for question in questions.drain(..) {
                    free_at = now.max(free_at) + Duration::from_millis(part_ms);
                    link.push_back((free_at, answer(7, &question)));
                    sent += 1;
                }
                now += CHECK;
                if transfer.is_late(now) {
                    questions.push(transfer.ask_again(now));
                }
                while link.front().is_some_and(|(at, _)| *at <= now)
                    && let Some((_, packet)) = link.pop_front()
                {
                    match give_at(&mut transfer, packet, now) {
                        "part" => questions.extend(transfer.ask(now)),
                        "whole" => break 'fetch,
                        used => assert_eq!(used, "nothing"),
                    }
                }
            }
            assert!(sent <= PARTS + 8, "{sent} parts of {part_ms} ms");
        }
    }

    /// The answer to an earlier question says nothing about the time of a part.
    #[test]
    fn a_part_that_was_asked_for_twice_is_not_timed() {
        let (mut transfer, first) = begin();
        let at = Duration::from_millis;
        assert_eq!(give_at(&mut transfer, answer(7, &first), at(100)), "part");
        let mut under_way = transfer.ask(at(100));
        assert_eq!(under_way.len(), 2);
        assert!(!transfer.is_late(at(399)) && transfer.is_late(at(400)));
        transfer.ask_again(at(400));
        for question in under_way.drain(..) {
            // Both answers come at once, since the link had stood still.
            assert_eq!(give_at(&mut transfer, answer(7, &question), at(401)), "part");
            transfer.ask(at(401));
        }
        assert_eq!(transfer.window.parts(), 1);
        let next = Packet::Fetch { below: Some(Slot(7)), offset: 3 * PART as u64 };
        assert_eq!(give_at(&mut transfer, answer(7, &next), at(501)), "part");
        assert_eq!(transfer.ask(at(501)).len(), 2, "100 ms are the time of a part");
    }

    /// A peer that was started again with another size of parts sends the rest in that size.
    #[test]
    fn the_size_of_parts_may_change() {
        let (mut transfer, first) = begin();
        assert_eq!(give(&mut transfer, answer(7, &first)), "part");
        transfer.ask(Now::ZERO);
        let below = Some(Slot(7));
        let longer = super::part(&snapshot(7), below, PART as u64, 2 * PART).unwrap();
        assert_eq!(give(&mut transfer, longer), "part");
        let questions = transfer.ask(Now::ZERO);
        let offsets = [3, 5, 7].map(|part| Packet::Fetch { below, offset: part * PART as u64 });
        assert_eq!(questions, offsets);
    }

    #[test]
    fn a_newer_snapshot_begins_anew_and_an_older_one_does_not() {
        let (mut transfer, _) = begin();
        let offset = PART as u64;
        assert_eq!(give(&mut transfer, part(7, None, 0)), "part");
        let under_way = transfer.ask(Now::ZERO);
        assert_eq!(give(&mut transfer, answer(8, &under_way[0])), "part");
        assert_eq!(
            give(&mut transfer, answer(8, &under_way[1])),
            "nothing",
            "it begins anew again"
        );
        assert_eq!(give(&mut transfer, part(7, Some(Slot(7)), offset)), "nothing", "it is late");
        assert_eq!(give(&mut transfer, part(7, None, 0)), "nothing");
        let next = Packet::Fetch { below: Some(Slot(8)), offset };
        assert_eq!(transfer.ask(Now::ZERO)[0], next);
        assert_eq!(give(&mut transfer, answer(8, &next)), "part");
    }
}
