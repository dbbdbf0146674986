//! Replicas in one thread, with their disks and the messages between them.
//!
//! A [`Cluster`] keeps the driver's side of the contract of [`paxos`]: records are durable before any message, chosen
//! value or answer leaves. The user of the cluster decides which message arrives, which timer fires, and which node
//! crashes. Monitors count the durable votes themselves, and do not rely on the beliefs of a replica. After every step
//! and every sync they check the guarantees of Paxos. If one does not hold, they return a [`Violation`].

mod monitors;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use paxos::{
    Config, ConfigError, Effects, Event, Message, NodeId, Output, Replica, Slot, To, Write,
    protocol::proposer::Role,
};
use paxos_store::Memory;

use self::monitors::Monitors;
pub use self::monitors::{Choice, Violation};

/// One node and its disk.
#[derive(Debug)]
pub struct Node {
    /// The configuration with which the node starts.
    pub config: Config,
    /// `None` while the node is down.
    pub replica: Option<Replica>,
    /// The records that are durable.
    pub disk: Memory,
    /// The durable snapshot has the effect of every slot below this one.
    pub snapshot: Slot,
    /// The durable note: each vote on the disk in a slot below this one is for the chosen value.
    pub noted: Slot,
    /// The slot that must be applied next. A sync applies the chosen values.
    pub apply_next: Slot,
    /// The output that has not left. A crash drops it.
    output: Output,
    /// The writes under way, oldest first, each with the note that becomes durable with it. A crash drops them.
    writes: VecDeque<(Write, Slot)>,
    /// The slot whose chosen value the replica must release next. After a restart this is the end of the snapshot.
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
    /// Returns a cluster with one node for each configuration. Each node is up and has an empty disk.
    ///
    /// # Errors
    /// Fails with the fault of the first configuration that cannot be used.
    pub fn new(configs: impl IntoIterator<Item = Config>) -> Result<Self, ConfigError> {
        let node = |config: Config| {
            let node = Node {
                replica: Some(Replica::new(config.clone())?),
                config,
                disk: Memory::default(),
                snapshot: Slot(0),
                noted: Slot(0),
                apply_next: Slot(0),
                output: Output::default(),
                writes: VecDeque::new(),
                hand_out_next: Slot(0),
            };
            Ok((node.config.id, node))
        };
        let nodes = configs.into_iter().map(node).collect::<Result<_, _>>()?;
        let (under_way, held) = (Vec::new(), BTreeSet::new());
        Ok(Self { nodes, under_way, held, monitors: Monitors::default() })
    }

    /// Steps a node, and syncs it unless its disk is held. Returns the effects that leave, or `None` if the node is down
    /// or its disk is held.
    ///
    /// # Errors
    /// Fails if a guarantee of Paxos does not hold.
    pub fn handle(&mut self, id: NodeId, event: Event) -> Result<Option<Effects>, Violation> {
        let stepped = self.step(id, event)?.is_some();
        (stepped && !self.held.contains(&id)).then(|| self.sync(id)).transpose()
    }

    /// Steps a node. Its output leaves at the next [`sync`](Self::sync). Returns the output of this step, or `None` if
    /// the node is down.
    ///
    /// # Errors
    /// Fails if a guarantee of Paxos does not hold.
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
        node.output.append(output.clone());
        if begins_to_lead {
            self.monitors.check_leader(&self.nodes[&id])?;
        }
        for peer in &output.held().fetch {
            let (has, lacks) = (self.nodes[peer].snapshot, self.nodes[&id].hand_out_next);
            monitors::check_fetch(id, *peer, has, lacks)?;
        }
        Ok(Some(output))
    }

    /// Begins to write the records of a node. The write is under way until [`sync_oldest`](Self::sync_oldest). Does nothing
    /// if there are no records.
    pub fn write(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let before = node.writes.back().map_or(node.noted, |(_, noted)| *noted);
        if let (Some(replica), Some(write)) = (&node.replica, node.output.write()) {
            let noted = replica.votes_chosen_below(before, write.records());
            node.writes.push_back((write, noted));
        }
    }

    /// Makes the oldest write of a node durable, and releases the effects that wait for it. Returns these effects, or
    /// `None` if no write is under way.
    ///
    /// # Errors
    /// Fails if a guarantee of Paxos does not hold.
    pub fn sync_oldest(&mut self, id: NodeId) -> Result<Option<Effects>, Violation> {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let Some((write, noted)) = node.writes.pop_front() else { return Ok(None) };
        let before = node.disk.image().promised;
        let records = write.records().to_vec();
        let durable = write.persist(|records| node.disk.append(records));
        node.output.durable(durable.map_err(|error| Violation::of(id, error))?);
        node.noted = noted;
        monitors::check_disk(node, before)?;
        self.monitors.count_votes(node, &records)?;
        self.monitors.check_note(node)?;
        self.release(id).map(Some)
    }

    /// Writes the records of a node and makes all its writes durable, and the note as well. Then every effect of its steps
    /// leaves. Returns the effects.
    ///
    /// # Errors
    /// Fails if a guarantee of Paxos does not hold.
    pub fn sync(&mut self, id: NodeId) -> Result<Effects, Violation> {
        self.write(id);
        let mut all = self.release(id)?;
        while let Some(mut effects) = self.sync_oldest(id)? {
            all.append(&mut effects);
        }
        let node = self.node(id);
        if let Some(replica) = &node.replica {
            node.noted = replica.votes_chosen_below(node.noted, &[]);
        }
        self.monitors.check_note(&self.nodes[&id])?;
        Ok(all)
    }

    /// Releases the effects whose records are durable: puts the messages under way, and applies the chosen values.
    fn release(&mut self, id: NodeId) -> Result<Effects, Violation> {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let released = std::mem::take(node.output.released());
        self.monitors.check_messages(node, &released.messages)?;
        node.apply_next = self.monitors.check_chosen(node, &released)?;
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

    /// Lets a node take a snapshot with the effect of the slots below `below`, all of which it must have applied. The
    /// snapshot is durable at once. Returns the event for the node's replica.
    pub fn snapshot(&mut self, id: NodeId, below: Slot) -> Event {
        let node = self.node(id);
        assert!(below <= node.apply_next, "node {id} has not applied that much");
        assert!(below > node.snapshot, "node {id} has that snapshot already");
        node.snapshot = below;
        Event::Snapshot { below }
    }

    /// Lets a node install the snapshot of another node. The node then no longer applies the slots that the snapshot
    /// has. Returns the event for the node's replica, or `None` if the node's own snapshot has as much, or if the node
    /// is down.
    pub fn install(&mut self, id: NodeId, from: NodeId) -> Option<Event> {
        let below = self.nodes[&from].snapshot;
        let node = self.node(id);
        if below <= node.snapshot || node.replica.is_none() {
            return None;
        }
        node.snapshot = below;
        node.apply_next = node.apply_next.max(below);
        node.output.drop_chosen(below);
        Some(Event::Snapshot { below })
    }

    /// Ends the process of a node. Everything that is not durable is lost.
    pub fn crash(&mut self, id: NodeId) {
        self.held.remove(&id);
        let node = self.node(id);
        node.replica = None;
        node.output = Output::default();
        node.writes.clear();
        node.hand_out_next = node.snapshot;
        node.apply_next = node.snapshot;
    }

    /// Starts a node that is down, with its disk. Returns an event for its replica if the crash came between a
    /// snapshot and the record that follows from it.
    ///
    /// # Errors
    /// Fails if the replica does not start with its own records, or starts in another state.
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

    /// Returns the event that gives the note of a node to its replica. Without the event, the replica learns the values from
    /// other nodes.
    pub fn noted(&self, id: NodeId) -> Event {
        Event::VotesChosen { below: self.nodes[&id].noted }
    }

    /// Returns the values that are chosen according to the durable votes. The nodes need not know them yet.
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
