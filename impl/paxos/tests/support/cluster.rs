//! A cluster inside one thread: replicas, what they have stored, and what is under way between them.
//!
//! It keeps the driver's side of the contract (records are durable before anything leaves) and
//! watches from outside: it counts the durable votes itself, and after every step and every sync
//! asserts what Paxos promises. Nothing that a replica believes is taken as evidence.

use std::collections::{BTreeMap, BTreeSet};

use paxos::{
    Ballot, Config, Event, Message, NodeId, Output, Record, Replica, Slot, To, Token, Value,
    protocol::proposer::Role,
};
use paxos_store::Memory;

/// One node and its disk.
pub(crate) struct Node {
    pub(crate) config: Config,
    /// Nothing while the node is down.
    pub(crate) replica: Option<Replica>,
    pub(crate) storage: Memory,
    /// A durable snapshot holds the effect of every slot below.
    pub(crate) snapshot: Slot,
    /// What was asked for and is not durable yet; a crash takes it away.
    unsynced: Output,
    /// The slot that the replica must hand out next. One that comes back starts at the snapshot.
    hand_out_next: Slot,
    /// The slot that must be applied next: what was handed out waits until the records are durable.
    pub(crate) apply_next: Slot,
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
    /// By ballot, whose promises have reached its owner, and the least that each said was trimmed.
    promises: BTreeMap<Ballot, BTreeMap<NodeId, Slot>>,
    /// Some node has applied every slot below, whatever has become of it since.
    applied_below: Slot,
    /// What had been applied somewhere when a read was asked, until it is answered.
    must_see: BTreeMap<Token, Slot>,
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
                snapshot: Slot(0),
                unsynced: Output::default(),
                hand_out_next: Slot(0),
                apply_next: Slot(0),
            };
            (node.config.id, node)
        };
        Self {
            nodes: configs.into_iter().map(node).collect(),
            under_way: Vec::new(),
            polls: BTreeMap::new(),
            chosen: BTreeMap::new(),
            promises: BTreeMap::new(),
            applied_below: Slot(0),
            must_see: BTreeMap::new(),
        }
    }

    /// Steps one replica; nothing leaves before [`sync`](Self::sync). Gives what the step put out,
    /// or nothing if the node is down.
    pub(crate) fn step(&mut self, id: NodeId, event: Event) -> Option<Output> {
        self.nodes[&id].replica.as_ref()?;
        self.witness(id, &event);
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let replica = node.replica.as_mut().expect("the node is up");
        let before = replica.parts().acceptor.clone();
        let led_before = leads(replica);
        let mut output = Output::default();
        replica.step(event, &mut output);

        let after = replica.parts().acceptor;
        assert!(before.promised <= after.promised, "node {id} took back its promise");
        assert!(before.trimmed <= after.trimmed, "node {id} has again what it had trimmed");
        for (slot, vote) in after.votes.iter() {
            assert!(slot >= after.trimmed, "node {id} voted in slot {slot}, which is trimmed");
            assert!(Some(vote.ballot) <= after.promised, "node {id} voted above its promise");
            let old = before.votes.get(slot);
            assert!(
                old.is_none_or(|old| old.ballot < vote.ballot || old == vote),
                "node {id} changed its vote in slot {slot} without a higher ballot"
            );
        }
        for (slot, _) in before.votes.iter().filter(|(slot, _)| *slot >= after.trimmed) {
            assert!(after.votes.get(slot).is_some(), "node {id} forgot its vote in slot {slot}");
        }
        if output.records.is_empty() {
            assert_eq!(&before, after, "node {id} changed what must be durable, without a record");
        }
        for (slot, _) in &output.chosen {
            assert_eq!(*slot, node.hand_out_next, "node {id} hands out of order");
            node.hand_out_next = slot.plus(1);
        }
        for envelope in &output.messages {
            if let Message::Confirmed { ballot, .. } = &envelope.message {
                assert!(after.promised <= Some(*ballot), "node {id} knows of a higher ballot");
            }
        }
        let leads_now = leads(replica);
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
        if leads_now && !led_before {
            self.assert_may_lead(id);
        }
        for peer in &output.fetch {
            let (has, lacks) = (self.nodes[peer].snapshot, self.nodes[&id].hand_out_next);
            assert!(has > lacks, "node {id} would fetch from {peer} what it has itself");
        }
        Some(output)
    }

    /// Notes of an event what answers will be held against.
    fn witness(&mut self, id: NodeId, event: &Event) {
        match event {
            Event::Read(tokens) => {
                self.must_see.extend(tokens.iter().map(|token| (*token, self.applied_below)));
            }
            Event::Snapshot { below } => {
                let node = self.nodes.get_mut(&id).expect("the node exists");
                assert!(*below <= node.snapshot, "no such snapshot is durable");
                node.hand_out_next = node.hand_out_next.max(*below);
            }
            Event::Message { from, message: Message::Promise { ballot, trimmed, .. } } => {
                let promises = self.promises.entry(*ballot).or_default();
                let least = promises.entry(*from).or_insert(*trimmed);
                *least = (*least).min(*trimmed);
            }
            _ => {}
        }
    }

    /// Whoever leads was promised its ballot by a quorum, and has the effect of all that they had
    /// trimmed.
    fn assert_may_lead(&self, id: NodeId) {
        let node = &self.nodes[&id];
        let acceptor = node.replica.as_ref().expect("the node is up").parts().acceptor;
        let ballot = acceptor.promised.expect("a leader has promised its ballot");
        assert_eq!(ballot.node, id, "node {id} leads in the ballot of another");
        // A promise may have been left out: what counts are those that ask for least.
        let promises = self.promises.get(&ballot).into_iter().flat_map(BTreeMap::values);
        let mut trimmed = promises.copied().collect::<Vec<_>>();
        trimmed.sort_unstable();
        let peers = node.config.phase1_quorum - 1;
        assert!(trimmed.len() >= peers, "node {id} leads without a quorum of promises");
        let lacked = trimmed[..peers].last().copied().unwrap_or_default();
        assert!(node.hand_out_next >= lacked, "node {id} leads and lacks what is trimmed");
    }

    /// A node takes a snapshot of what it has applied, which is durable at once. Gives the event that
    /// tells its replica.
    pub(crate) fn snapshot(&mut self, id: NodeId, below: Slot) -> Event {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        assert!(below <= node.apply_next, "node {id} has not applied that much");
        assert!(below > node.snapshot, "node {id} has that snapshot already");
        node.snapshot = below;
        Event::Snapshot { below }
    }

    /// A node gets the snapshot of another, and goes on from there: what was to be applied below is in
    /// it. Gives the event that tells its replica, or nothing if it has as much itself.
    pub(crate) fn install(&mut self, id: NodeId, from: NodeId) -> Option<Event> {
        let below = self.nodes[&from].snapshot;
        let node = self.nodes.get_mut(&id).expect("the node exists");
        if below <= node.snapshot || node.replica.is_none() {
            return None;
        }
        node.snapshot = below;
        node.apply_next = node.apply_next.max(below);
        node.unsynced.chosen.retain(|(slot, _)| *slot >= below);
        Some(Event::Snapshot { below })
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
            if let Record::Trimmed { below } = record {
                let all_chosen = (0..below.0).all(|slot| self.chosen.contains_key(&Slot(slot)));
                assert!(all_chosen, "node {id} trimmed what is not chosen");
            }
        }
        for envelope in &released.messages {
            self.assert_durable(id, &envelope.message);
        }
        for (slot, value) in &released.chosen {
            let node = self.nodes.get_mut(&id).expect("the node exists");
            assert_eq!(*slot, node.apply_next, "node {id} applies out of order");
            node.apply_next = slot.plus(1);
            self.applied_below = self.applied_below.max(node.apply_next);
            let truth = self.chosen.get(slot);
            assert_eq!(Some(value), truth, "node {id} learned in slot {slot} what is not chosen");
        }
        for read in &released.reads {
            let must_see = self.must_see.remove(&read.token).expect("a read is answered once");
            assert!(read.at >= must_see, "node {id} reads below {}, not {must_see}", read.at);
        }
        for refused in &released.refused {
            self.must_see.remove(&refused.token);
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
        node.hand_out_next = node.snapshot;
        node.apply_next = node.snapshot;
    }

    /// Comes back with what is durable. Gives the event that tells the replica of a snapshot that its
    /// records do not know: the crash came between the two.
    pub(crate) fn restart(&mut self, id: NodeId) -> Option<Event> {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        assert!(node.replica.is_none(), "node {id} is not down");
        let records = node.storage.records();
        let replica = Replica::recover(node.config.clone(), records).expect("its own records");
        assert_eq!(replica.parts().acceptor, node.storage.image(), "node {id} forgot something");
        node.replica = Some(replica);
        let below = node.snapshot;
        (below > node.storage.image().trimmed).then_some(Event::Snapshot { below })
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
            // Of what is durable they say nothing.
            Message::Confirmed { .. } | Message::Learn { .. } => {}
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

fn leads(replica: &Replica) -> bool {
    matches!(replica.parts().role, Role::Leader(_))
}
