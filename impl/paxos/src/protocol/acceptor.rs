//! The acceptor: the promise and the votes of this node.
//!
//! This is the durable part of a replica. Each change appends a record, and the records rebuild the acceptor after
//! a crash ([recovery](super::safety#recovery)).

use std::{cmp::Ordering, ops::Range, sync::Arc};

use itertools::Itertools;
use thiserror::Error;

use super::log::{SlotLog, runs};
use crate::{
    event::Record,
    message::Report,
    types::{Ballot, Batch, Slot, Value},
};

/// The highest number of slots between the first that is not trimmed and the end of the log. [`Acceptor::replay`]
/// refuses records beyond it, because every slot in between takes memory and few machines have room for more.
const SLOTS_HELD_MAX: u64 = 1 << 28;

/// A vote: a value accepted in a ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Vote {
    /// `maxVBal` in Lamport's specification.
    pub ballot: Ballot,
    /// `maxVal` in Lamport's specification.
    pub value: Value,
}

/// The durable state of a replica.
///
/// Invariant: no vote is in a ballot above `promised`, and none is in a slot below `trimmed`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Acceptor {
    /// The highest ballot promised, for the whole log ([the shared promise](super::safety#the-shared-promise)).
    /// `maxBal` in Lamport's specification. It only rises.
    pub promised: Option<Ballot>,
    /// Every slot below is chosen, and its effect is in a durable snapshot. It only rises.
    pub trimmed: Slot,
    /// The last vote in each slot that is not trimmed.
    pub votes: SlotLog<Vote>,
}

/// The acceptor's reply to a Prepare message.
#[derive(Debug)]
pub(crate) enum PrepareReply {
    /// A promise, with the last vote of each slot.
    Promise(Vec<Report>),
    /// A refusal, because this higher ballot is promised.
    Nack(Ballot),
    /// No reply: the acceptor has already voted in that ballot, so its owner needs no promise any more.
    Ignore,
}

/// Records from which this node cannot recover.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecoverError {
    /// Two records have different values in one slot and ballot.
    #[error(
        "slot {slot} has both {stored} and {found} accepted in ballot {ballot}; the records are \
         damaged or of two different nodes"
    )]
    Conflict {
        /// The slot of both records.
        slot: Slot,
        /// The ballot of both records.
        ballot: Ballot,
        /// The value of the earlier record.
        stored: Value,
        /// The value of the later record.
        found: Value,
    },
    /// A record names a ballot of a node that is not in the configuration.
    #[error("a record names ballot {ballot}, but node {} is not in the configuration", ballot.node)]
    ForeignBallot {
        /// The ballot of the record.
        ballot: Ballot,
    },
    /// A record names a slot that is too far beyond the trimmed slots.
    #[error(
        "a record names slot {slot}; no log keeps more than {SLOTS_HELD_MAX} slots that are not \
         trimmed"
    )]
    ImpossibleSlot {
        /// The slot after the last of the record.
        slot: Slot,
    },
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
}

impl Acceptor {
    /// Phase 1b: promises a ballot unless a higher one is promised, and reports the last vote of each slot.
    ///
    /// A repeated Prepare message is answered again until the acceptor votes in that ballot
    /// ([the shared promise](super::safety#the-shared-promise)).
    pub(crate) fn prepare(&mut self, ballot: Ballot, records: &mut Vec<Record>) -> PrepareReply {
        match self.promised {
            Some(promised) if ballot < promised => return PrepareReply::Nack(promised),
            Some(promised) if ballot == promised => {
                if self.votes.iter().rev().any(|(_, vote)| vote.ballot == ballot) {
                    return PrepareReply::Ignore;
                }
            }
            _ => self.promise(ballot, records),
        }
        PrepareReply::Promise(self.reports())
    }

    /// Raises the promise. Requires that `ballot` is above it.
    pub(crate) fn promise(&mut self, ballot: Ballot, records: &mut Vec<Record>) {
        assert!(self.promised < Some(ballot), "a promise only rises");
        self.promised = Some(ballot);
        records.push(Record::Promised(ballot));
    }

    /// Phase 2b: votes for `values` in consecutive slots from `first` on, unless a higher ballot is promised.
    /// Returns the slots in which the acceptor now has a vote of this ballot: all but the trimmed ones.
    ///
    /// A vote also promises its ballot ([the shared promise](super::safety#the-shared-promise)). If all slots are
    /// trimmed, there is no vote and no promise. Votes that were cast earlier are not recorded again.
    ///
    /// # Errors
    /// Fails with the promised ballot if that is higher.
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

    /// Forgets the votes below a slot. Requires that a durable snapshot has their effect
    /// ([trimming](super::safety#trimming)).
    pub(crate) fn trim(&mut self, below: Slot, records: &mut Vec<Record>) {
        assert!(below > self.trimmed, "what is trimmed only grows");
        self.trimmed = below;
        self.votes.trim(below);
        records.push(Record::Trimmed { below });
    }

    /// Returns the last vote of each slot, as a promise reports it.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let votes = self.votes.iter();
        votes
            .map(|(slot, vote)| Report { slot, ballot: vote.ballot, value: vote.value.clone() })
            .collect()
    }

    /// Applies a durable record. The promise and `trimmed` only rise, and each slot keeps the vote of the highest
    /// ballot, so a repeated record changes nothing.
    ///
    /// # Errors
    /// Fails if the record contradicts an earlier one, or if its slots are too far beyond the trimmed ones.
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

    /// Returns records from which [`replay`](Self::replay) rebuilds this acceptor: one for each vote, the promise
    /// and `trimmed`.
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
