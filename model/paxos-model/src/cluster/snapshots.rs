//! Snapshots: what a prefix of the log has led to, kept in its place.
//!
//! A node that has a durable snapshot of everything below a slot trims the log to there: its votes and what
//! it knew to be chosen are dropped, and how far they are is stored. Whether the snapshot is its own or
//! another's makes no difference to the protocol, so that there is one input for both. A snapshot of a prefix
//! can reach anybody once all of that is chosen, which is more than can really happen: somebody has to know.
//!
//! Nothing of the argument for safety is lost with the votes, for it asks for votes only where something may
//! yet be proposed:
//! - In a slot that is trimmed a node no longer votes, and its promises report nothing there. They say up to
//!   where that is so, and all below is chosen.
//! - Who hears such promises leads only once it knows what is chosen below the highest of these places. So it
//!   proposes nothing there, and everywhere else the promises are as complete as ever.
//!
//! A Prepare that arrives again is answered with less, where more is trimmed; what the two answers both report
//! is the same. And a node that has trimmed the slots in which it voted in a ballot answers the Prepare of
//! that ballot, since it no longer sees that it voted. That promise is late: the ballot's owner leads already,
//! or has left it for good.

use stateright::Property;

use super::{
    Action, Cluster,
    bounds::Bounds,
    chosen::chosen_votes,
    rules::Rules,
    state::{Message, NodeId, Role, Slot, State},
    step::Step,
    types::forget,
};

/// The property that only what is chosen is trimmed.
pub const TRIMMED: &str = "what is trimmed is chosen";

impl Rules {
    /// Trims the log to where a snapshot reaches.
    pub(super) fn on_snapshot(&self, me: NodeId, below: Slot, step: &mut Step) {
        let live = &mut step.live;
        if below <= live.acceptor.trimmed {
            return;
        }
        live.acceptor.trimmed = below;
        forget(&mut live.acceptor.votes, below);
        forget(&mut live.chosen, below);
        match &mut live.role {
            Role::Follower => {}
            Role::Candidate { reported, .. } => forget(reported, below),
            Role::Leader { votes, .. } => forget(votes, below),
        }
        self.lead_if_promised(me, step);
    }
}

impl Cluster {
    /// How far a snapshot can reach that a node takes or gets.
    pub(super) fn coverable(&self, state: &State, node: NodeId) -> Slot {
        let live = &state.node(node).live;
        let covers = |&slot: &Slot| {
            let chosen = self.can_be_told(state, slot)
                && chosen_votes(self, state).any(|(at, _)| at == slot);
            let own = live.acceptor.votes[usize::from(slot.0)];
            slot < live.acceptor.trimmed || self.rules.snapshot_covers(chosen, own)
        };
        let slots = (0..self.rules.bounds.slots).map(Slot);
        Slot(slots.take_while(covers).count() as u8)
    }

    /// The snapshots that may come to be at a node, or reach it.
    pub(super) fn offer_snapshots(
        &self,
        state: &State,
        node: NodeId,
        mut offer: impl FnMut(Action),
    ) {
        if self.rules.bounds.snapshots {
            let has = state.node(node).live.acceptor.trimmed;
            let all = has.0 + 1..=self.coverable(state, node).0;
            all.map(Slot).for_each(|below| offer(Action::Snapshot { to: node, below }));
        }
    }
}

/// What must hold, and happen, where there are snapshots.
pub(super) fn properties(bounds: &Bounds) -> Vec<Property<Cluster>> {
    let mut all = vec![
        Property::always(TRIMMED, trimmed_is_chosen),
        Property::sometimes("a node trims its log", |_, s: &State| {
            s.nodes.iter().any(|node| node.durable.trimmed > Slot(0))
        }),
    ];
    if bounds.phase2_quorum < bounds.nodes {
        all.push(Property::sometimes("a snapshot covers what its node never voted for", learned));
    }
    // Who leads on its own promise alone hears of nothing; and the first leader of all finds nothing trimmed.
    let again = bounds.campaigners > 1 || bounds.crashes != Some(0);
    if bounds.ballots > 1 && bounds.phase1_quorum > 1 && again {
        all.push(Property::sometimes("a candidate waits for a snapshot", waits));
        all.push(Property::sometimes("a new leader begins after a snapshot", begins_after));
    }
    all
}

fn trimmed_is_chosen(cluster: &Cluster, state: &State) -> bool {
    let most = state.nodes.iter().map(|node| node.live.acceptor.trimmed).max();
    let chosen = |slot| chosen_votes(cluster, state).any(|(at, _)| at == slot);
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
        Role::Candidate { heard, .. } => cluster.rules.leads(heard),
        _ => false,
    })
}

/// A ballot is led that somebody promised who had trimmed before.
fn begins_after(cluster: &Cluster, state: &State) -> bool {
    let leads = |ballot| {
        let owner = state.node(cluster.rules.bounds.owner(ballot)).live;
        matches!(owner.role, Role::Leader { .. }) && owner.acceptor.promised == Some(ballot)
    };
    state.network.iter().any(|message| match message {
        Message::Promise { ballot, trimmed, .. } => trimmed > Slot(0) && leads(ballot),
        _ => false,
    })
}
