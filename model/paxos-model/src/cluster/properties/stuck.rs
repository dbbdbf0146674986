//! The property that no state is stuck.
//!
//! Let a node own a ballot above its promise, and above the promises of a quorum. Then actions can lead to a state in which
//! every slot has a chosen value.
//!
//! The property does not say that the cluster reaches such a state. No node need campaign, every message may be lost, and
//! two leaders may hinder each other for ever. It says that the cluster *can* reach one. So it is a property of one state,
//! and a search can check it in each state. It says nothing about states in which all ballots of the bounds are used up.
//!
//! The property assumes little: waiting steps can be synced, and any message that was ever sent may still arrive. It needs
//! no crash. The bounds decide whether refusals and news of chosen values arrive.
//!
//! The property asks for a chosen value in *every* slot, which is stronger than in some slot. It holds: a new leader
//! proposes the reported values again, fills the gaps, and proposes its client's values in the other slots.

use std::collections::HashSet;

use stateright::Model as _;

use crate::cluster::{
    action::Action,
    model::Cluster,
    state::{Ballot, Message, NodeId, Role, State},
};

/// The property that no state is stuck.
pub const NOT_STUCK: &str = "no state is stuck";

/// Returns true if a state is not stuck.
///
/// The check tries a fixed schedule first, which nearly always succeeds. Otherwise it searches all states that can be
/// reached without a crash, so the answer is exact.
pub(super) fn not_stuck(cluster: &Cluster, state: &State) -> bool {
    if all_chosen(cluster, state) {
        return true;
    }
    let free: Vec<_> = free_campaigners(cluster, state).collect();
    if free.is_empty() {
        return true;
    }
    free.iter().any(|&node| schedule(cluster, state.clone(), node))
        || reaches_all_chosen(cluster, state)
}

/// Returns true if a node has voted, no value is chosen, and a campaigner is free: [`not_stuck`] then claims progress.
pub(super) fn undecided_and_free(cluster: &Cluster, state: &State) -> bool {
    let voted = |slot| !state.ballots_voted(slot).is_empty();
    cluster.slots().any(voted)
        && cluster.chosen_votes(state).next().is_none()
        && free_campaigners(cluster, state).next().is_some()
}

/// Returns true if every slot has a chosen value.
fn all_chosen(cluster: &Cluster, state: &State) -> bool {
    let slots = cluster.chosen_votes(state).fold(0_u8, |set, (slot, _)| set | 1 << slot.0);
    slots.count_ones() == u32::from(cluster.bounds().slots)
}

/// Returns the campaigners whose last ballot is above their own promise, and above the promises of enough nodes for both
/// kinds of quorum.
fn free_campaigners<'a>(
    cluster: &'a Cluster,
    state: &'a State,
) -> impl Iterator<Item = NodeId> + 'a {
    let bounds = cluster.bounds();
    let quorum = bounds.phase1_quorum.max(bounds.phase2_quorum);
    let promised = move |node| state.node(node).live.acceptor.promised;
    (0..bounds.campaigners).map(NodeId).filter(move |&node| {
        let owned = |&ballot: &Ballot| bounds.owner(ballot) == node;
        let last = (0..bounds.ballots).rev().map(Ballot).find(owned);
        let free = cluster.nodes().filter(|&other| promised(other) < last).count();
        promised(node) < last && free >= usize::from(quorum)
    })
}

/// Returns true if a schedule without losses leads from a state to one in which all slots have a chosen value.
///
/// All nodes answer the node in its current ballot, if it campaigns or leads. If that is not enough, the node campaigns in
/// its next ballots, one after the other. A leader must first get the Prepare message of a higher ballot, because a leader
/// does not campaign.
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

/// Runs up to three rounds for a node in its current ballot, and returns true as soon as all slots have a chosen value. In
/// each round the node gets the snapshots that the model offers and proposes, and then all messages of its ballot arrive.
/// After one round the node has the promises, after two it leads, and after three there are votes.
fn answered(cluster: &Cluster, state: &mut State, node: NodeId) -> bool {
    let Some(ballot) = state.node(node).live.acceptor.promised else { return false };
    (0..3).any(|_| {
        let mut snapshots = Vec::new();
        cluster.offer_snapshots(state, node, &mut |action| snapshots.push(action));
        for action in snapshots {
            take(cluster, state, action);
            sync_all(cluster, state);
        }
        for count in (1..=cluster.bounds().slots).rev() {
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

/// Searches all states that can be reached without a crash, depth first.
fn reaches_all_chosen(cluster: &Cluster, state: &State) -> bool {
    // The set keeps whole states. If it kept hashes, two states with the same hash could hide a path.
    let mut seen = HashSet::from([state.clone()]);
    let mut open = vec![state.clone()];
    let mut actions = Vec::new();
    while let Some(state) = open.pop() {
        if all_chosen(cluster, &state) {
            return true;
        }
        cluster.actions(&state, &mut actions);
        actions.retain(|action| !matches!(action, Action::Crash(_)));
        let next = actions.drain(..).filter_map(|action| cluster.successor(&state, action));
        open.extend(next.filter(|next| seen.insert(next.clone())));
    }
    false
}
