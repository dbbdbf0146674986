//! The model: nodes, disks and network together, action by action.

use std::sync::{Arc, OnceLock};

use super::{
    action::Action,
    bounds::{Bounds, BoundsError},
    bugs::Bug,
    local_steps::{After, Key, LocalStep, LocalSteps},
    node::{rules::Rules, small::Small},
    packing::Layout,
    state::{
        Answer, Ballot, Input, Live, Message, Node, NodeId, Request, SharedNode, Slot, State, Step,
        Unsynced, Vote,
    },
};

/// The model of a cluster. A state consists of the nodes, their disks and the network. [`Cluster::checked`] adds the
/// properties that depend on the past.
#[derive(Clone)]
pub struct Cluster {
    pub(super) rules: Rules<Small>,
    /// The layout of packed states, which follows from the rules.
    pub(super) layout: Arc<Layout>,
    /// The steps that were computed. They follow from the rules, too.
    local_steps: Arc<LocalSteps>,
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
        let rules = Rules { limits: bounds, bug: None };
        let layout = Arc::new(Layout::new(&rules));
        let local_steps = Arc::default();
        Ok(Self { rules, layout, local_steps, only: Vec::new(), not_stuck: false })
    }

    /// Returns the same cluster with other rules.
    pub(super) fn with_rules(self, rules: Rules<Small>) -> Self {
        Self { layout: Arc::new(Layout::new(&rules)), local_steps: Arc::default(), rules, ..self }
    }

    /// Returns the same cluster with a bug in it.
    #[must_use]
    pub fn with_bug(self, bug: Bug) -> Self {
        let rules = Rules { bug: Some(bug), ..self.rules };
        self.with_rules(rules)
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
        self.input_at(&state.node(action.node()).live, action)
    }

    /// Returns the input that a node gets, as [`input`](Self::input) does.
    fn input_at(&self, live: &Live, action: Action) -> Option<(NodeId, Input)> {
        Some(match action {
            Action::Campaign(node) => (node, Input::Campaign),
            Action::Propose { node, count } => {
                let prepared = live.acceptor.promised;
                let value = self.bounds().client_value(prepared.unwrap_or(Ballot(0)));
                (node, Input::Propose { request: Request { value, count } })
            }
            Action::Deliver { to, message } => (to, Input::Message(message)),
            Action::Nack { to, promised } => {
                let ballot = live.acceptor.promised?;
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
        let id = action.node();
        let before = state.nodes[usize::from(id.0)];
        let take = |LocalStep { after, .. }: &LocalStep| match after {
            After::Durable { node, messages } => {
                let changes = *node != before || !state.network.has_all(messages);
                changes.then(|| (*node, state.network.with(messages)))
            }
            After::Waiting { live, records, early, late, nodes } => {
                let is_new = |message: &Message| !state.network.contains(*message);
                let bits = late.iter().map(|message| usize::from(is_new(message)));
                let index = bits.rev().fold(0, |index, bit| index << 1 | bit);
                let new = late.iter().copied().filter(is_new);
                let node = *nodes[index].get_or_init(|| waiting(before, live, *records, new));
                let changes = node != before || !state.network.has_all(early);
                changes.then(|| (node, state.network.with(early)))
            }
        };
        let (node, mut network) = self.with_step(before, action, |step| step.and_then(take))?;
        // While a node has unsynced steps, no other node can know what follows from them.
        if self.bounds().reads > 0 && node.unsynced.is_empty() {
            network.add_news(&node.live.chosen);
        }
        Some(state.with(id, node, network))
    }

    /// Returns the read that an action answers.
    pub(super) fn answer(&self, state: &State, action: Action) -> Option<Answer> {
        let before = state.nodes[usize::from(action.node().0)];
        self.with_step(before, action, |step| step?.answer)
    }

    /// Passes the step of a node to `look`, or none if it takes none.
    #[inline]
    fn with_step<T>(
        &self,
        before: SharedNode,
        action: Action,
        look: impl FnOnce(Option<&LocalStep>) -> T,
    ) -> T {
        let compute = |_: &Key| self.local_step(before, action).map(Box::new);
        self.local_steps.with(Key::new(before, action), compute, |step| look(step.as_deref()))
    }

    /// Computes the step of a node. Reads its arguments and nothing else of the state of the cluster, so that the step can
    /// be [kept](super::local_steps).
    fn local_step(&self, before: SharedNode, action: Action) -> Option<LocalStep> {
        let durable = |node: Node, messages| {
            let after = After::Durable { node: node.into(), messages };
            Some(LocalStep { after, answer: None })
        };
        match action {
            Action::Campaign(me) if me.0 >= self.bounds().campaigners => None,
            Action::Sync(_) => {
                let mut node = Node::clone(&before);
                if node.unsynced.is_empty() {
                    return None;
                }
                let Unsynced { acceptor, messages } = node.unsynced.remove(0);
                durable(Node { durable: acceptor, ..node }, messages)
            }
            Action::Crash(me) => {
                let disk = self.rules.recovers(me, &before.durable);
                let live = Live { acceptor: disk, ..Live::default() };
                durable(Node { durable: disk, unsynced: Vec::new(), live }, Vec::new())
            }
            _ => {
                let (me, input) = self.input_at(&before.live, action)?;
                let Step { live, messages, answer, .. } = self.step(me, &before.live, input);
                let after = self.after(before, live, messages.into_vec())?;
                Some(LocalStep { after, answer })
            }
        }
    }

    /// Returns the node after a step that makes it `live` and sends these messages. Returns none if the step changes nothing,
    /// or if an earlier step must be synced first.
    fn after(&self, before: SharedNode, live: Live, messages: Vec<Message>) -> Option<After> {
        if live == before.live && messages.is_empty() {
            return None;
        }
        let records = live.acceptor != before.live.acceptor;
        let waits = usize::from(self.bounds().unsynced);
        if waits == 0 || (!records && before.unsynced.is_empty()) {
            let node = Node { durable: live.acceptor, unsynced: Vec::new(), live };
            return Some(After::Durable { node: node.into(), messages });
        }
        if records && before.unsynced.len() == waits {
            return None;
        }
        let leaves = |message: &Message| self.rules.leaves_early(before.durable.promised, message);
        let (early, late): (_, Vec<_>) = messages.into_iter().partition(leaves);
        let nodes = (0..1 << late.len()).map(|_| OnceLock::new()).collect();
        Some(After::Waiting { live, records, early, late, nodes })
    }
}

/// Returns a node after a step that waits for its sync, with the messages that were not sent before.
fn waiting(
    before: SharedNode,
    live: &Live,
    records: bool,
    new: impl Iterator<Item = Message>,
) -> SharedNode {
    let mut node = Node { live: *live, ..Node::clone(&before) };
    if records {
        node.unsynced.push(Unsynced { acceptor: live.acceptor, messages: new.collect() });
    } else if let Some(last) = node.unsynced.last_mut() {
        // The messages of a step without records leave with the last step before it.
        for message in new {
            if !last.messages.contains(&message) {
                last.messages.push(message);
            }
        }
        last.messages.sort_unstable();
    }
    node.into()
}
