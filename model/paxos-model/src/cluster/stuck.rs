//! That no state is stuck: while somebody could still begin a ballot that a quorum has not gone beyond, a
//! state can be reached in which every slot has a value chosen.
//!
//! What it is not: that this happens. Nobody need campaign, every message may be lost, and two leaders
//! may hinder each other for ever; only that it *can* happen is looked at. It is a property of one state, so
//! that a search can look at it in each. It says nothing where all ballots of the bounds are used up.
//!
//! Of what must be so, little is taken for granted: no crash is needed, waiting steps can be synced, and any
//! message that was ever sent may still arrive. Whether refusals and news of what is chosen arrive is up to
//! the bounds. That *every* slot can be filled is the stronger of two claims, and holds: a new leader
//! proposes again what is reported, fills the gaps, and gets its client's values into the rest.

use std::collections::HashSet;

use stateright::Model as _;

use super::{
    Action, Cluster,
    chosen::chosen_votes,
    state::{Ballot, Message, NodeId, Role, Slot, State},
};
use state_explorer::Explorable as _;

/// The property that no state is stuck.
pub const NOT_STUCK: &str = "no state is stuck";

/// Whether a state is not stuck.
///
/// A schedule is tried first, which nearly always arrives. If it does not, everything that can be reached is
/// looked through, so that a state is only called stuck if it is.
pub(super) fn not_stuck(cluster: &Cluster, state: &State) -> bool {
    // A run that left the specification has ended.
    if state.fault.is_some() || all_chosen(cluster, state) {
        return true;
    }
    let free: Vec<_> = free_campaigners(cluster, state).collect();
    if free.is_empty() {
        return true;
    }
    // What is looked for here is not held against the specification: a fault would cut it short.
    let cluster = cluster.only(NOT_STUCK);
    free.iter().any(|&node| schedule(&cluster, state.clone(), node))
        || reaches_all_chosen(&cluster, state)
}

/// Somebody has voted, nothing is chosen, and a quorum is free: where the property says most.
pub(super) fn undecided_and_free(cluster: &Cluster, state: &State) -> bool {
    let voted = |slot| !state.ballots_voted(slot).is_empty();
    (0..cluster.rules.bounds.slots).map(Slot).any(voted)
        && chosen_votes(cluster, state).next().is_none()
        && free_campaigners(cluster, state).next().is_some()
}

/// Whether every slot has a value chosen.
fn all_chosen(cluster: &Cluster, state: &State) -> bool {
    let slots = chosen_votes(cluster, state).fold(0_u8, |set, (slot, _)| set | 1 << slot.0);
    slots.count_ones() == u32::from(cluster.rules.bounds.slots)
}

/// The campaigners whose last ballot is above what they and enough others for both kinds of quorum have
/// promised.
fn free_campaigners<'a>(
    cluster: &'a Cluster,
    state: &'a State,
) -> impl Iterator<Item = NodeId> + 'a {
    let bounds = &cluster.rules.bounds;
    let quorum = bounds.phase1_quorum.max(bounds.phase2_quorum);
    let promised = move |node| state.node(node).live.acceptor.promised;
    (0..bounds.campaigners).map(NodeId).filter(move |&node| {
        let owned = |&ballot: &Ballot| bounds.owner(ballot) == node;
        let last = (0..bounds.ballots).rev().map(Ballot).find(owned);
        let free = cluster.nodes().filter(|&other| promised(other) < last).count();
        promised(node) < last && free >= usize::from(quorum)
    })
}

/// Lets everything go well for one node, in its present ballot or else in its next ones: it campaigns, and
/// everybody answers. A leader that was overtaken hears of that first. Says whether all slots are then chosen.
fn schedule(cluster: &Cluster, mut state: State, node: NodeId) -> bool {
    sync_all(cluster, &mut state);
    loop {
        let role = state.node(node).live.role;
        if role != Role::Follower && answered(cluster, &mut state.clone(), node) {
            return true;
        }
        if matches!(role, Role::Leader { .. }) {
            let prepares = state.network.iter().filter(|it| matches!(it, Message::Prepare { .. }));
            let Some(message) = prepares.last() else { return false };
            take(cluster, &mut state, Action::Deliver { to: node, message });
            sync_all(cluster, &mut state);
        }
        if !take(cluster, &mut state, Action::Campaign(node)) {
            return false;
        }
        sync_all(cluster, &mut state);
    }
}

/// Delivers everything that was said in the present ballot of a node, with a snapshot of what is chosen where
/// there are any, and lets it propose. After one round it has the promises, after two it leads, after three
/// there are votes.
fn answered(cluster: &Cluster, state: &mut State, node: NodeId) -> bool {
    let Some(ballot) = state.node(node).live.acceptor.promised else { return false };
    (0..3).any(|_| {
        let mut snapshots = Vec::new();
        cluster.offer_snapshots(state, node, |action| snapshots.push(action));
        for action in snapshots {
            take(cluster, state, action);
            sync_all(cluster, state);
        }
        for count in (1..=cluster.rules.bounds.slots).rev() {
            take(cluster, state, Action::Propose { node, count });
        }
        sync_all(cluster, state);
        let said = state.network.iter().filter(|message| message.ballot() == ballot);
        for message in said.collect::<Vec<_>>() {
            for to in cluster.receivers(message) {
                take(cluster, state, Action::Deliver { to, message });
                sync_all(cluster, state);
            }
        }
        all_chosen(cluster, state)
    })
}

fn sync_all(cluster: &Cluster, state: &mut State) {
    for node in cluster.nodes() {
        while take(cluster, state, Action::Sync(node)) {}
    }
}

fn take(cluster: &Cluster, state: &mut State, action: Action) -> bool {
    let next = cluster.successor(state, action);
    let taken = next.is_some();
    if let Some(next) = next {
        *state = next;
    }
    taken
}

/// Looks through all states that can be reached, deepest first. They are at most those of the whole space.
fn reaches_all_chosen(cluster: &Cluster, state: &State) -> bool {
    // States themselves: one taken for another might hide the way out.
    let mut seen = HashSet::from([state.clone()]);
    let mut open = vec![state.clone()];
    let mut actions = Vec::new();
    while let Some(state) = open.pop() {
        if all_chosen(cluster, &state) {
            return true;
        }
        cluster.actions(&state, &mut actions);
        let next = actions.drain(..).filter_map(|action| cluster.successor(&state, action));
        open.extend(next.filter(|next| seen.insert(next.clone())));
    }
    false
}
