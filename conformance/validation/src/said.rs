//! Messages and values of recordings in the terms of the model.
//!
//! The model sends one message for each slot, and the implementation sends batches. So both are compared slot by slot: a
//! batch becomes one [`Said`] for each of its slots.

use paxos_model::cluster::node::{
    message::Message as ModelMessage,
    state::Vote,
    unbounded::{self, Unbounded},
    universe::SlotMap as _,
};
use paxos_recording::frame::{self, Message, Report, To};

pub use paxos_model::cluster::node::unbounded::{Ballot, NodeId, Slot, Value};

/// A vote of the model.
pub type ModelVote = Vote<Unbounded>;
/// The votes of the model, by slot.
pub type Votes = unbounded::Log<Option<ModelVote>>;

/// Returns the node of the model.
pub fn node(paxos::NodeId(id): paxos::NodeId) -> NodeId {
    NodeId(id.into())
}

/// Returns the ballot of the model.
pub fn ballot(ballot: paxos::Ballot) -> Ballot {
    Ballot { round: ballot.round.get(), owner: node(ballot.node) }
}

/// Returns the slot of the model.
pub fn slot(paxos::Slot(slot): paxos::Slot) -> Slot {
    Slot(slot)
}

/// Returns the receiver, or none for all other nodes.
pub fn receiver(to: To) -> Option<NodeId> {
    match to {
        To::Peers => None,
        To::Node(id) => Some(node(id)),
    }
}

/// Supplies the values of recordings in the terms of the model.
///
/// The values of one slot share memory, because each is known to several nodes.
pub trait Values {
    /// Returns a value of the model that is equal to a recorded one.
    fn value(&self, slot: Slot, value: &frame::Value) -> Value;
}

/// One message of the implementation, or its part for one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Phase 1a. The receivers report their votes from the slot on.
    Prepare(Ballot, Slot),
    /// Phase 1b.
    Promise(Box<Promise>),
    /// Phase 2a.
    Accept(Ballot, Slot, Value),
    /// Phase 2b.
    Accepted(Ballot, Slot),
    /// The first ballot is refused, because the second is promised.
    Nack(Ballot, Ballot),
    /// The value that the ballot proposed in the slot is chosen.
    Chosen(Ballot, Slot),
    /// A leader asks for a confirmation of a round.
    Confirm(Ballot, u64),
    /// A confirmation.
    Confirmed(Ballot, u64),
    /// A leader is alive, and knows the slots below this one to be chosen.
    Heartbeat(Ballot, Slot),
    /// The sender asks for chosen values from a slot on.
    Learn(Slot),
    /// A chosen value.
    Learned(Slot, Value),
    /// The sender of chosen values knows that of this slot as well, which is the next one.
    More(Slot),
    /// The slots below this one are trimmed.
    Trimmed(Slot),
}

/// A promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The ballot that is promised.
    pub ballot: Ballot,
    /// The end of the trimmed log.
    pub trimmed: Slot,
    /// The votes.
    pub reports: Votes,
}

impl Said {
    /// The order in which messages are compared: by kind, ballot and slot.
    fn key(&self) -> (u8, Option<Ballot>, u64) {
        match self {
            Self::Prepare(ballot, first) => (0, Some(*ballot), first.0),
            Self::Promise(promise) => (1, Some(promise.ballot), 0),
            Self::Accept(ballot, slot, _) => (2, Some(*ballot), slot.0),
            Self::Accepted(ballot, slot) => (3, Some(*ballot), slot.0),
            Self::Nack(ballot, _) => (4, Some(*ballot), 0),
            Self::Chosen(ballot, slot) => (5, Some(*ballot), slot.0),
            Self::Confirm(ballot, round) => (6, Some(*ballot), *round),
            Self::Confirmed(ballot, round) => (7, Some(*ballot), *round),
            Self::Heartbeat(ballot, below) => (8, Some(*ballot), below.0),
            Self::Learn(from) => (9, None, from.0),
            Self::Learned(slot, _) => (10, None, slot.0),
            Self::More(slot) => (11, None, slot.0),
            Self::Trimmed(below) => (12, None, below.0),
        }
    }

    /// Returns the message of the model as it is sent, or none if the implementation does not send it.
    pub fn of_model(
        me: NodeId,
        message: ModelMessage<Unbounded>,
    ) -> Option<(Option<NodeId>, Self)> {
        let own = message.ballot().owner == me;
        let to_owner = Some(message.ballot().owner);
        match message {
            ModelMessage::Prepare { ballot, first } => Some((None, Self::Prepare(ballot, first))),
            // A node counts its own promise and its own votes without a message.
            ModelMessage::Promise { .. } | ModelMessage::Accepted { .. } if own => None,
            ModelMessage::Promise { ballot, trimmed, reports, .. } => {
                Some((to_owner, Self::Promise(Box::new(Promise { ballot, trimmed, reports }))))
            }
            ModelMessage::Accept { ballot, slot, value } => {
                Some((None, Self::Accept(ballot, slot, value)))
            }
            ModelMessage::Accepted { ballot, slot, .. } => {
                Some((to_owner, Self::Accepted(ballot, slot)))
            }
            ModelMessage::Confirm { ballot, round } => Some((None, Self::Confirm(ballot, round.0))),
            ModelMessage::Confirmed { ballot, round, .. } => {
                Some((to_owner, Self::Confirmed(ballot, round.0)))
            }
        }
    }
}

/// Messages with their receivers; `None` stands for all other nodes.
pub type Sent = Vec<(Option<NodeId>, Said)>;

/// Sorts messages, so that equal sets of messages are equal.
pub fn sort(sent: &mut Sent) {
    sent.sort_by(|(to, said), (other_to, other)| {
        said.key().cmp(&other.key()).then_with(|| to.cmp(other_to))
    });
}

/// The most slots of a message that are looked at. No replica sends a message about more.
const SLOTS_MAX: u64 = 1 << 24;

/// Returns the slots of a range that a message claims.
fn slots(first: paxos::Slot, count: u64) -> impl Iterator<Item = Slot> {
    (first.0..first.0.saturating_add(count.min(SLOTS_MAX))).map(Slot)
}

/// Calls `say` with each part of a recorded message. `batch` returns the values of its batch.
pub fn parts<'a, B>(
    message: &'a Message<B>,
    values: &impl Values,
    batch: impl FnOnce(&'a B) -> &'a [frame::Value],
    mut say: impl FnMut(Said),
) {
    match message {
        Message::Prepare { ballot: b, first } => say(Said::Prepare(ballot(*b), slot(*first))),
        Message::Promise { ballot: b, trimmed, reports } => {
            let (ballot, trimmed) = (ballot(*b), slot(*trimmed));
            let reports = votes(reports, values);
            say(Said::Promise(Box::new(Promise { ballot, trimmed, reports })));
        }
        Message::Accept { ballot: b, first, values: them } => {
            let (b, them) = (ballot(*b), batch(them));
            for (at, value) in slots(*first, them.len() as u64).zip(them) {
                say(Said::Accept(b, at, values.value(at, value)));
            }
        }
        Message::Accepted { ballot: b, first, count } => {
            slots(*first, *count).for_each(|at| say(Said::Accepted(ballot(*b), at)));
        }
        Message::Nack { ballot: b, promised } => {
            say(Said::Nack(ballot(*b), ballot(*promised)));
        }
        Message::Chosen { ballot: b, first, count } => {
            slots(*first, *count).for_each(|at| say(Said::Chosen(ballot(*b), at)));
        }
        Message::Confirm { ballot: b, round } => say(Said::Confirm(ballot(*b), *round)),
        Message::Confirmed { ballot: b, round } => say(Said::Confirmed(ballot(*b), *round)),
        Message::Heartbeat { ballot: b, chosen_below } => {
            say(Said::Heartbeat(ballot(*b), slot(*chosen_below)));
        }
        Message::Learn { from } => say(Said::Learn(slot(*from))),
        Message::Learned { first, values: them, more } => {
            let them = batch(them);
            for (at, value) in slots(*first, them.len() as u64).zip(them) {
                say(Said::Learned(at, values.value(at, value)));
            }
            if *more {
                say(Said::More(slot(first.plus(them.len() as u64))));
            }
        }
        Message::Trimmed { below } => say(Said::Trimmed(slot(*below))),
    }
}

/// Returns recorded votes in the terms of the model.
pub fn votes(reports: &[Report], values: &impl Values) -> Votes {
    let mut votes = Votes::default();
    for report in reports {
        let at = slot(report.slot);
        let (ballot, value) = (ballot(report.ballot), values.value(at, &report.value));
        votes.put(at, Some(Vote { ballot, value }));
    }
    votes
}
