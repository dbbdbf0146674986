//! The properties of clusters with snapshots.

use stateright::Property;

use crate::cluster::{
    bounds::Bounds,
    model::Cluster,
    state::{Message, Role, Slot, State},
};

/// The property that each trimmed slot is chosen.
pub const TRIMMED: &str = "what is trimmed is chosen";

/// Returns the properties of a cluster with snapshots.
pub(super) fn of_states(bounds: &Bounds) -> Vec<Property<Cluster>> {
    let mut all = vec![
        Property::always(TRIMMED, trimmed_is_chosen),
        Property::sometimes("a node trims its log", |_, s: &State| {
            s.nodes.iter().any(|node| node.durable.trimmed > Slot(0))
        }),
    ];
    if bounds.phase2_quorum < bounds.nodes {
        all.push(Property::sometimes("a snapshot covers what its node never voted for", learned));
    }
    // These situations need a leader that hears promises of other nodes, and that is not the first leader: the first one
    // finds no trimmed slots.
    let again = bounds.campaigners > 1 || bounds.crashes != Some(0);
    if bounds.ballots > 1 && bounds.phase1_quorum > 1 && again {
        all.push(Property::sometimes("a candidate waits for a snapshot", waits));
        all.push(Property::sometimes("a new leader begins after a snapshot", begins_after));
    }
    all
}

fn trimmed_is_chosen(cluster: &Cluster, state: &State) -> bool {
    let most = state.nodes.iter().map(|node| node.live.acceptor.trimmed).max();
    let chosen = |slot| cluster.chosen_votes(state).any(|(at, _)| at == slot);
    (0..most.map_or(0, |most| most.0)).map(Slot).all(chosen)
}

fn learned(cluster: &Cluster, state: &State) -> bool {
    cluster.nodes().any(|node| {
        let trimmed = state.node(node).durable.trimmed;
        (0..trimmed.0).any(|slot| state.last_vote(node, Slot(slot), None).is_none())
    })
}

fn waits(cluster: &Cluster, state: &State) -> bool {
    state.nodes.iter().any(|node| match node.live.role {
        Role::Candidate { heard, .. } => cluster.rules.leads(&heard),
        _ => false,
    })
}

/// Returns true if a node leads in a ballot that an acceptor promised after it had trimmed slots.
fn begins_after(cluster: &Cluster, state: &State) -> bool {
    let leads = |ballot| {
        let owner = state.node(cluster.bounds().owner(ballot)).live;
        matches!(owner.role, Role::Leader { .. }) && owner.acceptor.promised == Some(ballot)
    };
    state.network.iter().any(|message| match message {
        Message::Promise { ballot, trimmed, .. } => trimmed > Slot(0) && leads(ballot),
        _ => false,
    })
}
