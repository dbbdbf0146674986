//! The model: nodes, disks and network together, action by action.

use super::{
    action::Action,
    bounds::{Bounds, BoundsError},
    bugs::Bug,
    node::{rules::Rules, small::Small},
    state::{
        Acceptor, Ballot, Input, Live, Message, Node, NodeId, Request, Slot, State, Step, Unsynced,
        Vote,
    },
};

/// The model of a cluster. A state consists of the nodes, their disks and the network. [`Cluster::checked`] adds the
/// properties that depend on the past.
#[derive(Clone)]
pub struct Cluster {
    pub(super) rules: Rules<Small>,
    /// The properties to check. An empty list means all.
    pub(super) only: Vec<&'static str>,
    pub(super) not_stuck: bool,
}

impl Cluster {
    /// Returns the cluster within some bounds.
    ///
    /// # Errors
    /// Fails if the bounds are not [valid](Bounds::validate).
    pub fn new(bounds: Bounds) -> Result<Self, BoundsError> {
        bounds.validate()?;
        Ok(Self { rules: Rules { limits: bounds, bug: None }, only: Vec::new(), not_stuck: false })
    }

    /// Returns the same cluster with a bug in it.
    #[must_use]
    pub fn with_bug(self, bug: Bug) -> Self {
        Self { rules: Rules { bug: Some(bug), ..self.rules }, ..self }
    }

    /// Returns the same cluster, with the property that no state is [stuck](super::NOT_STUCK). A cluster does not have the
    /// property by default, because its check takes much time.
    #[must_use]
    pub fn with_not_stuck(self) -> Self {
        Self { not_stuck: true, ..self }
    }

    /// Returns the same cluster with only some of its properties.
    #[must_use]
    pub fn with_only(self, properties: &[&'static str]) -> Self {
        Self { only: properties.to_vec(), ..self }
    }

    /// Returns the bounds.
    pub const fn bounds(&self) -> &Bounds {
        &self.rules.limits
    }

    /// Returns the bug of the cluster, if it has one.
    pub const fn bug(&self) -> Option<Bug> {
        self.rules.bug
    }

    /// Returns true if a property is to be checked.
    pub(super) fn looks_for(&self, property: &str) -> bool {
        self.only.is_empty() || self.only.contains(&property)
    }

    /// Returns the step of a node on an input.
    pub fn step(&self, me: NodeId, live: &Live, input: Input) -> Step {
        self.rules.step(me, *live, input)
    }

    /// Returns all nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.bounds().nodes).map(NodeId)
    }

    /// Returns all slots.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.bounds().slots).map(Slot)
    }

    /// Returns each vote that a quorum of nodes has cast, slot by slot.
    pub fn chosen_votes<'a>(&'a self, state: &'a State) -> impl Iterator<Item = (Slot, Vote)> + 'a {
        self.slots().flat_map(move |slot| {
            let voted = state.ballots_voted(slot).into_iter();
            let quorum = self.bounds().phase2_quorum;
            let chosen = voted.filter(move |(_, voters)| voters.len() >= quorum);
            chosen.map(move |(vote, _)| (slot, vote))
        })
    }

    /// Returns the node that takes an action, and the input that the node gets. Returns none for a sync and a crash, which
    /// are no inputs, and for a refusal at a node that has promised no ballot.
    pub fn input(&self, state: &State, action: Action) -> Option<(NodeId, Input)> {
        Some(match action {
            Action::Campaign(node) => (node, Input::Campaign),
            Action::Propose { node, count } => {
                let prepared = state.node(node).live.acceptor.promised;
                let value = self.bounds().client_value(prepared.unwrap_or(Ballot(0)));
                (node, Input::Propose { request: Request { value, count } })
            }
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

    /// Returns the nodes that a message in the network may be delivered to.
    pub fn receivers(&self, message: Message) -> impl Iterator<Item = NodeId> + use<> {
        let owner = self.bounds().owner(message.ballot());
        let to_owner = message.answered_by().is_some();
        self.nodes().filter(move |&node| (node == owner) == to_owner)
    }

    /// Offers all actions to try in a state. Many of them change nothing.
    pub fn candidates(&self, state: &State, mut offer: impl FnMut(Action)) {
        let bounds = self.bounds();
        for node in self.nodes() {
            offer(Action::Campaign(node));
            for count in 1..=bounds.slots {
                offer(Action::Propose { node, count });
            }
            if self.takes_read(state, node) {
                offer(Action::Read(node));
            }
            self.offer_snapshots(state, node, &mut offer);
            offer(Action::Sync(node));
            offer(Action::Crash(node));
        }
        for message in state.network.iter() {
            let own = message.answered_by();
            for to in self.receivers(message).filter(|&to| Some(to) != own) {
                offer(Action::Deliver { to, message });
            }
            if let Message::Prepare { ballot, .. } = message
                && bounds.nacks
            {
                for to in self.nodes().filter(|&to| self.can_be_refused(state, to, ballot)) {
                    offer(Action::Nack { to, promised: ballot });
                }
            }
        }
        if bounds.chosen && bounds.nodes > 1 {
            self.offer_news(state, &mut offer);
        }
    }

    /// Returns true if a client may ask a node to read: the bounds include reads, and a leader has room for one more.
    fn takes_read(&self, state: &State, node: NodeId) -> bool {
        let reads = state.node(node).live.reads();
        self.bounds().reads > 0 && reads.is_none_or(|reads| self.rules.takes_read(reads))
    }

    /// Offers the snapshots that a node may take or get from another node.
    pub(super) fn offer_snapshots(
        &self,
        state: &State,
        node: NodeId,
        offer: &mut impl FnMut(Action),
    ) {
        if self.bounds().snapshots {
            let trimmed = state.node(node).live.acceptor.trimmed;
            let ends = trimmed.0 + 1..=self.coverable(state, node).0;
            ends.map(Slot).for_each(|below| offer(Action::Snapshot { to: node, below }));
        }
    }

    /// Returns the end of the longest snapshot that a node may take or get from another node.
    fn coverable(&self, state: &State, node: NodeId) -> Slot {
        let live = &state.node(node).live;
        let covers = |&slot: &Slot| {
            let chosen =
                self.has_news(state, slot) && self.chosen_votes(state).any(|(at, _)| at == slot);
            let own = live.acceptor.votes[usize::from(slot.0)];
            slot < live.acceptor.trimmed || self.rules.snapshot_covers(chosen, own.as_ref())
        };
        Slot(self.slots().take_while(covers).count() as u8)
    }

    /// Offers the news of what a quorum has voted for.
    fn offer_news(&self, state: &State, offer: &mut impl FnMut(Action)) {
        for slot in self.slots() {
            for (vote, voters) in state.ballots_voted(slot) {
                if voters.len() >= self.bounds().phase2_quorum && self.has_news(state, slot) {
                    for to in self.nodes() {
                        let (ballot, value) = (vote.ballot, vote.value);
                        offer(Action::Chosen { to, slot, ballot, value });
                    }
                }
            }
        }
    }

    /// Returns true if news that a slot is chosen can arrive. In a cluster with reads, a node must have known it first.
    fn has_news(&self, state: &State, slot: Slot) -> bool {
        self.bounds().reads == 0 || state.network.news()[usize::from(slot.0)]
    }

    /// Returns true if a node can hear that its ballot is refused, because another node has promised the ballot `promised`.
    /// The Prepare message of the refused ballot must be in the network.
    fn can_be_refused(&self, state: &State, to: NodeId, promised: Ballot) -> bool {
        let current = state.node(to).live.acceptor.promised;
        current.is_some_and(|ballot| {
            ballot < promised
                && self.bounds().owner(ballot) == to
                && state.prepared_from(ballot).is_some()
        })
    }

    /// Returns the state after an action, or none if the action changes nothing or may not happen. The function does not
    /// check that the action is among the [candidates](Self::candidates), and it does not limit crashes.
    pub fn successor(&self, state: &State, action: Action) -> Option<State> {
        let mut next = match action {
            Action::Sync(node) => sync(state, node),
            Action::Crash(node) => self.crash(state, node),
            Action::Campaign(node) if node.0 >= self.bounds().campaigners => None,
            _ => {
                let (node, input) = self.input(state, action)?;
                self.take(state, node, self.step(node, &state.node(node).live, input))
            }
        }?;
        let Node { unsynced, live, .. } = &next.nodes[usize::from(action.node().0)];
        // While a node has unsynced steps, no other node can know what follows from them.
        if self.bounds().reads > 0 && unsynced.is_empty() {
            next.network.add_news(&live.chosen);
        }
        Some(next)
    }

    fn take(&self, state: &State, id: NodeId, mut step: Step) -> Option<State> {
        let node = state.node(id);
        step.messages.retain(|message| !state.network.contains(*message));
        if step.live == node.live && step.messages.is_empty() {
            return None;
        }
        let records = step.live.acceptor != node.live.acceptor;
        let waits = usize::from(self.bounds().unsynced);
        if waits == 0 || (!records && node.unsynced.is_empty()) {
            let disk = step.live.acceptor;
            let mut next = release(state, id, disk, &step.messages);
            next.nodes[usize::from(id.0)].live = step.live;
            return Some(next);
        }
        if records && node.unsynced.len() == waits {
            return None; // An earlier step must be synced first.
        }
        let leaves = |message: &Message| self.rules.leaves_early(node.durable.promised, message);
        let (early, late): (Vec<_>, Vec<_>) = step.messages.into_iter().partition(leaves);
        let mut next = release(state, id, node.durable, &early);
        let node = &mut next.nodes[usize::from(id.0)];
        node.live = step.live;
        if records {
            node.unsynced.push(Unsynced { acceptor: step.live.acceptor, messages: late });
        } else if let Some(last) = node.unsynced.last_mut() {
            // The messages of a step without records leave with the last step before it.
            for message in late {
                if !last.messages.contains(&message) {
                    last.messages.push(message);
                }
            }
            last.messages.sort_unstable();
        }
        (next != *state).then_some(next)
    }

    fn crash(&self, state: &State, id: NodeId) -> Option<State> {
        let node = state.node(id);
        let disk = self.rules.recovers(id, &node.durable);
        let live = Live { acceptor: disk, ..Live::default() };
        let after = Node { durable: disk, unsynced: Vec::new(), live };
        if *node == after {
            return None;
        }
        let mut next = state.clone();
        next.nodes[usize::from(id.0)] = after;
        Some(next)
    }
}

/// Makes the oldest waiting step of a node durable.
fn sync(state: &State, id: NodeId) -> Option<State> {
    let oldest = state.node(id).unsynced.first()?;
    let mut next = release(state, id, oldest.acceptor, &oldest.messages);
    next.nodes[usize::from(id.0)].unsynced.remove(0);
    Some(next)
}

/// Writes the acceptor of a node to its disk, and lets messages leave.
fn release(state: &State, id: NodeId, disk: Acceptor, sent: &[Message]) -> State {
    let mut next = state.clone();
    next.nodes[usize::from(id.0)].durable = disk;
    for &message in sent {
        next.network.insert(message);
    }
    next
}
