//! The symmetry of the specification: it renames the acceptors and the values.
//!
//! *Claim.* Exchanging the names of two acceptors, or of two values, turns each behaviour into a behaviour, and changes the
//! truth of no property.
//!
//! *Reason.* The specification only compares acceptors for equality, and values as well, and its properties name none of them.
//! Ballots are ordered, so they cannot be renamed.
//!
//! A state consists of the ballots in which each acceptor promised and voted, the ballots in which each value was proposed,
//! and the ballots that were prepared. No bit relates two acceptors, two values, or an acceptor and a value: a vote names no
//! value. So each acceptor and each value has its own list of ballots. Sorting the acceptors and the values by their lists
//! turns all states that differ only by a renaming into the same state. The number of such states is the number of distinct
//! orders of the lists of acceptors, times that of the lists of values.
//!
//! *Without it* a search visits one state of several that differ in more than names, and misses what follows from the
//! others. The test `orbits_add_up` adds up the numbers of states that the representatives stand for.

use smallvec::SmallVec;

use super::{Ballot, State, Synod};
use state_explorer::{Names, Symmetry, arrangements};

impl Symmetry<State> for Synod {
    fn what(&self) -> String {
        if self.distinct_values {
            "acceptors".to_owned()
        } else {
            "acceptors and values".to_owned()
        }
    }

    /// Returns the new names of the acceptors, followed by those of the values.
    fn names(&self, state: &State) -> Option<Names> {
        let acceptors = Names::sorting(0, &self.said_of_acceptors(*state));
        let values = if self.distinct_values {
            None
        } else {
            Names::sorting(0, &self.said_of_values(*state))
        };
        if acceptors.is_none() && values.is_none() {
            return None;
        }
        let acceptors = acceptors.unwrap_or_else(|| Names::unchanged(self.acceptors));
        Some(acceptors.and(&values.unwrap_or_else(|| Names::unchanged(self.values))))
    }

    fn rename(&self, state: State, names: &Names) -> State {
        let width = u32::from(self.ballots);
        let block = width * u32::from(self.acceptors);
        let mut bits = state.0 & u128::from(self.row);
        for (a, said) in self.said_of_acceptors(state).into_iter().enumerate() {
            let at = self.promises_at + width * u32::from(names.of(a));
            bits |= u128::from(said & u64::from(self.row)) << at;
            bits |= u128::from(said >> u32::BITS) << (at + block);
        }
        for (v, said) in self.said_of_values(state).into_iter().enumerate() {
            let v = u32::from(names.of(usize::from(self.acceptors) + v));
            for b in self.ballots().filter(|b| said >> b.0 & 1 == 1) {
                bits |= 1 << (self.proposals_bit(b) + v);
            }
        }
        State(bits)
    }

    fn orbit(&self, state: &State) -> u64 {
        let acceptors = arrangements(self.said_of_acceptors(*state));
        if self.distinct_values {
            return acceptors;
        }
        acceptors.saturating_mul(arrangements(self.said_of_values(*state)))
    }
}

impl Synod {
    /// Returns for each acceptor the ballots in which it has promised, and above them those in which it has voted.
    fn said_of_acceptors(&self, state: State) -> SmallVec<[u64; 8]> {
        let said = |a| {
            let promises = self.ballots_of(state, a, self.promises_at);
            u64::from(self.votes_of(state, a)) << u32::BITS | u64::from(promises)
        };
        self.acceptors().map(said).collect()
    }

    /// Returns for each value the ballots in which it was proposed.
    fn said_of_values(&self, state: State) -> SmallVec<[u64; 8]> {
        let proposed = |v: u8, b: Ballot| self.proposals_mask(state, b) >> v & 1 == 1;
        let said =
            |v| self.ballots().filter(|b| proposed(v, *b)).fold(0, |said, b| said | 1 << b.0);
        (0..self.values).map(said).collect()
    }
}
