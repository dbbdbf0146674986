//! One node of a recorded run: its starts, its steps, its disk, and everything that leaves it.
//!
//! The frames of a node are taken one after the other. A frame is either what the rules allow, or contradicts a claim, or has
//! to wait for a frame of another node. The claims about starts are in `start`, those about steps in `step`, and those about
//! everything that follows from a step in `release`.

mod release;
mod start;
mod step;

use std::collections::{BTreeSet, HashMap, VecDeque};

use paxos::{NodeId, Slot};
use paxos_model::cluster::node::universe::SlotMap as _;
use paxos_recording::{
    MessageId, Step,
    frame::{BatchRef, Body, Event, Message, To},
    identity::StateId,
};

use crate::{
    claims::{Checked, FORM, contradicts},
    coverage::{Coverage, Kind},
    history::History,
    network::Network,
    replica::{Change, Replica},
    said::{self, Ballot},
};

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
    /// A message or an answer of this node.
    For(NodeId),
    /// The snapshot of any node.
    ForAnyNode,
}

impl Wait {
    /// The node that has to send, if it is known.
    pub fn sender(&self) -> Option<NodeId> {
        match self {
            Self::For(from) => Some(*from),
            Self::ForAnyNode => None,
        }
    }
}

/// The reason for which the state that a node recovered does not follow from the recordings.
pub type Doubt = String;

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
    /// The number of the step.
    step: u64,
    /// The ballot of a record of a promise.
    promised: Option<paxos::Ballot>,
    /// The new votes.
    votes: Vec<(said::Slot, Ballot)>,
    change: Change,
}

/// The chosen values and confirmed reads of a step, until the records of the step and of all earlier ones are durable.
#[derive(Debug)]
struct Held {
    /// The number of the step.
    step: u64,
    chosen: Vec<(said::Slot, said::Value)>,
    /// The slots below this one may then be applied.
    known_below: u64,
    /// The batches of reads that are confirmed: the node that asks, the number of the batch, and the slots that it must see.
    confirmed: Vec<(NodeId, u64, Slot)>,
}

/// One start of a node.
#[derive(Debug)]
struct Running {
    replica: Replica,
    boot: Option<u128>,
    /// The number of steps so far.
    steps: u64,
    /// The number of steps since the invariant of the state was checked.
    unchecked: u64,
    /// The steps whose records are not durable, oldest first.
    pending: VecDeque<Pending>,
    /// The number of the last step of each write under way, oldest first.
    writes: VecDeque<u64>,
    produced: VecDeque<Produced>,
    /// The effects of steps, until their records are durable. Oldest first.
    held: VecDeque<Held>,
    /// The slots below this one may be applied.
    released: u64,
    /// The first slot that is not applied.
    applied: Slot,
    /// The batches of reads that the replica was asked to confirm, by token.
    tokens: HashMap<u64, (NodeId, u64)>,
    /// The answers to the questions of other nodes that may leave, each as often as its question was confirmed.
    answers: HashMap<(NodeId, u64, Slot), u64>,
    /// The slots below which confirmed reads of this node's clients must see every slot.
    reads: BTreeSet<Slot>,
    /// The snapshot with which the node started, if it had one, and those that were about to replace it, in order.
    snapshots: Vec<Option<(Slot, StateId)>>,
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
                let sent = stranger
                    || *from != self.id && shared.network.has(*from, self.id, step, message);
                (!sent).then_some(Wait::For(*from))
            }
            Body::Answer { from, batch, at } => {
                let sent = shared.network.has_answer(*from, self.id, *batch, *at);
                (!sent).then_some(Wait::For(*from))
            }
            Body::Saved { below, state, is_peers: true } => {
                (!shared.history.has_snapshot(*below, *state)).then_some(Wait::ForAnyNode)
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
                let (sent, id) = (step.measured(message), step.id(message));
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
            Body::Write => running.writes.push_back(running.steps),
            Body::Durable => running.durable(place, shared)?,
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
            Body::End if !running.pending.is_empty() => {
                return contradicts(FORM, "the node stops before its records are durable");
            }
            Body::End => {
                running.ended = true;
                shared.coverage.add(Kind::Ended);
            }
        }
        running.release(id, shared)?;
        Ok(None)
    }
}

/// Notes the proposals and votes of a message whose sender has no complete recording.
fn assume_effects(
    step: &Step,
    message: &Message<BatchRef>,
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
            said::Said::Chosen(ballot, slot) => history.assume_chosen_in(slot, ballot),
            _ => {}
        }
    }
    Ok(())
}
