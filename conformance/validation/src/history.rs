//! The history of the log: the proposals, the durable votes, the chosen values and the results, slot by slot.
//!
//! Four claims are checked here:
//!
//! - One value per ballot: all votes in a slot and ballot are for one value.
//! - A quorum behind each chosen value: a node takes a value as chosen only if a quorum of nodes has durable votes for it in
//!   one ballot.
//! - Agreement: all nodes take the same value as chosen in a slot.
//! - Determinism: all nodes get the same result when they apply the value of a slot.
//!
//! A slot is forgotten once every node has trimmed it. No node acts on a value in a trimmed slot.

use std::collections::{HashMap, VecDeque};

use paxos::{NodeId, Slot};
use paxos_recording::{
    frame::{self, Application},
    identity::{AnswerId, StateId, ValueId},
};
use smallvec::SmallVec;

use crate::{
    claims::{AGREEMENT, APPLIES_CHOSEN, Checked, DETERMINISM, ONE_VALUE, QUORUM, contradicts},
    said::{self, Ballot, Values},
};

/// The most slots that are kept at once. No cluster has a log of so many slots that some node has not trimmed.
const SLOTS_MAX: u64 = 1 << 28;

/// The proposal of a ballot in a slot.
#[derive(Clone, Debug)]
struct Proposal {
    ballot: Ballot,
    value: said::Value,
    /// The nodes with a durable vote, as bits.
    votes: u64,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    proposals: SmallVec<[Proposal; 1]>,
    chosen: Option<said::Value>,
    answer: Option<(NodeId, AnswerId)>,
}

/// The history of the log.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The entries of the slots that are not forgotten.
    entries: VecDeque<Entry>,
    /// The slots below this one are forgotten. It is the slot of the first entry.
    forgotten: u64,
    /// The snapshots that nodes have taken or recovered: the end, the digest, and the node.
    snapshots: HashMap<Slot, Vec<(StateId, NodeId)>>,
    phase2_quorum: u32,
}

impl History {
    /// Sets the number of votes that choose a value.
    pub fn set_quorum(&mut self, phase2_quorum: u64) {
        self.phase2_quorum = phase2_quorum.try_into().unwrap_or(u32::MAX);
    }

    /// Returns the entry of a slot, or none if the slot is forgotten or impossible.
    fn entry(&mut self, slot: said::Slot) -> Option<&mut Entry> {
        let place = slot.0.checked_sub(self.forgotten).filter(|place| *place < SLOTS_MAX)? as usize;
        if place >= self.entries.len() {
            self.entries.resize_with(place + 1, Entry::default);
        }
        self.entries.get_mut(place)
    }

    /// Returns the entry of a slot, if the slot is known and not forgotten.
    fn known(&self, slot: said::Slot) -> Option<&Entry> {
        self.entries.get(usize::try_from(slot.0.checked_sub(self.forgotten)?).ok()?)
    }

    /// Notes a proposal: a vote, or an Accept message.
    ///
    /// # Errors
    /// The ballot has another value in the slot.
    pub fn proposes(&mut self, slot: said::Slot, ballot: Ballot, value: &said::Value) -> Checked {
        let Some(entry) = self.entry(slot) else { return Ok(()) };
        match entry.proposals.iter().find(|proposal| proposal.ballot == ballot) {
            None => {
                entry.proposals.push(Proposal { ballot, value: value.clone(), votes: 0 });
                Ok(())
            }
            Some(known) if known.value == *value => Ok(()),
            Some(known) => contradicts(
                ONE_VALUE,
                format!(
                    "ballot {ballot:?} has {} and {} in {slot:?}",
                    short(&known.value),
                    short(value)
                ),
            ),
        }
    }

    /// Returns true if the ballot has proposed this value in the slot, or if the slot is forgotten.
    pub fn has_proposed(&self, slot: said::Slot, ballot: Ballot, value: &said::Value) -> bool {
        slot.0 < self.forgotten
            || self.known(slot).is_some_and(|entry| {
                let mut all = entry.proposals.iter();
                all.any(|proposal| proposal.ballot == ballot && proposal.value == *value)
            })
    }

    /// Notes that the vote of a node for the proposal of a ballot is durable. `node` is its place among all nodes.
    pub fn voted(&mut self, slot: said::Slot, ballot: Ballot, node: usize) {
        let Some(entry) = self.entry(slot) else { return };
        if let Some(proposal) = entry.proposals.iter_mut().find(|it| it.ballot == ballot) {
            proposal.votes |= 1 << node;
        }
    }

    /// Notes that a node takes a value as chosen.
    ///
    /// # Errors
    /// No quorum has durable votes for the value, or another value is chosen in the slot.
    pub fn chosen(&mut self, slot: said::Slot, value: &said::Value) -> Checked {
        let quorum = self.phase2_quorum;
        let Some(entry) = self.entry(slot) else { return Ok(()) };
        match &entry.chosen {
            Some(known) if known == value => return Ok(()),
            Some(known) => {
                let facts =
                    format!("both {} and {} are chosen in {slot:?}", short(known), short(value));
                return contradicts(AGREEMENT, facts);
            }
            None => {}
        }
        let of_value = entry.proposals.iter().filter(|proposal| proposal.value == *value);
        if of_value.clone().any(|proposal| proposal.votes.count_ones() >= quorum) {
            entry.chosen = Some(value.clone());
            return Ok(());
        }
        let votes =
            of_value.map(|it| format!("{} in ballot {:?}", it.votes.count_ones(), it.ballot));
        let votes: Vec<_> = votes.collect();
        let votes = if votes.is_empty() { "none".to_owned() } else { votes.join(", ") };
        let facts = format!(
            "{} is taken as chosen in {slot:?}; durable votes for it: {votes}; a quorum has {quorum}",
            short(value)
        );
        contradicts(QUORUM, facts)
    }

    /// Takes a value as chosen on the word of a node without a complete recording.
    pub fn assume_chosen(&mut self, slot: said::Slot, value: &said::Value) {
        if let Some(entry) = self.entry(slot) {
            entry.chosen.get_or_insert_with(|| value.clone());
        }
    }

    /// Takes the value that a ballot has proposed as chosen, on the word of a node without a complete recording.
    pub fn assume_chosen_in(&mut self, slot: said::Slot, ballot: Ballot) {
        let proposals = self.known(slot).into_iter().flat_map(|entry| &entry.proposals);
        let value = { proposals }.find(|it| it.ballot == ballot).map(|it| it.value.clone());
        if let Some(value) = value {
            self.assume_chosen(slot, &value);
        }
    }

    /// Returns true if the value is known to be chosen in the slot, or if the slot is forgotten.
    pub fn is_chosen(&self, slot: said::Slot, value: &said::Value) -> bool {
        slot.0 < self.forgotten
            || self.known(slot).is_some_and(|entry| entry.chosen.as_ref() == Some(value))
    }

    /// Notes the result of applying a slot.
    ///
    /// # Errors
    /// Another value is chosen in the slot, or another node got another result.
    pub fn applied(&mut self, node: NodeId, slot: said::Slot, applied: &Application) -> Checked {
        let Some(entry) = self.entry(slot) else { return Ok(()) };
        if let Some(chosen) = &entry.chosen
            && id(chosen) != applied.value
        {
            let facts = format!("another value than {} is applied in {slot:?}", short(chosen));
            return contradicts(APPLIES_CHOSEN, facts);
        }
        match entry.answer {
            None => entry.answer = Some((node, applied.answer)),
            Some((other, answer)) if answer != applied.answer => {
                let facts =
                    format!("node {node} gets another result than node {other} in {slot:?}");
                return contradicts(DETERMINISM, facts);
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Notes a snapshot that a node has taken or recovered.
    ///
    /// # Errors
    /// Another node has another snapshot of the same slots.
    pub fn snapshot(&mut self, node: NodeId, below: Slot, state: StateId) -> Checked {
        let all = self.snapshots.entry(below).or_default();
        if let Some((_, other)) = all.iter().find(|(known, _)| *known != state) {
            let facts = format!(
                "the snapshots of node {node} and of node {other} of all slots below {below:?} differ"
            );
            return contradicts(DETERMINISM, facts);
        }
        all.push((state, node));
        Ok(())
    }

    /// Returns true if some node has had this snapshot.
    pub fn has_snapshot(&self, below: Slot, state: StateId) -> bool {
        self.snapshots.get(&below).is_some_and(|all| all.iter().any(|(known, _)| *known == state))
    }

    /// Forgets the slots below `below`, which every node has trimmed.
    pub fn forget(&mut self, below: u64) {
        if below > self.forgotten {
            let gone = usize::try_from(below - self.forgotten).unwrap_or(usize::MAX);
            self.entries.drain(..gone.min(self.entries.len()));
            self.forgotten = below;
        }
    }
}

/// A value of a slot shares its memory with an equal value that is known there.
impl Values for History {
    fn value(&self, slot: said::Slot, value: &frame::Value) -> said::Value {
        let digest = match value {
            frame::Value::Noop => return said::Value::Noop,
            frame::Value::Digest(digest) => *digest,
            frame::Value::Command(bytes) => paxos_recording::Digest::of(bytes),
        };
        let known = self.known(slot).into_iter().flat_map(|entry| &entry.proposals);
        let mut known = known.map(|proposal| &proposal.value);
        let shared = known.find(|known| match known {
            said::Value::Command(bytes) => **bytes == digest.0,
            said::Value::Noop => false,
        });
        shared.cloned().unwrap_or_else(|| said::Value::Command(digest.0.into()))
    }
}

/// Returns the digest of a value that is itself a digest.
fn id(value: &said::Value) -> ValueId {
    match value {
        said::Value::Noop => frame::Value::Noop.id(),
        said::Value::Command(bytes) => {
            let digest = <[u8; 16]>::try_from(&**bytes).expect("values are digests here");
            frame::Value::Digest(paxos_recording::Digest(digest)).id()
        }
    }
}

/// Returns the beginning of a digest, for people.
pub fn short(value: &said::Value) -> String {
    match value {
        said::Value::Noop => "the no-op".to_owned(),
        said::Value::Command(bytes) => {
            bytes.iter().take(4).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
        }
    }
}
