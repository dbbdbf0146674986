//! One node of a recorded run: its starts, its steps, its disk, and everything that leaves it.
//!
//! The frames of a node are taken one after the other. A frame is either what the rules allow, or contradicts a claim, or has
//! to wait for a frame of another node.

use std::collections::{BTreeSet, HashMap, VecDeque};

use paxos::{NodeId, Slot};
use paxos_model::cluster::node::{state::Acceptor, unbounded::Unbounded, universe::SlotMap as _};
use paxos_recording::{
    MessageId,
    frame::{Body, ChosenValues, Departure, Event, Message, Record, Refused, Start, Step, To},
    identity::{StateId, of_batch},
};

use crate::{
    coverage::{Coverage, Kind},
    history::{APPLIES_CHOSEN, Contradiction, History},
    network::Network,
    replica::{Change, Expected, Replica},
    said::{self, Ballot, Sent},
};

/// The steps of a node are the steps of the model.
pub const MODEL_STEP: &str = "a node takes the step of the model";
/// Durable records survive a crash.
pub const DURABLE: &str = "what was durable before a node ended is there when it starts again";
/// A node recovers only its own records.
pub const RECORDED: &str = "a node recovers only what its steps have recorded";
/// Messages leave after their records.
pub const AFTER_RECORDS: &str =
    "a message leaves only after the records on which it depends are durable";
/// Only messages of the replica leave.
pub const PRODUCED: &str = "a node sends only the messages that its replica has produced";
/// Each received message was sent.
pub const SENT_BEFORE: &str = "a message that a node receives was sent before";
/// Reads see what they have to see.
pub const READS: &str = "a read runs only on a state that has every slot that the read must see";
/// Snapshots contain only applied slots.
pub const SNAPSHOTS: &str =
    "a snapshot contains only slots that its node has applied, or is the snapshot of another node";
/// Only slots in a durable snapshot are trimmed.
pub const TRIMS: &str = "a node trims only slots whose effect is in a durable snapshot";
/// A recording has the frames of a node in order.
pub const FORM: &str = "a recording begins with a start; no two starts of a node have one number, and all have the same members";

/// All claims that a validation checks.
pub const CLAIMS: &[&str] = &[
    MODEL_STEP,
    DURABLE,
    RECORDED,
    AFTER_RECORDS,
    PRODUCED,
    SENT_BEFORE,
    READS,
    SNAPSHOTS,
    TRIMS,
    FORM,
    crate::history::ONE_VALUE,
    crate::history::QUORUM,
    crate::history::AGREEMENT,
    APPLIES_CHOSEN,
    crate::history::DETERMINISM,
];

/// The state that all nodes share.
#[derive(Debug, Default)]
pub struct Shared {
    /// All messages ever sent.
    pub network: Network,
    /// The log.
    pub history: History,
    /// The kinds of transitions so far.
    pub coverage: Coverage,
    /// All nodes of the cluster, sorted.
    pub members: Vec<NodeId>,
    /// The sizes of the quorums of phase 1 and of phase 2.
    pub quorums: (u64, u64),
}

/// A frame of another node that has to come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A message of this node.
    Message(NodeId),
    /// An answer of this node about reads.
    Answer(NodeId),
    /// The snapshot of any node.
    Snapshot,
}

impl Wait {
    /// The node that has to send, if it is known.
    pub fn sender(&self) -> Option<NodeId> {
        match self {
            Self::Message(from) | Self::Answer(from) => Some(*from),
            Self::Snapshot => None,
        }
    }
}

/// The reason for which the state that a node recovered does not follow from the recordings.
pub type Doubt = String;

type Checked<T = ()> = Result<T, Contradiction>;

fn contradicts<T>(claim: &'static str, facts: impl Into<String>) -> Checked<T> {
    Err(Contradiction { claim, facts: facts.into() })
}

/// A message that the replica has produced and that has not left.
#[derive(Debug)]
struct Produced {
    to: To,
    id: MessageId,
    /// The message, with the length of its batch.
    message: Message<u64>,
    step: u64,
}

/// The records of a step that are not durable.
#[derive(Debug)]
struct Pending {
    step: u64,
    /// The ballot of a record of a promise.
    promised: Option<paxos::Ballot>,
    /// The new votes.
    votes: Vec<(said::Slot, Ballot)>,
    change: Change,
}

/// One start of a node.
#[derive(Debug)]
struct Running {
    replica: Replica,
    boot: Option<u128>,
    /// The number of steps so far.
    steps: u64,
    pending: Vec<Pending>,
    produced: VecDeque<Produced>,
    /// The values that steps have released, until the records of these steps are durable.
    claimed: Vec<(said::Slot, said::Value)>,
    /// The slots below this one may be applied.
    released: u64,
    /// The first slot that is not applied.
    applied: Slot,
    /// The batches of reads that the replica was asked to confirm, by token.
    tokens: HashMap<u64, (NodeId, u64)>,
    /// Confirmed batches, until the records of their steps are durable.
    confirmed: Vec<(NodeId, u64, Slot)>,
    /// The answers to the questions of other nodes that may leave, each as often as its question was confirmed.
    answers: HashMap<(NodeId, u64, Slot), u64>,
    /// The slots below which confirmed reads of this node's clients must see every slot.
    reads: BTreeSet<Slot>,
    /// The snapshots that became this node's.
    snapshots: Vec<(Slot, StateId)>,
    ended: bool,
}

/// A node, over all its starts.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    incarnation: u64,
    running: Option<Running>,
    /// The recording before the next start has a gap, so that the state is unknown.
    lost: bool,
}

impl Node {
    /// Returns a node that has not started.
    pub fn new(id: NodeId) -> Self {
        Self { id, incarnation: 0, running: None, lost: false }
    }

    /// Forgets the state of the node, because its recording has a gap. The state that the next start recovers is believed.
    pub fn lose(&mut self) {
        (self.running, self.lost) = (None, true);
    }

    /// The number of the start whose frames are taken.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Describes the state of the node.
    pub fn describe(&self) -> String {
        match &self.running {
            None => "has not started".to_owned(),
            Some(Running { ended: true, .. }) => "has stopped".to_owned(),
            Some(running) => running.replica.describe(),
        }
    }

    /// Returns the first slot that the node has not trimmed, or not applied if that is lower.
    pub fn trimmed(&self) -> u64 {
        let running = self.running.as_ref();
        running.map_or(0, |running| running.replica.acceptor().trimmed.0.min(running.applied.0))
    }

    /// Returns what a frame has to wait for.
    pub fn waits(&self, body: &Body, shared: &Shared) -> Option<Wait> {
        match body {
            Body::Step(step) => {
                let Event::Message { from, message } = &step.event else { return None };
                // A replica ignores the messages of strangers.
                let stranger = !shared.members.contains(from);
                let (message, id) = measured(step, message);
                let sent = stranger
                    || *from != self.id && shared.network.has(*from, self.id, &message, id);
                (!sent).then_some(Wait::Message(*from))
            }
            Body::Answer { from, batch, at } => {
                let sent = shared.network.has_answer(*from, self.id, *batch, *at);
                (!sent).then_some(Wait::Answer(*from))
            }
            Body::Saved { below, state, is_peers: true } => {
                (!shared.history.has_snapshot(*below, *state)).then_some(Wait::Snapshot)
            }
            _ => None,
        }
    }

    /// Makes a frame that waits for a node without a complete recording possible: assumes that the message was sent.
    ///
    /// # Errors
    /// The message contradicts a claim.
    pub fn assume(&self, body: &Body, shared: &mut Shared) -> Checked {
        match body {
            Body::Step(step) => {
                let Event::Message { from, message } = &step.event else { return Ok(()) };
                let (sent, id) = measured(step, message);
                shared.network.send(*from, To::Node(self.id), &sent, id);
                let Some(place) = shared.members.iter().position(|member| member == from) else {
                    return Ok(());
                };
                assume_effects(step, message, place, &mut shared.history)
            }
            Body::Answer { from, batch, at } => {
                shared.network.send_answer(*from, self.id, *batch, *at);
                Ok(())
            }
            Body::Saved { below, state, .. } => shared.history.snapshot(self.id, *below, *state),
            _ => Ok(()),
        }
    }

    /// Takes a frame that has nothing to wait for. Returns a doubt if the frame does not follow from those before.
    ///
    /// # Errors
    /// The frame contradicts a claim.
    pub fn take(&mut self, body: &Body, shared: &mut Shared) -> Checked<Option<Doubt>> {
        if let Body::Start(start) = body {
            return self.start(start, shared);
        }
        let (id, Some(running)) = (self.id, self.running.as_mut()) else {
            return contradicts(FORM, "there is no start before this frame");
        };
        if running.ended {
            return contradicts(FORM, "the node has stopped before this frame");
        }
        let place = shared.members.iter().position(|member| *member == id).unwrap_or(0);
        match body {
            Body::Start(_) => unreachable!("taken above"),
            Body::Step(step) => running.step(step, shared)?,
            Body::Durable => running.durable(place, shared),
            Body::Left(departures) => {
                for departure in departures {
                    running.leaves(id, departure, shared)?;
                }
            }
            Body::Applied { first, applications } => {
                running.applies(id, *first, applications, shared)?;
            }
            Body::Question { token, asker, batch } => {
                running.tokens.insert(*token, (*asker, *batch));
            }
            Body::Answer { at, .. } => {
                running.reads.insert(*at);
            }
            Body::Served { at, applied } => running.serves(*at, *applied, shared)?,
            Body::Saved { below, state, is_peers } => {
                running.saves(id, (*below, *state), *is_peers, shared)?;
            }
            Body::End => {
                running.ended = true;
                shared.coverage.add(Kind::Ended);
            }
        }
        // Output that depends on no record may leave at once.
        if running.pending.is_empty() {
            running.release(id, shared)?;
        }
        Ok(None)
    }
}

/// Returns a message with its batch replaced by the length of the batch, and the digest of the message.
fn measured(
    step: &Step,
    message: &Message<paxos_recording::frame::BatchRef>,
) -> (Message<u64>, MessageId) {
    let digested = message.map(|batch| of_batch(step.batch(*batch)));
    let measured = message.map(|batch| step.batch(*batch).len() as u64);
    (measured, MessageId::of(&digested))
}

/// Notes the proposals and votes of a message whose sender has no complete recording.
fn assume_effects(
    step: &Step,
    message: &Message<paxos_recording::frame::BatchRef>,
    sender: usize,
    history: &mut History,
) -> Checked {
    let mut all = Vec::new();
    said::parts(message, &*history, |batch| step.batch(*batch), |said| all.push(said));
    for said in all {
        match said {
            said::Said::Accept(ballot, slot, value) => {
                history.proposes(slot, ballot, &value)?;
                history.voted(slot, ballot, sender);
            }
            said::Said::Accepted(ballot, slot) => history.voted(slot, ballot, sender),
            said::Said::Promise(promise) => {
                for (slot, vote) in promise.reports.filled() {
                    if let Some(vote) = vote {
                        history.proposes(slot, vote.ballot, &vote.value)?;
                        history.voted(slot, vote.ballot, sender);
                    }
                }
            }
            said::Said::Learned(slot, value) => history.assume_chosen(slot, &value),
            _ => {}
        }
    }
    Ok(())
}

/// Starts.
impl Node {
    fn start(&mut self, start: &Start, shared: &mut Shared) -> Checked<Option<Doubt>> {
        if start.node != self.id {
            return contradicts(
                FORM,
                format!("the recording of node {} is node {}'s", self.id, start.node),
            );
        }
        let mut members = start.nodes.clone();
        members.sort_unstable();
        let quorums = (start.phase1_quorum, start.phase2_quorum);
        if shared.members.is_empty() {
            (shared.members, shared.quorums) = (members, quorums);
            shared.history.set_quorum(start.phase2_quorum);
        } else if (&shared.members, shared.quorums) != (&members, quorums) {
            let facts = format!(
                "the nodes are {members:?} with quorums {quorums:?} here, and {:?} with quorums {:?} elsewhere",
                shared.members, shared.quorums
            );
            return contradicts(FORM, facts);
        }
        let votes = said::votes(&start.votes, &shared.history);
        let promised = start.promised.map(said::ballot);
        let recovered = Acceptor { promised, votes, trimmed: said::slot(start.trimmed) };
        let follows = start.incarnation == self.incarnation + 1;
        let doubt = match &mut self.running {
            _ if self.lost => Some(format!("node {} recovered a state after a gap", self.id)),
            Some(before) if follows => before.survives(start, &recovered, &mut shared.coverage)?,
            None if follows => {
                let fresh = recovered == Acceptor::default() && start.snapshot.is_none();
                shared.coverage.add(Kind::Start);
                (!fresh)
                    .then(|| format!("node {} had a state when its first recording began", self.id))
            }
            _ if start.incarnation <= self.incarnation => {
                let facts = format!("there are two recordings of start {}", start.incarnation);
                return contradicts(FORM, facts);
            }
            _ => Some(format!(
                "node {} has no recording between start {} and start {}",
                self.id, self.incarnation, start.incarnation
            )),
        };
        if doubt.is_some() {
            // The votes were durable, whenever they were cast.
            let place = shared.members.iter().position(|member| *member == self.id).unwrap_or(0);
            for (slot, vote) in recovered.votes.filled() {
                if let Some(vote) = vote {
                    shared.history.proposes(slot, vote.ballot, &vote.value)?;
                    shared.history.voted(slot, vote.ballot, place);
                }
            }
            if let Some((below, state)) = start.snapshot {
                shared.history.snapshot(self.id, below, state)?;
            }
        }
        let applied = start.snapshot.map_or(Slot(0), |(below, _)| below);
        if applied.0 < recovered.trimmed.0 {
            let facts = format!(
                "slots below {:?} are trimmed, and the snapshot has those below {applied:?}",
                recovered.trimmed
            );
            return contradicts(TRIMS, facts);
        }
        let Some(replica) = Replica::start(start, recovered) else {
            return contradicts(FORM, "the quorums of the configuration are impossible");
        };
        (self.incarnation, self.lost) = (start.incarnation, false);
        self.running = Some(Running {
            replica,
            boot: start.boot,
            steps: 0,
            pending: Vec::new(),
            produced: VecDeque::new(),
            claimed: Vec::new(),
            released: applied.0,
            applied,
            tokens: HashMap::new(),
            confirmed: Vec::new(),
            answers: HashMap::new(),
            reads: BTreeSet::new(),
            snapshots: start.snapshot.into_iter().collect(),
            ended: false,
        });
        Ok(doubt)
    }
}

impl Running {
    /// Compares the state that the next start has recovered with the state at the end of this start. The records of the last
    /// write may be on the disk or not, all of them or none.
    fn survives(
        &mut self,
        start: &Start,
        recovered: &Acceptor<Unbounded>,
        coverage: &mut Coverage,
    ) -> Checked<Option<Doubt>> {
        let kept = self.replica.acceptor().clone();
        let mut lost = kept.clone();
        for Pending { change, .. } in self.pending.iter().rev() {
            take_back(change, &mut lost);
        }
        let doubt = if *recovered == lost {
            let none = self.pending.is_empty();
            coverage.add(if none { Kind::RestartClean } else { Kind::RestartLost });
            None
        } else if *recovered == kept {
            coverage.add(Kind::RestartKept);
            None
        } else if let Some(missing) = missing(&lost, recovered) {
            return contradicts(DURABLE, missing);
        } else if self.boot.is_some() && self.boot == start.boot {
            return contradicts(RECORDED, format!("recovered: {recovered:?}; recorded: {lost:?}"));
        } else {
            Some(format!(
                "node {} recovered records that it did not record; the system has stopped in between, which loses the end of \
                 a recording",
                start.node
            ))
        };
        if doubt.is_none() {
            let before = self.snapshots.last_chunk::<2>().map_or(&self.snapshots[..], |two| two);
            let known = match &start.snapshot {
                Some(snapshot) => before.contains(snapshot),
                None => before.is_empty(),
            };
            if !known {
                let facts = format!("the snapshot is {:?}; it was {before:?}", start.snapshot);
                return contradicts(DURABLE, facts);
            }
        }
        Ok(doubt)
    }
}

/// Takes a change of an acceptor back.
fn take_back(change: &Change, acceptor: &mut Acceptor<Unbounded>) {
    for (slot, vote) in change.dropped.iter().chain(change.votes.iter().rev()) {
        acceptor.votes.put(*slot, vote.clone());
    }
    acceptor.trimmed = change.trimmed.unwrap_or(acceptor.trimmed);
    acceptor.promised = change.promised.unwrap_or(acceptor.promised);
}

/// Returns the first part of a durable state that a recovered state lacks.
fn missing(durable: &Acceptor<Unbounded>, recovered: &Acceptor<Unbounded>) -> Option<String> {
    if recovered.promised < durable.promised {
        let (was, is) = (durable.promised, recovered.promised);
        return Some(format!("the promise was {was:?}, and {is:?} was recovered"));
    }
    if recovered.trimmed < durable.trimmed {
        return Some(format!("the end of the trimmed log was {:?}", durable.trimmed));
    }
    durable.votes.filled().find_map(|(slot, vote)| {
        let vote = vote?;
        let is = recovered.votes.at(slot);
        let there =
            slot < recovered.trimmed || is.as_ref().is_some_and(|is| is.ballot >= vote.ballot);
        (!there).then(|| {
            format!("the vote in {slot:?} was in ballot {:?}, and is missing", vote.ballot)
        })
    })
}

/// Steps.
impl Running {
    fn step(&mut self, step: &Step, shared: &mut Shared) -> Checked {
        if let Event::Message { message, .. } = &step.event {
            received_values(step, message, &shared.history)?;
        }
        if let Event::Snapshot { below } = step.event {
            let durable = self.snapshots.iter().map(|(below, _)| *below).max().unwrap_or_default();
            if below > durable {
                let facts = format!(
                    "it trims the slots below {below:?}; its snapshots have those below {durable:?}"
                );
                return contradicts(TRIMS, facts);
            }
        }
        let expected = self.replica.take(step, &shared.history);
        expected.kinds.iter().for_each(|&kind| shared.coverage.add(kind));
        self.steps += 1;
        let votes = self.compare(step, &expected, &mut shared.history)?;
        for (to, message) in &step.messages {
            let (message, id) = measured(step, message);
            self.produced.push_back(Produced { to: *to, id, message, step: self.steps });
        }
        let slots = expected.released.clone().map(said::Slot);
        let replica = &self.replica;
        self.claimed.extend(slots.filter_map(|slot| Some((slot, replica.chosen(slot)?))));
        for (token, at) in &step.reads {
            if let Some((asker, batch)) = self.tokens.remove(token) {
                self.confirmed.push((asker, batch, *at));
            }
        }
        for refused in &step.refused {
            self.tokens.remove(&refused.token);
        }
        if !expected.change.is_empty() {
            let promised = step.records.iter().find_map(|record| match record {
                Record::Promised(ballot) => Some(*ballot),
                _ => None,
            });
            let change = expected.change;
            self.pending.push(Pending { step: self.steps, promised, votes, change });
        }
        Ok(())
    }

    /// Compares the output of a step with that of the model. Returns the new votes.
    fn compare(
        &self,
        step: &Step,
        expected: &Expected,
        history: &mut History,
    ) -> Checked<Vec<(said::Slot, Ballot)>> {
        let mut sent = Sent::new();
        for (to, message) in &step.messages {
            let to = said::receiver(*to);
            said::parts(message, &*history, |batch| step.batch(*batch), |it| sent.push((to, it)));
        }
        said::sort(&mut sent);
        if sent != expected.sent {
            let model = expected.sent.iter().find(|it| !sent.contains(it));
            let found = sent.iter().find(|it| !expected.sent.contains(it));
            return differ("messages", describe_sent(model), describe_sent(found));
        }
        let votes = self.compare_records(step, expected, history)?;
        self.compare_chosen(step, expected, history)?;
        let taken: Vec<_> =
            step.taken.iter().map(|run| run.first.0..run.first.0 + run.count).collect();
        if !expected.taken.iter().eq(&taken) {
            return differ(
                "slots of proposals",
                format!("{:?}", expected.taken),
                format!("{taken:?}"),
            );
        }
        let reads: Vec<_> =
            step.reads.iter().map(|(token, at)| (*token, said::slot(*at))).collect();
        if reads != expected.reads {
            return differ(
                "confirmed reads",
                format!("{:?}", expected.reads),
                format!("{reads:?}"),
            );
        }
        let refused: u64 = step.refused.iter().map(|refused| refused.count).sum();
        let reads = expected.refused_reads.as_ref().map_or(0, |(tokens, _)| tokens.len() as u64);
        let wanted = expected.refused_proposals.map_or(0, |(count, _)| count) + reads;
        let reasons = expected.refused_proposals.iter().map(|(_, refusal)| refusal);
        let mut reasons = reasons.chain(expected.refused_reads.iter().map(|(_, refusal)| refusal));
        let wrong = step
            .refused
            .iter()
            .find(|Refused { refusal, .. }| !reasons.clone().any(|it| it == refusal));
        if refused != wanted || wrong.is_some() {
            let model = format!("{wanted} refused: {:?}", reasons.next());
            return differ("refused requests", model, format!("{:?}", step.refused));
        }
        let fetch: Vec<_> = step.fetch.iter().map(|&id| said::node(id)).collect();
        if fetch != expected.fetch {
            return differ(
                "wanted snapshots",
                format!("{:?}", expected.fetch),
                format!("{fetch:?}"),
            );
        }
        Ok(votes)
    }

    fn compare_records(
        &self,
        step: &Step,
        expected: &Expected,
        history: &mut History,
    ) -> Checked<Vec<(said::Slot, Ballot)>> {
        let acceptor = self.replica.acceptor();
        let (mut votes, mut promised, mut trimmed) = (Vec::new(), None, None);
        for record in &step.records {
            match record {
                Record::Promised(ballot) if promised.is_none() => {
                    promised = Some(said::ballot(*ballot));
                }
                Record::Trimmed { below } if trimmed.is_none() => {
                    trimmed = Some(said::slot(*below));
                }
                Record::Promised(_) | Record::Trimmed { .. } => {
                    return differ("records", "no two of a kind", format!("{record:?}"));
                }
                Record::Accepted { ballot, first, batch } => {
                    let ballot = said::ballot(*ballot);
                    for (slot, value) in (first.0..).map(said::Slot).zip(step.batch(*batch).iter())
                    {
                        let value = said::Values::value(history, slot, value);
                        let vote = acceptor.votes.at(slot);
                        if vote.is_none_or(|vote| vote.ballot != ballot || vote.value != value) {
                            let found = format!("a vote in {slot:?} in ballot {ballot:?}");
                            return differ("records", "no such vote", found);
                        }
                        history.proposes(slot, ballot, &value)?;
                        votes.push((slot, ballot));
                    }
                }
            }
        }
        votes.sort_unstable();
        let mut new: Vec<_> = expected.change.votes.iter().map(|(slot, _)| *slot).collect();
        new.sort_unstable();
        if !votes.iter().map(|(slot, _)| *slot).eq(new.iter().copied()) {
            let found =
                format!("votes in {:?}", votes.iter().map(|(slot, _)| slot).collect::<Vec<_>>());
            return differ("records", format!("votes in {new:?}"), found);
        }
        let raised = expected.change.promised.is_some();
        let by_vote = votes.iter().any(|(_, ballot)| Some(*ballot) == acceptor.promised);
        let fits = match promised {
            Some(ballot) => raised && Some(ballot) == acceptor.promised,
            None => !raised || by_vote,
        };
        if !fits {
            let model = format!("the promise {:?}", acceptor.promised);
            return differ("records", model, format!("{promised:?}"));
        }
        let end = expected.change.trimmed.map(|_| acceptor.trimmed);
        if trimmed != end {
            return differ("records", format!("trimmed below {end:?}"), format!("{trimmed:?}"));
        }
        Ok(votes)
    }

    fn compare_chosen(&self, step: &Step, expected: &Expected, history: &History) -> Checked {
        let mut slots = expected.released.clone().map(said::Slot);
        for chosen in &step.chosen {
            let listed = match chosen.values {
                ChosenValues::Listed(batch) => Some(step.batch(batch)),
                ChosenValues::Voted { .. } => None,
            };
            let count = match chosen.values {
                ChosenValues::Voted { count } => count,
                ChosenValues::Listed(_) => listed.map_or(0, |values| values.len() as u64),
            };
            for number in 0..count {
                let slot = said::slot(chosen.first.plus(number));
                let value = match listed {
                    Some(values) => {
                        Some(said::Values::value(history, slot, &values[number as usize]))
                    }
                    None => self.replica.acceptor().votes.at(slot).map(|vote| vote.value),
                };
                let next = slots.next();
                if next != Some(slot) || value != self.replica.chosen(slot) {
                    let model = format!("{next:?}");
                    return differ("values to apply", model, format!("a value in {slot:?}"));
                }
            }
        }
        match slots.next() {
            None => Ok(()),
            Some(slot) => differ("values to apply", format!("the value of {slot:?}"), "none"),
        }
    }
}

fn describe_sent(sent: Option<&(Option<said::NodeId>, said::Said)>) -> String {
    match sent {
        None => "no such message".to_owned(),
        Some((None, said)) => format!("{said:?} to all"),
        Some((Some(to), said)) => format!("{said:?} to {to:?}"),
    }
}

fn differ<T>(field: &str, model: impl AsRef<str>, recorded: impl AsRef<str>) -> Checked<T> {
    let (model, recorded) = (model.as_ref(), recorded.as_ref());
    contradicts(MODEL_STEP, format!("{field} differ; model: {model}; recorded: {recorded}"))
}

/// Compares the values of a received message with those that were proposed or chosen.
fn received_values(
    step: &Step,
    message: &Message<paxos_recording::frame::BatchRef>,
    history: &History,
) -> Checked {
    let mut wrong = None;
    said::parts(
        message,
        history,
        |batch| step.batch(*batch),
        |said| {
            let known = match &said {
                said::Said::Accept(ballot, slot, value) => {
                    history.has_proposed(*slot, *ballot, value)
                }
                said::Said::Learned(slot, value) => history.is_chosen(*slot, value),
                _ => true,
            };
            if !known {
                wrong.get_or_insert(said);
            }
        },
    );
    match wrong {
        None => Ok(()),
        Some(said) => {
            contradicts(SENT_BEFORE, format!("{said:?} arrives; its sender sent another value"))
        }
    }
}

/// Everything that leaves the node, and its disk.
impl Running {
    fn durable(&mut self, place: usize, shared: &mut Shared) {
        for Pending { votes, .. } in self.pending.drain(..) {
            for (slot, ballot) in votes {
                shared.history.voted(slot, ballot, place);
            }
        }
    }

    /// Releases the output whose records are durable.
    fn release(&mut self, id: NodeId, shared: &mut Shared) -> Checked {
        for (slot, value) in self.claimed.drain(..) {
            shared.history.chosen(slot, &value)?;
        }
        self.released = self.released.max(self.replica.known_below().0);
        for (asker, batch, at) in self.confirmed.drain(..) {
            if asker == id {
                self.reads.insert(at);
            } else {
                *self.answers.entry((asker, batch, at)).or_default() += 1;
            }
        }
        Ok(())
    }

    fn leaves(&mut self, id: NodeId, departure: &Departure, shared: &mut Shared) -> Checked {
        match departure {
            Departure::Answer { to, batch, at } => {
                let answer = (*to, *batch, *at);
                let left = self.answers.get(&answer).copied().unwrap_or_default();
                if left > 1 {
                    self.answers.insert(answer, left - 1);
                } else if self.answers.remove(&answer).is_none() {
                    let facts = format!(
                        "node {to} is told that its batch {batch} must see the slots below {at:?}; no such batch is confirmed"
                    );
                    return contradicts(READS, facts);
                }
                shared.network.send_answer(id, *to, *batch, *at);
            }
            Departure::Message { to, id: message } => {
                let mut produced = self.produced.iter();
                let place = produced.position(|it| it.to == *to && it.id == *message);
                let Some(produced) = place.and_then(|place| self.produced.remove(place)) else {
                    return contradicts(
                        PRODUCED,
                        format!("a message to {to:?} leaves that no step has produced"),
                    );
                };
                if self.pending.iter().any(|pending| pending.step <= produced.step) {
                    let early = match produced.message {
                        Message::Accept { ballot, .. } => {
                            !self.pending.iter().any(|pending| pending.promised == Some(ballot))
                        }
                        _ => false,
                    };
                    if !early {
                        return contradicts(
                            AFTER_RECORDS,
                            format!("{:?} leaves", produced.message),
                        );
                    }
                    shared.coverage.add(Kind::LeftEarly);
                }
                shared.network.send(id, produced.to, &produced.message, produced.id);
            }
        }
        Ok(())
    }

    fn applies(
        &mut self,
        id: NodeId,
        first: Slot,
        applications: &[paxos_recording::frame::Application],
        shared: &mut Shared,
    ) -> Checked {
        for (slot, applied) in (first.0..).map(Slot).zip(applications) {
            if slot != self.applied || slot.0 >= self.released {
                let facts = format!(
                    "{slot:?} is applied; {:?} is next, and the values below s{} may be applied",
                    self.applied, self.released
                );
                return contradicts(APPLIES_CHOSEN, facts);
            }
            shared.history.applied(id, said::slot(slot), applied)?;
            self.applied = slot.plus(1);
            shared.coverage.add(Kind::Applied);
        }
        Ok(())
    }

    fn serves(&mut self, at: Slot, applied: Slot, shared: &mut Shared) -> Checked {
        if applied != self.applied || at > applied || !self.reads.contains(&at) {
            let confirmed = if self.reads.contains(&at) { "is" } else { "is not" };
            let facts = format!(
                "a read runs on the state below {applied:?}; it must see the slots below {at:?}, which {confirmed} confirmed; \
                 the node has applied those below {:?}",
                self.applied
            );
            return contradicts(READS, facts);
        }
        shared.coverage.add(Kind::Served);
        Ok(())
    }

    fn saves(
        &mut self,
        id: NodeId,
        (below, state): (Slot, StateId),
        is_peers: bool,
        shared: &mut Shared,
    ) -> Checked {
        if is_peers {
            shared.coverage.add(Kind::Installed);
            self.applied = below;
        } else {
            if below > self.applied {
                let facts = format!(
                    "the snapshot names the slots below {below:?}; those below {:?} are applied",
                    self.applied
                );
                return contradicts(SNAPSHOTS, facts);
            }
            shared.coverage.add(Kind::Saved);
        }
        shared.history.snapshot(id, below, state)?;
        self.snapshots.push((below, state));
        Ok(())
    }
}
