//! Every comparison of one node: the model's node with the node under test.

use std::{
    cell::Cell,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::Once,
    thread,
};

use paxos::{Envelope, Event, Message, Output, Record, To};
use paxos_model::cluster::{
    state::{Acceptor, Live, Message as ModelMessage, NodeId, Role},
    step::{Input, Step},
};
use paxos_store::Memory;

use crate::{
    mutants::TestedReplica,
    projection::{Projection, READ, Sent, Unmapped, real_node, real_slot},
    tested::TestedNode,
};

/// A difference between the model and the implementation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Divergence {
    /// At which node.
    pub node: NodeId,
    /// In what.
    pub field: &'static str,
    /// What the model says.
    pub model: String,
    /// What the implementation does.
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

/// Holds one node of the implementation against the model's.
pub struct Comparator<'a> {
    /// What is which.
    pub projection: &'a Projection,
    /// The node.
    pub node: NodeId,
}

fn says_trimmed(envelope: &Envelope) -> bool {
    matches!(envelope.message, Message::Trimmed { .. })
}

type Compared<T> = Result<T, Box<Divergence>>;

impl Comparator<'_> {
    fn differ<T>(
        &self,
        field: &'static str,
        model: impl fmt::Debug,
        implementation: impl fmt::Debug,
    ) -> Compared<T> {
        let (model, implementation) = (format!("{model:?}"), format!("{implementation:?}"));
        Err(Box::new(Divergence { node: self.node, field, model, implementation }))
    }

    fn same<T: PartialEq + fmt::Debug>(
        &self,
        field: &'static str,
        model: &T,
        implementation: &T,
    ) -> Compared<()> {
        if model == implementation {
            return Ok(());
        }
        self.differ(field, model, implementation)
    }

    fn mapped<T>(&self, field: &'static str, mapped: Result<T, Unmapped>) -> Compared<T> {
        mapped.map_err(|Unmapped(what)| {
            let (model, node) = ("nothing like it".to_owned(), self.node);
            Box::new(Divergence { node, field, model, implementation: what })
        })
    }

    /// Steps a replica; a panic is a difference, too.
    fn run(&self, replica: &mut TestedReplica, event: Event) -> Compared<Output> {
        let mut output = Output::default();
        silently(|| replica.step(event, &mut output)).or_else(|panic| {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or(panic.downcast_ref::<&str>().copied());
            self.differ("taking the step", "takes it", message.unwrap_or("panics"))
        })?;
        Ok(output)
    }

    /// Takes a step that changes the model's node, and compares all that comes of it.
    ///
    /// `early` is what of it enters the model's network before it is synced; if there is nothing to be
    /// synced, it is nothing, and all of it leaves.
    ///
    /// # Errors
    /// The first difference.
    pub fn step(
        &self,
        tested: &TestedNode,
        before: &Live,
        input: Input,
        expected: &Step,
        early: Option<Vec<ModelMessage>>,
    ) -> Compared<TestedNode> {
        let mut replica = tested.replica().clone();
        let event = self.projection.event(self.node, before, input);
        let output = self.run(&mut replica, event)?;
        self.compare(&replica, before, input, expected, output.clone())?;
        let (mut disk, mut unsynced) = (tested.disk().clone(), tested.unsynced().to_vec());
        match early {
            None => self.append(&mut disk, &output.records)?,
            Some(early) => {
                self.compare_early(tested, &expected.live.acceptor, early, output.clone())?;
                if !output.records.is_empty() {
                    unsynced.push(output.records);
                }
            }
        }
        Ok(TestedNode::of(replica, disk, unsynced, self.projection.reads()))
    }

    /// What leaves before its records are durable: that, and nothing else, has entered the model's network.
    fn compare_early(
        &self,
        tested: &TestedNode,
        after: &Acceptor,
        messages: Vec<ModelMessage>,
        mut output: Output,
    ) -> Compared<()> {
        let early = tested.take_early(&mut output);
        let early = self.mapped("messages", self.projection.sent(self.node, after, &early))?;
        let expected = Sent { messages, ..Sent::default() };
        self.same("what leaves before it is durable", &expected, &early)
    }

    /// Delivers what the model ignores: it must change nothing, and answer what the model answers.
    ///
    /// # Errors
    /// The first difference.
    pub fn ignores(
        &self,
        tested: &TestedNode,
        before: &Live,
        input: Input,
        expected: &Step,
    ) -> Compared<()> {
        let mut replica = tested.replica().clone();
        let event = self.projection.event(self.node, before, input);
        let output = self.run(&mut replica, event)?;
        self.unchanged(tested, &replica, &output)?;
        self.compare(&replica, before, input, expected, output)
    }

    /// Delivers events that the model does not know at all: nothing may change.
    ///
    /// # Errors
    /// The first difference.
    pub fn unmoved(&self, tested: &TestedNode, event: Event) -> Compared<Output> {
        let mut replica = tested.replica().clone();
        let output = self.run(&mut replica, event)?;
        self.unchanged(tested, &replica, &output)?;
        Ok(output)
    }

    /// Steps a copy of a replica, for its output.
    ///
    /// # Errors
    /// If it panics.
    pub fn tried(&self, tested: &TestedNode, event: Event) -> Compared<Output> {
        self.run(&mut tested.replica().clone(), event)
    }

    /// Whether an event changes a replica.
    ///
    /// # Errors
    /// If it panics.
    pub fn moved(&self, tested: &TestedNode, event: Event) -> Compared<bool> {
        let mut replica = tested.replica().clone();
        let _ = self.run(&mut replica, event)?;
        Ok(replica != *tested.replica())
    }

    /// Something that the model has no word for must be so.
    ///
    /// # Errors
    /// If it is not.
    pub fn expect(&self, field: &'static str, is_so: bool, found: impl fmt::Debug) -> Compared<()> {
        if is_so { Ok(()) } else { self.differ(field, "otherwise (see `edges`)", found) }
    }

    fn unchanged(
        &self,
        tested: &TestedNode,
        after: &TestedReplica,
        output: &Output,
    ) -> Compared<()> {
        if after != tested.replica() {
            let (before, after) = (tested.replica().production(), after.production());
            return self.differ("what an ignored input changes", before, after);
        }
        if !output.records.is_empty() {
            return self.differ("records", "none", &output.records);
        }
        // Proposals are sent again; anything else waits for what it may follow from.
        let early = match tested.unsynced() {
            [] => Vec::new(),
            _ => tested.take_early(&mut output.clone()),
        };
        let proposes = |sent: &Envelope| matches!(sent.message, Message::Accept { .. });
        self.expect("what leaves before what it follows from", early.iter().all(proposes), &early)
    }

    /// Delivers the parts of a batch one by one and the batch as a whole: it must be the same.
    ///
    /// # Errors
    /// The first difference.
    pub fn batch(&self, tested: &TestedNode, whole: Event, parts: Vec<Event>) -> Compared<()> {
        let mut by_parts = tested.replica().clone();
        let (mut disk, mut sent) = (tested.disk().clone(), Vec::new());
        for part in parts {
            let output = self.run(&mut by_parts, part)?;
            self.stored(disk.append(&output.records))?;
            sent.extend(output.messages);
        }
        let mut at_once = tested.replica().clone();
        let output = self.run(&mut at_once, whole)?;
        let mut disk_at_once = tested.disk().clone();
        self.stored(disk_at_once.append(&output.records))?;
        self.same("what a batch makes of it, by parts and at once", &by_parts, &at_once)?;
        self.same("what a batch leaves on disk, by parts and at once", &disk, &disk_at_once)?;
        let after = self.projection.acceptor(by_parts.parts().acceptor);
        let after = self.mapped("votes", after)?;
        let map = |sent: &[Envelope]| -> Compared<(Vec<Envelope>, Sent)> {
            let (mut trims, sent): (Vec<_>, Vec<_>) = sent.iter().cloned().partition(says_trimmed);
            trims.dedup(); // Each part of a batch is answered by itself.
            Ok((trims, self.mapped("messages", self.projection.sent(self.node, &after, &sent))?))
        };
        let ((trims, mut sent), (trims_at_once, at_once)) = (map(&sent)?, map(&output.messages)?);
        self.same("what is said to be trimmed, by parts and at once", &trims, &trims_at_once)?;
        let told = |envelope: &&Envelope| matches!(envelope.message, Message::Chosen { .. });
        let told = output.messages.iter().filter(told).count();
        let gaps = at_once.announced.windows(2).filter(|pair| pair[1].0 != pair[0].0 + 1).count();
        let runs = if at_once.announced.is_empty() { 0 } else { gaps + 1 };
        self.expect("in how many runs a batch is announced", told == runs, &output.messages)?;
        sent.nacks.dedup(); // Each part of a batch is refused by itself.
        self.same("what a batch sends, by parts and at once", &sent, &at_once)
    }

    /// The same replica, told in another way, must become the same.
    ///
    /// # Errors
    /// The first difference.
    pub fn same_effect(&self, tested: &TestedNode, one: Event, other: Event) -> Compared<()> {
        let (mut first, mut second) = (tested.replica().clone(), tested.replica().clone());
        let _ = self.run(&mut first, one)?;
        let _ = self.run(&mut second, other)?;
        self.same("what two ways of saying it make of it", &first, &second)
    }

    /// Makes the oldest step durable.
    ///
    /// # Errors
    /// If the disk then differs.
    pub fn sync(&self, tested: &TestedNode, durable: &Acceptor) -> Compared<TestedNode> {
        let (mut disk, mut unsynced) = (tested.disk().clone(), tested.unsynced().to_vec());
        if unsynced.is_empty() {
            return self.differ("unsynced steps", "one to sync", "none");
        }
        let oldest = unsynced.remove(0);
        self.append(&mut disk, &oldest)?;
        self.compare_disk(&disk, durable)?;
        let reads = self.projection.reads();
        Ok(TestedNode::of(tested.replica().clone(), disk, unsynced, reads))
    }

    /// Crashes a replica and builds it again from its disk.
    ///
    /// # Errors
    /// If what comes back differs.
    pub fn crash(&self, tested: &TestedNode, after: &Live) -> Compared<TestedNode> {
        let config = self.projection.config(self.node);
        let replica = match tested.replica().recover(config, tested.disk().records()) {
            Ok(replica) => replica,
            Err(error) => return self.differ("recovery", "recovers", error.to_string()),
        };
        self.compare_live(&replica, after)?;
        let reads = self.projection.reads();
        Ok(TestedNode::of(replica, tested.disk().clone(), Vec::new(), reads))
    }

    /// Whether the disk holds what the model's does.
    ///
    /// # Errors
    /// If it does not.
    pub fn compare_disk(&self, disk: &Memory, durable: &Acceptor) -> Compared<()> {
        let image = self.mapped("the disk", self.projection.acceptor(disk.image()))?;
        self.same("the disk", durable, &image)
    }

    /// Whether the replica is in the model's state.
    ///
    /// # Errors
    /// If it is not, with the part that differs.
    pub fn compare_live(&self, replica: &TestedReplica, expected: &Live) -> Compared<()> {
        let parts = replica.parts();
        let live = self.mapped("the replica", self.projection.live(self.node, parts))?;
        self.same("promised", &expected.acceptor.promised, &live.acceptor.promised)?;
        self.same("votes", &expected.acceptor.votes, &live.acceptor.votes)?;
        if live.role != expected.role {
            return self.differ("role", expected, live);
        }
        self.same("chosen", &expected.chosen, &live.chosen)
    }

    fn compare(
        &self,
        replica: &TestedReplica,
        before: &Live,
        input: Input,
        expected: &Step,
        mut output: Output,
    ) -> Compared<()> {
        self.compare_live(replica, &expected.live)?;
        self.compare_trims(before, input, expected, &mut output)?;
        self.compare_reads(before, input, expected, &output)?;
        let after = &expected.live.acceptor;
        let sent = self.projection.sent(self.node, after, &output.messages);
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
        if changed == output.records.is_empty() {
            return self.differ("records", if changed { "some" } else { "none" }, &output.records);
        }
        // What a snapshot holds was applied by whoever took it.
        let (from, to) = (before.known_below().max(after.trimmed), expected.live.known_below());
        let ready = (from.0..to.0).filter_map(|slot| {
            let value = self.projection.real_value(expected.live.chosen[usize::from(slot)]?);
            Some((paxos::Slot(slot.into()), value))
        });
        self.same("what is handed out to be applied", &ready.collect(), &output.chosen)
    }

    /// Who asks for votes in slots that are trimmed is told so, and who promises with more trimmed than
    /// this node knows is asked for its snapshot. The model has neither: both only say where to ask.
    fn compare_trims(
        &self,
        before: &Live,
        input: Input,
        expected: &Step,
        output: &mut Output,
    ) -> Compared<()> {
        use ModelMessage::{Accept, Promise};
        let (said, fetched) = match input {
            Input::Message(Accept { ballot, slot, .. }) => {
                let trimmed = before.acceptor.trimmed;
                let says = slot < trimmed && expected.nack.is_none();
                let to = To::Node(real_node(self.projection.owner(ballot)));
                let message = Message::Trimmed { below: real_slot(trimmed) };
                (says.then_some(Envelope { to, message }), None)
            }
            Input::Message(Promise { from, trimmed, .. }) => {
                let heard = *before != expected.live;
                let behind = trimmed > before.known_below();
                (None, (heard && behind).then_some(real_node(from)))
            }
            _ => (None, None),
        };
        let (trims, rest) =
            std::mem::take(&mut output.messages).into_iter().partition(says_trimmed);
        output.messages = rest;
        self.same("what is said to be trimmed", &Vec::from_iter(said), &trims)?;
        self.same("whose snapshot is wanted", &Vec::from_iter(fetched), &output.fetch)
    }

    /// The read that is confirmed, and those that a leader gives up with its lead, or that ask who does not
    /// lead.
    fn compare_reads(
        &self,
        before: &Live,
        input: Input,
        expected: &Step,
        output: &Output,
    ) -> Compared<()> {
        let ready = output.reads.iter().map(|ready| (ready.token, ready.at)).collect();
        let answer = expected.answer.map(|answer| (READ, real_slot(answer.index)));
        self.same("which reads are answered", &Vec::from_iter(answer), &ready)?;
        if matches!(input, Input::Propose { .. }) {
            return Ok(()); // What becomes of proposals is looked at in `edges`.
        }
        let given_up = match (&before.role, &expected.live.role) {
            (Role::Leader { .. }, Role::Leader { .. }) => 0,
            (Role::Leader { reads, .. }, _) => {
                usize::from(reads.under_way.is_some()) + usize::from(reads.waits)
            }
            (Role::Follower | Role::Candidate { .. }, _) => usize::from(input == Input::Read),
        };
        self.same("how many reads are refused", &given_up, &output.refused.len())
    }

    /// A node's promise and votes for its own ballot do not travel.
    fn says_to_itself(&self, message: ModelMessage) -> bool {
        use ModelMessage::{Accepted, Promise};
        let own = self.projection.owner(message.ballot()) == self.node;
        own && matches!(message, Promise { .. } | Accepted { .. })
    }

    fn stored(&self, stored: Result<(), paxos::RecoverError>) -> Compared<()> {
        stored.or_else(|error| self.differ("records", "records that fit", error.to_string()))
    }

    /// Writes records, each of which must say something new.
    fn append(&self, disk: &mut Memory, records: &[Record]) -> Compared<()> {
        for record in records {
            let before = disk.clone();
            self.stored(disk.append(std::slice::from_ref(record)))?;
            if before == *disk {
                return self.differ("records", "nothing that is stored already", record);
            }
        }
        Ok(())
    }
}

thread_local! {
    /// True while a replica takes a step in this thread.
    static STEPS: Cell<bool> = const { Cell::new(false) };
}

/// Lets a replica take a step. A panic of the replica is a difference, and the report shows it as one, so its usual
/// message is not printed.
fn silently(step: impl FnOnce()) -> thread::Result<()> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !STEPS.get() {
                usual(panic);
            }
        }));
    });
    STEPS.set(true);
    let taken = panic::catch_unwind(AssertUnwindSafe(step));
    STEPS.set(false);
    taken
}
