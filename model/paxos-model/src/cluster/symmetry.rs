//! What can be renamed in a cluster: the nodes that do not campaign.
//!
//! Ballots are ordered, and each has an owner, who has a client that asks for one value; so neither
//! ballots nor values nor campaigners can be renamed. A node that owns no ballot is named nowhere in the
//! rules: it promises, votes and learns by what it gets alone, it counts as one of a set, and no property
//! asks which one it is. So to exchange two such nodes everywhere, in what they have sent and in who is
//! counted where, leads from behaviours to behaviours.
//!
//! A broken rule need not be so fair (one takes the *first* node that is missing), so a cluster with a bug
//! has no symmetry.
//!
//! No part of a state speaks of two nodes of which neither campaigns. So what is said of each can be written
//! down by itself, and to sort the nodes by that leads from all states that can be renamed to each other to
//! the same one.

use smallvec::SmallVec;

use super::{
    Cluster,
    fault::{Fault, Reason},
    packing::Layout,
    state::{Message, Network, Node, NodeId, NodeSet, Role, State, Unsynced},
};
use crate::synod::{self, Action};
use state_explorer::{Symmetry, arrangements};

/// All that is said of one node, without its name.
type Said = SmallVec<[u64; 32]>;

impl Symmetry<State> for Cluster {
    fn what(&self) -> String {
        "nodes that do not campaign".to_owned()
    }

    fn canonical(&self, state: State) -> State {
        let said = self.said_of_others(&state);
        if said.is_sorted_by(|a, b| a >= b) {
            return state;
        }
        let mut order: SmallVec<[usize; 8]> = (0..said.len()).collect();
        order.sort_by(|a, b| said[*b].cmp(&said[*a]));
        // Who gets which name.
        let mut names: SmallVec<[NodeId; 8]> = self.nodes().collect();
        let others = self.nodes().skip(usize::from(self.bounds().campaigners));
        for (name, old) in others.zip(order) {
            names[usize::from(self.bounds().campaigners) + old] = name;
        }
        Names(&names).of_state(&state)
    }

    fn orbit(&self, state: &State) -> u64 {
        arrangements(self.said_of_others(state))
    }
}

impl Cluster {
    fn said_of_others(&self, state: &State) -> SmallVec<[Said; 8]> {
        let layout = Layout::new(&self.rules);
        let others = self.nodes().skip(usize::from(self.bounds().campaigners));
        others.map(|id| said_of(layout, state, id)).collect()
    }
}

/// Lists are preceded by their length, so that different things are never said alike.
fn said_of(layout: Layout, state: &State, id: NodeId) -> Said {
    let mut said = Said::new();
    let Node { durable, unsynced, live } = state.node(id);
    said.extend([layout.acceptor_digit(durable), layout.acceptor_digit(&live.acceptor)]);
    said.extend(live.chosen.map(|value| value.map_or(0, |value| 1 + u64::from(value.0))));
    said.push(unsynced.len() as u64);
    for Unsynced { acceptor, messages } in unsynced {
        said.extend([layout.acceptor_digit(acceptor), messages.len() as u64]);
        said.extend(messages.iter().map(|message| layout.message_digit(*message)));
    }
    for node in &state.nodes {
        match node.live.role {
            Role::Follower => {}
            Role::Candidate { heard, .. } => said.push(u64::from(heard.has(id))),
            Role::Leader { votes, reads } => {
                said.extend(votes.map(|voters| u64::from(voters.has(id))));
                said.extend(reads.under_way.map(|round| u64::from(round.heard.has(id))));
            }
        }
    }
    let sent = |message: &Message| message.answered_by() == Some(id);
    said.extend(state.network.iter().filter(sent).map(|message| layout.message_digit(message)));
    said
}

/// New names of nodes, by the old ones.
struct Names<'a>(&'a [NodeId]);

impl Names<'_> {
    fn of(&self, node: NodeId) -> NodeId {
        self.0[usize::from(node.0)]
    }

    fn of_set(&self, set: NodeSet) -> NodeSet {
        let nodes = (0..).map(NodeId).take(self.0.len()).filter(|node| set.has(*node));
        nodes.fold(NodeSet::default(), |set, node| set.with(self.of(node)))
    }

    fn of_message(&self, message: Message) -> Message {
        match message {
            Message::Promise { ballot, from, trimmed, reports } => {
                Message::Promise { ballot, from: self.of(from), trimmed, reports }
            }
            Message::Accepted { ballot, slot, value, from } => {
                Message::Accepted { ballot, slot, value, from: self.of(from) }
            }
            Message::Confirmed { ballot, round, from } => {
                Message::Confirmed { ballot, round, from: self.of(from) }
            }
            Message::Prepare { .. } | Message::Accept { .. } | Message::Confirm { .. } => message,
        }
    }

    fn of_role(&self, role: Role) -> Role {
        match role {
            Role::Follower => Role::Follower,
            Role::Candidate { heard, reported, trimmed } => {
                Role::Candidate { heard: self.of_set(heard), reported, trimmed }
            }
            Role::Leader { votes, mut reads } => {
                if let Some(round) = &mut reads.under_way {
                    round.heard = self.of_set(round.heard);
                }
                Role::Leader { votes: votes.map(|set| self.of_set(set)), reads }
            }
        }
    }

    fn of_fault(&self, fault: Fault) -> Fault {
        let of = |acceptor: synod::Acceptor| synod::Acceptor(self.of(NodeId(acceptor.0)).0);
        let reason = match fault.reason {
            Reason::NotEnabled(Action::Promise(a, b)) => {
                Reason::NotEnabled(Action::Promise(of(a), b))
            }
            Reason::NotEnabled(Action::Vote(a, b)) => Reason::NotEnabled(Action::Vote(of(a), b)),
            reason => reason,
        };
        Fault { node: self.of(fault.node), reason, ..fault }
    }

    fn of_state(&self, state: &State) -> State {
        let mut renamed = state.clone();
        for (old, node) in (0..).map(NodeId).zip(&state.nodes) {
            let mut node = node.clone();
            node.live.role = self.of_role(node.live.role);
            for step in &mut node.unsynced {
                step.messages.iter_mut().for_each(|it| *it = self.of_message(*it));
            }
            renamed.nodes[usize::from(self.of(old).0)] = node;
        }
        renamed.network = Network::of(state.network.iter().map(|it| self.of_message(it)));
        renamed.fault = state.fault.map(|fault| self.of_fault(fault));
        renamed
    }
}
