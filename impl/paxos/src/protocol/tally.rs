//! The tally of a leader: which nodes have voted in which slots.

use std::{collections::VecDeque, iter, ops::Range};

use super::node_set::NodeSet;
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
    /// votes, and passes them to `complete`, by rising slot and in ranges that are as long as possible.
    pub fn add(
        &mut self,
        slots: Range<u64>,
        index: usize,
        quorum: usize,
        mut complete: impl FnMut(Range<u64>),
    ) {
        let end = self.end().min(slots.end);
        let mut last: Option<Range<u64>> = None;
        self.change(slots.start..end, |slots, mut votes| {
            if votes.is_empty() {
                return votes;
            }
            votes.insert(index);
            if votes.len() < quorum {
                return votes;
            }
            match &mut last {
                Some(last) if last.end == slots.start => last.end = slots.end,
                last => last.replace(slots).into_iter().for_each(&mut complete),
            }
            NodeSet::default()
        });
        last.into_iter().for_each(complete);
    }

    /// Forgets the slots below `first`.
    pub fn advance(&mut self, first: Slot) {
        while self.runs.front().is_some_and(|(end, _)| *end <= first) {
            self.runs.pop_front();
        }
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
        let mut index = self.run_after(slots.start);
        let start = if index == 0 { self.first } else { self.runs[index - 1].0 };
        if start.0 < slots.start {
            self.divide(index, slots.start);
            index += 1;
        }
        let (first, mut start) = (index, slots.start);
        while start < slots.end {
            if self.runs[index].0.0 > slots.end {
                self.divide(index, slots.end);
            }
            let (end, votes) = &mut self.runs[index];
            *votes = change(start..end.0, *votes);
            start = end.0;
            index += 1;
        }
        self.join(first..index);
    }

    /// Divides a run, so that its first part ends before `slot`.
    fn divide(&mut self, index: usize, slot: u64) {
        let (_, votes) = self.runs[index];
        self.runs.insert(index, (Slot(slot), votes));
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
        // After joining, there is at most one.
        if self.runs.back().is_some_and(|(_, votes)| votes.is_empty()) {
            self.runs.pop_back();
        }
    }

    /// Returns the index of the first run that has `slot` or a later slot.
    fn run_after(&self, slot: u64) -> usize {
        // Most questions are about the first run.
        match self.runs.front() {
            Some((end, _)) if end.0 > slot => 0,
            _ => self.runs.partition_point(|(end, _)| end.0 <= slot),
        }
    }
}
