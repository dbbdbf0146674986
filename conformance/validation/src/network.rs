//! The network: all messages ever sent.
//!
//! As in the model, a message that was sent may arrive at any later time, any number of times, or never. So the network only
//! grows. It stays small because it keeps ranges of slots and rounds, and not single messages: a leader sends Accept messages
//! for one slot after the other.
//!
//! A message counts as sent to all nodes if it is one that the model sends to all (Prepare, Accept, Confirm, Chosen,
//! Heartbeat). Any other message arrives only at its receiver. The transport may cut a batch into several messages, so a
//! batch counts as sent if each of its slots was. The [history](crate::history) checks the values.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Range,
};

use paxos_recording::{
    MessageId, Step,
    frame::{BatchRef, Message, To},
};

use paxos::{Ballot, NodeId, Slot};

/// A set of numbers, as ranges that do not touch.
#[derive(Clone, Debug, Default)]
pub struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds the numbers of a range.
    pub fn insert(&mut self, range: Range<u64>) {
        let Range { mut start, mut end } = range;
        if start >= end {
            return;
        }
        while let Some((&begin, &stop)) = self.0.range(..=end).next_back()
            && stop >= start
        {
            self.0.remove(&begin);
            (start, end) = (start.min(begin), end.max(stop));
        }
        self.0.insert(start, end);
    }

    /// Returns true if all numbers of a range are in the set.
    pub fn contains(&self, range: &Range<u64>) -> bool {
        range.is_empty()
            || self.0.range(..=range.start).next_back().is_some_and(|(_, end)| *end >= range.end)
    }
}

/// The kinds of messages of which the network keeps ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Ranged {
    Accept,
    Accepted,
    Chosen,
    Confirm,
    Confirmed,
    Heartbeat,
    Learn,
    Learned,
    Trimmed,
}

/// The messages of one kind, ballot and receiver.
type Group = (Ranged, Option<Ballot>, Option<NodeId>);

/// The messages that one node has sent.
#[derive(Clone, Debug, Default)]
struct Sender {
    ranges: HashMap<Group, Ranges>,
    /// Messages that are sent rarely: Prepare, Promise and Nack. A Prepare message has no receiver here.
    single: HashSet<(Option<NodeId>, MessageId)>,
    /// Answers about reads: the receiver, the number of its batch, and the end of the slots that the batch must see.
    answers: HashMap<NodeId, BTreeMap<u64, BTreeSet<Slot>>>,
}

/// All messages ever sent.
#[derive(Clone, Debug, Default)]
pub struct Network(BTreeMap<NodeId, Sender>);

/// Returns the group and the range of a message, or none if the message is kept by itself. A batch is its length.
fn ranged(message: &Message<u64>, to: Option<NodeId>) -> Option<(Group, Range<u64>)> {
    let one = |number: u64| number..number.saturating_add(1);
    let run = |first: Slot, count: u64| first.0..first.0.saturating_add(count);
    let all = |kind, ballot, range| ((kind, Some(ballot), None), range);
    Some(match *message {
        Message::Accept { ballot, first, values } => {
            all(Ranged::Accept, ballot, run(first, values))
        }
        Message::Accepted { ballot, first, count } => {
            ((Ranged::Accepted, Some(ballot), to), run(first, count))
        }
        Message::Chosen { ballot, first, count } => all(Ranged::Chosen, ballot, run(first, count)),
        Message::Confirm { ballot, round } => all(Ranged::Confirm, ballot, one(round)),
        Message::Confirmed { ballot, round } => ((Ranged::Confirmed, Some(ballot), to), one(round)),
        Message::Heartbeat { ballot, chosen_below } => {
            all(Ranged::Heartbeat, ballot, one(chosen_below.0))
        }
        Message::Learn { from } => ((Ranged::Learn, None, to), one(from.0)),
        Message::Learned { first, values, .. } => ((Ranged::Learned, None, to), run(first, values)),
        Message::Trimmed { below } => ((Ranged::Trimmed, None, to), one(below.0)),
        Message::Prepare { .. } | Message::Promise { .. } | Message::Nack { .. } => return None,
    })
}

fn receiver(message: &Message<u64>, to: Option<NodeId>) -> Option<NodeId> {
    if matches!(message, Message::Prepare { .. }) { None } else { to }
}

impl Network {
    /// Adds a message. Its batch is given by its length.
    pub fn send(&mut self, from: NodeId, to: To, message: &Message<u64>, id: MessageId) {
        let to = match to {
            To::Peers => None,
            To::Node(node) => Some(node),
        };
        let sender = self.0.entry(from).or_default();
        match ranged(message, to) {
            Some((group, range)) => sender.ranges.entry(group).or_default().insert(range),
            None => {
                sender.single.insert((receiver(message, to), id));
            }
        }
    }

    /// Returns true if `from` has sent the message that a step receives to `to`.
    pub fn has(&self, from: NodeId, to: NodeId, step: &Step, message: &Message<BatchRef>) -> bool {
        let Some(sender) = self.0.get(&from) else { return false };
        let measured = step.measured(message);
        if let Some((group, range)) = ranged(&measured, Some(to)) {
            return sender.ranges.get(&group).is_some_and(|ranges| ranges.contains(&range));
        }
        let receiver = receiver(&measured, Some(to));
        sender.single.contains(&(receiver, step.id(message)))
    }

    /// Adds the answer to a question about reads.
    pub fn send_answer(&mut self, from: NodeId, to: NodeId, batch: u64, at: Slot) {
        let answers = self.0.entry(from).or_default().answers.entry(to).or_default();
        answers.entry(batch).or_default().insert(at);
    }

    /// Returns true if `from` has answered a question of `to` about reads.
    pub fn has_answer(&self, from: NodeId, to: NodeId, batch: u64, at: Slot) -> bool {
        let answers = self.0.get(&from).and_then(|sender| sender.answers.get(&to));
        answers.and_then(|answers| answers.get(&batch)).is_some_and(|all| all.contains(&at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join() {
        let mut ranges = Ranges::default();
        for range in [3..4, 1..2, 2..3, 7..8, 5..7, 0..1, 3..4, 9..9] {
            ranges.insert(range);
        }
        assert_eq!(ranges.0.clone().into_iter().collect::<Vec<_>>(), [(0, 4), (5, 8)]);
        assert!(ranges.contains(&(0..4)) && ranges.contains(&(6..7)) && ranges.contains(&(4..4)));
        assert!(!ranges.contains(&(3..6)) && !ranges.contains(&(8..9)));
        ranges.insert(2..6);
        assert_eq!(ranges.0.into_iter().collect::<Vec<_>>(), [(0, 8)]);
    }
}
