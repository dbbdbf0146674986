//! The acceptor: the promise and the votes of this node.
//!
//! The acceptor is the durable part of a replica. Each change appends a record. After a crash the records rebuild the
//! acceptor ([recovery](super::safety#recovery)).

use std::ops::Range;

use thiserror::Error;

use super::log::RunLog;
use crate::{
    batch::Batch,
    event::Record,
    message::Report,
    opaque::{OpaqueBallot, OpaqueValue},
    types::{Ballot, NodeId, Slot, Value},
};

/// The highest number of slots from the first that is not trimmed to the end of the log. [`Acceptor::replay`] refuses
/// records of later slots: each slot takes memory, and few machines have memory for more.
const SLOTS_HELD_MAX: u64 = 1 << 28;

/// A vote: the value that the acceptor accepted in a ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Vote<B = Ballot, V = Value> {
    /// `maxVBal` in Lamport's specification.
    pub ballot: B,
    /// `maxVal` in Lamport's specification.
    pub value: V,
}

/// The durable state of a replica.
///
/// Invariant: no vote is in a ballot above `promised`, and none is in a slot below `trimmed`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acceptor<B = Ballot, V = Value> {
    /// The highest promised ballot. It covers the whole log ([the shared promise](super::safety#the-shared-promise))
    /// and only rises. `maxBal` in Lamport's specification.
    pub promised: Option<B>,
    /// Every slot below this one is chosen, and its effect is in a durable snapshot. `trimmed` only rises.
    pub trimmed: Slot,
    /// The last vote in each slot that is not trimmed: its value, with its ballot as the tag.
    pub votes: RunLog<B, V>,
}

/// The acceptor's reply to a Prepare message.
#[derive(Debug)]
pub(crate) enum PrepareReply<B, V> {
    /// A promise, with the last vote in each slot that the candidate asks for.
    Promise(Vec<Report<B, V>>),
    /// A refusal, because the acceptor has promised this higher ballot.
    Nack(B),
    /// No reply: the acceptor has already voted in that ballot, so its owner needs no promise any more.
    Ignore,
}

/// The reason why this node cannot recover from its records.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecoverError<B = Ballot, V = Value> {
    /// Two records have different values in one slot and ballot.
    #[error(
        "slot {slot} has both {stored} and {found} accepted in ballot {ballot}; the records are \
         damaged or of two different nodes"
    )]
    Conflict {
        /// The slot of both records.
        slot: Slot,
        /// The ballot of both records.
        ballot: B,
        /// The value of the earlier record.
        stored: V,
        /// The value of the later record.
        found: V,
    },
    /// A record names a ballot of a node that is not in the configuration.
    #[error("a record names ballot {ballot}, but node {owner} is not in the configuration")]
    ForeignBallot {
        /// The ballot of the record.
        ballot: B,
        /// The owner of the ballot.
        owner: NodeId,
    },
    /// A record has a slot that is too far beyond the trimmed slots.
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

impl<B, V> Default for Acceptor<B, V> {
    fn default() -> Self {
        Self { promised: None, trimmed: Slot(0), votes: RunLog::default() }
    }
}

impl<B: OpaqueBallot, V: OpaqueValue> Acceptor<B, V> {
    /// Phase 1b: promises a ballot unless a higher one is promised, and reports the last vote in each slot from `first`
    /// on.
    ///
    /// Answers a repeated Prepare message again, unless the acceptor still has a vote in that ballot
    /// ([the shared promise](super::safety#the-shared-promise)).
    pub(crate) fn prepare(
        &mut self,
        ballot: B,
        first: Slot,
        records: &mut Vec<Record<B, V>>,
    ) -> PrepareReply<B, V> {
        match self.promised {
            Some(promised) if ballot < promised => return PrepareReply::Nack(promised),
            Some(promised) if ballot == promised => {
                if self.votes.any_with(&ballot) {
                    return PrepareReply::Ignore;
                }
            }
            _ => self.promise(ballot, records),
        }
        PrepareReply::Promise(self.reports(first))
    }

    /// Raises the promise to `ballot`, which must be above the present promise.
    pub(crate) fn promise(&mut self, ballot: B, records: &mut Vec<Record<B, V>>) {
        assert!(self.promised < Some(ballot), "a promise only rises");
        self.promised = Some(ballot);
        records.push(Record::Promised(ballot));
    }

    /// Phase 2b: votes for `values` in consecutive slots from `first` on, unless a higher ballot is promised.
    /// Returns the slots in which the acceptor now has a vote of this ballot: all but the trimmed ones.
    ///
    /// A vote also promises its ballot ([the shared promise](super::safety#the-shared-promise)). If all slots are
    /// trimmed, the acceptor neither votes nor promises. It does not record a vote again that it already has.
    ///
    /// # Errors
    /// Fails with the promised ballot if that is above `ballot`.
    pub(crate) fn accept(
        &mut self,
        ballot: B,
        first: Slot,
        values: &Batch<V>,
        records: &mut Vec<Record<B, V>>,
    ) -> Result<Range<u64>, B> {
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
        let new = self.votes.set(first, ballot, values, |last| last != Some(ballot));
        records.extend(new.map(|slots| {
            let values = values.of_slots(first, slots.clone());
            Record::Accepted { ballot, first: Slot(slots.start), values }
        }));
        Ok(voted_in)
    }

    /// Drops the votes below a slot. A durable snapshot must have the effect of these slots
    /// ([trimming](super::safety#trimming)).
    pub(crate) fn trim(&mut self, below: Slot, records: &mut Vec<Record<B, V>>) {
        assert!(below > self.trimmed, "what is trimmed only grows");
        self.trimmed = below;
        self.votes.trim(below);
        records.push(Record::Trimmed { below });
    }

    /// Returns the last vote in each slot from `first` on, as a Promise message reports it.
    pub(crate) fn reports(&self, first: Slot) -> Vec<Report<B, V>> {
        let mut reports = Vec::new();
        for piece in self.votes.pieces(first.0..self.votes.end().0) {
            let Some((ballot, values)) = piece.values else { continue };
            let votes = values.with_slots(Slot(piece.slots.start));
            reports.extend(votes.map(|(slot, value)| Report {
                slot,
                ballot,
                value: value.clone(),
            }));
        }
        reports
    }

    /// Returns the last vote in a slot. Returns `None` if there is none, or if the slot is trimmed.
    pub fn vote(&self, slot: Slot) -> Option<Vote<B, &V>> {
        let (ballot, value) = self.votes.get(slot)?;
        Some(Vote { ballot, value })
    }

    /// Applies a durable record. The promise and `trimmed` only rise, and each slot keeps the vote of the highest
    /// ballot. So a record that is applied twice changes nothing the second time.
    ///
    /// # Errors
    /// Fails if the record contradicts an earlier one, or if a slot of the record is too far beyond the trimmed ones.
    pub fn replay(&mut self, record: &Record<B, V>) -> Result<(), RecoverError<B, V>> {
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
                let conflict = self.votes.difference(*first, values, |last| last == *ballot);
                if let Some((slot, stored, found)) = conflict {
                    return Err(RecoverError::Conflict { slot, ballot: *ballot, stored, found });
                }
                let _ = self.votes.set(*first, *ballot, values, |last| last < Some(*ballot));
                self.promised = self.promised.max(Some(*ballot));
            }
        }
        Ok(())
    }

    /// Returns records from which [`replay`](Self::replay) rebuilds this acceptor: one for `trimmed`, one for each
    /// run of votes, and one for the promise.
    pub fn records(&self) -> Vec<Record<B, V>> {
        let trimmed = Record::Trimmed { below: self.trimmed };
        let trimmed = (self.trimmed > Slot(0)).then_some(trimmed);
        let votes = self.votes.pieces(self.trimmed.0..self.votes.end().0).filter_map(|piece| {
            let (ballot, values) = piece.values?;
            Some(Record::Accepted { ballot, first: Slot(piece.slots.start), values })
        });
        trimmed.into_iter().chain(votes).chain(self.promised.map(Record::Promised)).collect()
    }
}
