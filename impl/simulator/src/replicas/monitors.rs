//! The monitors. They count the durable votes, and check each step and each sync of a replica against these votes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use paxos::{
    Ballot, Effects, Envelope, Event, Message, NodeId, Output, Record, Slot, Token, Value,
    protocol::acceptor::Acceptor,
};
use thiserror::Error;

use super::Node;

/// A guarantee of Paxos that does not hold, in words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Violation(String);

impl Violation {
    pub(super) fn of(id: NodeId, error: impl fmt::Display) -> Self {
        Self(format!("node {id}: {error}"))
    }
}

/// Returns a violation unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($words:tt)*) => {
        if !$holds {
            return Err(Violation(format!($($words)*)));
        }
    };
}

type Checked<T = ()> = Result<T, Violation>;

/// A value that a quorum has accepted in one ballot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The value.
    pub value: Value,
    /// The first ballot that chose the value, in the order of the syncs.
    pub ballot: Ballot,
    /// The nodes whose votes in that ballot were durable when the value was chosen.
    pub voters: BTreeSet<NodeId>,
}

/// The durable votes of one slot and ballot.
#[derive(Debug)]
struct Poll {
    value: Value,
    voters: BTreeSet<NodeId>,
}

/// The durable votes, and the events that later checks depend on.
#[derive(Debug, Default)]
pub(super) struct Monitors {
    polls: BTreeMap<(Slot, Ballot), Poll>,
    chosen: BTreeMap<Slot, Choice>,
    /// For each ballot, the nodes whose promises have reached the owner of the ballot, each with the lowest `trimmed`
    /// of its promises.
    promises: BTreeMap<Ballot, BTreeMap<NodeId, Slot>>,
    /// Some node has applied every slot below this one. It may have crashed since then.
    applied_below: Slot,
    /// For each read that waits for an answer, the value of `applied_below` when the read was asked.
    must_see: BTreeMap<Token, Slot>,
}

/// Checks the changes and the output of one step.
pub(super) fn check_step(
    id: NodeId,
    before: &Acceptor,
    after: &Acceptor,
    output: &Output,
) -> Checked {
    ensure!(before.promised <= after.promised, "node {id} lowered its promise");
    ensure!(before.trimmed <= after.trimmed, "node {id} lowered its `trimmed` slot");
    for (slot, ballot, value) in after.votes.iter() {
        ensure!(slot >= after.trimmed, "node {id} voted in slot {slot}, which is trimmed");
        ensure!(Some(ballot) <= after.promised, "node {id} voted above its promise");
        let kept =
            before.votes.get(slot).is_none_or(|old| old.0 < ballot || old == (ballot, value));
        ensure!(kept, "node {id} changed its vote in slot {slot} without a higher ballot");
    }
    for (slot, ..) in before.votes.iter().filter(|(slot, ..)| *slot >= after.trimmed) {
        ensure!(after.votes.get(slot).is_some(), "node {id} forgot its vote in slot {slot}");
    }
    let recorded = before == after || !output.records().is_empty();
    ensure!(recorded, "node {id} changed its durable state without a record");
    for envelope in &output.held().messages {
        if let Message::Confirmed { ballot, .. } = &envelope.message {
            ensure!(
                after.promised <= Some(*ballot),
                "node {id} confirms {ballot}, but has promised a higher ballot"
            );
        }
    }
    Ok(())
}

/// Checks that a step releases chosen values in the order of the log. Returns the next slot.
pub(super) fn check_order(id: NodeId, mut next: Slot, output: &Output) -> Checked<Slot> {
    for (slot, _) in output.held().chosen_slots() {
        ensure!(slot == next, "node {id} releases slot {slot}, not {next}");
        next = slot.plus(1);
    }
    Ok(next)
}

/// Checks that a node asks for a snapshot only if it lacks slots that the snapshot has.
pub(super) fn check_fetch(id: NodeId, peer: NodeId, has: Slot, lacks: Slot) -> Checked {
    ensure!(has > lacks, "node {id} wants the snapshot of {peer}, but lacks none of its slots");
    Ok(())
}

/// Checks that the disk has no lower promise than before. If no record waits, the disk has the state of the replica.
pub(super) fn check_disk(node: &Node, before: Option<Ballot>) -> Checked {
    let (id, image) = (node.config.id, node.disk.image());
    ensure!(before <= image.promised, "node {id} lowered its durable promise");
    let state = node.replica.as_ref().map(|replica| replica.parts().acceptor);
    let waits = node.output.is_writing() || !node.output.records().is_empty();
    let same = waits || state.is_none_or(|state| state == image);
    ensure!(same, "node {id}: its records are not its state");
    Ok(())
}

impl Monitors {
    pub(super) fn chosen(&self) -> &BTreeMap<Slot, Choice> {
        &self.chosen
    }

    /// Remembers a promise, or reads, for later checks.
    pub(super) fn hear(&mut self, event: &Event) {
        match event {
            Event::Read(tokens) => {
                self.must_see.extend(tokens.iter().map(|token| (*token, self.applied_below)));
            }
            Event::Message { from, message: Message::Promise { ballot, trimmed, .. } } => {
                let promises = self.promises.entry(*ballot).or_default();
                let least = promises.entry(*from).or_insert(*trimmed);
                *least = (*least).min(*trimmed);
            }
            _ => {}
        }
    }

    /// Checks that a leader has the promises of a quorum, and knows every slot that a node of this quorum has trimmed.
    pub(super) fn check_leader(&self, node: &Node) -> Checked {
        let id = node.config.id;
        let acceptor = node.replica.as_ref().expect("the node is up").parts().acceptor;
        let Some(ballot) = acceptor.promised.filter(|ballot| ballot.node == id) else {
            return Err(Violation(format!("node {id} leads in no ballot of its own")));
        };
        // The replica may have left out promises with a higher `trimmed`, so the quorum with the lowest ones counts.
        let promises = self.promises.get(&ballot).into_iter().flat_map(BTreeMap::values);
        let mut trimmed: Vec<Slot> = promises.copied().collect();
        trimmed.sort_unstable();
        let peers = node.config.phase1_quorum - 1;
        ensure!(trimmed.len() >= peers, "node {id} leads without a quorum of promises");
        let lacked = trimmed[..peers].last().copied().unwrap_or_default();
        ensure!(
            node.hand_out_next >= lacked,
            "node {id} leads, but lacks slots that its quorum has trimmed"
        );
        Ok(())
    }

    /// Counts durable votes, and checks that only chosen slots are trimmed.
    pub(super) fn count_votes(&mut self, node: &Node, records: &[Record]) -> Checked {
        let id = node.config.id;
        for record in records {
            match record {
                Record::Promised(_) => {}
                Record::Accepted { ballot, first, values } => {
                    for (slot, value) in values.with_slots(*first) {
                        self.count_vote(node, slot, *ballot, value)?;
                    }
                }
                Record::Trimmed { below } => {
                    let chosen = (0..below.0).all(|slot| self.chosen.contains_key(&Slot(slot)));
                    ensure!(chosen, "node {id} trimmed a slot that is not chosen");
                }
            }
        }
        Ok(())
    }

    /// Checks that each vote on the disk of a node in a slot below its note is for the chosen value.
    pub(super) fn check_note(&self, node: &Node) -> Checked {
        let id = node.config.id;
        for (slot, _, value) in node.disk.image().votes.iter() {
            let noted = slot < node.noted;
            ensure!(
                !noted || self.value(slot) == Some(value),
                "node {id} notes its vote in slot {slot}, which is for another value than the chosen one"
            );
        }
        Ok(())
    }

    /// Counts a vote. Checks that all votes of one ballot in a slot are for one value. Checks that all votes of ballots
    /// above one that has chosen a value are for that value (P2a), including those that were counted before.
    fn count_vote(&mut self, node: &Node, slot: Slot, ballot: Ballot, value: &Value) -> Checked {
        let poll = self.polls.entry((slot, ballot));
        let poll = poll.or_insert_with(|| Poll { value: value.clone(), voters: BTreeSet::new() });
        ensure!(poll.value == *value, "two values in slot {slot} and ballot {ballot}");
        poll.voters.insert(node.config.id);

        let least = Ballot::new(1, NodeId(0)).expect("round 1 exists");
        let most = Ballot::new(u64::MAX, NodeId(u32::MAX)).expect("the last round exists");
        let mut chosen: Option<Choice> = None;
        for ((_, ballot), Poll { value, voters }) in self.polls.range((slot, least)..=(slot, most))
        {
            if let Some(chosen) = &chosen {
                ensure!(
                    chosen.value == *value,
                    "slot {slot} has another vote in {ballot}, above the ballot that chose a value"
                );
            } else if voters.len() >= node.config.phase2_quorum {
                let (value, voters) = (value.clone(), voters.clone());
                chosen = Some(Choice { value, ballot: *ballot, voters });
            }
        }
        if let Some(chosen) = chosen {
            let value = chosen.value.clone();
            let known = &self.chosen.entry(slot).or_insert(chosen).value;
            ensure!(*known == value, "both {known} and {value} were chosen in slot {slot}");
        }
        Ok(())
    }

    /// Checks that a node applies values in the order of the log, and that they are chosen. Returns the next slot.
    pub(super) fn check_chosen(&mut self, node: &Node, released: &Effects) -> Checked<Slot> {
        let (id, mut next) = (node.config.id, node.apply_next);
        for (slot, value) in released.chosen_slots() {
            ensure!(slot == next, "node {id} applies slot {slot}, not {next}");
            next = slot.plus(1);
            let truth = self.value(slot);
            ensure!(truth == Some(value), "node {id} learned in slot {slot} what is not chosen");
        }
        self.applied_below = self.applied_below.max(next);
        Ok(next)
    }

    /// Checks that a read is answered once, and from a state with every slot that any node had applied when the read
    /// was asked.
    pub(super) fn check_reads(&mut self, id: NodeId, released: &Effects) -> Checked {
        for read in &released.reads {
            let Some(must_see) = self.must_see.remove(&read.token) else {
                return Err(Violation(format!("node {id} answers a read twice")));
            };
            ensure!(
                read.at >= must_see,
                "node {id} answers a read from the slots below {}, not {must_see}",
                read.at
            );
        }
        for refused in &released.refused {
            self.must_see.remove(&refused.token);
        }
        Ok(())
    }

    /// Checks that no message depends on a promise or a vote that is not durable.
    pub(super) fn check_messages(&self, node: &Node, messages: &[Envelope]) -> Checked {
        messages.iter().try_for_each(|envelope| {
            let (id, message) = (node.config.id, &envelope.message);
            ensure!(
                self.is_true(node, message),
                "node {id} sends {message:?}, which the durable records do not support"
            );
            Ok(())
        })
    }

    fn is_true(&self, node: &Node, message: &Message) -> bool {
        let (id, image) = (node.config.id, node.disk.image());
        match message {
            Message::Prepare { ballot, first } => {
                let mut known = (0..first.0).map(Slot);
                ballot.node == id
                    && image.promised >= Some(*ballot)
                    && known.all(|slot| self.chosen.contains_key(&slot))
            }
            Message::Promise { ballot, trimmed, reports } => {
                image.promised >= Some(*ballot)
                    && *trimmed <= image.trimmed
                    && reports.iter().all(|report| report.slot >= *trimmed)
                    && reports.iter().all(|report| report.ballot < *ballot)
                    && reports.is_sorted_by(|a, b| a.slot < b.slot)
            }
            Message::Accept { ballot, first, values } => {
                ballot.node == id && self.voted(id, *ballot, *first, values.len() as u64)
            }
            Message::Accepted { ballot, first, count } => self.voted(id, *ballot, *first, *count),
            Message::Nack { ballot, promised } => {
                ballot < promised && image.promised >= Some(*promised)
            }
            Message::Heartbeat { ballot, chosen_below } => {
                let known = (0..chosen_below.0).map(Slot);
                ballot.node == id && { known }.all(|slot| self.chosen.contains_key(&slot))
            }
            Message::Chosen { ballot, first, count } => {
                (first.0..first.0 + count).map(Slot).all(|slot| {
                    let poll = self.polls.get(&(slot, *ballot));
                    poll.is_some_and(|poll| self.value(slot) == Some(&poll.value))
                })
            }
            Message::Learned { first, values, .. } => {
                values.with_slots(*first).all(|(slot, value)| self.value(slot) == Some(value))
            }
            Message::Trimmed { below } => *below <= image.trimmed,
            Message::Confirm { ballot, .. } => ballot.node == id,
            // These messages do not depend on a durable state.
            Message::Confirmed { .. } | Message::Learn { .. } => true,
        }
    }

    /// Returns true if a node has durable votes in a ballot, in `count` slots from `first` on.
    fn voted(&self, id: NodeId, ballot: Ballot, first: Slot, count: u64) -> bool {
        (first.0..first.0 + count).map(Slot).all(|slot| {
            self.polls.get(&(slot, ballot)).is_some_and(|poll| poll.voters.contains(&id))
        })
    }

    fn value(&self, slot: Slot) -> Option<&Value> {
        self.chosen.get(&slot).map(|choice| &choice.value)
    }
}
