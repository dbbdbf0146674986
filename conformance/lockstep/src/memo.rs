//! The comparisons that need not be made again.
//!
//! A transition of the cluster is a step of one node. Many transitions are the same step of the same node, and differ only in
//! the rest of the cluster. The memo remembers the steps that were compared without a difference.
//!
//! Claim: a run with the memo finds a difference if and only if a run that compares the step of every transition finds one.
//!
//! - `Lockstep::compare` reads three things: the node before the step on both sides, the step, and the model's node after the
//!   step. It has no other argument, and nothing else that it reads changes during a run. The memo compares the same three
//!   things by value. It uses hashes only to find the candidates.
//! - Both sides are deterministic. The model's step is a pure function. The replica's step is one, too: its crate has no clock,
//!   no randomness and no global state, and the equality of replicas covers every field. As a check, the comparator takes each
//!   step for an input twice, and the results must be equal.
//! - A difference is never remembered. It ends the run, and a replay of the path to it must find it again.
//!
//! A comparison that reads the rest of the cluster must not be remembered, because that would break the claim. So the search of
//! the network for the messages that a node sends again is made for every transition by an input.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use ahash::{HashMap, HashSet};
use paxos_model::cluster::state::{Ballot, Input, Message, NodeId, SharedNode};
use smallvec::SmallVec;

use crate::{comparator::Checked, tested::TestedNode};

/// The most comparisons that are remembered, at about 200 bytes each.
pub const REMEMBERED_MAX: usize = 4_000_000;

/// One node on both sides, after a comparison that found no difference.
pub struct NodePair {
    /// The node.
    pub node: NodeId,
    /// The model's node.
    pub model: SharedNode,
    /// The production replica with its disk.
    pub tested: TestedNode,
    /// The messages that the replica sends again, in the model's terms. They are computed when they are first needed.
    pub(crate) resends: OnceLock<Resends>,
    /// Set when all [edges](crate::edges) of the replica were tried without a difference.
    pub(crate) edges_hold: OnceLock<()>,
    remembered: Mutex<Remembered>,
    /// The hash of the node on both sides. It is computed once, because nodes are hashed for every state.
    digest: u64,
}

/// The messages that a replica sends again when its timer runs out.
#[derive(Default)]
pub(crate) struct Resends {
    /// The messages that leave before the unsynced records are durable.
    pub(crate) early: Vec<Message>,
    /// The other messages.
    pub(crate) late: Vec<Message>,
}

/// A step of one node: all that a comparison reads, except the node before and after the step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LocalStep {
    /// The cause of the step.
    pub stimulus: Stimulus,
    /// Another shape in which the same input is delivered to a copy of the node.
    pub reshaped: Option<Reshaped>,
    /// The messages that enter the model's network at once, if a step of the node then waits for its sync.
    pub early: SmallVec<[Message; 2]>,
}

/// The cause of a step of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stimulus {
    /// An input of the protocol.
    Input(Input),
    /// The oldest waiting step is made durable.
    Sync,
    /// The node loses everything but its disk, and starts again.
    Crash,
}

/// Another shape of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reshaped {
    /// The message, and this one about the next slot, are also delivered as one batch.
    Batch(Message),
    /// The slot is also announced as chosen in this ballot, without the value.
    News(Ballot),
}

/// The comparisons from one pair onwards that found no difference.
#[derive(Default)]
struct Remembered {
    /// Inputs that change nothing.
    ignored: HashSet<Input>,
    /// Steps, and the pairs that they lead to: one for each state of the model's node after the step.
    taken: HashMap<LocalStep, SmallVec<[Weak<NodePair>; 1]>>,
}

impl NodePair {
    /// Returns a pair for which nothing is remembered yet.
    pub(crate) fn new(node: NodeId, model: SharedNode, tested: TestedNode) -> Self {
        let mut hasher = DefaultHasher::new();
        (node, &model, &tested).hash(&mut hasher);
        Self {
            node,
            model,
            tested,
            resends: OnceLock::new(),
            edges_hold: OnceLock::new(),
            remembered: Mutex::default(),
            digest: hasher.finish(),
        }
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().expect("no thread panics while it holds this lock")
    }
}

impl PartialEq for NodePair {
    fn eq(&self, other: &Self) -> bool {
        (self.node, &self.model, &self.tested) == (other.node, &other.model, &other.tested)
    }
}

impl Eq for NodePair {}

impl Hash for NodePair {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest);
    }
}

/// The pairs that a run has met, each of them once, with the comparisons that were made.
pub struct Memo {
    /// The pairs. Remembered steps refer to them weakly, because steps lead in circles.
    pairs: Mutex<HashSet<Arc<NodePair>>>,
    remembered_max: usize,
    remembered: AtomicUsize,
    steps: AtomicUsize,
    ignored_or_reshaped: AtomicUsize,
}

impl Memo {
    /// Returns a memo that remembers at most this many comparisons. Once it is full, further comparisons are made for every
    /// transition.
    pub fn new(remembered_max: usize) -> Self {
        Self {
            pairs: Mutex::default(),
            remembered_max,
            remembered: AtomicUsize::new(0),
            steps: AtomicUsize::new(0),
            ignored_or_reshaped: AtomicUsize::new(0),
        }
    }

    /// The number of steps that were compared.
    pub fn steps(&self) -> usize {
        self.steps.load(Relaxed)
    }

    /// The number of compared inputs that change nothing, and of inputs that were also compared in another shape.
    pub fn ignored_or_reshaped(&self) -> usize {
        self.ignored_or_reshaped.load(Relaxed)
    }

    /// Returns the known pair that equals this one, or this one if none is known. Adds it unless the memo is full.
    pub(crate) fn shared(&self, pair: NodePair) -> Arc<NodePair> {
        let mut pairs = self.pairs.lock().expect("no thread panics while it holds this lock");
        if let Some(known) = pairs.get(&pair) {
            return Arc::clone(known);
        }
        let pair = Arc::new(pair);
        if !self.is_full() {
            pairs.insert(Arc::clone(&pair));
        }
        pair
    }

    /// Returns the pair after a step. Calls `compare` unless the step is remembered.
    pub(crate) fn taken(
        &self,
        before: &NodePair,
        step: &LocalStep,
        after: SharedNode,
        compare: impl FnOnce() -> Checked<TestedNode>,
    ) -> Checked<Arc<NodePair>> {
        if let Some(known) = before.remembered().taken.get(step) {
            let mut known = known.iter().filter_map(Weak::upgrade);
            if let Some(known) = known.find(|pair| pair.model == after) {
                return Ok(known);
            }
        }
        let tested = compare()?;
        self.steps.fetch_add(1, Relaxed);
        self.ignored_or_reshaped.fetch_add(usize::from(step.reshaped.is_some()), Relaxed);
        let reached = self.shared(NodePair::new(before.node, after, tested));
        if self.remembers_one_more() {
            let reached = Arc::downgrade(&reached);
            before.remembered().taken.entry(step.clone()).or_default().push(reached);
        }
        Ok(reached)
    }

    /// Calls `compare` for an input that changes nothing, unless the input is remembered.
    pub(crate) fn ignored(
        &self,
        before: &NodePair,
        input: Input,
        compare: impl FnOnce() -> Checked,
    ) -> Checked {
        if before.remembered().ignored.contains(&input) {
            return Ok(());
        }
        compare()?;
        self.ignored_or_reshaped.fetch_add(1, Relaxed);
        if self.remembers_one_more() {
            before.remembered().ignored.insert(input);
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.remembered.load(Relaxed) >= self.remembered_max
    }

    fn remembers_one_more(&self) -> bool {
        !self.is_full() && self.remembered.fetch_add(1, Relaxed) < self.remembered_max
    }
}

impl Default for Memo {
    fn default() -> Self {
        Self::new(REMEMBERED_MAX)
    }
}
