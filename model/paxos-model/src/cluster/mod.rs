//! Replicas as they are built, message by message, over a log of several slots.
//!
//! [`node`] says what one node does with one input, by the [`rules`]; this module puts nodes, disks
//! and the network together. What it is not: it has no time, no sizes and no connections, and it
//! shares nothing with the implementation.
//!
//! # The network
//!
//! is the set of all messages ever sent. Any of them may arrive at any time, any number of times, or
//! never: that covers loss, duplication, reordering, delay and partition without an action for each.
//! Refusals and news of what is chosen are not kept, for they would multiply the states; they are
//! derived. A refusal that names a ballot may reach whoever is in a lower one as soon as the higher
//! was begun, since its owner itself then refuses the lower. News that a value is chosen may reach
//! anybody once a quorum has voted for it. Both are more than can really happen. (Where there are [`reads`], which
//! have to see what is known, news waits for somebody who knows.)
//!
//! # The disk
//!
//! A step of a node is durable, and its messages leave, when it is synced. Up to `unsynced` steps of
//! a node wait, the oldest is synced first, and a crash forgets those that wait. A crash that keeps
//! some of them is a sync followed by a crash: that their messages left makes no difference where any
//! message may be lost.
//!
//! A proposal does not wait: it leaves in the step itself, if the promise of its ballot is durable
//! ([`rules::Rules::leaves_early`]). Whoever lets it wait all the same is included, for any message may be late.

pub mod bounds;
pub mod bugs;
mod chosen;
pub mod fault;
mod message;
pub mod node;
mod packing;
mod properties;
pub mod reads;
pub mod refinement;
pub mod rules;
mod snapshots;
pub mod state;
pub mod step;
mod stuck;
mod symmetry;
mod types;

use std::sync::Arc;

use stateright::{Model, Property};

pub use self::{
    bounds::{Bounds, BoundsError},
    bugs::{BEYOND, Beyond, Bug, Harm},
    properties::{AGREEMENT, BELIEFS, HELD, ONE_VALUE, PROMISES_KEPT, REFINES, VALIDITY},
    reads::READS,
    snapshots::TRIMMED,
    state::State,
    stuck::NOT_STUCK,
};
use self::{
    packing::Layout,
    rules::Rules,
    state::{Ballot, Live, Message, Network, Node, NodeId, Slot, Unsynced, Value, Witness},
    step::{Input, Step},
};
use crate::synod::Synod;
use state_explorer::{
    Explorable, Packing, Symmetry, flag,
    packing::{Packer, Unpacker},
};

/// The model of a cluster.
#[derive(Clone)]
pub struct Cluster {
    rules: Rules,
    spec: Arc<Synod>,
    /// The properties that are looked for; all if none is named.
    only: Vec<&'static str>,
    not_stuck: bool,
}

/// What can happen in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A node tries to become the leader.
    Campaign(NodeId),
    /// Clients ask a leader for values in the next free slots.
    Propose {
        /// The leader.
        node: NodeId,
        /// How many slots at once.
        count: u8,
    },
    /// A message arrives.
    Deliver {
        /// Where.
        to: NodeId,
        /// What.
        message: Message,
    },
    /// A refusal arrives.
    Nack {
        /// At whom.
        to: NodeId,
        /// The ballot that the refusing node has promised.
        promised: Ballot,
    },
    /// News of a chosen value arrives.
    Chosen {
        /// At whom.
        to: NodeId,
        /// The slot.
        slot: Slot,
        /// The ballot in which a quorum voted.
        ballot: Ballot,
        /// The value.
        value: Value,
    },
    /// A client asks a leader to read.
    Read(NodeId),
    /// A snapshot is durable at a node, its own or another's.
    Snapshot {
        /// At whom.
        to: NodeId,
        /// It has the effect of every slot below in it.
        below: Slot,
    },
    /// The oldest waiting step of a node is made durable, and its messages leave.
    Sync(NodeId),
    /// A node loses everything but its disk, and starts again.
    Crash(NodeId),
}

impl Cluster {
    /// The cluster within some bounds.
    ///
    /// # Errors
    /// Bounds that are out of range.
    pub fn new(bounds: Bounds) -> Result<Self, BoundsError> {
        bounds.validate()?;
        let spec = Arc::new(refinement::specification(&bounds));
        Ok(Self { rules: Rules { bounds, bug: None }, spec, only: Vec::new(), not_stuck: false })
    }

    /// The same cluster with a bug in it.
    #[must_use]
    pub fn with_bug(self, bug: Bug) -> Self {
        Self { rules: Rules { bug: Some(bug), ..self.rules }, ..self }
    }

    /// The same cluster, and in each state it is looked for whether it is [stuck](NOT_STUCK). It takes time,
    /// so that it is not done unasked.
    #[must_use]
    pub fn with_not_stuck(self) -> Self {
        Self { not_stuck: true, ..self }
    }

    /// The same cluster with only some of its properties. Steps are held against the specification only if
    /// that is one of them.
    #[must_use]
    pub fn with_only(self, properties: &[&'static str]) -> Self {
        Self { only: properties.to_vec(), ..self }
    }

    /// Its bounds.
    pub fn bounds(&self) -> &Bounds {
        &self.rules.bounds
    }

    /// The bug in it, if it has one.
    pub fn bug(&self) -> Option<Bug> {
        self.rules.bug
    }

    /// Whether steps are held against the specification in this run: unless another property is
    /// looked for, which a fault would cut short.
    fn refines(&self) -> bool {
        self.only.is_empty() || self.only.contains(&REFINES)
    }

    /// What a node does with an input, for whoever compares it with something else.
    pub fn step(&self, me: NodeId, live: &Live, input: Input) -> Step {
        self.rules.step(me, live, input)
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.rules.bounds.nodes).map(NodeId)
    }

    /// The input that an action is for a node, if it is one for a node alone.
    pub fn input(&self, state: &State, action: Action) -> Option<(NodeId, Input)> {
        Some(match action {
            Action::Campaign(node) => (node, Input::Campaign),
            Action::Propose { node, count } => (node, Input::Propose { count }),
            Action::Deliver { to, message } => (to, Input::Message(message)),
            Action::Nack { to, promised } => {
                let ballot = state.node(to).live.acceptor.promised?;
                (to, Input::Nack { ballot, promised })
            }
            Action::Chosen { to, slot, value, .. } => (to, Input::Chosen { slot, value }),
            Action::Read(node) => (node, Input::Read),
            Action::Snapshot { to, below } => (to, Input::Snapshot { below }),
            Action::Sync(_) | Action::Crash(_) => return None,
        })
    }

    /// To whom a message in the network may be delivered.
    pub fn receivers(&self, message: Message) -> impl Iterator<Item = NodeId> + use<> {
        let owner = self.rules.bounds.owner(message.ballot());
        let to_owner = message.answered_by().is_some();
        self.nodes().filter(move |&node| (node == owner) == to_owner)
    }

    /// All actions that may be tried in a state; many of them change nothing.
    pub fn candidates(&self, state: &State, mut offer: impl FnMut(Action)) {
        let bounds = &self.rules.bounds;
        for node in self.nodes() {
            offer(Action::Campaign(node));
            for count in 1..=bounds.slots {
                offer(Action::Propose { node, count });
            }
            self.offer_read(state, node, &mut offer);
            self.offer_snapshots(state, node, &mut offer);
            offer(Action::Sync(node));
            offer(Action::Crash(node));
        }
        for message in state.network.iter() {
            let own = message.answered_by();
            for to in self.receivers(message).filter(|&to| Some(to) != own) {
                offer(Action::Deliver { to, message });
            }
            if let Message::Prepare { ballot } = message
                && bounds.nacks
            {
                for to in self.nodes().filter(|&to| self.can_be_refused(state, to, ballot)) {
                    offer(Action::Nack { to, promised: ballot });
                }
            }
        }
        if bounds.chosen && bounds.nodes > 1 {
            for slot in (0..bounds.slots).map(Slot) {
                for (vote, voters) in state.ballots_voted(slot) {
                    if voters.len() >= bounds.phase2_quorum && self.can_be_told(state, slot) {
                        for to in self.nodes() {
                            let (ballot, value) = (vote.ballot, vote.value);
                            offer(Action::Chosen { to, slot, ballot, value });
                        }
                    }
                }
            }
        }
    }

    /// A node hears a refusal only once its own ballot is known to somebody.
    fn can_be_refused(&self, state: &State, to: NodeId, promised: Ballot) -> bool {
        let current = state.node(to).live.acceptor.promised;
        current.is_some_and(|ballot| {
            ballot < promised
                && self.rules.bounds.owner(ballot) == to
                && state.network.contains(Message::Prepare { ballot })
        })
    }

    /// The state after an action, or nothing if it changes nothing or may not happen.
    pub fn successor(&self, state: &State, action: Action) -> Option<State> {
        match action {
            Action::Sync(node) => self.sync(state, node),
            Action::Crash(node) => self.crash(state, node),
            Action::Campaign(node) if node.0 >= self.rules.bounds.campaigners => None,
            _ => {
                let (node, input) = self.input(state, action)?;
                let step = self.rules.step(node, &state.node(node).live, input);
                let answer = step.answer;
                let mut next = self.take(state, node, step)?;
                self.witness(state, node, answer, &mut next);
                Some(next)
            }
        }
    }

    fn take(&self, state: &State, id: NodeId, mut step: Step) -> Option<State> {
        let node = state.node(id);
        step.messages.retain(|message| !state.network.contains(*message));
        if step.live == node.live && step.messages.is_empty() {
            return None;
        }
        let records = step.live.acceptor != node.live.acceptor;
        let waits = usize::from(self.rules.bounds.unsynced);
        if waits == 0 || (!records && node.unsynced.is_empty()) {
            let disk = step.live.acceptor;
            let mut next = self.release(state, id, disk, &step.messages);
            next.nodes[usize::from(id.0)].live = step.live;
            return Some(next);
        }
        if records && node.unsynced.len() == waits {
            return None; // Something has to be synced first.
        }
        let leaves = |message: &Message| self.rules.leaves_early(node.durable.promised, *message);
        let (early, late): (Vec<_>, Vec<_>) = step.messages.into_iter().partition(leaves);
        let mut next = match early[..] {
            [] => state.clone(),
            // The disk is as it was.
            _ => self.release(state, id, node.durable, &early),
        };
        let node = &mut next.nodes[usize::from(id.0)];
        node.live = step.live;
        if records {
            node.unsynced.push(Unsynced { acceptor: step.live.acceptor, messages: late });
        } else if let Some(last) = node.unsynced.last_mut() {
            // Without records of its own, it leaves with the last step before it.
            for message in late {
                if !last.messages.contains(&message) {
                    last.messages.push(message);
                }
            }
            last.messages.sort_unstable();
        }
        (next != *state).then_some(next)
    }

    fn sync(&self, state: &State, id: NodeId) -> Option<State> {
        let oldest = state.node(id).unsynced.first()?;
        let mut next = self.release(state, id, oldest.acceptor, &oldest.messages);
        next.nodes[usize::from(id.0)].unsynced.remove(0);
        self.witness(state, id, None, &mut next);
        Some(next)
    }

    fn crash(&self, state: &State, id: NodeId) -> Option<State> {
        let bounded = self.rules.bounds.crashes;
        if bounded.is_some_and(|most| state.crashes == most) {
            return None;
        }
        let node = state.node(id);
        let disk = self.rules.recovers(id, node.durable);
        let live = Live { acceptor: disk, ..Live::default() };
        let after = Node { durable: disk, unsynced: Vec::new(), live };
        if *node == after {
            return None;
        }
        let mut next = state.clone();
        next.nodes[usize::from(id.0)] = after;
        next.crashes += u8::from(bounded.is_some());
        self.witness(state, id, None, &mut next);
        Some(next)
    }

    /// What is durable has happened: the disk changes, messages leave, the specification is asked. What leaves
    /// early has happened, too.
    fn release(&self, state: &State, id: NodeId, disk: state::Acceptor, sent: &[Message]) -> State {
        let mut next = state.clone();
        if self.refines() {
            let bounds = &self.rules.bounds;
            next.fault = refinement::check(&self.spec, bounds, state, id, &disk, sent);
        }
        next.nodes[usize::from(id.0)].durable = disk;
        for &message in sent {
            next.network.insert(message);
        }
        next
    }
}

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            nodes: self.nodes().map(|_| Node::default()).collect(),
            network: Network::default(),
            crashes: 0,
            witness: Witness::default(),
            fault: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.fault.is_none() {
            self.candidates(state, |action| actions.push(action));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.successor(state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = properties::all(self);
        all.retain(|property| self.only.is_empty() || self.only.contains(&property.name));
        all
    }
}

impl Explorable for Cluster {
    const KINDS: &'static [&'static str] = &[
        "campaign",
        "propose",
        "prepare",
        "promise",
        "accept",
        "accepted",
        "nack",
        "chosen",
        "sync",
        "crash",
        "snapshot",
        "read",
        "confirm",
        "confirmed",
    ];

    fn title(&self) -> String {
        let title = self.rules.bounds.title("cluster");
        match self.rules.bug {
            None => title,
            Some(bug) => format!("{title}; broken by bug {}: {}", bug.label(), bug.name()),
        }
    }

    /// The title leaves out what is as usual.
    fn identity(&self) -> String {
        let bug = self.rules.bug.map_or("none".to_owned(), Bug::label);
        format!("cluster: {:?}, bug: {bug}", self.rules.bounds)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let bounds = &self.rules.bounds;
        let optional = |option, value: Option<String>| match value {
            Some(value) => format!("{option} {value}"),
            None => format!("no {option}"),
        };
        vec![
            ("model", "check cluster".to_owned()),
            ("nodes", format!("--nodes {}", bounds.nodes)),
            ("slots", format!("--slots {}", bounds.slots)),
            ("ballots", format!("--ballots {}", bounds.ballots)),
            ("campaigners", format!("--campaigners {}", bounds.campaigners)),
            ("values", format!("--values {}", bounds.values)),
            ("phase1-quorum", format!("--phase1-quorum {}", bounds.phase1_quorum)),
            ("phase2-quorum", format!("--phase2-quorum {}", bounds.phase2_quorum)),
            ("crashes", optional("--crashes", bounds.crashes.map(|most| most.to_string()))),
            ("unsynced", format!("--unsynced {}", bounds.unsynced)),
            ("no-nack", flag("--no-nack", !bounds.nacks)),
            ("no-chosen", flag("--no-chosen", !bounds.chosen)),
            ("snapshots", flag("--snapshots", bounds.snapshots)),
            ("reads", format!("--reads {}", bounds.reads)),
            ("not-stuck", flag("--not-stuck", self.not_stuck)),
            ("bug", optional("--bug", self.rules.bug.map(Bug::label))),
        ]
    }

    fn kind(action: &Action) -> usize {
        match action {
            Action::Campaign(_) => 0,
            Action::Propose { .. } => 1,
            Action::Deliver { message: Message::Prepare { .. }, .. } => 2,
            Action::Deliver { message: Message::Promise { .. }, .. } => 3,
            Action::Deliver { message: Message::Accept { .. }, .. } => 4,
            Action::Deliver { message: Message::Accepted { .. }, .. } => 5,
            Action::Deliver { message: Message::Confirm { .. }, .. } => 12,
            Action::Deliver { message: Message::Confirmed { .. }, .. } => 13,
            Action::Nack { .. } => 6,
            Action::Chosen { .. } => 7,
            Action::Sync(_) => 8,
            Action::Crash(_) => 9,
            Action::Snapshot { .. } => 10,
            Action::Read(_) => 11,
        }
    }

    fn leaves_out(&self, kind: usize) -> bool {
        let bounds = &self.rules.bounds;
        match Self::KINDS[kind] {
            "nack" => !bounds.nacks,
            "chosen" => !bounds.chosen,
            "sync" => bounds.unsynced == 0,
            "crash" => bounds.crashes == Some(0),
            "snapshot" => !bounds.snapshots,
            "read" | "confirm" | "confirmed" => bounds.reads == 0,
            _ => false,
        }
    }

    fn packing(&self) -> Option<&dyn Packing<State>> {
        Some(self)
    }

    fn symmetry(&self) -> Option<&dyn Symmetry<State>> {
        self.rules.bug.is_none().then_some(self as _)
    }

    /// Messages are never taken back, nor crashes.
    fn may_lead_to(&self, state: &State, target: &State) -> bool {
        state.crashes <= target.crashes && state.network.is_subset(&target.network)
    }

    fn smaller(&self) -> Option<Self> {
        let bounds = self.rules.bounds;
        let bounds = Bounds { ballots: bounds.ballots - 1, ..bounds };
        let smaller = Self::new(bounds).ok()?;
        Some(Self { rules: Rules { bounds, ..self.rules }, only: self.only.clone(), ..smaller })
    }

    fn only(&self, property: &'static str) -> Self {
        self.clone().with_only(&[property])
    }

    fn describe(&self, action: &Action) -> String {
        match action {
            Action::Campaign(node) => format!("{node:?} campaigns"),
            Action::Propose { node, count } => format!("{node:?} proposes in {count} slots"),
            Action::Deliver { to, message } => format!("{to:?} gets {message:?}"),
            Action::Nack { to, promised } => {
                format!("{to:?} is refused: b{} was promised", promised.0)
            }
            Action::Chosen { to, slot, ballot, value } => {
                format!("{to:?} hears that b{} got v{} chosen in {slot:?}", ballot.0, value.0)
            }
            Action::Read(node) => format!("{node:?} is asked to read"),
            Action::Snapshot { to, below } => format!("{to:?} has a snapshot below {below:?}"),
            Action::Sync(node) => format!("{node:?} syncs"),
            Action::Crash(node) => format!("{node:?} crashes and starts again"),
        }
    }
}

impl Packing<State> for Cluster {
    fn pack(&self, state: &State, packer: &mut Packer) {
        packing::pack(Layout::new(&self.rules), state, packer);
    }

    fn unpack(&self, unpacker: &mut Unpacker<'_>) -> State {
        packing::unpack(Layout::new(&self.rules), unpacker)
    }
}
