//! What is chosen in a state of the cluster.

use super::{
    Cluster,
    state::{Slot, State, Vote},
};

/// What a quorum voted for in one ballot, slot by slot.
pub(super) fn chosen_votes<'a>(
    cluster: &'a Cluster,
    state: &'a State,
) -> impl Iterator<Item = (Slot, Vote)> + 'a {
    let quorum = cluster.rules.bounds.phase2_quorum;
    (0..cluster.rules.bounds.slots).map(Slot).flat_map(move |slot| {
        let voted = state.ballots_voted(slot).into_iter();
        voted.filter(move |(_, voters)| voters.len() >= quorum).map(move |(vote, _)| (slot, vote))
    })
}
