//! The symmetry of the cluster: it renames the nodes that do not campaign.
//!
//! *Claim.* Exchanging the names of two nodes that own no ballot turns each behaviour into a behaviour, and changes the truth
//! of no property.
//!
//! *Reason.* No rule names such a node. It promises, votes and learns by the messages that it gets. Other nodes count it as a
//! member of a set, and no property depends on its name.
//!
//! Ballots, values and campaigners cannot be renamed. Ballots are ordered, each has an owner, and its client asks for a fixed
//! value. A cluster with a bug has no symmetry, because a broken rule may name a node: one takes the *first* missing node.
//!
//! No part of a state relates two nodes that do not campaign. So each such node has its own list of facts. Sorting the nodes
//! by their lists turns all states that differ only by a renaming into the same state. A test checks that the orbits of all
//! representatives together have as many states as the search without symmetry finds.
//!
//! *Without it* a search visits one state of several that differ in more than names, and misses what follows from the
//! others. A bug that names a node has this effect, so mutants are searched without symmetry. The test is `orbits_add_up`.

use smallvec::SmallVec;

use state_explorer::{Names, Symmetry, arrangements};

use crate::cluster::{
    description::{Described as _, Field},
    model::Cluster,
    packing::Layout,
    state::{Message, Network, Node, NodeId, NodeSet, Role, State, Unsynced},
};

/// All facts about one node, without its name.
type Facts = SmallVec<[u64; 32]>;

impl Symmetry<State> for Cluster {
    fn what(&self) -> String {
        "nodes that do not campaign".to_owned()
    }

    fn names(&self, state: &State) -> Option<Names> {
        Names::sorting(self.bounds().campaigners, &self.facts_of_others(state))
    }

    fn rename(&self, mut state: State, names: &Names) -> State {
        let renaming = Renaming(names);
        for (old, node) in (0..).map(NodeId).zip(state.nodes.clone()) {
            let mut node = Node::clone(&node);
            node.live.role = renaming.of_role(node.live.role);
            for step in &mut node.unsynced {
                step.messages.iter_mut().for_each(|it| *it = renaming.of_message(*it));
            }
            state.nodes[usize::from(renaming.of(old).0)] = node.into();
        }
        let messages = state.network.iter().map(|it| renaming.of_message(it));
        state.network = Network::of(messages, *state.network.news());
        state
    }

    fn orbit(&self, state: &State) -> u64 {
        arrangements(self.facts_of_others(state))
    }
}

impl Cluster {
    fn facts_of_others(&self, state: &State) -> SmallVec<[Facts; 8]> {
        let others = self.nodes().skip(usize::from(self.bounds().campaigners));
        others.map(|id| facts_of(&self.layout, state, id)).collect()
    }
}

/// Returns the facts about a node, in the same order for each node of a state. A list of varying length comes after its
/// length, or last. So nodes with different facts never get equal lists.
fn facts_of(layout: &Layout, state: &State, id: NodeId) -> Facts {
    let mut facts = Facts::new();
    let Node { durable, unsynced, live } = state.node(id);
    facts.extend([layout.acceptor_digit(durable), layout.acceptor_digit(&live.acceptor)]);
    facts.extend(live.chosen.map(|value| value.map_or(0, |value| 1 + u64::from(value.0))));
    facts.push(unsynced.len() as u64);
    for Unsynced { acceptor, messages } in unsynced {
        facts.extend([layout.acceptor_digit(acceptor), messages.len() as u64]);
        facts.extend(messages.iter().map(|message| layout.message_digit(*message)));
    }
    for node in &state.nodes {
        match node.live.role {
            Role::Follower => {}
            Role::Candidate { heard, .. } => facts.push(u64::from(heard.has(id))),
            Role::Leader { votes, reads } => {
                facts.extend(votes.map(|voters| u64::from(voters.has(id))));
                facts.extend(reads.under_way.map(|round| u64::from(round.heard.has(id))));
            }
        }
    }
    let sent = |message: &Message| message.answered_by() == Some(id);
    facts.extend(state.network.iter().filter(sent).map(|message| layout.message_digit(message)));
    facts
}

/// The renaming of all parts of a state.
struct Renaming<'a>(&'a Names);

impl Renaming<'_> {
    fn of(&self, node: NodeId) -> NodeId {
        NodeId(self.0.of(usize::from(node.0)))
    }

    fn of_set(&self, set: NodeSet) -> NodeSet {
        let nodes = (0..8).map(NodeId).filter(|node| set.has(*node));
        nodes.fold(NodeSet::default(), |set, node| set.with(self.of(node)))
    }

    fn of_message(&self, message: Message) -> Message {
        let (shape, mut fields) = message.parts();
        for field in &mut fields {
            if let Field::Node(node) = field {
                *node = self.of(*node);
            }
        }
        Message::from_parts(shape, &fields).expect("the sorts of the fields are the same")
    }

    fn of_role(&self, role: Role) -> Role {
        match role {
            Role::Follower => Role::Follower,
            Role::Candidate { first, heard, reported, trimmed } => {
                Role::Candidate { first, heard: self.of_set(heard), reported, trimmed }
            }
            Role::Leader { votes, mut reads } => {
                if let Some(round) = &mut reads.under_way {
                    round.heard = self.of_set(round.heard);
                }
                Role::Leader { votes: votes.map(|set| self.of_set(set)), reads }
            }
        }
    }
}
