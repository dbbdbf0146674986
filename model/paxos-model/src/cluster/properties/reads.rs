//! The properties of clusters with reads that do not depend on the past.

use stateright::Property;

use crate::cluster::{
    bounds::Bounds,
    model::Cluster,
    state::{NodeId, Round, State},
};

/// Returns the properties of a cluster with reads.
pub(super) fn of_states(bounds: &Bounds) -> Vec<Property<Cluster>> {
    let mut all = vec![Property::sometimes("a read is answered", |_, s: &State| {
        let mut leaders = s.nodes.iter().filter_map(|node| node.live.reads());
        leaders.any(|reads| reads.rounds > u8::from(reads.under_way.is_some()))
    })];
    if !has_rounds_under_way(bounds) {
        return all;
    }
    if bounds.reads > 1 {
        all.push(Property::sometimes("a read waits for the next round", |_, s: &State| {
            s.nodes.iter().filter_map(|node| node.live.reads()).any(|reads| reads.waits)
        }));
    }
    if bounds.ballots > 1 && (bounds.campaigners > 1 || bounds.crashes != Some(0)) {
        all.push(Property::sometimes("a read waits for what was reported", |_, s: &State| {
            under_way(s).any(|(node, round)| round.index > s.node(node).live.known_below())
        }));
    }
    all
}

/// Returns true if a round of reads can be under way. If a quorum of phase 2 is one node, each round ends as it begins.
pub(in crate::cluster) const fn has_rounds_under_way(bounds: &Bounds) -> bool {
    bounds.phase2_quorum > 1
}

/// Returns the rounds of reads that are under way, with their leaders.
pub(in crate::cluster) fn under_way(state: &State) -> impl Iterator<Item = (NodeId, Round)> + '_ {
    let nodes = (0..).map(NodeId).zip(&state.nodes);
    nodes.filter_map(|(id, node)| Some((id, node.live.reads()?.under_way?)))
}
