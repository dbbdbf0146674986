//! Model and implementation side by side: a model whose states are pairs.
//!
//! Every step of the model is taken by the production replicas as well, and everything that comes of
//! it is compared: the disk, each field of the replica, the records, the messages, and which of these
//! leave before the records are durable. Inputs that change nothing in the model are delivered, too, and
//! must change nothing; so are batches as a whole, resends, heartbeats and requests for what was missed. A
//! difference becomes part of the state, and so the shortest path to it is found like any other
//! counterexample.
//!
//! Each step of the model runs the production code. What should change nothing is tried once for each
//! distinct replica, not in each state of the cluster that contains it: a replica is a pure function
//! of itself and the input, and nothing else is looked at.
//!
//! What it is not: it says nothing about a driver, a disk or a network; those are other links.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard},
};

use paxos::{Envelope, Event, Message as RealMessage, Timer};
use paxos_model::cluster::{
    AGREEMENT, Action, Bounds, BoundsError, Bug, CheckedCluster, CheckedState, Cluster,
    state::{Input, Live, Message, NodeId, Role, Slot, State},
};
use state_explorer::Explorable;
use stateright::{Model, Property};

use crate::{
    edges,
    faulty::Subject,
    pair::{Divergence, Running, Scales},
    projection::{Projection, real_node, real_slot},
};

/// The property that there is no difference.
pub const LOCKSTEP: &str = "model and implementation agree";

/// A cluster of pairs.
#[derive(Clone)]
pub struct Lockstep {
    cluster: CheckedCluster,
    projection: Projection,
    bug: Option<Bug>,
    tried: Arc<Tried>,
}

/// What was already tried without effect, by replica and input.
#[derive(Default)]
struct Tried(Mutex<HashSet<u64>>);

impl Tried {
    /// Makes a check that was not made before. A difference is not remembered: it must show again
    /// when the path to it is replayed.
    fn once(
        &self,
        running: &Running,
        input: impl Hash,
        check: impl FnOnce() -> Result<(), Box<Divergence>>,
    ) -> Result<(), Box<Divergence>> {
        let mut hasher = DefaultHasher::new();
        (running.digest(), input).hash(&mut hasher);
        let key = hasher.finish();
        if !self.known().contains(&key) {
            check()?;
            self.known().insert(key);
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

/// A state of the model, and production replicas in the same state.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The model's state.
    pub model: CheckedState,
    /// The replicas, by node.
    pub replicas: Vec<Arc<Running>>,
    /// The first difference; it ends the run.
    pub divergence: Option<Box<Divergence>>,
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
    /// Model and production replicas within some bounds.
    ///
    /// # Errors
    /// Bounds that are out of range.
    pub fn new(bounds: Bounds) -> Result<Self, BoundsError> {
        // The model's own properties are checked in its own run.
        let cluster = Cluster::new(bounds)?.with_only(&[AGREEMENT]).checked();
        Ok(Self { cluster, projection: Projection::new(bounds), bug: None, tried: Arc::default() })
    }

    /// How many distinct inputs were tried that should change nothing.
    pub fn tried(&self) -> usize {
        self.tried.known().len()
    }

    /// The same with a broken replica, which must be noticed.
    #[must_use]
    pub fn with_faulty_replica(self, bug: Bug) -> Self {
        Self { bug: Some(bug), ..self }
    }

    /// The pair before anything happened.
    pub fn start(&self) -> Pair {
        let model = self.cluster.init_states().remove(0);
        let replica = |node| {
            let config = self.projection.config(node);
            let subject = Subject::new(config, self.bug).expect("checked by the bounds");
            Arc::new(Running::new(subject, self.projection.reads()))
        };
        Pair { model, replicas: self.cluster.nodes().map(replica).collect(), divergence: None }
    }

    /// The pair after an action; nothing if it changes nothing on either side.
    pub fn successor(&self, pair: &Pair, action: Action) -> Option<Pair> {
        let next = self.cluster.after(&pair.model, &action);
        let outcome = match &next {
            Some(next) => self.follow(pair, next, action).map(Some),
            None => self.ignore(pair, action).map(|()| None),
        };
        match outcome {
            Ok(replica) => {
                let (id, running) = replica?;
                let mut replicas = pair.replicas.clone();
                replicas[usize::from(id.0)] = Arc::new(running);
                Some(Pair { model: next?, replicas, divergence: None })
            }
            Err(divergence) => Some(Pair {
                model: next.unwrap_or_else(|| pair.model.clone()),
                replicas: pair.replicas.clone(),
                divergence: Some(divergence),
            }),
        }
    }

    fn scales(&self, node: NodeId) -> Scales<'_> {
        Scales { projection: &self.projection, node }
    }

    /// Takes a step of the model with the implementation.
    fn follow(
        &self,
        pair: &Pair,
        next: &State,
        action: Action,
    ) -> Result<(NodeId, Running), Box<Divergence>> {
        if let Action::Sync(node) | Action::Crash(node) = action {
            let running = &pair.replicas[usize::from(node.0)];
            let after = next.node(node);
            let scales = self.scales(node);
            let running = match action {
                Action::Sync(_) => scales.sync(running, &after.durable)?,
                _ => scales.crash(running, &after.live)?,
            };
            scales.compare_disk(running.disk(), &after.durable)?;
            return Ok((node, running));
        }
        let (node, input) = self.cluster.input(&pair.model, action).expect("an input of a node");
        let (before, after) = (pair.model.node(node), next.node(node));
        let running = &pair.replicas[usize::from(node.0)];
        let scales = self.scales(node);
        let expected = self.cluster.step(node, &before.live, input);
        let fresh = || next.network.iter().filter(|message| !pair.model.network.contains(*message));
        let early = (!after.unsynced.is_empty()).then(|| fresh().collect());
        self.said_otherwise(pair, node, action)?;
        let running = scales.step(running, &before.live, input, &expected, early)?;
        scales.compare_disk(running.disk(), &after.durable)?;
        self.undisturbed(next, node, &running)?;
        Ok((node, running))
    }

    /// Delivers what changes nothing in the model.
    fn ignore(&self, pair: &Pair, action: Action) -> Result<(), Box<Divergence>> {
        let Some((node, input)) = self.cluster.input(&pair.model, action) else { return Ok(()) };
        let running = &pair.replicas[usize::from(node.0)];
        self.tried.once(running, (0, input), || {
            let live = &pair.model.node(node).live;
            let expected = self.cluster.step(node, live, input);
            // Not ignored, only out of bounds: too many unsynced steps, or ballots or slots that
            // this space does not have.
            if expected.live != *live || self.beyond_bounds(live, node, input) {
                return Ok(());
            }
            self.scales(node).ignores(running, live, input, &expected)
        })
    }

    /// What a production replica would do and the space has no room for.
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

    /// The same input in another shape: a batch that says this and more, or news without the value.
    fn said_otherwise(
        &self,
        pair: &Pair,
        node: NodeId,
        action: Action,
    ) -> Result<(), Box<Divergence>> {
        let running = &pair.replicas[usize::from(node.0)];
        let scales = self.scales(node);
        let live = &pair.model.node(node).live;
        match action {
            Action::Deliver { message: message @ Message::Accept { ballot, slot, .. }, .. } => {
                let following = pair.model.network.iter().find(|other| {
                    matches!(other, Message::Accept { ballot: b, slot: s, .. }
                        if *b == ballot && s.0 == slot.0 + 1)
                });
                let Some(following) = following else { return Ok(()) };
                let (from, parts) = self.accepts(&[message, following]);
                let values = parts.iter().map(|(_, value)| value.clone()).collect();
                let from = real_node(from);
                let ballot = self.projection.real_ballot(ballot);
                let whole = RealMessage::Accept { ballot, first: real_slot(slot), values };
                let whole = Event::Message { from, message: whole };
                let part = |part| self.projection.event(node, Input::Message(part));
                self.tried.once(running, (1, message, following), || {
                    let parts = [message, following].map(part).to_vec();
                    scales.batch(running, whole, parts)
                })
            }
            Action::Deliver { message: message @ Message::Accepted { .. }, .. } => {
                let Message::Accepted { ballot, slot, from, .. } = message else { return Ok(()) };
                let following = pair.model.network.iter().find(|other| {
                    matches!(other, Message::Accepted { ballot: b, slot: s, from: f, .. }
                        if *b == ballot && s.0 == slot.0 + 1 && *f == from)
                });
                let Some(following) = following else { return Ok(()) };
                let ballot = self.projection.real_ballot(ballot);
                let whole = RealMessage::Accepted { ballot, first: real_slot(slot), count: 2 };
                let whole = Event::Message { from: real_node(from), message: whole };
                let part = |part| self.projection.event(node, Input::Message(part));
                self.tried.once(running, (1, message, following), || {
                    let parts = [message, following].map(part).to_vec();
                    scales.batch(running, whole, parts)
                })
            }
            Action::Chosen { slot, ballot, value, .. } => {
                let voted = live.acceptor.votes[usize::from(slot.0)];
                let other = real_node(NodeId(u8::from(node.0 == 0)));
                let (real_ballot, first) = (self.projection.real_ballot(ballot), real_slot(slot));
                let news = RealMessage::Chosen { ballot: real_ballot, first, count: 1 };
                let news = Event::Message { from: other, message: news };
                self.tried.once(running, (2, action), || {
                    if voted.is_some_and(|vote| vote.ballot == ballot) {
                        let told = self.projection.event(node, Input::Chosen { slot, value });
                        scales.same_effect(running, told, news)
                    } else {
                        scales.unmoved(running, news).map(drop)
                    }
                })
            }
            _ => Ok(()),
        }
    }

    fn accepts(&self, messages: &[Message]) -> (NodeId, Vec<(Slot, paxos::Value)>) {
        let owner = self.projection.owner(messages[0].ballot());
        let parts = messages.iter().filter_map(|message| match message {
            Message::Accept { slot, value, .. } => {
                Some((*slot, self.projection.real_value(*value)))
            }
            _ => None,
        });
        (owner, parts.collect())
    }

    /// What a candidate or leader sends again was sent before; or waits, and then it waits again.
    fn sends_again(
        &self,
        state: &State,
        node: NodeId,
        running: &Running,
    ) -> Result<(), Box<Divergence>> {
        let waiting = &state.node(node).unsynced;
        let mut output = self.scales(node).unmoved(running, Event::Timer(Timer::Resend))?;
        let early = running.take_early(&mut output);
        self.was_sent(state, node, early, |_| false)?;
        self.was_sent(state, node, output.messages, |message| {
            waiting.iter().any(|step| step.messages.contains(message))
        })
    }

    /// These were sent before, or wait to be.
    fn was_sent(
        &self,
        state: &State,
        node: NodeId,
        mut resent: Vec<Envelope>,
        waits: impl Fn(&Message) -> bool,
    ) -> Result<(), Box<Divergence>> {
        let now = state.node(node);
        for envelope in &mut resent {
            envelope.to = match &envelope.message {
                RealMessage::Prepare { .. }
                | RealMessage::Accept { .. }
                | RealMessage::Confirm { .. } => paxos::To::Peers,
                _ => envelope.to,
            };
        }
        let sent = self.projection.sent(node, &now.live.acceptor, &resent);
        let sent = sent.map_err(|what| {
            Box::new(diverged(node, "what is sent again", "nothing new", what.0))
        })?;
        let known = |message: &Message| state.network.contains(*message) || waits(message);
        if let Some(new) = sent.messages.iter().find(|message| !known(message)) {
            return Err(Box::new(diverged(
                node,
                "what is sent again",
                "nothing new",
                format!("{new:?}"),
            )));
        }
        if !sent.nacks.is_empty() || !sent.announced.is_empty() {
            return Err(Box::new(diverged(
                node,
                "what is sent again",
                "nothing new",
                format!("{sent:?}"),
            )));
        }
        Ok(())
    }

    /// Timers and messages that the model does not have: they change nothing.
    fn undisturbed(
        &self,
        state: &State,
        node: NodeId,
        running: &Running,
    ) -> Result<(), Box<Divergence>> {
        let now = state.node(node);
        if now.live.role != Role::Follower {
            self.sends_again(state, node, running)?;
        }
        self.tried.once(running, 3, || edges::check(&self.scales(node), running))
    }
}

fn diverged(node: NodeId, field: &'static str, model: &str, implementation: String) -> Divergence {
    Divergence { node, field, model: model.to_owned(), implementation }
}

impl Model for Lockstep {
    type State = Pair;
    type Action = Action;

    fn init_states(&self) -> Vec<Pair> {
        vec![self.start()]
    }

    fn actions(&self, pair: &Pair, actions: &mut Vec<Action>) {
        if pair.divergence.is_none() {
            self.cluster.candidates(&pair.model, |action| actions.push(action));
        }
    }

    fn next_state(&self, pair: &Pair, action: Action) -> Option<Pair> {
        let next = self.successor(pair, action)?;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(LOCKSTEP, |_, pair: &Pair| pair.divergence.is_none())]
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
        Self { tried: Arc::default(), ..self.clone() }
    }

    fn describe(&self, action: &Action) -> String {
        self.cluster.describe(action)
    }
}
