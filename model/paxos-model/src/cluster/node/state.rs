//! The state of one node.

use std::fmt;

use super::{
    message::write_entries,
    universe::{Log as _, Successor as _, Universe},
};

/// A vote: a value accepted in a ballot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vote<U: Universe> {
    /// The ballot of the vote: maxVBal.
    pub ballot: U::Ballot,
    /// The value voted for: maxVal.
    pub value: U::Value,
}

/// The part of a node that must survive a crash.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Acceptor<U: Universe> {
    /// The highest ballot that the node has promised, in all slots at once: maxBal.
    pub promised: Option<U::Ballot>,
    /// The last vote in each slot that is not trimmed.
    pub votes: U::Log<Option<Vote<U>>>,
    /// The end of the trimmed part of the log. Each slot below it is chosen, and a durable snapshot has its effect.
    pub trimmed: U::Slot,
}

/// The part that a node plays in elections. A candidate or leader is one in the ballot that it has itself promised.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub enum Role<U: Universe> {
    /// It neither campaigns nor leads.
    #[default]
    Follower,
    /// It collects promises.
    Candidate {
        /// The nodes whose promises it has, itself included.
        heard: U::NodeSet,
        /// The highest vote in each slot that the promises report.
        reported: U::Log<Option<Vote<U>>>,
        /// The highest end of a trimmed log that the promises report. The candidate leads only once it knows what is
        /// chosen below.
        trimmed: U::Slot,
    },
    /// It has a quorum of promises, and proposes.
    Leader {
        /// The nodes that voted for its proposal in each slot. The set is empty where the value is known to be chosen.
        votes: U::Log<U::NodeSet>,
        /// Its rounds of reads.
        reads: Reads<U>,
    },
}

/// The part of a leader that serves reads. It is the default in a cluster without reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reads<U: Universe> {
    /// The end of the log when the node began to lead. All that was chosen in earlier ballots lies below.
    pub barrier: U::Slot,
    /// The number of rounds that have begun.
    pub rounds: U::ReadRound,
    /// The last of them, while it is under way.
    pub under_way: Option<Round<U>>,
    /// True if a read waits for the next round.
    pub waits: bool,
}

/// A round of reads that is not yet confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Round<U: Universe> {
    /// The nodes that have confirmed it, the leader included.
    pub heard: U::NodeSet,
    /// The end of the part of the log that the leader must know before it answers.
    pub index: U::Slot,
}

/// A node as it runs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Live<U: Universe> {
    /// Its acceptor, with the changes that are not yet durable.
    pub acceptor: Acceptor<U>,
    /// Its role. A crash makes it a follower.
    pub role: Role<U>,
    /// The values that it knows to be chosen, in the slots that it has not trimmed. A crash makes it forget them.
    pub chosen: U::Log<Option<U::Value>>,
}

impl<U: Universe> Default for Acceptor<U> {
    fn default() -> Self {
        Self { promised: None, votes: U::Log::default(), trimmed: U::Slot::default() }
    }
}

impl<U: Universe> Default for Reads<U> {
    fn default() -> Self {
        let (barrier, rounds) = (U::Slot::default(), U::ReadRound::default());
        Self { barrier, rounds, under_way: None, waits: false }
    }
}

impl<U: Universe> Default for Live<U> {
    fn default() -> Self {
        Self { acceptor: Acceptor::default(), role: Role::Follower, chosen: U::Log::default() }
    }
}

impl<U: Universe> Live<U> {
    /// Returns the first slot that the node does not know to be chosen.
    pub fn known_below(&self) -> U::Slot {
        let mut below = self.acceptor.trimmed;
        while self.chosen.at(below).is_some() {
            below = below.next();
        }
        below
    }

    /// Returns its rounds of reads, if it leads.
    pub fn reads(&self) -> Option<&Reads<U>> {
        match &self.role {
            Role::Leader { reads, .. } => Some(reads),
            Role::Follower | Role::Candidate { .. } => None,
        }
    }
}

impl<U: Universe> fmt::Debug for Vote<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{:?}", self.ballot, self.value)
    }
}

impl<U: Universe> fmt::Debug for Acceptor<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promised, votes, trimmed } = self;
        match promised {
            None => f.write_str("promised -")?,
            Some(ballot) => write!(f, "promised {ballot:?}")?,
        }
        if votes.filled().next().is_some() {
            f.write_str(", voted ")?;
            write_entries(f, votes.filled(), "")?;
        }
        if *trimmed == U::Slot::default() {
            return Ok(());
        }
        write!(f, ", trimmed below {trimmed:?}")
    }
}

impl<U: Universe> fmt::Debug for Live<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, ", self.acceptor)?;
        match &self.role {
            Role::Follower => f.write_str("follows")?,
            Role::Candidate { heard, reported, trimmed } => {
                write!(f, "candidate heard {heard:?} ")?;
                write_entries(f, reported.filled(), "")?;
                if *trimmed > U::Slot::default() {
                    write!(f, ", told that all below {trimmed:?} is chosen")?;
                }
            }
            Role::Leader { votes, reads } => {
                f.write_str("leads ")?;
                let votes = votes.filled().map(|(slot, voters)| (slot, Some(voters)));
                write_entries(f, votes, "")?;
                if let Some(Round { heard, index }) = &reads.under_way {
                    write!(f, ", reads below {index:?} once confirmed, by {heard:?} so far")?;
                }
            }
        }
        if self.chosen.filled().next().is_none() {
            return Ok(());
        }
        f.write_str(", knows ")?;
        write_entries(f, self.chosen.filled(), "")
    }
}
