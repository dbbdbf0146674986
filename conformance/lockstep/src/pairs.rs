//! Model and implementation side by side: a model whose states are pairs.
//!
//! The production replicas take every step of the model, and the [comparator](crate::comparator) compares the results.
//! Further checks follow each step:
//!
//! - An input that changes nothing in the model is delivered to the replica, too, and must change nothing.
//! - A batch is delivered as a whole and by parts. A chosen value is announced with and without the value.
//! - The messages that a node sends again were sent before.
//! - The states satisfy the invariant of one node, and the messages that of messages and of their receivers. A mutant may
//!   break them.
//! - Inputs that the model does not have are tried on each distinct node after an input ([`edges`]).
//!
//! A difference becomes part of the state. So the search finds the shortest path to it, as to any other counterexample. A
//! step of one node that was compared before is not compared again; [`memo`](crate::memo) says why that loses nothing.
//!
//! The lockstep says nothing about a driver, a disk or a network.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use paxos::{Event, Message as RealMessage, Timer, To};
use paxos_model::cluster::{
    AGREEMENT, Action, Bounds, BoundsError, Bug, CheckedCluster, CheckedState, Cluster,
    state::{Input, Live, Message, NODES_MAX, Node, NodeId, Role, State},
};
use smallvec::SmallVec;
use state_explorer::{Explorable, WithHistory};
use stateright::{Model, Property};

use crate::{
    comparator::{Checked, Comparator, Divergence},
    edges,
    memo::{LocalStep, Memo, NodePair, Resends, Reshaped, Stimulus},
    mutants::TestedReplica,
    projection::{Projection, real_node, real_slot},
    tested::TestedNode,
};

/// The property that there is no difference.
pub const LOCKSTEP: &str = "model and implementation agree";

/// A model of a cluster whose states are pairs.
#[derive(Clone)]
pub struct Lockstep {
    cluster: CheckedCluster,
    projection: Projection,
    mutant: Option<Bug>,
    memo: Arc<Memo>,
}

/// A state of the model, and nodes under test in the same state.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The model's state.
    pub model: CheckedState,
    /// Each node on both sides.
    pub nodes: SmallVec<[Arc<NodePair>; NODES_MAX]>,
    /// The first difference. A pair with a difference has no successors.
    pub divergence: Option<Box<Divergence>>,
}

impl Hash for Pair {
    /// Hashes each node of the model by the digest of its pair, which is computed once. This does not compile if the
    /// model's state has a field that is not named here.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let WithHistory { state: State { nodes: _, network }, history } = &self.model;
        self.nodes.iter().for_each(|pair| pair.hash(state));
        (network, history, &self.divergence).hash(state);
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.model)?;
        match &self.divergence {
            None => Ok(()),
            Some(divergence) => write!(f, "DIVERGED: {divergence}"),
        }
    }
}

impl Lockstep {
    /// Returns the lockstep of model and production replicas within these bounds.
    ///
    /// # Errors
    /// Fails if the bounds are out of range.
    pub fn new(bounds: Bounds) -> Result<Self, BoundsError> {
        // The properties of the model are checked in the run of the model.
        let cluster = Cluster::new(bounds)?.with_only(&[AGREEMENT]).checked();
        let memo = Arc::new(Memo::default());
        Ok(Self { cluster, projection: Projection::new(bounds), mutant: None, memo })
    }

    /// The comparisons that were made.
    pub fn memo(&self) -> &Memo {
        &self.memo
    }

    /// Returns the same lockstep with another memo, which must be empty.
    #[must_use]
    pub fn with_memo(self, memo: Memo) -> Self {
        Self { memo: Arc::new(memo), ..self }
    }

    /// Returns the same lockstep with a mutant in place of each replica.
    #[must_use]
    pub fn with_mutant(self, mutant: Bug) -> Self {
        Self { mutant: Some(mutant), memo: Arc::new(Memo::default()), ..self }
    }

    /// The pair before any step.
    pub fn start(&self) -> Pair {
        let model = self.cluster.init_states().remove(0);
        let pair = |node| {
            let config = self.projection.config(node);
            let replica = TestedReplica::new(config, self.mutant).expect("checked by the bounds");
            let tested = TestedNode::new(replica, self.projection.reads());
            self.memo.shared(NodePair::new(node, model.nodes[usize::from(node.0)], tested))
        };
        let nodes = self.cluster.nodes().map(pair).collect();
        Pair { model, nodes, divergence: None }
    }

    /// Returns the pair after an action, or `None` if the action changes nothing on either side. If the sides differ, the
    /// pair contains the difference.
    pub fn successor(&self, pair: &Pair, action: Action) -> Option<Pair> {
        let next = self.cluster.after(&pair.model, &action);
        let outcome = match &next {
            Some(next) => self.follow(pair, next, action).map(Some),
            None => self.ignore(pair, action).map(|()| None),
        };
        match outcome {
            Ok(reached) => {
                let reached = reached?;
                let mut nodes = pair.nodes.clone();
                let place = usize::from(reached.node.0);
                nodes[place] = reached;
                let model = next?;
                debug_assert!(
                    nodes.iter().map(|pair| pair.model).eq(model.nodes.iter().copied()),
                    "an action changes one node"
                );
                Some(Pair { model, nodes, divergence: None })
            }
            Err(divergence) => Some(Pair {
                model: next.unwrap_or_else(|| pair.model.clone()),
                nodes: pair.nodes.clone(),
                divergence: Some(divergence),
            }),
        }
    }

    /// Returns the comparator of a node.
    pub fn comparator(&self, node: NodeId) -> Comparator<'_> {
        Comparator { projection: &self.projection, node, invariants: self.mutant.is_none() }
    }

    /// Takes a step of the model with the node under test, and returns the node on both sides after the step.
    fn follow(&self, pair: &Pair, next: &State, action: Action) -> Checked<Arc<NodePair>> {
        let (node, stimulus) = match action {
            Action::Sync(node) => (node, Stimulus::Sync),
            Action::Crash(node) => (node, Stimulus::Crash),
            _ => {
                let input = self.cluster.input(&pair.model, action);
                let (node, input) = input.expect("other actions are inputs of a node");
                (node, Stimulus::Input(input))
            }
        };
        let place = usize::from(node.0);
        let (before, after) = (&pair.nodes[place], next.nodes[place]);
        let input = matches!(stimulus, Stimulus::Input(_));
        let early = if input && !after.unsynced.is_empty() {
            // Both networks are sorted, and messages are only added.
            let mut known = pair.model.network.iter().peekable();
            let is_new = |message: &Message| known.next_if_eq(message).is_none();
            next.network.iter().filter(is_new).collect()
        } else {
            SmallVec::new()
        };
        let step = LocalStep { stimulus, reshaped: self.reshaped(&pair.model, action), early };
        let compare = || self.compare(before, &step, &after);
        let reached = self.memo.taken(before, &step, after, compare)?;
        if input {
            self.undisturbed(next, &reached)?;
        }
        Ok(reached)
    }

    /// Compares a step of one node. Reads its arguments and nothing else of the state of the cluster, so that the
    /// [memo](crate::memo) can replace the comparison.
    fn compare(&self, before: &NodePair, step: &LocalStep, after: &Node) -> Checked<TestedNode> {
        let NodePair { node, model, tested, .. } = before;
        let comparator = self.comparator(*node);
        let tested = match step.stimulus {
            Stimulus::Sync => comparator.sync(tested, &after.durable)?,
            Stimulus::Crash => comparator.crash(tested, &after.live)?,
            Stimulus::Input(input) => {
                if let Some(reshaped) = step.reshaped {
                    self.compare_reshaped(before, input, reshaped)?;
                }
                let expected = self.cluster.step(*node, &model.live, input);
                let early = (!after.unsynced.is_empty()).then(|| step.early.to_vec());
                comparator.step(tested, &model.live, input, &expected, early)?
            }
        };
        comparator.compare_disk(tested.disk(), &after.durable)?;
        Ok(tested)
    }

    /// Delivers an action that changes nothing in the model. The replica must not change either.
    fn ignore(&self, pair: &Pair, action: Action) -> Checked {
        let Some((node, input)) = self.cluster.input(&pair.model, action) else { return Ok(()) };
        let before = &pair.nodes[usize::from(node.0)];
        self.memo.ignored(before, input, || {
            let NodePair { model, tested, .. } = &**before;
            let expected = self.cluster.step(node, &model.live, input);
            // In these two cases the node acts on the input, but the space has no room for the effect. Too many steps
            // would wait for their sync, or the ballot or slot would be out of bounds.
            if expected.live != model.live || self.beyond_bounds(&model.live, node, input) {
                return Ok(());
            }
            self.comparator(node).ignores(tested, &model.live, input, &expected)
        })
    }

    /// Returns true if a production replica acts on the input and the space has no room for the effect.
    fn beyond_bounds(&self, live: &Live, node: NodeId, input: Input) -> bool {
        let leads = matches!(live.role, Role::Leader { .. });
        let bounds = self.cluster.bounds();
        match input {
            Input::Campaign => {
                !leads
                    && (node.0 >= bounds.campaigners
                        || bounds.next_ballot(node, live.acceptor.promised).is_none())
            }
            Input::Propose { .. } | Input::Read => leads,
            _ => false,
        }
    }

    /// Returns another shape of an input: a batch with the message of the next slot, or an announcement without the value.
    fn reshaped(&self, state: &State, action: Action) -> Option<Reshaped> {
        match action {
            Action::Chosen { ballot, .. } => Some(Reshaped::News(ballot)),
            Action::Deliver { message, .. } if self.cluster.bounds().slots > 1 => {
                let follows = |other: &Message| match (message, *other) {
                    (
                        Message::Accept { ballot, slot, .. },
                        Message::Accept { ballot: b, slot: s, .. },
                    ) => b == ballot && s.0 == slot.0 + 1,
                    (
                        Message::Accepted { ballot, slot, from, .. },
                        Message::Accepted { ballot: b, slot: s, from: f, .. },
                    ) => b == ballot && s.0 == slot.0 + 1 && f == from,
                    _ => false,
                };
                match message {
                    Message::Accept { .. } | Message::Accepted { .. } => {
                        state.network.iter().find(follows).map(Reshaped::Batch)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Delivers an input in another shape to a copy. The effect must be the same.
    fn compare_reshaped(&self, before: &NodePair, input: Input, reshaped: Reshaped) -> Checked {
        let NodePair { node, model, tested, .. } = before;
        let (comparator, live) = (self.comparator(*node), &model.live);
        let projection = &self.projection;
        let event = |input| projection.event(*node, input);
        match (input, reshaped) {
            (Input::Message(message), Reshaped::Batch(following)) => {
                let ballot = projection.real_ballot(message.ballot());
                let (from, whole) = match (message, following) {
                    (Message::Accept { slot, value, .. }, Message::Accept { value: next, .. }) => {
                        let values = [value, next].map(|value| projection.real_value(value)).into();
                        let whole = RealMessage::Accept { ballot, first: real_slot(slot), values };
                        (projection.owner(message.ballot()), whole)
                    }
                    (Message::Accepted { slot, from, .. }, _) => {
                        let first = real_slot(slot);
                        (from, RealMessage::Accepted { ballot, first, count: 2 })
                    }
                    _ => unreachable!(
                        "only votes and their answers have a slot that another follows"
                    ),
                };
                let whole = Event::Message { from: real_node(from), message: whole };
                let parts = [message, following].map(|part| event(Input::Message(part)));
                comparator.batch(tested, whole, parts.to_vec())
            }
            (Input::Chosen { slot, .. }, Reshaped::News(ballot)) => {
                let voted = live.acceptor.votes[usize::from(slot.0)];
                let other = real_node(NodeId(u8::from(node.0 == 0)));
                let (real_ballot, first) = (projection.real_ballot(ballot), real_slot(slot));
                let news = RealMessage::Chosen { ballot: real_ballot, first, count: 1 };
                let news = Event::Message { from: other, message: news };
                if voted.is_some_and(|vote| vote.ballot == ballot) {
                    comparator.same_effect(tested, event(input), news)
                } else {
                    comparator.unmoved(tested, news).map(drop)
                }
            }
            _ => unreachable!("an input has a shape of its own kind"),
        }
    }

    /// Checks that timers, and messages that the model does not have, change nothing.
    fn undisturbed(&self, state: &State, reached: &NodePair) -> Checked {
        self.sends_nothing_new(state, reached)?;
        if reached.edges_hold.get().is_none() {
            edges::check(&self.comparator(reached.node), &reached.tested)?;
            reached.edges_hold.get_or_init(|| ());
        }
        Ok(())
    }

    /// Checks the messages that a candidate or leader sends again. Each must have been sent before, or must still wait for
    /// a sync in both cases.
    fn sends_nothing_new(&self, state: &State, reached: &NodePair) -> Checked {
        let Resends { early, late } = if let Some(known) = reached.resends.get() {
            known
        } else {
            let resends = self.resends(reached)?;
            reached.resends.get_or_init(|| resends)
        };
        let sent = |message: &Message| state.network.contains(*message);
        let waits = |message: &Message| {
            reached.model.unsynced.iter().any(|step| step.messages.contains(message))
        };
        let new_early = early.iter().find(|message| !sent(message));
        let new_late = || late.iter().find(|message| !sent(message) && !waits(message));
        match new_early.or_else(new_late) {
            None => Ok(()),
            Some(new) => self.comparator(reached.node).differ(RESENT, "nothing new", new),
        }
    }

    /// Returns the messages that a candidate or leader sends again, in the model's terms.
    fn resends(&self, pair: &NodePair) -> Checked<Resends> {
        let NodePair { node, model, tested, .. } = pair;
        if model.live.role == Role::Follower {
            return Ok(Resends::default());
        }
        let comparator = self.comparator(*node);
        let mut output = comparator.unmoved(tested, Event::Timer(Timer::Resend))?;
        let early = tested.take_early(&mut output);
        let in_words = |mut resent: Vec<paxos::Envelope>| {
            for envelope in &mut resent {
                envelope.to = match &envelope.message {
                    RealMessage::Prepare { .. }
                    | RealMessage::Accept { .. }
                    | RealMessage::Confirm { .. } => To::Peers,
                    _ => envelope.to,
                };
            }
            let sent = self.projection.sent(*node, &model.live.acceptor, &resent);
            let sent = comparator.mapped(RESENT, sent)?;
            if !sent.nacks.is_empty() || !sent.announced.is_empty() {
                return comparator.differ(RESENT, "nothing new", sent);
            }
            Ok(sent.messages)
        };
        Ok(Resends { early: in_words(early)?, late: in_words(output.held().messages.clone())? })
    }
}

const RESENT: &str = "resent messages";

impl Model for Lockstep {
    /// The pair is in a box, because a queue has room for many more states than are in it.
    type State = Box<Pair>;
    type Action = Action;

    fn init_states(&self) -> Vec<Box<Pair>> {
        vec![Box::new(self.start())]
    }

    fn actions(&self, pair: &Box<Pair>, actions: &mut Vec<Action>) {
        if pair.divergence.is_none() {
            self.cluster.candidates(&pair.model, |action| actions.push(action));
        }
    }

    fn next_state(&self, pair: &Box<Pair>, action: Action) -> Option<Box<Pair>> {
        self.successor(pair, action).map(Box::new)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let agree = |_: &Self, pair: &<Self as Model>::State| pair.divergence.is_none();
        vec![Property::always(LOCKSTEP, agree)]
    }
}

impl Explorable for Lockstep {
    const KINDS: &'static [&'static str] = Cluster::KINDS;

    fn title(&self) -> String {
        self.cluster.bounds().title("lockstep")
    }

    fn kind(action: &Action) -> usize {
        Cluster::kind(action)
    }

    fn only(&self, _: &'static str) -> Self {
        Self { memo: Arc::new(Memo::default()), ..self.clone() }
    }

    fn describe(&self, action: &Action) -> String {
        self.cluster.describe(action)
    }
}
