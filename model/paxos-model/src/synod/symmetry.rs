//! What can be renamed in the specification: acceptors, and values.
//!
//! The specification asks of both only which are equal, and its properties do not name any. Ballots cannot
//! be renamed, for they are ordered.
//!
//! A state is then, of each acceptor, the ballots in which it promised and voted; of each value, the
//! ballots in which it was proposed; and the ballots that were prepared. No bit speaks of two acceptors, of
//! two values, or of one of each, since a vote names no value. So to sort the acceptors by what is said of
//! them, and the values likewise, leads from all states that can be renamed to each other to the same one,
//! and their number is the number of ways to order what is said.

use smallvec::SmallVec;

use super::{Ballot, State, Synod};
use state_explorer::{Symmetry, arrangements};

impl Symmetry<State> for Synod {
    fn what(&self) -> String {
        if self.distinct_values {
            "acceptors".to_owned()
        } else {
            "acceptors and values".to_owned()
        }
    }

    fn canonical(&self, state: State) -> State {
        let mut acceptors = self.said_of_acceptors(state);
        let mut values = self.said_of_values(state);
        let width = u32::from(self.ballots);
        let block = width * u32::from(self.acceptors);
        acceptors.sort_unstable_by(|a, b| b.cmp(a));
        if !self.distinct_values {
            values.sort_unstable_by(|a, b| b.cmp(a));
        }
        let mut bits = state.0 & u128::from(self.row);
        let mut at = self.promises_at;
        for said in acceptors {
            bits |= u128::from(said & u64::from(self.row)) << at;
            bits |= u128::from(said >> u32::BITS) << (at + block);
            at += width;
        }
        for (v, said) in (0..).zip(values) {
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
    /// The ballots in which each acceptor has promised, and above them those in which it has voted.
    fn said_of_acceptors(&self, state: State) -> SmallVec<[u64; 8]> {
        let said = |a| {
            let promises = self.ballots_of(state, a, self.promises_at);
            u64::from(self.votes_of(state, a)) << u32::BITS | u64::from(promises)
        };
        self.acceptors().map(said).collect()
    }

    /// The ballots in which each value was proposed.
    fn said_of_values(&self, state: State) -> SmallVec<[u64; 8]> {
        let proposed = |v: u8, b: Ballot| self.proposals_mask(state, b) >> v & 1 == 1;
        let said =
            |v| self.ballots().filter(|b| proposed(v, *b)).fold(0, |said, b| said | 1 << b.0);
        (0..self.values).map(said).collect()
    }
}
