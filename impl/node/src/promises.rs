//! Promises in parts.
//!
//! A promise to a candidate that is far behind reports much of the log. A node sends a long promise in parts of bounded
//! size: first one part, and each next part when the candidate asks for it. The replica of the candidate gets the promise
//! once it is whole, as the replica of the sender wrote it. So the protocol and its model know nothing of parts.
//!
//! A part may be lost, or the sender may restart. When the candidate's replica sends its Prepare message again, the node
//! asks for the next part in its place, unless a part has arrived since the time before. A sender that does not have the promise any more treats this question as the
//! Prepare message, and begins with the first part.
//!
//! Invariant: two promises of one acceptor with the same ballot and the same trimmed slots are equal, so the parts of both
//! fit together. The candidate names the same first slot in all Prepare messages of a ballot. An acceptor promises again
//! only while its votes are all in lower ballots, and in these it does not vote any more.

use std::{collections::BTreeMap, mem};

use paxos::{
    message::{Message, Report, To},
    types::{Ballot, NodeId, Slot},
};

use crate::{
    faults::Fault,
    packet::{Packet, value_bytes},
};

/// The promises of a node that go or come in parts.
pub(super) struct Promises {
    /// The most bytes of the reports in a part, except for a single report that is longer.
    part_bytes: usize,
    /// The last long promise of this node, while it holds and its candidate does not lead. The owner of its ballot gets it.
    sent: Option<Promise>,
    /// The promises of peers to this candidate of which not all parts have arrived.
    arriving: BTreeMap<NodeId, Arriving>,
    fault: Option<Fault>,
}

/// A promise, or the beginning of one.
struct Promise {
    id: PromiseId,
    reports: Vec<Report>,
}

/// The first parts of a promise.
struct Arriving {
    promise: Promise,
    /// True if a part has arrived since the Prepare message was last repeated.
    advances: bool,
}

/// The identity of a promise among those of one acceptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PromiseId {
    /// The ballot promised.
    pub(super) ballot: Ballot,
    /// The end of the slots that the acceptor has trimmed.
    pub(super) trimmed: Slot,
}

/// The use of a part that has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The promise is whole. The replica must take this message.
    Whole(Message),
    /// The part was taken. The sender must be asked for the next one.
    Part(Packet),
    /// The part was not taken: it has come before, or belongs to another promise. The node asks for no part in return.
    /// Otherwise each repetition would cause another one.
    Nothing,
}

impl Promise {
    /// Returns the part that begins after so many reports.
    fn part(&self, offset: usize, part_bytes: usize) -> Packet {
        let rest = &self.reports[offset.min(self.reports.len())..];
        let count = fitting(rest, part_bytes);
        Packet::PromisePart {
            ballot: self.id.ballot,
            trimmed: self.id.trimmed,
            offset: offset as u64,
            reports: rest[..count].to_vec(),
            more: count < rest.len(),
        }
    }

    /// Returns the question for the part after those that have arrived. `first` is the first slot of the candidate's
    /// Prepare message.
    fn question(&self, first: Slot) -> Packet {
        let (PromiseId { ballot, trimmed }, offset) = (self.id, self.reports.len() as u64);
        Packet::PromiseFrom { ballot, first, trimmed, offset }
    }
}

/// Returns the number of reports that fit into a part: at least one, if there is one.
fn fitting(reports: &[Report], part_bytes: usize) -> usize {
    let ends = reports.iter().scan(0, |length, report| {
        *length += REPORT_BYTES + value_bytes(&report.value);
        Some(*length)
    });
    ends.take_while(|length| *length <= part_bytes).count().max(1).min(reports.len())
}

/// The most bytes that a slot and a ballot take in a packet.
const REPORT_BYTES: usize = 25;

impl Promises {
    pub(super) fn new(part_bytes: usize, fault: Option<Fault>) -> Self {
        Self { part_bytes, sent: None, arriving: BTreeMap::new(), fault }
    }

    /// Returns the packet that carries a message of the replica: the message, the first part of a long promise, or the
    /// question for the next part in place of a repeated Prepare message. Returns `None` if the message is not needed,
    /// because parts of the promise arrive.
    pub(super) fn packet(&mut self, to: To, message: Message) -> Option<Packet> {
        match (to, message) {
            (To::Node(_), Message::Promise { ballot, trimmed, reports })
                if fitting(&reports, self.part_bytes) < reports.len() =>
            {
                let promise = Promise { id: PromiseId { ballot, trimmed }, reports };
                let part = promise.part(0, self.part_bytes);
                self.sent = Some(promise);
                Some(part)
            }
            (To::Node(peer), Message::Prepare { ballot, first }) => {
                let arriving = self.arriving.get_mut(&peer);
                let Some(arriving) = arriving.filter(|it| it.promise.id.ballot == ballot) else {
                    return Some(Packet::Message(Message::Prepare { ballot, first }));
                };
                let advances = mem::take(&mut arriving.advances);
                (!advances).then(|| arriving.promise.question(first))
            }
            (_, message) => Some(Packet::Message(message)),
        }
    }

    /// Returns the part that a candidate asks for, or `None` if this node has no such promise.
    pub(super) fn part(&self, id: PromiseId, offset: u64) -> Option<Packet> {
        let promise = self.sent.as_ref().filter(|promise| promise.id == id)?;
        let offset = usize::try_from(offset).ok().filter(|&it| it < promise.reports.len())?;
        Some(promise.part(offset, self.part_bytes))
    }

    /// Drops the promise of a ballot in which a node leads, since that node needs it no more.
    pub(super) fn leads_in(&mut self, ballot: Ballot) {
        self.sent.take_if(|promise| promise.id.ballot == ballot);
    }

    /// Drops what serves no more: a promise of a ballot below `promised`, and parts for another ballot than that in which
    /// this node is a candidate.
    pub(super) fn drop_old(&mut self, promised: Option<Ballot>, candidate: Option<Ballot>) {
        self.sent.take_if(|promise| Some(promise.id.ballot) < promised);
        self.arriving.retain(|_, it| Some(it.promise.id.ballot) == candidate);
    }

    /// Takes a part of a peer's promise. `candidate` is the ballot of this candidate, and the first slot of its Prepare
    /// message. It is `None` if this node awaits no promise of the peer.
    pub(super) fn take(
        &mut self,
        from: NodeId,
        id: PromiseId,
        offset: u64,
        (reports, more): (Vec<Report>, bool),
        candidate: Option<(Ballot, Slot)>,
    ) -> Taken {
        let Some((_, first)) = candidate.filter(|(ballot, _)| *ballot == id.ballot) else {
            return Taken::Nothing;
        };
        let is_newer =
            |it: &Arriving| it.promise.id.ballot != id.ballot || it.promise.id.trimmed < id.trimmed;
        if offset == 0 && self.arriving.get(&from).is_none_or(is_newer) {
            let promise = Promise { id, reports: Vec::new() };
            self.arriving.insert(from, Arriving { promise, advances: true });
        }
        let is_next =
            |it: &&mut Arriving| it.promise.id == id && it.promise.reports.len() as u64 == offset;
        let Some(arriving) = self.arriving.get_mut(&from).filter(is_next) else {
            return Taken::Nothing;
        };
        arriving.advances = true;
        let promise = &mut arriving.promise;
        promise.reports.extend(reports);
        if more && self.fault != Some(Fault::ForgetsMore) {
            return Taken::Part(promise.question(first));
        }
        let (PromiseId { ballot, trimmed }, reports) = (id, mem::take(&mut promise.reports));
        self.arriving.remove(&from);
        Taken::Whole(Message::Promise { ballot, trimmed, reports })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use paxos::types::Value;

    use super::*;

    const PEER: NodeId = NodeId(2);
    const FIRST: Slot = Slot(3);

    fn ballot(round: u64) -> Ballot {
        Ballot::new(round, NodeId(1)).unwrap()
    }

    /// A promise with a report in each of ten slots.
    fn promise(trimmed: u64) -> Message {
        let report = |slot| Report {
            slot: Slot(slot),
            ballot: ballot(1),
            value: Value::Command(Bytes::from(vec![0; slot as usize])),
        };
        let reports = (trimmed.max(3)..13).map(report).collect();
        Message::Promise { ballot: ballot(2), trimmed: Slot(trimmed), reports }
    }

    /// Both ends of a promise: an acceptor and a candidate.
    fn ends(part_bytes: usize) -> (Promises, Promises) {
        (Promises::new(part_bytes, None), Promises::new(part_bytes, None))
    }

    fn take(candidate: &mut Promises, packet: Packet) -> Taken {
        let Packet::PromisePart { ballot: of, trimmed, offset, reports, more } = packet else {
            panic!("{packet:?}")
        };
        let id = PromiseId { ballot: of, trimmed };
        candidate.take(PEER, id, offset, (reports, more), Some((ballot(2), FIRST)))
    }

    fn answer(acceptor: &Promises, question: &Packet) -> Option<Packet> {
        let &Packet::PromiseFrom { ballot, first, trimmed, offset } = question else {
            panic!("{question:?}")
        };
        assert_eq!(first, FIRST);
        acceptor.part(PromiseId { ballot, trimmed }, offset)
    }

    fn to_peer(promises: &mut Promises, message: Message) -> Packet {
        promises.packet(To::Node(PEER), message).expect("it is needed")
    }

    fn prepare() -> Message {
        Message::Prepare { ballot: ballot(2), first: FIRST }
    }

    /// Whatever the length of a part, all parts are the promise that was sent.
    #[test]
    fn all_parts_are_the_whole() {
        for part_bytes in 1..400 {
            let (mut acceptor, mut candidate) = ends(part_bytes);
            let mut packet = to_peer(&mut acceptor, promise(0));
            while let Packet::PromisePart { .. } = packet {
                match take(&mut candidate, packet) {
                    Taken::Whole(message) => packet = Packet::Message(message),
                    Taken::Part(question) => packet = answer(&acceptor, &question).unwrap(),
                    Taken::Nothing => panic!("each part is the next one"),
                }
            }
            assert_eq!(packet, Packet::Message(promise(0)), "parts of {part_bytes} bytes");
            assert!(candidate.arriving.is_empty());
        }
    }

    /// A part has no more bytes than allowed, unless it is a single report. Parts have as many as fit.
    #[test]
    fn parts_are_bounded() {
        let (mut acceptor, mut candidate) = ends(100);
        let mut packet = to_peer(&mut acceptor, promise(0));
        let mut counts = Vec::new();
        loop {
            let Packet::PromisePart { reports, .. } = &packet else { panic!("{packet:?}") };
            let most = reports.iter().map(|it| postcard::to_stdvec(it).unwrap().len());
            assert!(most.sum::<usize>() <= 100);
            counts.push(reports.len());
            let Taken::Part(question) = take(&mut candidate, packet) else { break };
            packet = answer(&acceptor, &question).unwrap();
        }
        assert_eq!(counts, [2; 5]);
        let short = Message::Promise { ballot: ballot(2), trimmed: Slot(0), reports: Vec::new() };
        assert_eq!(to_peer(&mut acceptor, short.clone()), Packet::Message(short));
    }

    /// The question for the next part replaces the repeated Prepare message. A sender without the promise does not know
    /// the part, and the promise that it then sends anew continues the one before.
    #[test]
    fn a_lost_part_is_asked_for_again() {
        let (mut acceptor, mut candidate) = ends(100);
        let first = to_peer(&mut acceptor, promise(0));
        assert_eq!(to_peer(&mut candidate, prepare()), Packet::Message(prepare()));
        assert!(matches!(take(&mut candidate, first.clone()), Taken::Part(_)));
        assert_eq!(take(&mut candidate, first), Taken::Nothing, "it has come before");
        let repeated = candidate.packet(To::Node(PEER), prepare());
        assert_eq!(repeated, None, "a part has just arrived");
        let question = to_peer(&mut candidate, prepare());
        let mut restarted = Promises::new(100, None);
        assert_eq!(answer(&restarted, &question), None);
        let again = to_peer(&mut restarted, promise(0));
        assert_eq!(take(&mut candidate, again), Taken::Nothing);
        let second = answer(&restarted, &question).unwrap();
        assert!(matches!(take(&mut candidate, second), Taken::Part(_)));
    }

    /// Parts of promises with different trimmed slots are never mixed. The later promise wins.
    #[test]
    fn a_promise_that_has_changed_begins_anew() {
        let (mut acceptor, mut candidate) = ends(100);
        let old = to_peer(&mut acceptor, promise(0));
        let Taken::Part(question) = take(&mut candidate, old.clone()) else { panic!() };
        let old_second = answer(&acceptor, &question).unwrap();
        let new = to_peer(&mut acceptor, promise(4));
        assert_eq!(answer(&acceptor, &question), None, "that promise is gone");
        let Taken::Part(question) = take(&mut candidate, new) else { panic!() };
        for late in [old, old_second] {
            assert_eq!(take(&mut candidate, late), Taken::Nothing);
        }
        let mut packet = answer(&acceptor, &question).unwrap();
        loop {
            match take(&mut candidate, packet) {
                Taken::Part(question) => packet = answer(&acceptor, &question).unwrap(),
                whole => break assert_eq!(whole, Taken::Whole(promise(4))),
            }
        }
    }

    /// A part of another ballot is not taken, and neither is one that comes to a node that is no candidate.
    #[test]
    fn parts_of_other_ballots_are_dropped() {
        let (mut acceptor, mut candidate) = ends(100);
        let first = to_peer(&mut acceptor, promise(0));
        let Packet::PromisePart { trimmed, offset, reports, more, .. } = first else { panic!() };
        for present in [None, Some((ballot(3), FIRST))] {
            let id = PromiseId { ballot: ballot(2), trimmed };
            let part = (reports.clone(), more);
            assert_eq!(candidate.take(PEER, id, offset, part, present), Taken::Nothing);
        }
        assert!(candidate.arriving.is_empty());
    }

    /// A promise takes no memory once it has served.
    #[test]
    fn promises_are_given_up() {
        let (mut acceptor, mut candidate) = ends(100);
        let ends: [fn(&mut Promises); 2] = [
            |acceptor| acceptor.leads_in(ballot(2)),
            |acceptor| acceptor.drop_old(Some(ballot(3)), None),
        ];
        for end in ends {
            let first = to_peer(&mut acceptor, promise(0));
            let Taken::Part(question) = take(&mut candidate, first) else { panic!() };
            for promises in [&mut acceptor, &mut candidate] {
                promises.leads_in(ballot(1));
                promises.drop_old(Some(ballot(2)), Some(ballot(2)));
            }
            assert!(answer(&acceptor, &question).is_some());
            end(&mut acceptor);
            assert_eq!(answer(&acceptor, &question), None);
            candidate.drop_old(Some(ballot(3)), Some(ballot(3)));
            assert_eq!(to_peer(&mut candidate, prepare()), Packet::Message(prepare()));
        }
    }
}
