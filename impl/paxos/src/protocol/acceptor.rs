//! The acceptor: what this node has promised and accepted. All of it is durable, and nothing else.

use std::{cmp::Ordering, ops::Range, sync::Arc};

use itertools::Itertools;
use thiserror::Error;

use super::log::{SlotLog, runs};
use crate::{
    event::Record,
    message::Report,
    types::{Ballot, Batch, Slot, Value},
};

/// How far beyond what is trimmed a record may speak. Each slot between takes a place in memory, and of
/// these so many that few machines have room for more.
const SLOTS_HELD_MAX: u64 = 1 << 28;

/// A vote: a value accepted in a ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Vote {
    /// maxVBal.
    pub ballot: Ballot,
    /// maxVal.
    pub value: Value,
}

/// The durable half of a replica.
///
/// Invariant: no vote is above `promised`, and none is in a slot below `trimmed`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Acceptor {
    /// maxBal: one promise for the whole log. It only rises.
    pub promised: Option<Ballot>,
    /// Every slot below is chosen, and its effect is in a durable snapshot. It only rises.
    pub trimmed: Slot,
    /// The last vote in each slot that is not trimmed.
    pub votes: SlotLog<Vote>,
}

/// What an acceptor says to a Prepare.
#[derive(Debug)]
pub(crate) enum Answer {
    /// 1b, with the last vote of each slot.
    Promise(Vec<Report>),
    /// It has promised this higher ballot.
    Refuse(Ballot),
    /// It already voted in that ballot: whoever prepares it leads already, or never will.
    Silence,
}

/// Records that cannot be the memory of this node.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecoverError {
    /// Two different values in one slot and ballot.
    #[error(
        "slot {slot} has both {stored} and {found} accepted in ballot {ballot}; the records are \
         damaged or of two different nodes"
    )]
    Conflict {
        /// Where.
        slot: Slot,
        /// In which ballot.
        ballot: Ballot,
        /// The value of the earlier record.
        stored: Value,
        /// The value of the later record.
        found: Value,
    },
    /// A record of a node that the configuration does not know.
    #[error("a record names ballot {ballot}, but node {} is not in the configuration", ballot.node)]
    ForeignBallot {
        /// The ballot of the record.
        ballot: Ballot,
    },
    /// A slot that no log has room for.
    #[error(
        "a record names slot {slot}; no log keeps more than {SLOTS_HELD_MAX} slots that are not \
         trimmed"
    )]
    ImpossibleSlot {
        /// The slot of the record.
        slot: Slot,
    },
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
}

impl Acceptor {
    /// Phase 1b (Paxos Made Simple, section 2.2): promise a ballot that is not below the promise,
    /// and report the last vote of each slot.
    ///
    /// A Prepare that comes again gets the same promise again, for the first may be lost. Until
    /// something was accepted in that ballot the report is the same, too; from then on there is
    /// nobody left who could need it.
    pub(crate) fn prepare(&mut self, ballot: Ballot, records: &mut Vec<Record>) -> Answer {
        match self.promised {
            Some(promised) if ballot < promised => return Answer::Refuse(promised),
            Some(promised) if ballot == promised => {
                if self.votes.iter().rev().any(|(_, vote)| vote.ballot == ballot) {
                    return Answer::Silence;
                }
            }
            _ => self.promise(ballot, records),
        }
        Answer::Promise(self.reports())
    }

    /// Raises the promise.
    pub(crate) fn promise(&mut self, ballot: Ballot, records: &mut Vec<Record>) {
        assert!(self.promised < Some(ballot), "a promise only rises");
        self.promised = Some(ballot);
        records.push(Record::Promised(ballot));
    }

    /// Phase 2b: vote for `values` unless a higher ballot was promised. An accepted ballot is
    /// promised, too: otherwise a lower one could be accepted afterwards in another slot or in
    /// this one. Votes already cast are not recorded again.
    ///
    /// Gives the slots that are voted in: all but those that are trimmed, for there is no vote to be
    /// had for what is decided and forgotten.
    ///
    /// # Errors
    /// The higher ballot that was promised.
    pub(crate) fn accept(
        &mut self,
        ballot: Ballot,
        first: Slot,
        values: &Batch,
        records: &mut Vec<Record>,
    ) -> Result<Range<u64>, Ballot> {
        if let Some(promised) = self.promised
            && ballot < promised
        {
            return Err(promised);
        }
        let end = first.plus(values.len() as u64);
        let voted_in = first.max(self.trimmed).0..end.0;
        if voted_in.is_empty() {
            return Ok(voted_in);
        }
        self.promised = Some(ballot);
        let slots =
            || (first.0..).map(Slot).zip(values.iter()).skip((voted_in.start - first.0) as usize);
        let voted = |votes: &SlotLog<Vote>, slot| {
            votes.get(slot).is_some_and(|vote: &Vote| vote.ballot == ballot)
        };
        let all_new = !slots().any(|(slot, _)| voted(&self.votes, slot));
        if all_new && voted_in.start == first.0 {
            self.vote(ballot, first, values.clone(), records);
            return Ok(voted_in);
        }
        let new = slots().filter(|&(slot, _)| !voted(&self.votes, slot));
        for (first, values) in
            runs(new.map(|(slot, value)| (slot, value.clone())), u64::MAX).collect_vec()
        {
            self.vote(ballot, first, values, records);
        }
        Ok(voted_in)
    }

    fn vote(&mut self, ballot: Ballot, first: Slot, values: Batch, records: &mut Vec<Record>) {
        for (slot, value) in (first.0..).map(Slot).zip(values.iter()) {
            self.votes.insert(slot, Vote { ballot, value: value.clone() });
        }
        records.push(Record::Accepted { ballot, first, values });
    }

    /// Forgets the votes below a slot: a durable snapshot holds what they led to.
    pub(crate) fn trim(&mut self, below: Slot, records: &mut Vec<Record>) {
        assert!(below > self.trimmed, "what is trimmed only grows");
        self.trimmed = below;
        self.votes.trim(below);
        records.push(Record::Trimmed { below });
    }

    /// The last vote of each slot, as a promise reports it.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let votes = self.votes.iter();
        votes
            .map(|(slot, vote)| Report { slot, ballot: vote.ballot, value: vote.value.clone() })
            .collect()
    }

    /// Takes in a durable record.
    ///
    /// # Errors
    /// A record that contradicts an earlier one.
    pub fn replay(&mut self, record: &Record) -> Result<(), RecoverError> {
        match record {
            Record::Promised(ballot) => self.promised = self.promised.max(Some(*ballot)),
            Record::Trimmed { below } => {
                self.trimmed = self.trimmed.max(*below);
                self.votes.trim(*below);
            }
            Record::Accepted { ballot, first, values } => {
                let end = first.plus(values.len() as u64);
                if end > self.trimmed.plus(SLOTS_HELD_MAX) {
                    return Err(RecoverError::ImpossibleSlot { slot: end });
                }
                for (slot, value) in (first.0..).map(Slot).zip(values.iter()) {
                    let last = self.votes.get(slot);
                    match last.map(|last| (last.ballot.cmp(ballot), &last.value)) {
                        None | Some((Ordering::Less, _)) => {
                            let vote = Vote { ballot: *ballot, value: value.clone() };
                            self.votes.insert(slot, vote);
                        }
                        Some((Ordering::Equal, stored)) if stored != value => {
                            return Err(RecoverError::Conflict {
                                slot,
                                ballot: *ballot,
                                stored: stored.clone(),
                                found: value.clone(),
                            });
                        }
                        Some((Ordering::Equal | Ordering::Greater, _)) => {}
                    }
                }
                self.promised = self.promised.max(Some(*ballot));
            }
        }
        Ok(())
    }

    /// The fewest records from which [`replay`](Self::replay) makes this acceptor again.
    pub fn records(&self) -> Vec<Record> {
        let trimmed = Record::Trimmed { below: self.trimmed };
        let trimmed = (self.trimmed > Slot(0)).then_some(trimmed);
        let votes = self.votes.iter().map(|(slot, vote)| Record::Accepted {
            ballot: vote.ballot,
            first: slot,
            values: Arc::new([vote.value.clone()]),
        });
        trimmed.into_iter().chain(votes).chain(self.promised.map(Record::Promised)).collect()
    }
}
