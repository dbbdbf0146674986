//! A cluster inside one thread: replicas, what they have stored, and what is under way between them.
//!
//! It keeps the driver's side of the contract (records are durable before anything leaves) and
//! watches from outside: it counts the durable votes itself, and after every step and every sync
//! asserts what Paxos promises. Nothing that a replica believes is taken as evidence.

use std::collections::{BTreeMap, BTreeSet};

use paxos::{
    Ballot, Config, Event, Message, NodeId, Output, Record, Replica, Slot, To, Value,
    storage::Memory,
};

/// One node and its disk.
pub(crate) struct Node {
    pub(crate) config: Config,
    /// Nothing while the node is down.
    pub(crate) replica: Option<Replica>,
    pub(crate) storage: Memory,
    /// What was asked for and is not durable yet; a crash takes it away.
    unsynced: Output,
    /// The slot that must be handed out next. A node that comes back starts again at the first.
    apply_next: Slot,
}

/// A message on its way to one node.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) message: Message,
}

/// What was voted for in one slot and ballot, and by whom, durably.
struct Poll {
    value: Value,
    voters: BTreeSet<NodeId>,
}

/// Nodes, messages, and the truth about the votes.
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    /// Oldest first.
    pub(crate) under_way: Vec<Sent>,
    polls: BTreeMap<(Slot, Ballot), Poll>,
    chosen: BTreeMap<Slot, Value>,
}

impl Cluster {
    /// One node for each configuration, none of which has ever run.
    pub(crate) fn new(configs: impl IntoIterator<Item = Config>) -> Self {
        let node = |config: Config| {
            let replica = Replica::new(config.clone()).expect("the configuration is valid");
            let node = Node {
                config,
                replica: Some(replica),
                storage: Memory::default(),
                unsynced: Output::default(),
                apply_next: Slot(0),
            };
            (node.config.id, node)
        };
        Self {
            nodes: configs.into_iter().map(node).collect(),
            under_way: Vec::new(),
            polls: BTreeMap::new(),
            chosen: BTreeMap::new(),
        }
    }

    /// Steps one replica; nothing leaves before [`sync`](Self::sync). Gives what the step put out,
    /// or nothing if the node is down.
    pub(crate) fn step(&mut self, id: NodeId, event: Event) -> Option<Output> {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let replica = node.replica.as_mut()?;
        let before = replica.parts().acceptor.clone();
        let mut output = Output::default();
        replica.step(event, &mut output);

        let after = replica.parts().acceptor;
        assert!(before.promised <= after.promised, "node {id} took back its promise");
        for (slot, vote) in after.votes.iter() {
            assert!(Some(vote.ballot) <= after.promised, "node {id} voted above its promise");
            let old = before.votes.get(slot);
            assert!(
                old.is_none_or(|old| old.ballot < vote.ballot || old == vote),
                "node {id} changed its vote in slot {slot} without a higher ballot"
            );
        }
        if output.records.is_empty() {
            assert_eq!(&before, after, "node {id} changed what must be durable, without a record");
        }
        let Output { records, messages, chosen, taken, refused, reads, fetch, timers } =
            output.clone();
        node.unsynced.records.extend(records);
        node.unsynced.messages.extend(messages);
        node.unsynced.chosen.extend(chosen);
        node.unsynced.taken.extend(taken);
        node.unsynced.refused.extend(refused);
        node.unsynced.reads.extend(reads);
        node.unsynced.fetch.extend(fetch);
        node.unsynced.timers.extend(timers);
        Some(output)
    }

    /// Makes durable what a node has asked for, and only then releases the rest, which it gives back.
    pub(crate) fn sync(&mut self, id: NodeId) -> Output {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let released = std::mem::take(&mut node.unsynced);
        let before = node.storage.image().promised;
        node.storage.append(&released.records).expect("a node does not contradict itself");
        let image = node.storage.image();
        assert!(before <= image.promised, "node {id} took back a durable promise");
        if let Some(replica) = &node.replica {
            let state = replica.parts().acceptor;
            assert_eq!(state, image, "node {id}: its records are not its state");
        }
        for record in &released.records {
            self.count(id, record);
        }
        for envelope in &released.messages {
            self.assert_durable(id, &envelope.message);
        }
        for (slot, value) in &released.chosen {
            let node = self.nodes.get_mut(&id).expect("the node exists");
            assert_eq!(*slot, node.apply_next, "node {id} hands out of order");
            node.apply_next = slot.plus(1);
            let truth = self.chosen.get(slot);
            assert_eq!(Some(value), truth, "node {id} learned in slot {slot} what is not chosen");
        }
        for envelope in &released.messages {
            let message = &envelope.message;
            let all = self.nodes.keys().copied();
            let receivers = all.filter(|&to| match envelope.to {
                To::Peers => to != id,
                To::Node(node) => to == node,
            });
            let sent = receivers.map(|to| Sent { from: id, to, message: message.clone() });
            self.under_way.extend(sent);
        }
        released
    }

    /// The process is gone, and with it everything that was not durable.
    pub(crate) fn crash(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        node.replica = None;
        node.unsynced.clear();
        node.apply_next = Slot(0);
    }

    /// Comes back with what is durable.
    pub(crate) fn restart(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        assert!(node.replica.is_none(), "node {id} is not down");
        let records = node.storage.records();
        let replica = Replica::recover(node.config.clone(), records).expect("its own records");
        assert_eq!(replica.parts().acceptor, node.storage.image(), "node {id} forgot something");
        node.replica = Some(replica);
    }

    /// What is chosen, by the votes that are durable.
    pub(crate) fn chosen(&self) -> &BTreeMap<Slot, Value> {
        &self.chosen
    }

    /// Counts durable votes. In each ballot one value per slot; and once a value is chosen, no higher
    /// ballot has another (P2a), before or after it is known to be chosen.
    fn count(&mut self, id: NodeId, record: &Record) {
        let Record::Accepted { ballot, first, values } = record else { return };
        let quorum = self.nodes[&id].config.phase2_quorum;
        for (slot, value) in (first.0..).map(Slot).zip(values.iter()) {
            let poll = self
                .polls
                .entry((slot, *ballot))
                .or_insert_with(|| Poll { value: value.clone(), voters: BTreeSet::new() });
            assert_eq!(poll.value, *value, "two values in slot {slot} and ballot {ballot}");
            poll.voters.insert(id);

            let least = Ballot::new(1, NodeId(0)).expect("round 1 exists");
            let most = Ballot::new(u64::MAX, NodeId(u32::MAX)).expect("the last round exists");
            let mut chosen: Option<&Value> = None;
            for ((_, ballot), poll) in self.polls.range((slot, least)..=(slot, most)) {
                if let Some(chosen) = chosen {
                    assert_eq!(
                        *chosen, poll.value,
                        "slot {slot} has another vote in {ballot}, above the ballot that chose"
                    );
                } else if poll.voters.len() >= quorum {
                    chosen = Some(&poll.value);
                }
            }
            if let Some(value) = chosen {
                let known = self.chosen.entry(slot).or_insert_with(|| value.clone());
                assert_eq!(known, value, "two values chosen in slot {slot}");
            }
        }
    }

    /// Promises and votes are durable before anybody hears of them, and so is the ballot that its
    /// owner begins.
    fn assert_durable(&self, id: NodeId, message: &Message) {
        let image = self.nodes[&id].storage.image();
        match message {
            Message::Prepare { ballot } => {
                assert_eq!(ballot.node, id, "a ballot is begun by its owner");
                assert!(image.promised >= Some(*ballot));
            }
            Message::Promise { ballot, trimmed, reports } => {
                assert!(*trimmed <= image.trimmed);
                assert!(reports.iter().all(|report| report.slot >= *trimmed));
                assert!(image.promised >= Some(*ballot));
                assert!(reports.iter().all(|report| report.ballot < *ballot));
                assert!(reports.is_sorted_by(|a, b| a.slot < b.slot));
            }
            Message::Accept { ballot, first, values } => {
                assert_eq!(ballot.node, id, "only the owner proposes in a ballot");
                self.assert_voted(id, *ballot, *first, values.len() as u64);
            }
            Message::Accepted { ballot, first, count } => {
                self.assert_voted(id, *ballot, *first, *count);
            }
            Message::Nack { ballot, promised } => {
                assert!(ballot < promised && image.promised >= Some(*promised));
            }
            Message::Heartbeat { ballot, chosen_below } => {
                assert_eq!(ballot.node, id, "only the owner leads in a ballot");
                let known = (0..chosen_below.0).map(Slot);
                assert!(known.into_iter().all(|slot| self.chosen.contains_key(&slot)));
            }
            Message::Chosen { ballot, first, count } => {
                for slot in (first.0..first.0 + count).map(Slot) {
                    let value = &self.polls[&(slot, *ballot)].value;
                    assert_eq!(Some(value), self.chosen.get(&slot), "announced, not chosen");
                }
            }
            Message::Learned { first, values } => {
                for (slot, value) in (first.0..).map(Slot).zip(values.iter()) {
                    assert_eq!(Some(value), self.chosen.get(&slot), "taught, not chosen");
                }
            }
            Message::Trimmed { below } => assert!(*below <= image.trimmed),
            Message::Confirm { ballot, .. } => {
                assert_eq!(ballot.node, id, "only the owner leads in a ballot");
            }
            Message::Confirmed { ballot, .. } => {
                // Nothing above that ballot was promised when it was asked; what is durable is older.
                assert!(image.promised <= Some(*ballot) || self.nodes[&id].replica.is_some());
            }
            Message::Learn { .. } => {}
        }
    }

    fn assert_voted(&self, id: NodeId, ballot: Ballot, first: Slot, count: u64) {
        for slot in (first.0..first.0 + count).map(Slot) {
            let poll = self.polls.get(&(slot, ballot));
            assert!(
                poll.is_some_and(|poll| poll.voters.contains(&id)),
                "node {id} tells of a vote in slot {slot}, ballot {ballot} that is not durable"
            );
        }
    }
}
