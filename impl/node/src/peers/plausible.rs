//! Numbers in packets that no correct cluster reaches. A packet with such a number is refused.
//!
//! A node promises every higher ballot that it hears of, and begins its own ballots above that one. So a single frame
//! with round 2^64 - 2, forged or damaged, would use up all ballots for ever. The same holds for slots, for the starts
//! of a node and for the numbers of a session: they only rise, and a high number is remembered.
//!
//! Safety does not depend on this check. A node treats a refused packet as one that the network has lost, and the
//! protocol allows every packet to be lost. Liveness does not suffer either: the limits lie so far ahead that no
//! cluster reaches them by itself.

use std::{collections::BTreeMap, time::Duration};

use thiserror::Error;

use crate::{
    machine::StateMachine,
    options::SNAPSHOT_PART_BYTES_MAX,
    packet::Packet,
    session::{Applied, Owner, SessionId, Sessions},
    timers::Now,
    transfer::SNAPSHOT_BYTES_MAX,
};
use paxos::{
    message::{Message, Report},
    protocol::Parts,
    types::{Ballot, NodeId, Slot},
};

/// The number of rounds by which a ballot may be above the highest that this node knows. At one campaign a second, a
/// cluster reaches that in 136 years.
const ROUNDS_AHEAD_MAX: u64 = 1 << 32;
/// The number of slots by which a peer may be ahead of the log of this node. At a million slots a second, a cluster
/// reaches that in nine years.
const SLOTS_AHEAD_MAX: u64 = 1 << 48;
/// The number of commands by which a node's session may be ahead of the commands that this node has applied.
const COMMANDS_AHEAD_MAX: u64 = 1 << 48;
/// The number of starts by which a peer may be ahead of its last start that this node has met.
pub(super) const STARTS_AHEAD_MAX: u64 = 1 << 32;

/// The least time between two lines in the log about the same peer.
const PAUSE: Duration = Duration::from_secs(1);

/// The reason for which a packet is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Implausible {
    #[error(
        "ballot {ballot} is more than {ROUNDS_AHEAD_MAX} rounds above round {known}, the highest \
         that this node knows"
    )]
    Ballot { ballot: Ballot, known: u64 },
    #[error(
        "slot {slot} is more than {SLOTS_AHEAD_MAX} slots beyond slot {known}, where the log of \
         this node ends"
    )]
    Slot { slot: Slot, known: Slot },
    #[error(
        "the answers below {answered_below} in session {session} cannot have been heard: that is \
         more than {COMMANDS_AHEAD_MAX} commands ahead"
    )]
    Answered { session: SessionId, answered_below: u64 },
    #[error(
        "a part of {part} bytes at byte {offset} of a snapshot of {length} bytes: a part has \
         {SNAPSHOT_PART_BYTES_MAX} bytes at most, a snapshot {SNAPSHOT_BYTES_MAX}"
    )]
    Part { length: u64, offset: u64, part: usize },
}

/// Refuses packets with implausible numbers, and logs the refusals.
#[derive(Debug, Default)]
pub(super) struct Guard {
    logged_at: BTreeMap<NodeId, Now>,
}

impl Guard {
    /// Returns true if a node in this state may take a packet.
    pub(super) fn accepts<M: StateMachine>(
        &mut self,
        from: NodeId,
        packet: &Packet,
        parts: Parts<'_>,
        sessions: Option<&Sessions<M>>,
        now: Now,
    ) -> bool {
        let Err(reason) = check(packet, parts, sessions) else { return true };
        let last = self.logged_at.get(&from);
        if last.is_none_or(|&last| now.saturating_sub(last) >= PAUSE) {
            self.logged_at.insert(from, now);
            let kind = Packet::KINDS[packet.kind()];
            tracing::warn!(peer = from.0, kind, %reason, "a packet is refused");
        }
        false
    }
}

/// The state of a node to which the numbers in packets are compared.
struct Known {
    round: u64,
    slot: Slot,
}

impl Known {
    fn ballot(&self, ballot: Ballot) -> Result<(), Implausible> {
        let known = self.round;
        let most = known.saturating_add(ROUNDS_AHEAD_MAX);
        if ballot.round.get() > most { Err(Implausible::Ballot { ballot, known }) } else { Ok(()) }
    }

    fn slot(&self, slot: Slot) -> Result<(), Implausible> {
        let known = self.slot;
        let most = known.plus(SLOTS_AHEAD_MAX);
        if slot > most { Err(Implausible::Slot { slot, known }) } else { Ok(()) }
    }

    /// Checks consecutive slots. The addition saturates, so the end of absurd slots is absurd, too.
    fn slots(&self, first: Slot, count: u64) -> Result<(), Implausible> {
        self.slot(first.plus(count))
    }

    fn promise(
        &self,
        ballot: Ballot,
        trimmed: Slot,
        reports: &[Report],
    ) -> Result<(), Implausible> {
        self.ballot(ballot)?;
        self.slot(trimmed)?;
        reports.iter().try_for_each(|Report { slot, ballot, .. }| {
            self.ballot(*ballot)?;
            self.slot(*slot)
        })
    }

    fn message(&self, message: &Message) -> Result<(), Implausible> {
        match *message {
            Message::Prepare { ballot, first } => {
                self.ballot(ballot)?;
                self.slot(first)
            }
            Message::Confirm { ballot, .. } | Message::Confirmed { ballot, .. } => {
                self.ballot(ballot)
            }
            Message::Promise { ballot, trimmed, ref reports } => {
                self.promise(ballot, trimmed, reports)
            }
            Message::Accept { ballot, first, ref values } => {
                self.ballot(ballot)?;
                self.slots(first, values.len() as u64)
            }
            Message::Accepted { ballot, first, count }
            | Message::Chosen { ballot, first, count } => {
                self.ballot(ballot)?;
                self.slots(first, count)
            }
            Message::Nack { ballot, promised } => {
                self.ballot(ballot)?;
                self.ballot(promised)
            }
            Message::Heartbeat { ballot, chosen_below } => {
                self.ballot(ballot)?;
                self.slot(chosen_below)
            }
            Message::Learn { from: slot } | Message::Trimmed { below: slot } => self.slot(slot),
            Message::Learned { first, ref values, .. } => self.slots(first, values.len() as u64),
        }
    }
}

/// Checks every number in a packet that a node remembers, or from which it counts on.
fn check<M: StateMachine>(
    packet: &Packet,
    parts: Parts<'_>,
    sessions: Option<&Sessions<M>>,
) -> Result<(), Implausible> {
    let known = Known {
        // Every vote is in a promised ballot or one below, and a campaign promises its own.
        round: parts.acceptor.promised.map_or(0, |ballot| ballot.round.get()),
        slot: parts.acceptor.votes.end().max(parts.learner.chosen.end()),
    };
    match packet {
        Packet::Message(message) => known.message(message),
        Packet::HandOver { ballot } => known.ballot(*ballot),
        &Packet::PromisePart { ballot, trimmed, ref reports, .. } => {
            known.promise(ballot, trimmed, reports)
        }
        // The acceptor only compares the trimmed slot and the number of reports.
        &Packet::PromiseFrom { ballot, first, .. } => {
            known.ballot(ballot)?;
            known.slot(first)
        }
        Packet::ReadAt { at, .. } => known.slot(*at),
        Packet::Fetch { below, .. } => below.map_or(Ok(()), |below| known.slot(below)),
        &Packet::Chunk { below, length, offset, ref part } => {
            known.slot(below)?;
            let part = part.len();
            let fits = part <= SNAPSHOT_PART_BYTES_MAX
                && length <= SNAPSHOT_BYTES_MAX
                && offset.checked_add(part as u64).is_some_and(|end| end <= length);
            if fits { Ok(()) } else { Err(Implausible::Part { length, offset, part }) }
        }
        Packet::Forward(commands) => commands.iter().try_for_each(|bytes| entry(bytes, sessions)),
        // The numbers of reads are only sent back and compared. A node that is asked for a byte beyond its
        // snapshot sends the first part.
        Packet::ReadIndex { .. } | Packet::PreVote | Packet::PreVoteGranted | Packet::Following => {
            Ok(())
        }
    }
}

/// Checks the numbers of a forwarded command. Does not check those of a client's own session, because the client may
/// choose them freely. Without `sessions` no answer counts as heard.
fn entry<M: StateMachine>(bytes: &[u8], sessions: Option<&Sessions<M>>) -> Result<(), Implausible> {
    // The beginning of `Entry::Command`, without a copy of its command. Other entries have no such numbers.
    const COMMAND: u32 = 1;
    type Beginning = (u32, SessionId, u64, u64);
    let Ok(((COMMAND, session, _, answered_below), _)) =
        postcard::take_from_bytes::<Beginning>(bytes)
    else {
        return Ok(());
    };
    let Some(least) = answered_below.checked_sub(COMMANDS_AHEAD_MAX).filter(|&least| least > 0)
    else {
        return Ok(());
    };
    // All commands whose answers were heard are forgotten, so the command before `least` must be forgotten, too.
    let became = sessions.and_then(|sessions| sessions.became(session, least - 1));
    if session.owner == Owner::Client || matches!(became, Some(Applied::Forgotten { .. })) {
        return Ok(());
    }
    Err(Implausible::Answered { session, answered_below })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{machine::tests::Counter, session::Entry};
    use paxos::{config::Config, event::Event, output::Output, protocol::Replica, types::Value};

    fn ballot(round: u64) -> Ballot {
        Ballot::new(round, NodeId(2)).unwrap()
    }

    /// Node 1 of three, which has promised round 5 and whose log ends at slot 7, with the session in slot 0.
    fn known() -> (Replica, Sessions<Counter>) {
        let mut replica = Replica::new(Config::new(NodeId(1), [1, 2, 3].map(NodeId))).unwrap();
        let message = Message::Accept {
            ballot: ballot(5),
            first: Slot(0),
            values: vec![Value::Noop; 7].into(),
        };
        replica.step(Event::Message { from: NodeId(2), message }, &mut Output::default());
        let mut sessions = Sessions::new(Counter::default());
        let open = Entry::Open { nonce: 1, owner: Owner::Node };
        sessions.apply(Slot(0), &Value::Command(open.encode()));
        (replica, sessions)
    }

    fn refused(packet: &Packet) -> Option<Implausible> {
        let (replica, sessions) = known();
        check(packet, replica.parts(), Some(&sessions)).err()
    }

    /// Every packet that carries a ballot.
    fn with_ballot(ballot: Ballot) -> Vec<Packet> {
        let (low, slot, values) = (self::ballot(1), Slot(0), vec![Value::Noop]);
        let report = Report { slot, ballot, value: Value::Noop };
        let messages = [
            Message::Prepare { ballot, first: slot },
            Message::Promise { ballot, trimmed: slot, reports: Vec::new() },
            Message::Promise { ballot: low, trimmed: slot, reports: vec![report] },
            Message::Accept { ballot, first: slot, values: values.into() },
            Message::Accepted { ballot, first: slot, count: 1 },
            Message::Nack { ballot, promised: low },
            Message::Nack { ballot: low, promised: ballot },
            Message::Chosen { ballot, first: slot, count: 1 },
            Message::Confirm { ballot, round: u64::MAX },
            Message::Confirmed { ballot, round: u64::MAX },
            Message::Heartbeat { ballot, chosen_below: slot },
        ];
        let reports = Vec::new();
        let parts = [
            Packet::PromisePart { ballot, trimmed: slot, offset: 0, reports, more: true },
            Packet::PromiseFrom { ballot, first: slot, trimmed: slot, offset: 1 },
        ];
        messages.map(Packet::Message).into_iter().chain(parts).collect()
    }

    /// Every packet that carries a slot, so that the highest slot in it is the one before `end`.
    fn with_slots_below(end: u64) -> Vec<Packet> {
        let (ballot, value, last) = (ballot(5), Value::Noop, Slot(end - 1));
        let (slot, values) = (Slot(end), [value.clone()]);
        let report = Report { slot, ballot, value };
        let messages = [
            Message::Prepare { ballot, first: slot },
            Message::Promise { ballot, trimmed: slot, reports: Vec::new() },
            Message::Promise { ballot, trimmed: Slot(0), reports: vec![report.clone()] },
            Message::Accept { ballot, first: last, values: values.clone().into() },
            Message::Accepted { ballot, first: last, count: 1 },
            Message::Accepted { ballot, first: Slot(0), count: end },
            Message::Chosen { ballot, first: last, count: 1 },
            Message::Chosen { ballot, first: Slot(0), count: end },
            Message::Heartbeat { ballot, chosen_below: slot },
            Message::Learn { from: slot },
            Message::Learned { first: last, values: values.into(), more: true },
            Message::Trimmed { below: slot },
        ];
        let others = [
            Packet::ReadAt { id: 1, at: slot },
            Packet::Fetch { below: Some(slot), offset: 0 },
            Packet::Chunk { below: slot, length: 1, offset: 0, part: Bytes::from_static(b"x") },
            Packet::PromisePart { ballot, trimmed: slot, offset: 0, reports: vec![], more: true },
            Packet::PromisePart {
                ballot,
                trimmed: Slot(0),
                offset: 0,
                reports: vec![report],
                more: true,
            },
            Packet::PromiseFrom { ballot, first: slot, trimmed: Slot(0), offset: 1 },
        ];
        messages.map(Packet::Message).into_iter().chain(others).collect()
    }

    #[test]
    fn a_ballot_far_beyond_is_refused() {
        let most = 5 + ROUNDS_AHEAD_MAX;
        for packet in with_ballot(ballot(most)) {
            assert_eq!(refused(&packet), None, "{packet:?}");
        }
        for round in [most + 1, u64::MAX - 1, u64::MAX] {
            let ballot = ballot(round);
            for packet in with_ballot(ballot) {
                assert_eq!(
                    refused(&packet),
                    Some(Implausible::Ballot { ballot, known: 5 }),
                    "{packet:?}"
                );
            }
        }
    }

    #[test]
    fn a_slot_far_beyond_is_refused() {
        let most = 7 + SLOTS_AHEAD_MAX;
        for packet in with_slots_below(most) {
            assert_eq!(refused(&packet), None, "{packet:?}");
        }
        for end in [most + 1, u64::MAX - 1, u64::MAX] {
            for packet in with_slots_below(end) {
                let slot = Slot(end);
                assert_eq!(
                    refused(&packet),
                    Some(Implausible::Slot { slot, known: Slot(7) }),
                    "{packet:?}"
                );
            }
        }
        let message = Message::Chosen { ballot: ballot(5), first: Slot(u64::MAX), count: u64::MAX };
        assert!(refused(&Packet::Message(message)).is_some(), "adding up does not overflow");
    }

    #[test]
    fn an_absurd_part_of_a_snapshot_is_refused() {
        let refused = |length, offset, part: usize| {
            let part = vec![0; part].into();
            refused(&Packet::Chunk { below: Slot(1), length, offset, part }).is_some()
        };
        let most = SNAPSHOT_BYTES_MAX;
        assert!(
            !refused(0, 0, 0)
                && !refused(most, most - 3, 3)
                && !refused(most, 0, SNAPSHOT_PART_BYTES_MAX)
        );
        assert!(refused(most + 1, 0, 1) && refused(u64::MAX, 0, 1));
        assert!(refused(10, 8, 3) && refused(10, u64::MAX, 3) && refused(10, u64::MAX - 2, 3));
        assert!(refused(most, 0, SNAPSHOT_PART_BYTES_MAX + 1));
    }

    /// If all answers of a session are said to have been heard, its node would get no answer any more.
    #[test]
    fn a_session_whose_numbers_would_be_used_up_is_refused() {
        let (replica, mut sessions) = known();
        let forward = |owner, slot, answered_below| {
            let session = SessionId { owner, slot: Slot(slot) };
            let command = Bytes::from_static(b"command");
            let entry = Entry::Command { session, sequence: u64::MAX, answered_below, command };
            Packet::Forward(vec![Bytes::from_static(b"no entry"), entry.encode()])
        };
        let most = COMMANDS_AHEAD_MAX;
        let refused = |sessions: &Sessions<Counter>, packet| {
            check(&packet, replica.parts(), Some(sessions)).is_err()
        };
        assert!(!refused(&sessions, forward(Owner::Node, 0, most)));
        for answered_below in [most + 1, u64::MAX] {
            assert!(refused(&sessions, forward(Owner::Node, 0, answered_below)));
            assert!(
                refused(&sessions, forward(Owner::Node, 9, answered_below)),
                "a session that is not open"
            );
            assert!(!refused(&sessions, forward(Owner::Client, 0, answered_below)));
        }
        // The limit moves on with the session.
        let Packet::Forward(entries) = forward(Owner::Node, 0, 5) else { unreachable!() };
        sessions.apply(Slot(1), &Value::Command(entries[1].clone()));
        assert!(!refused(&sessions, forward(Owner::Node, 0, most + 5)));
        assert!(refused(&sessions, forward(Owner::Node, 0, most + 6)));
        let open = Entry::Open { nonce: u128::MAX, owner: Owner::Node };
        assert!(!refused(&sessions, Packet::Forward(vec![open.encode()])));
    }
}
