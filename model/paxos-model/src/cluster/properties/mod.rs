//! The properties of a state: claims that must hold in every state, and situations that must occur in some state.
//!
//! A claim says little if no state of the search puts it to the test. So the claims stand together with the situations that
//! an exhaustive search must find.
//!
//! - this module: agreement, validity and the rest of the protocol.
//! - `reads` and `snapshots`: the properties of clusters that have them.
//! - `stuck`: progress stays possible.
//!
//! Properties that depend on the past are those of the [monitors](super::monitors).

pub(super) mod reads;
mod snapshots;
mod stuck;

use stateright::Property;

use self::stuck::{not_stuck, undecided_and_free};
pub use self::{snapshots::TRIMMED, stuck::NOT_STUCK};
use super::{
    model::Cluster,
    state::{Message, Node, NodeSet, Role, SLOTS_MAX, SharedNode, Slot, State, Value, Vote},
};

/// The property that at most one value is chosen in a slot.
pub const AGREEMENT: &str = "agreement";
/// The property that a client asked for each value that got a vote, or that the value is the no-op.
pub const VALIDITY: &str = "validity";
/// The property that a ballot proposes at most one value in a slot.
pub const ONE_VALUE: &str = "one value per ballot";
/// The property that the promise of each node is at least each ballot in which it promised or voted.
pub const PROMISES_KEPT: &str = "promises are kept";
/// The property that each value that a node believes to be chosen is chosen.
pub const BELIEFS: &str = "what is believed chosen is chosen";
/// The property that a quorum holds each chosen value on its disks.
pub const HELD: &str = "a quorum holds what is chosen";

/// Returns all properties of states. It leaves out the situations that the bounds of the cluster exclude.
pub(super) fn of_states(cluster: &Cluster) -> Vec<Property<Cluster>> {
    let bounds = cluster.bounds();
    let mut all = vec![
        Property::always(AGREEMENT, agreement),
        Property::sometimes("a value is chosen", |c, s| c.chosen_votes(s).next().is_some()),
        Property::always(VALIDITY, validity),
        Property::always(ONE_VALUE, one_value_per_ballot),
        Property::always(PROMISES_KEPT, promises_kept),
        Property::always(BELIEFS, beliefs_are_chosen),
        Property::sometimes("a leader knows what is chosen", |_, s: &State| {
            s.nodes.iter().any(|node| {
                matches!(node.live.role, Role::Leader { .. })
                    && node.live.chosen.iter().any(Option::is_some)
            })
        }),
        Property::always(HELD, quorum_holds_chosen),
        Property::sometimes("a node votes for another's proposal", |c, s: &State| {
            s.network.votes().any(|(_, vote, from)| c.bounds().owner(vote.ballot) != from)
        }),
    ];
    if bounds.ballots > 1 {
        all.push(Property::sometimes("a value of an earlier ballot is adopted", adopted));
    }
    // If all nodes must promise, the first proposer reports its own vote, and the second leader adopts the value.
    if bounds.ballots > 1 && bounds.values > 1 && bounds.phase1_quorum < bounds.nodes {
        all.push(Property::sometimes("two values are proposed in one slot", |c, s| {
            c.slots().any(|slot| two_proposed(s, slot))
        }));
    }
    // The first leader keeps its role if the second one does not need its promise.
    if bounds.ballots > 1 && bounds.campaigners > 1 && bounds.phase1_quorum < bounds.nodes {
        all.push(Property::sometimes("two leaders at once", |_, s: &State| {
            let leads = |node: &&SharedNode| matches!(node.live.role, Role::Leader { .. });
            s.nodes.iter().filter(leads).count() > 1
        }));
    }
    if bounds.crashes != Some(0) && bounds.nodes > 2 {
        all.push(Property::sometimes("a leader crashed after one other voted", leader_crashed));
    }
    if bounds.slots > 1 {
        all.push(Property::sometimes("two slots are chosen", |c, s| {
            let slots: u8 = c.chosen_votes(s).fold(0, |set, (slot, _)| set | 1 << slot.0);
            slots.count_ones() > 1
        }));
        if bounds.ballots > 1 {
            all.push(Property::sometimes("a gap is filled with a no-op", |c, s| {
                c.chosen_votes(s).any(|(_, vote)| vote.value == c.bounds().noop())
            }));
        }
    }
    if bounds.chosen && bounds.nodes > 1 {
        all.push(Property::sometimes("a follower knows what is chosen", |_, s: &State| {
            s.nodes.iter().any(|node| {
                matches!(node.live.role, Role::Follower)
                    && node.live.chosen.iter().any(Option::is_some)
            })
        }));
    }
    if bounds.unsynced > 0 {
        all.push(Property::sometimes("a step waits for its sync", |_, s: &State| {
            s.nodes.iter().any(|node| !node.unsynced.is_empty())
        }));
        if bounds.nodes > 1 {
            all.push(Property::sometimes(
                "another votes before the leader's vote is durable",
                voted_before,
            ));
        }
    }
    if bounds.unsynced > 1 {
        all.push(Property::sometimes("two steps wait for their sync", |_, s: &State| {
            s.nodes.iter().any(|node| node.unsynced.len() > 1)
        }));
    }
    if bounds.snapshots {
        all.extend(snapshots::of_states(bounds));
    }
    if bounds.reads > 0 {
        all.extend(reads::of_states(bounds));
    }
    if cluster.not_stuck {
        all.push(Property::always(NOT_STUCK, not_stuck));
        // If a single vote chooses a value, a vote always leaves a value chosen.
        if bounds.ballots > 1 && bounds.phase2_quorum > 1 {
            all.push(Property::sometimes("undecided, and a quorum is free", undecided_and_free));
        }
    }
    all
}

/// Returns true if at most one value is chosen in each slot.
fn agreement(cluster: &Cluster, state: &State) -> bool {
    let mut known: [Option<Value>; SLOTS_MAX] = Default::default();
    cluster
        .chosen_votes(state)
        .all(|(slot, vote)| *known[usize::from(slot.0)].get_or_insert(vote.value) == vote.value)
}

/// Returns true if each value that got a vote in a slot was proposed there, in the same or a lower ballot whose client
/// asked for it. In a log with several slots the value may be the no-op as well.
fn validity(cluster: &Cluster, state: &State) -> bool {
    let bounds = cluster.bounds();
    state.network.votes().all(|(slot, Vote { ballot, value }, _)| {
        let asked = |earlier: Message| match earlier {
            Message::Accept { ballot: earlier, slot: at, value: proposed } => {
                at == slot
                    && proposed == value
                    && earlier <= ballot
                    && bounds.client_value(earlier) == value
            }
            _ => false,
        };
        (value == bounds.noop() && bounds.slots > 1) || state.network.iter().any(asked)
    })
}

fn two_proposed(state: &State, slot: Slot) -> bool {
    let mut proposed = state.network.iter().filter_map(|message| match message {
        Message::Accept { slot: at, value, .. } if at == slot => Some(value),
        _ => None,
    });
    let first = proposed.next();
    proposed.any(|value| Some(value) != first)
}

/// Returns true if each ballot proposes at most one value in a slot.
fn one_value_per_ballot(_: &Cluster, state: &State) -> bool {
    let mut last = None;
    state.network.iter().all(|message| {
        let Message::Accept { ballot, slot, .. } = message else { return true };
        last.replace((ballot, slot)) != Some((ballot, slot))
    })
}

/// Returns true if the durable promise of each node is at least each ballot in which the node ever promised or voted.
fn promises_kept(_: &Cluster, state: &State) -> bool {
    state.network.iter().all(|message| match message {
        Message::Promise { from, ballot, .. } | Message::Accepted { from, ballot, .. } => {
            state.node(from).durable.promised >= Some(ballot)
        }
        _ => true,
    })
}

/// Returns true if each value that a node believes to be chosen has a quorum of votes in one ballot. Nodes with unsynced
/// steps are left out.
fn beliefs_are_chosen(cluster: &Cluster, state: &State) -> bool {
    // While a node has unsynced steps, it may count its own vote before the vote is durable. It tells no other node yet.
    let chosen = |slot: Slot, value| {
        cluster.chosen_votes(state).any(|(at, vote)| at == slot && vote.value == value)
    };
    state.nodes.iter().all(|node| {
        let known = (0..).map(Slot).zip(node.live.chosen);
        let mut known = known.filter_map(|(slot, value)| Some((slot, value?)));
        !node.unsynced.is_empty() || known.all(|(slot, value)| chosen(slot, value))
    })
}

/// Returns true if a quorum holds each chosen value on its disks. A node holds the value in a snapshot, or by a vote in the
/// ballot in which the value was chosen or in a higher one.
fn quorum_holds_chosen(cluster: &Cluster, state: &State) -> bool {
    cluster.chosen_votes(state).all(|(slot, chosen)| {
        let holds = |node: &Node| {
            let vote = node.durable.votes[usize::from(slot.0)];
            vote.is_some_and(|vote| vote.ballot >= chosen.ballot && vote.value == chosen.value)
                || slot < node.durable.trimmed
        };
        let holders = state.nodes.iter().filter(|node| holds(node)).count();
        holders >= usize::from(cluster.bounds().phase2_quorum)
    })
}

/// Returns true if a ballot proposes a value that its own client does not ask for and that is no no-op.
fn adopted(cluster: &Cluster, state: &State) -> bool {
    let bounds = cluster.bounds();
    state.network.iter().any(|message| match message {
        Message::Accept { ballot, value, .. } => {
            value != bounds.client_value(ballot) && value != bounds.noop()
        }
        _ => false,
    })
}

/// Returns true if a node has voted for a proposal in the first slot, and the vote of the proposer itself is not durable.
fn voted_before(cluster: &Cluster, state: &State) -> bool {
    let first = |(vote, voters): (Vote, NodeSet)| {
        let owner = cluster.bounds().owner(vote.ballot);
        !voters.has(owner) && !state.node(owner).unsynced.is_empty()
    };
    state.ballots_voted(Slot(0)).into_iter().any(first)
}

/// Returns true if the proposer of a value in the first slot and exactly one other node have voted for it, and the proposer
/// has crashed since. The crash shows because the proposer is a follower, but has promised no higher ballot.
fn leader_crashed(cluster: &Cluster, state: &State) -> bool {
    let bounds = cluster.bounds();
    state.ballots_voted(Slot(0)).into_iter().any(|(vote, voters): (Vote, NodeSet)| {
        let owner = bounds.owner(vote.ballot);
        let node = state.node(owner);
        voters.len() == 2
            && voters.has(owner)
            && node.durable.promised == Some(vote.ballot)
            && node.live.role == Role::Follower
    })
}
