//! The values that are chosen in a state.

use crate::cluster::{
    model::Cluster,
    state::{Slot, State, Vote},
};

/// Returns the votes that a quorum cast in one ballot, slot by slot.
pub(in crate::cluster) fn chosen_votes<'a>(
    cluster: &'a Cluster,
    state: &'a State,
) -> impl Iterator<Item = (Slot, Vote)> + 'a {
    let quorum = cluster.bounds().phase2_quorum;
    cluster.slots().flat_map(move |slot| {
        let voted = state.ballots_voted(slot).into_iter();
        voted.filter(move |(_, voters)| voters.len() >= quorum).map(move |(vote, _)| (slot, vote))
    })
}
