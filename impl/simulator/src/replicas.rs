//! Replicas in one thread, with their disks and the messages between them.
//!
//! A [`Cluster`] keeps the driver's side of the contract of [`paxos`]: records are durable before anything leaves.
//! Its user decides what happens next: a message arrives, a timer fires, a node crashes. Monitors watch from outside.
//! They count the durable votes themselves, and after every step and every sync they check what Paxos promises.
//! Nothing that a replica believes is taken as evidence. A promise that is broken is returned as a [`Violation`].

mod monitors;

use std::collections::{BTreeMap, BTreeSet};

use paxos::{
    Config, ConfigError, Event, Message, NodeId, Output, Replica, Slot, To,
    protocol::proposer::Role,
};
use paxos_store::Memory;

use self::monitors::Monitors;
pub use self::monitors::{Choice, Violation};

/// One node and its disk.
#[derive(Debug)]
pub struct Node {
    /// The configuration with which it starts.
    pub config: Config,
    /// `None` while the node is down.
    pub replica: Option<Replica>,
    /// The records that are durable.
    pub disk: Memory,
    /// The durable snapshot has the effect of every slot below.
    pub snapshot: Slot,
    /// The slot that must be applied next. Chosen values are applied when the records before them are durable.
    pub apply_next: Slot,
    /// All output since the last sync. A crash takes it away.
    unsynced: Output,
    /// The slot that the replica must hand out next. A node that restarts begins at its snapshot.
    hand_out_next: Slot,
}

/// A message on its way to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The message.
    pub message: Message,
}

/// Replicas, their disks, and the messages between them.
#[derive(Debug)]
pub struct Cluster {
    /// All nodes.
    pub nodes: BTreeMap<NodeId, Node>,
    /// The messages that have left their senders, oldest first.
    pub under_way: Vec<Sent>,
    /// The nodes whose disks are slow: [`handle`](Cluster::handle) does not sync them.
    pub held: BTreeSet<NodeId>,
    monitors: Monitors,
}

impl Cluster {
    /// One node for each configuration. Each starts with an empty disk.
    ///
    /// # Errors
    /// The first configuration that cannot be used.
    pub fn new(configs: impl IntoIterator<Item = Config>) -> Result<Self, ConfigError> {
        let node = |config: Config| {
            let node = Node {
                replica: Some(Replica::new(config.clone())?),
                config,
                disk: Memory::default(),
                snapshot: Slot(0),
                apply_next: Slot(0),
                unsynced: Output::default(),
                hand_out_next: Slot(0),
            };
            Ok((node.config.id, node))
        };
        let nodes = configs.into_iter().map(node).collect::<Result<_, _>>()?;
        let (under_way, held) = (Vec::new(), BTreeSet::new());
        Ok(Self { nodes, under_way, held, monitors: Monitors::default() })
    }

    /// Steps a node, and syncs it unless its disk is held. Returns the released output; `None` if the node is down
    /// or its disk is held.
    ///
    /// # Errors
    /// A broken promise.
    pub fn handle(&mut self, id: NodeId, event: Event) -> Result<Option<Output>, Violation> {
        let stepped = self.step(id, event)?.is_some();
        (stepped && !self.held.contains(&id)).then(|| self.sync(id)).transpose()
    }

    /// Steps a node. Nothing leaves it before [`sync`](Self::sync). Returns the output of this step; `None` if the
    /// node is down.
    ///
    /// # Errors
    /// A broken promise.
    pub fn step(&mut self, id: NodeId, event: Event) -> Result<Option<Output>, Violation> {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let Some(replica) = &mut node.replica else { return Ok(None) };
        if let Event::Snapshot { below } = &event {
            assert!(*below <= node.snapshot, "no such snapshot is durable");
            node.hand_out_next = node.hand_out_next.max(*below);
        }
        let (before, led) = (replica.parts().acceptor.clone(), leads(replica));
        self.monitors.hear(&event);
        let mut output = Output::default();
        replica.step(event, &mut output);

        let begins_to_lead = leads(replica) && !led;
        monitors::check_step(id, &before, replica.parts().acceptor, &output)?;
        node.hand_out_next = monitors::check_order(id, node.hand_out_next, &output)?;
        node.unsynced.append(&mut output.clone());
        if begins_to_lead {
            self.monitors.check_leader(&self.nodes[&id])?;
        }
        for peer in &output.fetch {
            let (has, lacks) = (self.nodes[peer].snapshot, self.nodes[&id].hand_out_next);
            monitors::check_fetch(id, *peer, has, lacks)?;
        }
        Ok(Some(output))
    }

    /// Makes the records of a node durable, and then releases everything else that its steps have put out since the
    /// last sync. Its messages are under way afterwards. Returns all of it.
    ///
    /// # Errors
    /// A broken promise.
    pub fn sync(&mut self, id: NodeId) -> Result<Output, Violation> {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let released = std::mem::take(&mut node.unsynced);
        let before = node.disk.image().promised;
        node.disk.append(&released.records).map_err(|error| Violation::of(id, error))?;
        monitors::check_disk(node, before)?;
        self.monitors.count_votes(node, &released.records)?;
        self.monitors.check_messages(node, &released.messages)?;
        node.apply_next = self.monitors.check_chosen(node, &released.chosen)?;
        self.monitors.check_reads(id, &released)?;
        for envelope in &released.messages {
            let receivers = self.nodes.keys().copied().filter(|&to| match envelope.to {
                To::Peers => to != id,
                To::Node(node) => to == node,
            });
            let sent = receivers.map(|to| Sent { from: id, to, message: envelope.message.clone() });
            self.under_way.extend(sent);
        }
        Ok(released)
    }

    /// A node takes a snapshot of what it has applied. The snapshot is durable at once. Returns the event for its
    /// replica.
    pub fn snapshot(&mut self, id: NodeId, below: Slot) -> Event {
        let node = self.node(id);
        assert!(below <= node.apply_next, "node {id} has not applied that much");
        assert!(below > node.snapshot, "node {id} has that snapshot already");
        node.snapshot = below;
        Event::Snapshot { below }
    }

    /// A node installs the snapshot of another, and does not apply the slots below it any more. Returns the event
    /// for its replica; `None` if its own snapshot has as much, or if it is down.
    pub fn install(&mut self, id: NodeId, from: NodeId) -> Option<Event> {
        let below = self.nodes[&from].snapshot;
        let node = self.node(id);
        if below <= node.snapshot || node.replica.is_none() {
            return None;
        }
        node.snapshot = below;
        node.apply_next = node.apply_next.max(below);
        node.unsynced.chosen.retain(|(slot, _)| *slot >= below);
        Some(Event::Snapshot { below })
    }

    /// The process of a node ends. Everything that is not durable is lost.
    pub fn crash(&mut self, id: NodeId) {
        self.held.remove(&id);
        let node = self.node(id);
        node.replica = None;
        node.unsynced.clear();
        node.hand_out_next = node.snapshot;
        node.apply_next = node.snapshot;
    }

    /// A node that is down starts again with its disk. Returns an event for its replica if the crash came between a
    /// snapshot and the record that follows from it.
    ///
    /// # Errors
    /// The replica does not start with its own records, or starts in another state.
    pub fn restart(&mut self, id: NodeId) -> Result<Option<Event>, Violation> {
        let node = self.node(id);
        assert!(node.replica.is_none(), "node {id} is not down");
        let replica = Replica::recover(node.config.clone(), node.disk.records());
        node.replica = Some(replica.map_err(|error| Violation::of(id, error))?);
        let promised = node.disk.image().promised;
        monitors::check_disk(node, promised)?;
        let below = node.snapshot;
        Ok((below > node.disk.image().trimmed).then_some(Event::Snapshot { below }))
    }

    /// The chosen values, by the durable votes. A node may not know them yet.
    pub fn chosen(&self) -> &BTreeMap<Slot, Choice> {
        self.monitors.chosen()
    }

    /// Returns true if a node is up and leads.
    pub fn leads(&self, id: NodeId) -> bool {
        self.nodes[&id].replica.as_ref().is_some_and(leads)
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("the node exists")
    }
}

fn leads(replica: &Replica) -> bool {
    matches!(replica.parts().role, Role::Leader(_))
}
