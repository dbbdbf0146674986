//! No state is stuck: while a node can still begin a ballot that a quorum has not gone beyond, a state can be reached
//! in which every slot has a chosen value.
//!
//! The property does not say that this happens. No node need campaign, every message may be lost, and two leaders may
//! hinder each other for ever. It says that it *can* happen, so it is a property of one state, and a search can look at
//! it in each. It says nothing about states in which all ballots of the bounds are used up.
//!
//! The property takes little for granted: waiting steps can be synced, and any message that was ever sent may still
//! arrive. It needs no crash. The bounds decide whether refusals and news of chosen values arrive. The property asks for
//! *every* slot, not for some slot. That is the stronger claim, and it holds: a new leader proposes again what is
//! reported, fills the gaps, and proposes its client's values in the rest.

use std::collections::HashSet;

use stateright::Model as _;

use super::chosen_votes;
use crate::cluster::{
    action::Action,
    model::Cluster,
    state::{Ballot, Message, NodeId, Role, State},
};

/// The property that no state is stuck.
pub const NOT_STUCK: &str = "no state is stuck";

/// Returns true if a state is not stuck.
///
/// It tries a schedule first, which nearly always succeeds. If it does not, it looks through all states that can be
/// reached, so that a state is called stuck only if it is.
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

/// A node has voted, nothing is chosen, and a quorum is free. The property says most there.
pub(super) fn undecided_and_free(cluster: &Cluster, state: &State) -> bool {
    let voted = |slot| !state.ballots_voted(slot).is_empty();
    cluster.slots().any(voted)
        && chosen_votes(cluster, state).next().is_none()
        && free_campaigners(cluster, state).next().is_some()
}

/// Returns true if every slot has a chosen value.
fn all_chosen(cluster: &Cluster, state: &State) -> bool {
    let slots = chosen_votes(cluster, state).fold(0_u8, |set, (slot, _)| set | 1 << slot.0);
    slots.count_ones() == u32::from(cluster.bounds().slots)
}

/// Returns the campaigners whose last ballot is above all that they, and enough other nodes for both kinds of quorum,
/// have promised.
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

/// Lets everything go well for one node, in its present ballot or else in its next ones: it campaigns, and all nodes
/// answer. A leader that was overtaken hears of that first. Returns true if all slots are then chosen.
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

/// Delivers all messages of the present ballot of a node, and a snapshot of the chosen slots if there are any, and lets
/// the node propose. After one round it has the promises, after two it leads, after three there are votes.
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

/// Looks through all states that can be reached without a crash, deepest first.
fn reaches_all_chosen(cluster: &Cluster, state: &State) -> bool {
    // It keeps whole states, because two states with one hash might hide the way out.
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
