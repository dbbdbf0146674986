//! Ballots of which only the order and the owners matter.
//!
//! A step compares ballots, asks for owners, and asks for the next ballot of an owner. So one set of ballots stands for all
//! sets with the same order and owners. A generator inserts each ballot into a chain: it is one of those that are there, or
//! lies in one of the gaps. Each order of any number of ballots, equal ones included, arises in exactly one way.

use paxos_model::cluster::node::unbounded::{Ballot, NodeId};

use crate::choices::{Choices, Given};

/// The round of the first ballot. There is room for many more on both sides.
const MIDDLE: u64 = 1 << 40;

/// The ballots of a case, by rising order.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    ballots: Vec<Ballot>,
    /// True if the first ballot has the last round that there is. All others are then below.
    at_the_end: bool,
}

/// The place of a ballot relative to those of a chain.
#[derive(Clone, Copy)]
enum Place {
    /// It is this ballot.
    At(usize),
    /// It is new, and this number of ballots is below.
    After(usize),
}

impl Chain {
    /// Chooses a ballot among those that are there and the gaps between them. `limit` is the number of ballots that the chosen
    /// one may be, or that may be below it: all gaps up to `limit` are possible.
    fn place(choices: &mut impl Choices, limit: usize) -> Place {
        let answer = choices.below(2 * limit + 1);
        if answer < limit { Place::At(answer) } else { Place::After(answer - limit) }
    }

    /// Returns the chain of these ballots, which must rise.
    pub fn of(ballots: &[Ballot]) -> Self {
        assert!(ballots.is_sorted(), "a chain rises");
        Self { ballots: ballots.to_vec(), at_the_end: false }
    }

    /// Returns an empty chain that gets a ballot of the last round, and then lower ones.
    pub fn at_the_end() -> Self {
        Self { ballots: Vec::new(), at_the_end: true }
    }

    /// Returns the ballots, by rising order.
    pub fn ballots(&self) -> impl Iterator<Item = Ballot> {
        self.ballots.iter().copied()
    }

    /// Returns the number of ballots below `ballot`.
    pub fn below(&self, ballot: Ballot) -> usize {
        self.ballots.partition_point(|it| *it < ballot)
    }

    /// Chooses any ballot. A new one belongs to the owner that `owner` chooses.
    ///
    /// Returns none if there is no number left for it.
    pub fn any<C: Choices>(
        &mut self,
        choices: &mut C,
        owner: impl FnOnce(&mut C) -> NodeId,
    ) -> Option<Ballot> {
        let place = Self::place(choices, self.ballots.len());
        self.at(place, choices, owner)
    }

    /// Chooses a ballot below `limit`, which is in the chain.
    ///
    /// Returns none if there is no number left for it.
    pub fn any_below<C: Choices>(
        &mut self,
        limit: Ballot,
        choices: &mut C,
        owner: impl FnOnce(&mut C) -> NodeId,
    ) -> Option<Ballot> {
        let place = Self::place(choices, self.below(limit));
        self.at(place, choices, owner)
    }

    /// Chooses a ballot above `limit`, which is in the chain.
    ///
    /// Returns none if there is no number left for it.
    pub fn any_above<C: Choices>(
        &mut self,
        limit: Ballot,
        choices: &mut C,
        owner: impl FnOnce(&mut C) -> NodeId,
    ) -> Option<Ballot> {
        let below = self.below(limit) + 1;
        let above = self.ballots.len() - below;
        let place = match Self::place(choices, above) {
            Place::At(at) => Place::At(below + at),
            Place::After(at) => Place::After(below + at),
        };
        self.at(place, choices, owner)
    }

    /// Chooses a ballot that is in the chain, or a new one next to it.
    ///
    /// Returns none if there is no number left for it.
    pub fn near(
        &mut self,
        ballot: Ballot,
        choices: &mut impl Choices,
        owner: NodeId,
    ) -> Option<Ballot> {
        let at = self.below(ballot);
        let place = choices.of(&[Place::At(at), Place::After(at), Place::After(at + 1)]);
        self.at(place, choices, |_| owner)
    }

    /// Inserts a new ballot of this owner next below a ballot of the chain.
    ///
    /// Returns none if there is no number left for it.
    pub fn just_below(&mut self, ballot: Ballot, owner: NodeId) -> Option<Ballot> {
        let place = Place::After(self.below(ballot));
        self.at(place, &mut Given::new(Vec::new()), |_| owner)
    }

    /// Returns a ballot of this owner above all ballots of the chain, without adding it.
    ///
    /// Returns none if there is no number left for it.
    pub fn above(&self, ballot: Ballot, owner: NodeId) -> Option<Ballot> {
        let highest = self.ballots.last().map_or(ballot.round, |last| last.round);
        Some(Ballot { round: highest.checked_add(1)?, owner })
    }

    /// Returns a ballot of this owner for a chain that has none.
    pub fn first(&self, owner: NodeId) -> Ballot {
        Ballot { round: self.first_round(), owner }
    }

    fn first_round(&self) -> u64 {
        if self.at_the_end { u64::MAX } else { MIDDLE }
    }

    fn at<C: Choices>(
        &mut self,
        place: Place,
        choices: &mut C,
        owner: impl FnOnce(&mut C) -> NodeId,
    ) -> Option<Ballot> {
        match place {
            Place::At(at) => Some(self.ballots[at]),
            Place::After(count) => {
                let under = count.checked_sub(1).map_or(0, |at| self.ballots[at].round);
                let round = match self.ballots.get(count) {
                    Some(over) => u64::midpoint(under, over.round),
                    None if count == 0 => self.first_round(),
                    None => under.checked_add(MIDDLE)?,
                };
                let free =
                    round > under && self.ballots.get(count).is_none_or(|over| round < over.round);
                let ballot = Ballot { round, owner: owner(choices) };
                free.then(|| {
                    self.ballots.insert(count, ballot);
                    ballot
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::choices::Every;

    /// The numbers of weak orders of 1, 2, 3 and 4 things.
    #[test]
    fn each_weak_order_arises_once() {
        for (count, orders) in [(1, 1), (2, 3), (3, 13), (4, 75)] {
            let mut every = Every::default();
            let (mut found, mut all) = (HashSet::new(), 0);
            loop {
                let mut chain = Chain::default();
                let drawn: Vec<_> = (0..count)
                    .map(|_| chain.any(&mut every, |_| NodeId(1)).expect("there is room"))
                    .collect();
                let ranks: Vec<_> = drawn.iter().map(|ballot| chain.below(*ballot)).collect();
                found.insert(ranks);
                all += 1;
                if !every.advance() {
                    break;
                }
            }
            assert_eq!((found.len(), all), (orders, orders));
        }
    }
}
