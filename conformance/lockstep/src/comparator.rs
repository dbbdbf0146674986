//! Compares one node under test with the model's node.
//!
//! A comparison covers the replica, its disk, the messages, the messages that leave before the records are durable, the values
//! to apply, the answered and refused reads, and the wanted snapshots. States and messages must satisfy the invariants. A
//! comparison covers records only by their effect on the disk. It does not cover timers, nor the taken and refused proposals,
//! which [`edges`](crate::edges) checks. The first difference ends the comparison.

use std::fmt;

use paxos::{Envelope, Event, Message, NodeId as RealNodeId, Output, Record, To};
use paxos_model::cluster::{
    node::invariant,
    state::{Acceptor, Input, Live, Message as ModelMessage, NodeId, Role, Step},
};
use paxos_steps::{panics::silently, reachable};
use paxos_store::Memory;
use paxos_validation::invariant::Fit;

use crate::{
    mutants::TestedReplica,
    projection::{Projection, READ, Sent, Unmapped, real_node, real_slot},
    tested::TestedNode,
};

/// A difference between the model and the implementation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Divergence {
    /// The node at which they differ.
    pub node: NodeId,
    /// The part that differs.
    pub field: &'static str,
    /// The model's version of the part.
    pub model: String,
    /// The implementation's version of the part.
    pub implementation: String,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, field, model, implementation } = self;
        writeln!(f, "{node:?} differs in {field}")?;
        writeln!(f, "  model           {model}")?;
        write!(f, "  implementation  {implementation}")
    }
}

/// Compares one node of the implementation with the model's node.
pub struct Comparator<'a> {
    /// Translates between model and implementation.
    pub projection: &'a Projection,
    /// The node.
    pub node: NodeId,
    /// True if the states and messages must satisfy the [invariants](paxos_steps::reachable). A mutant may leave them, and
    /// the comparison must find it.
    pub invariants: bool,
}

fn says_trimmed(envelope: &Envelope) -> bool {
    matches!(envelope.message, Message::Trimmed { .. })
}

/// A result, or the first difference.
pub type Checked<T = ()> = Result<T, Box<Divergence>>;

impl Comparator<'_> {
    /// Returns a difference.
    ///
    /// # Errors
    /// Fails with the difference.
    pub fn differ<T>(
        &self,
        field: &'static str,
        model: impl fmt::Debug,
        implementation: impl fmt::Debug,
    ) -> Checked<T> {
        let (model, implementation) = (format!("{model:?}"), format!("{implementation:?}"));
        Err(Box::new(Divergence { node: self.node, field, model, implementation }))
    }

    fn same<T: PartialEq + fmt::Debug>(
        &self,
        field: &'static str,
        model: &T,
        implementation: &T,
    ) -> Checked {
        if model == implementation {
            return Ok(());
        }
        self.differ(field, model, implementation)
    }

    pub(crate) fn mapped<T>(&self, field: &'static str, mapped: Result<T, Unmapped>) -> Checked<T> {
        mapped.map_err(|Unmapped(what)| {
            let (model, node) = ("nothing like it".to_owned(), self.node);
            Box::new(Divergence { node, field, model, implementation: what })
        })
    }

    /// Steps a replica, and returns its output. A panic is a difference.
    fn run(&self, replica: &mut TestedReplica, event: Event) -> Checked<Output> {
        let mut output = Output::default();
        silently(|| replica.step(event, &mut output))
            .or_else(|panic| self.differ("taking the step", "takes it", panic))?;
        self.sent_invariant(replica, &output)?;
        Ok(output)
    }

    /// Checks the invariant of each message that a replica sends.
    fn sent_invariant(&self, replica: &TestedReplica, output: &Output) -> Checked {
        let config = replica.parts().config;
        for Envelope { to, message } in output.held().messages.iter().filter(|_| self.invariants) {
            if let Some(claim) = reachable::broken_by_message(config, config.id, *to, message) {
                return self.differ("invariant of messages", claim, (to, message));
            }
        }
        Ok(())
    }

    /// Checks the relation of an event of the model to the replica, before the replica takes it.
    fn fits(&self, tested: &TestedNode, event: &Event) -> Checked {
        let Event::Message { from, message } = event else { return Ok(()) };
        if !self.invariants {
            return Ok(());
        }
        let (parts, to) = (tested.replica().parts(), To::Node(real_node(self.node)));
        if let Some(claim) = reachable::broken_by_message(parts.config, *from, to, message) {
            return self.differ("invariant of a received message", claim, (from, message));
        }
        match reachable::fit(parts, event) {
            Ok(Fit::Fits) => Ok(()),
            Ok(misfit) => self.differ("fit of a received message", misfit, (from, message)),
            Err(unmapped) => self.differ("the replica", "nothing like it", unmapped.to_string()),
        }
    }

    /// Checks the invariant of the state of the model's node.
    fn state_invariant(&self, live: &Live) -> Checked {
        let limits = self.projection.bounds();
        let node = invariant::Node { me: self.node, limits, live };
        match invariant::broken(&node) {
            Some(conjunct) if self.invariants => {
                self.differ("invariant of the state", conjunct.claim, live)
            }
            _ => Ok(()),
        }
    }

    /// Takes a step that changes the model's node, and compares its whole result.
    ///
    /// `early` holds the messages that enter the model's network before the sync. It is `None` if no step of the node waits
    /// for a sync after this one. The records of the step are then written to the disk at once.
    ///
    /// # Errors
    /// Returns the first difference.
    pub fn step(
        &self,
        tested: &TestedNode,
        before: &Live,
        input: Input,
        expected: &Step,
        early: Option<Vec<ModelMessage>>,
    ) -> Checked<TestedNode> {
        let mut replica = tested.replica().clone();
        let event = self.projection.event(self.node, input);
        self.fits(tested, &event)?;
        let mut output = self.run(&mut replica, event.clone())?;
        let mut again = tested.replica().clone();
        let output_again = self.run(&mut again, event)?;
        self.same("replica after the same step again", &replica, &again)?;
        self.same("output of the same step again", &output, &output_again)?;
        self.compare(&replica, before, input, expected, output.clone())?;
        let (mut disk, mut unsynced) = (tested.disk().clone(), tested.unsynced().to_vec());
        match early {
            None => {
                let effects = output.held().clone();
                output.persist(|records| self.append(&mut disk, records))?;
                self.same("effects after the sync of their step", &effects, output.released())?;
            }
            Some(early) => {
                self.compare_early(tested, &expected.live.acceptor, early, output.clone())?;
                if !output.records().is_empty() {
                    unsynced.push(output.records().to_vec());
                }
            }
        }
        Ok(TestedNode::of(replica, disk, unsynced, self.projection.reads()))
    }

    /// Returns the messages of the model that a message of this node stands for. `after` is the acceptor after the step that
    /// sends it.
    ///
    /// # Errors
    /// The message has no counterpart.
    pub fn said(&self, after: &Acceptor, sent: &Envelope) -> Checked<Vec<ModelMessage>> {
        if says_trimmed(sent) {
            return Ok(Vec::new());
        }
        let sent = self.projection.sent(self.node, after, std::slice::from_ref(sent));
        Ok(self.mapped("messages", sent)?.messages)
    }

    /// Compares the messages that leave before their records are durable with those that entered the model's network.
    fn compare_early(
        &self,
        tested: &TestedNode,
        after: &Acceptor,
        messages: Vec<ModelMessage>,
        mut output: Output,
    ) -> Checked {
        let early = tested.take_early(&mut output);
        let early = self.mapped("messages", self.projection.sent(self.node, after, &early))?;
        let expected = Sent { messages, ..Sent::default() };
        self.same("messages that leave before the sync", &expected, &early)
    }

    /// Delivers an input that changes nothing in the model. The replica must not change either, and must give the same
    /// answers.
    ///
    /// # Errors
    /// Returns the first difference.
    pub fn ignores(
        &self,
        tested: &TestedNode,
        before: &Live,
        input: Input,
        expected: &Step,
    ) -> Checked {
        let mut replica = tested.replica().clone();
        let event = self.projection.event(self.node, input);
        self.fits(tested, &event)?;
        let output = self.run(&mut replica, event)?;
        self.unchanged(tested, &replica, &output)?;
        self.compare(&replica, before, input, expected, output)
    }

    /// Delivers an event that the model does not have. The replica must not change. Returns the output.
    ///
    /// # Errors
    /// Returns the first difference.
    pub fn unmoved(&self, tested: &TestedNode, event: Event) -> Checked<Output> {
        let mut replica = tested.replica().clone();
        let output = self.run(&mut replica, event)?;
        self.unchanged(tested, &replica, &output)?;
        Ok(output)
    }

    /// Returns the output of an event at a copy of the replica.
    ///
    /// # Errors
    /// Fails if the replica panics.
    pub fn tried(&self, tested: &TestedNode, event: Event) -> Checked<Output> {
        self.run(&mut tested.replica().clone(), event)
    }

    /// Returns true if an event changes a copy of the replica.
    ///
    /// # Errors
    /// Fails if the replica panics.
    pub fn moved(&self, tested: &TestedNode, event: Event) -> Checked<bool> {
        let mut replica = tested.replica().clone();
        let _ = self.run(&mut replica, event)?;
        Ok(replica != *tested.replica())
    }

    /// Checks a claim about a part that the model does not have.
    ///
    /// # Errors
    /// Fails if the claim is false.
    pub fn expect(&self, field: &'static str, is_so: bool, found: impl fmt::Debug) -> Checked {
        if is_so { Ok(()) } else { self.differ(field, "another result", found) }
    }

    fn unchanged(&self, tested: &TestedNode, after: &TestedReplica, output: &Output) -> Checked {
        if after != tested.replica() {
            let (before, after) = (tested.replica().production(), after.production());
            return self.differ("state after an ignored input", before, after);
        }
        if !output.records().is_empty() {
            return self.differ("records", "none", output.records());
        }
        // An Accept message may be sent again at once. Any other message waits for the records on which it may depend.
        let early = match tested.unsynced() {
            [] => Vec::new(),
            _ => tested.take_early(&mut output.clone()),
        };
        let proposes = |sent: &Envelope| matches!(sent.message, Message::Accept { .. });
        self.expect("messages that leave before their records", early.iter().all(proposes), &early)
    }

    /// Delivers the parts of a batch one by one, and the batch as a whole. Both must have the same effect.
    ///
    /// # Errors
    /// Returns the first difference.
    pub fn batch(&self, tested: &TestedNode, whole: Event, parts: Vec<Event>) -> Checked {
        let mut by_parts = tested.replica().clone();
        let (mut disk, mut sent) = (tested.disk().clone(), Vec::new());
        for part in parts {
            let output = self.run(&mut by_parts, part)?;
            self.stored(disk.append(output.records()))?;
            sent.extend_from_slice(&output.held().messages);
        }
        let mut at_once = tested.replica().clone();
        let output = self.run(&mut at_once, whole)?;
        let mut disk_at_once = tested.disk().clone();
        self.stored(disk_at_once.append(output.records()))?;
        self.same("state after a batch, by parts and at once", &by_parts, &at_once)?;
        self.same("disk after a batch, by parts and at once", &disk, &disk_at_once)?;
        let after = self.projection.acceptor(by_parts.parts().acceptor);
        let after = self.mapped("votes", after)?;
        let map = |sent: &[Envelope]| -> Checked<(Vec<Envelope>, Sent)> {
            let (mut trims, sent): (Vec<_>, Vec<_>) = sent.iter().cloned().partition(says_trimmed);
            trims.dedup(); // Each part of a batch gets an answer of its own.
            Ok((trims, self.mapped("messages", self.projection.sent(self.node, &after, &sent))?))
        };
        let ((trims, mut sent), (trims_at_once, at_once)) =
            (map(&sent)?, map(&output.held().messages)?);
        self.same("answers Trimmed, by parts and at once", &trims, &trims_at_once)?;
        // Each run of consecutive slots is announced in one message.
        let told = |envelope: &&Envelope| matches!(envelope.message, Message::Chosen { .. });
        let told = output.held().messages.iter().filter(told).count();
        let gaps = at_once.announced.windows(2).filter(|pair| pair[1].0 != pair[0].0 + 1).count();
        let runs = if at_once.announced.is_empty() { 0 } else { gaps + 1 };
        self.expect(
            "number of Chosen messages after a batch",
            told == runs,
            &output.held().messages,
        )?;
        sent.nacks.dedup(); // Each part of a batch is refused on its own.
        self.same("messages after a batch, by parts and at once", &sent, &at_once)
    }

    /// Delivers two events, each to its own copy of the replica. Both copies must end in the same state.
    ///
    /// # Errors
    /// Returns the first difference.
    pub fn same_effect(&self, tested: &TestedNode, one: Event, other: Event) -> Checked {
        let (mut first, mut second) = (tested.replica().clone(), tested.replica().clone());
        let _ = self.run(&mut first, one)?;
        let _ = self.run(&mut second, other)?;
        self.same("state after the same input in two shapes", &first, &second)
    }

    /// Makes the oldest unsynced step durable. The production output must then release the effects of this step, and of no
    /// later one with records.
    ///
    /// # Errors
    /// Fails if there is no such step, if other effects leave, or if the disk differs afterwards.
    pub fn sync(&self, tested: &TestedNode, durable: &Acceptor) -> Checked<TestedNode> {
        let mut output = Output::default();
        let mut writes = tested.begin_writes(&mut output).into_iter();
        let Some(oldest) = writes.next() else {
            return self.differ("unsynced steps", "one to sync", "none");
        };
        // A step without records comes last.
        let without_records = RealNodeId(u32::MAX);
        output.held_mut().fetch.push(without_records);
        let waits = output.is_writing() && output.released().is_empty();
        output.settle();
        self.expect("effects before a sync", waits && output.held().is_empty(), &output)?;
        let mut disk = tested.disk().clone();
        output.durable(oldest.persist(|records| self.append(&mut disk, records))?);
        let others_wait = writes.len() > 0;
        let last = (!others_wait).then_some(without_records);
        let released: Vec<_> = [RealNodeId(0)].into_iter().chain(last).collect();
        self.same("steps whose effects a sync releases", &released, &output.released().fetch)?;
        self.same("other writes under way", &others_wait, &output.is_writing())?;
        self.compare_disk(&disk, durable)?;
        let unsynced = tested.unsynced()[1..].to_vec();
        let reads = self.projection.reads();
        Ok(TestedNode::of(tested.replica().clone(), disk, unsynced, reads))
    }

    /// Crashes the node and recovers it from its disk.
    ///
    /// # Errors
    /// Fails if the replica does not recover, or differs afterwards.
    pub fn crash(&self, tested: &TestedNode, after: &Live) -> Checked<TestedNode> {
        let config = self.projection.config(self.node);
        let replica = match tested.replica().recover(config, tested.disk().records()) {
            Ok(replica) => replica,
            Err(error) => return self.differ("recovery", "recovers", error.to_string()),
        };
        self.compare_live(&replica, after)?;
        let reads = self.projection.reads();
        Ok(TestedNode::of(replica, tested.disk().clone(), Vec::new(), reads))
    }

    /// Compares the disk with the model's.
    ///
    /// # Errors
    /// Fails if they differ.
    pub fn compare_disk(&self, disk: &Memory, durable: &Acceptor) -> Checked {
        let image = self.mapped("the disk", self.projection.acceptor(disk.image()))?;
        self.same("the disk", durable, &image)
    }

    /// Compares the replica with the state of the model's node, which must satisfy the invariant.
    ///
    /// # Errors
    /// Returns the first part that differs.
    pub fn compare_live(&self, replica: &TestedReplica, expected: &Live) -> Checked {
        let parts = replica.parts();
        let live = self.mapped("the replica", self.projection.live(self.node, parts))?;
        self.same("promised", &expected.acceptor.promised, &live.acceptor.promised)?;
        self.same("trimmed", &expected.acceptor.trimmed, &live.acceptor.trimmed)?;
        self.same("votes", &expected.acceptor.votes, &live.acceptor.votes)?;
        if live.role != expected.role {
            return self.differ("role", expected, live);
        }
        self.same("chosen", &expected.chosen, &live.chosen)?;
        self.state_invariant(expected)
    }

    fn compare(
        &self,
        replica: &TestedReplica,
        before: &Live,
        input: Input,
        expected: &Step,
        mut output: Output,
    ) -> Checked {
        self.compare_live(replica, &expected.live)?;
        self.compare_trims(before, input, expected, &mut output)?;
        self.compare_reads(before, input, expected, &output)?;
        let after = &expected.live.acceptor;
        let sent = self.projection.sent(self.node, after, &output.held().messages);
        let sent = self.mapped("messages", sent)?;
        let mut messages = expected.messages.to_vec();
        messages.retain(|message| !self.says_to_itself(*message));
        messages.sort_unstable();
        let expected_sent = Sent {
            messages,
            nacks: expected.nack.into_iter().collect(),
            announced: expected.announced.to_vec(),
        };
        self.same("messages", &expected_sent, &sent)?;
        let changed = before.acceptor != expected.live.acceptor;
        if changed == output.records().is_empty() {
            return self.differ("records", if changed { "some" } else { "none" }, output.records());
        }
        // The values of slots that a snapshot covers are not handed out, because the snapshot has their effect.
        let (from, to) = (before.known_below().max(after.trimmed), expected.live.known_below());
        let ready = (from.0..to.0).filter_map(|slot| {
            let value = self.projection.real_value(expected.live.chosen[usize::from(slot)]?);
            Some((paxos::Slot(slot.into()), value))
        });
        let released = output.held().chosen_slots().map(|(slot, value)| (slot, value.clone()));
        self.same("values to apply", &ready.collect::<Vec<_>>(), &released.collect())
    }

    /// Compares two outputs that the model does not have: the answers `Trimmed` and the wanted snapshots. A node that is
    /// asked to vote in a trimmed slot answers `Trimmed`. A candidate wants the snapshot of a node whose promise counts, and
    /// which has trimmed a slot that the candidate does not know to be chosen.
    fn compare_trims(
        &self,
        before: &Live,
        input: Input,
        expected: &Step,
        output: &mut Output,
    ) -> Checked {
        let (said, fetched) = match input {
            Input::Message(ModelMessage::Accept { ballot, slot, .. }) => {
                let trimmed = before.acceptor.trimmed;
                let says = slot < trimmed && expected.nack.is_none();
                let to = To::Node(real_node(self.projection.owner(ballot)));
                let message = Message::Trimmed { below: real_slot(trimmed) };
                (says.then_some(Envelope { to, message }), None)
            }
            Input::Message(ModelMessage::Promise { from, trimmed, .. }) => {
                let heard = *before != expected.live;
                let behind = trimmed > before.known_below();
                (None, (heard && behind).then_some(real_node(from)))
            }
            _ => (None, None),
        };
        let (trims, rest) =
            std::mem::take(&mut output.held_mut().messages).into_iter().partition(says_trimmed);
        output.held_mut().messages = rest;
        self.same("answers Trimmed", &Vec::from_iter(said), &trims)?;
        self.same("wanted snapshots", &Vec::from_iter(fetched), &output.held().fetch)
    }

    /// Compares the answered read and the number of refused reads. A leader that stops leading refuses its reads, and a
    /// node that does not lead refuses a new read.
    fn compare_reads(
        &self,
        before: &Live,
        input: Input,
        expected: &Step,
        output: &Output,
    ) -> Checked {
        let ready = output.held().reads.iter().map(|ready| (ready.token, ready.at)).collect();
        let answer = expected.answer.map(|answer| (READ, real_slot(answer.index)));
        self.same("answered reads", &Vec::from_iter(answer), &ready)?;
        if matches!(input, Input::Propose { .. }) {
            return Ok(()); // The fate of proposals is checked in `edges`.
        }
        let given_up = match (&before.role, &expected.live.role) {
            (Role::Leader { .. }, Role::Leader { .. }) => 0,
            (Role::Leader { reads, .. }, _) => {
                usize::from(reads.under_way.is_some()) + usize::from(reads.waits)
            }
            (Role::Follower | Role::Candidate { .. }, _) => usize::from(input == Input::Read),
        };
        self.same("number of refused reads", &given_up, &output.held().refused.len())
    }

    /// Returns true for the promise and the votes of this node in its own ballot. They are not sent.
    fn says_to_itself(&self, message: ModelMessage) -> bool {
        let own = self.projection.owner(message.ballot()) == self.node;
        own && matches!(message, ModelMessage::Promise { .. } | ModelMessage::Accepted { .. })
    }

    fn stored(&self, stored: Result<(), paxos::RecoverError>) -> Checked {
        stored.or_else(|error| self.differ("records", "records that fit", error.to_string()))
    }

    /// Writes records. Each record must change the disk.
    fn append(&self, disk: &mut Memory, records: &[Record]) -> Checked {
        for record in records {
            let before = disk.clone();
            self.stored(disk.append(std::slice::from_ref(record)))?;
            if before == *disk {
                return self.differ("records", "records that change the disk", record);
            }
        }
        Ok(())
    }
}
