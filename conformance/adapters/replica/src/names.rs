//! Names, values and messages of the replica as the judge reads them.

use paxos::{Ballot, Message, NodeId, Slot, Value, protocol::Parts};

use crate::protocol::{self, SlotPart};

/// The text of the no-op with which a leader fills a gap. No client may propose it.
pub(crate) const NOOP: &str = "noop";

/// The nodes in the order of `init`. The first is node 1 of the replica.
#[derive(Default)]
pub(crate) struct Names(pub(crate) Vec<String>);

impl Names {
    pub(crate) fn ids(&self) -> impl Iterator<Item = NodeId> {
        (1..).map(NodeId).take(self.0.len())
    }

    pub(crate) fn id(&self, name: &str) -> Result<NodeId, String> {
        let mut nodes = self.ids().zip(&self.0);
        let found = nodes.find(|(_, other)| *other == name);
        found.map(|(id, _)| id).ok_or_else(|| format!("{name} is not a node of this run"))
    }

    /// Returns the name of a node. The node must be in the configuration.
    pub(crate) fn name(&self, node: NodeId) -> String {
        self.0[node.0 as usize - 1].clone()
    }

    /// Returns all nodes but one, in the order of `init`.
    pub(crate) fn peers(&self, of: NodeId) -> Vec<String> {
        self.ids().filter(|&node| node != of).map(|node| self.name(node)).collect()
    }

    pub(crate) fn ballot(&self, ballot: Ballot) -> protocol::Ballot {
        (ballot.round.get(), self.name(ballot.node))
    }

    /// Returns the message as the judge reads it, without `re` and `raw`. `sender` is the state of the sender.
    ///
    /// `phase` is the phase of the message that this one answers, and `None` if that is of another kind. A Nack that
    /// answers a heartbeat or a read concerns no message that the judge knows, so it is of another kind itself. A Chosen
    /// message carries no values. The judge gets those that the sender means.
    pub(crate) fn message(
        &self,
        message: &Message,
        sender: Parts<'_>,
        phase: Option<u8>,
    ) -> protocol::Message {
        let none = protocol::Message { k: "x", ..protocol::Message::default() };
        let of = |k, ballot: &Ballot| protocol::Message {
            k,
            b: Some(self.ballot(*ballot)),
            ..protocol::Message::default()
        };
        let range =
            |first: &Slot, count| (first.0..).take(usize::try_from(count).unwrap_or(usize::MAX));
        let part = |s, v| SlotPart { s, vb: None, v };
        match message {
            Message::Prepare { ballot, first } => {
                protocol::Message { first: Some(first.0), ..of("prepare", ballot) }
            }
            Message::Promise { ballot, trimmed, reports } => protocol::Message {
                slots: Some(
                    reports
                        .iter()
                        .map(|report| SlotPart {
                            s: report.slot.0,
                            vb: Some(self.ballot(report.ballot)),
                            v: Some(text(&report.value)),
                        })
                        .collect(),
                ),
                through: trimmed.0.checked_sub(1),
                ..of("promise", ballot)
            },
            Message::Accept { ballot, first, values } => {
                let values = values.iter().map(|value| Some(text(value)));
                let slots = (first.0..).zip(values).map(|(s, v)| part(s, v)).collect();
                protocol::Message { slots: Some(slots), ..of("accept", ballot) }
            }
            Message::Accepted { ballot, first, count } => {
                let slots = range(first, *count).map(|s| part(s, None)).collect();
                protocol::Message { slots: Some(slots), ..of("accepted", ballot) }
            }
            Message::Nack { ballot, promised } if phase.is_some() => protocol::Message {
                pb: Some(self.ballot(*promised)),
                ph: phase,
                ..of("nack", ballot)
            },
            Message::Chosen { first, count, .. } => {
                let known = |s| sender.learner.value(Slot(s)).map(text);
                let slots = range(first, *count).map(|s| part(s, known(s))).collect();
                protocol::Message { k: "decided", slots: Some(slots), ..none }
            }
            Message::Nack { .. }
            | Message::Confirm { .. }
            | Message::Confirmed { .. }
            | Message::Heartbeat { .. }
            | Message::Learn { .. }
            | Message::Learned { .. }
            | Message::Trimmed { .. } => none,
        }
    }
}

/// Returns the phase in which a message asks acceptors, if it does.
pub(crate) fn phase(message: &Message) -> Option<u8> {
    match message {
        Message::Prepare { .. } => Some(1),
        Message::Accept { .. } => Some(2),
        _ => None,
    }
}

/// Returns true for the answers of an acceptor.
pub(crate) fn answers(message: &protocol::Message) -> bool {
    ["promise", "accepted", "nack"].contains(&message.k)
}

pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Noop => NOOP.to_owned(),
        Value::Command(command) => String::from_utf8_lossy(command).into_owned(),
    }
}
