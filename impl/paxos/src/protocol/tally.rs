//! The tally of a leader: which nodes have voted in which slots.

use std::{collections::VecDeque, iter, ops::Range};

use super::{log::joined, node_set::NodeSet};
use crate::types::Slot;

/// The votes in consecutive slots. A slot is in flight while its set has a node.
///
/// Consecutive slots with the same votes are one run, so that a vote for many slots costs as much as a vote for one.
///
/// Invariant: no two neighbouring runs have the same set, and the last set is not empty. So two tallies with the same
/// votes are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tally {
    /// The first slot of the first run.
    first: Slot,
    /// The slot after the last one of each run, and the nodes that voted in its slots.
    runs: VecDeque<(Slot, NodeSet)>,
}

impl Tally {
    /// Returns a tally without votes for the slots from `first` on.
    pub fn new(first: Slot) -> Self {
        Self { first, runs: VecDeque::new() }
    }

    /// Returns the first slot that may be in flight.
    pub fn first(&self) -> Slot {
        self.first
    }

    /// Returns the slots in flight by runs, with the nodes that voted in them.
    pub fn runs(&self) -> impl Iterator<Item = (Range<u64>, NodeSet)> {
        let starts = iter::once(self.first).chain(self.runs.iter().map(|(end, _)| *end));
        let runs = starts.zip(&self.runs).map(|(start, (end, votes))| (start.0..end.0, *votes));
        runs.filter(|(_, votes)| !votes.is_empty())
    }

    /// Returns the slots in flight, with the nodes that voted in them.
    pub fn slots(&self) -> impl Iterator<Item = (Slot, NodeSet)> {
        self.runs().flat_map(|(slots, votes)| slots.map(move |slot| (Slot(slot), votes)))
    }

    /// Sets the votes in these slots. Ignores slots below `first`.
    pub fn set(&mut self, slots: Range<u64>, votes: NodeSet) {
        self.change(slots, |_, _| votes);
    }

    /// Adds a node's vote in each of these slots that is in flight. Takes the slots out of flight that now have `quorum`
    /// votes, and returns them as ranges that are as long as possible.
    pub fn add(
        &mut self,
        slots: Range<u64>,
        index: usize,
        quorum: usize,
    ) -> impl Iterator<Item = Range<u64>> + use<> {
        let mut complete = Vec::new();
        let end = self.end().min(slots.end);
        self.change(slots.start..end, |slots, mut votes| {
            if votes.is_empty() {
                return votes;
            }
            votes.insert(index);
            if votes.len() < quorum {
                return votes;
            }
            complete.push(slots);
            NodeSet::default()
        });
        joined(complete.into_iter())
    }

    /// Forgets the slots below `first`.
    pub fn advance(&mut self, first: Slot) {
        let past = self.runs.iter().take_while(|(end, _)| *end <= first).count();
        self.runs.drain(..past);
        self.first = first;
    }

    fn end(&self) -> u64 {
        self.runs.back().map_or(self.first, |(end, _)| *end).0
    }

    /// Replaces the votes in these slots. `change` gets runs of slots with their votes, by rising slot.
    fn change(
        &mut self,
        slots: Range<u64>,
        mut change: impl FnMut(Range<u64>, NodeSet) -> NodeSet,
    ) {
        let slots = slots.start.max(self.first.0)..slots.end;
        if slots.is_empty() {
            return;
        }
        if self.end() < slots.end {
            self.runs.push_back((Slot(slots.end), NodeSet::default()));
        }
        self.cut(slots.start);
        self.cut(slots.end);
        let changed = self.run_after(slots.start)..self.run_after(slots.end);
        let mut start = slots.start;
        for (end, votes) in self.runs.range_mut(changed.clone()) {
            *votes = change(start..end.0, *votes);
            start = end.0;
        }
        self.join(changed);
    }

    /// Divides the run that has this slot, so that a run begins with the slot.
    fn cut(&mut self, slot: u64) {
        let index = self.run_after(slot);
        let start = if index == 0 { self.first } else { self.runs[index - 1].0 };
        if start.0 < slot
            && let Some((_, votes)) = self.runs.get(index)
        {
            self.runs.insert(index, (Slot(slot), *votes));
        }
    }

    /// Joins these runs with each other and with their neighbours where the votes are equal, and drops empty sets at the
    /// end.
    fn join(&mut self, changed: Range<usize>) {
        let last = changed.end.min(self.runs.len() - 1);
        for index in (changed.start.max(1)..=last).rev() {
            if self.runs[index - 1].1 == self.runs[index].1 {
                self.runs.remove(index - 1);
            }
        }
        self.runs.pop_back_if(|(_, votes)| votes.is_empty());
    }

    /// Returns the index of the first run that has `slot` or a later slot.
    fn run_after(&self, slot: u64) -> usize {
        self.runs.partition_point(|(end, _)| end.0 <= slot)
    }
}
