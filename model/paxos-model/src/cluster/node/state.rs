//! The state of one node.

use std::fmt;

use super::universe::{SlotMap as _, Successor as _, Universe, end};

/// A vote: a value accepted in a ballot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vote<U: Universe> {
    /// The ballot of the vote (`maxVBal` in Lamport's `Paxos.tla`).
    pub ballot: U::Ballot,
    /// The value voted for (`maxVal` there).
    pub value: U::Value,
}

/// The part of a node that must survive a crash.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Acceptor<U: Universe> {
    /// The highest ballot that the node has promised, for all slots at once (`maxBal` in Lamport's `Paxos.tla`).
    pub promised: Option<U::Ballot>,
    /// The last vote in each slot that is not trimmed.
    pub votes: U::Log<Option<Vote<U>>>,
    /// The end of the trimmed part of the log. Each slot below it has a chosen value, and a durable snapshot of the node
    /// contains its effect.
    pub trimmed: U::Slot,
}

/// The role of a node in elections. The ballot of a candidate or leader is the ballot that the node itself has promised.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub enum Role<U: Universe> {
    /// It neither campaigns nor leads.
    #[default]
    Follower,
    /// It collects promises.
    Candidate {
        /// The first slot that the node did not know to be chosen when it began its ballot. Promises report votes from this
        /// slot on.
        first: U::Slot,
        /// The nodes whose promises the candidate has, including itself.
        heard: U::NodeSet,
        /// The highest vote that the promises report in each slot from `first` on.
        reported: U::Log<Option<Vote<U>>>,
        /// The highest end of a trimmed part that the promises report. For each slot below this end, the candidate must know
        /// the chosen value or have trimmed the slot. Only then does it lead.
        trimmed: U::Slot,
    },
    /// It has a quorum of promises, and proposes.
    Leader {
        /// The nodes that voted for the leader's proposal in each slot. The set is empty if the leader knows the chosen
        /// value, or has proposed nothing.
        votes: U::Log<U::NodeSet>,
        /// Its rounds of reads.
        reads: Reads<U>,
    },
}

/// The part of a leader that serves reads. In a cluster without reads it keeps its default value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reads<U: Universe> {
    /// The end of the log when the node began to lead. Each slot with a value chosen in an earlier ballot lies below.
    pub barrier: U::Slot,
    /// The number of rounds that have begun.
    pub rounds: U::ReadRound,
    /// The last of these rounds, until a quorum has confirmed it.
    pub under_way: Option<Round<U>>,
    /// True if a read waits for the next round.
    pub waits: bool,
}

/// A round of reads that is not yet confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Round<U: Universe> {
    /// The nodes that have confirmed it, including the leader.
    pub heard: U::NodeSet,
    /// The reads of this round must see the effect of each slot below this one.
    pub index: U::Slot,
}

/// A node as it runs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Live<U: Universe> {
    /// The acceptor, including changes that are not yet durable.
    pub acceptor: Acceptor<U>,
    /// The role. A crash makes the node a follower.
    pub role: Role<U>,
    /// The values that the node knows to be chosen, in the slots that it has not trimmed. A crash makes it forget them.
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
    /// Returns the first slot that the node has not trimmed and whose chosen value it does not know.
    pub fn known_below(&self) -> U::Slot {
        let mut below = self.acceptor.trimmed;
        while self.chosen.at(below).is_some() {
            below = below.next();
        }
        below
    }

    /// Returns the slot after the last one that has a vote or a known chosen value, or the end of the trimmed part if there is
    /// no such slot.
    pub fn log_end(&self) -> U::Slot {
        let (votes, chosen) = (end(&self.acceptor.votes), end(&self.chosen));
        votes.max(chosen).unwrap_or_default().max(self.acceptor.trimmed)
    }

    /// Returns the value that a ballot has in a slot, as far as the node's vote or the report that it has says.
    pub fn value_of(&self, slot: U::Slot, ballot: U::Ballot) -> Option<U::Value> {
        let reported = match &self.role {
            Role::Candidate { reported, .. } => reported.at(slot),
            Role::Follower | Role::Leader { .. } => None,
        };
        let votes = [self.acceptor.votes.at(slot), reported];
        votes.into_iter().flatten().find(|vote| vote.ballot == ballot).map(|vote| vote.value)
    }

    /// Returns the rounds of reads of a leader, or none for any other node.
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
            Role::Candidate { first, heard, reported, trimmed } => {
                write!(f, "candidate heard {heard:?} ")?;
                write_entries(f, reported.filled(), "")?;
                if *first > U::Slot::default() {
                    write!(f, ", asks for slots from {first:?}")?;
                }
                if *trimmed > U::Slot::default() {
                    write!(f, ", told that all below {trimmed:?} is chosen")?;
                }
            }
            Role::Leader { votes, reads } => {
                f.write_str("leads ")?;
                let votes = votes.filled().map(|(slot, voters)| (slot, Some(voters)));
                write_entries(f, votes, "")?;
                if let Some(Round { heard, index }) = &reads.under_way {
                    write!(f, ", a read of the slots below {index:?} is confirmed by {heard:?}")?;
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

/// Writes the entries of a log as `s0=… s1=…`, or the argument `none` if there are no entries.
pub(super) fn write_entries<S: fmt::Debug, T: fmt::Debug>(
    f: &mut fmt::Formatter<'_>,
    entries: impl Iterator<Item = (S, Option<T>)>,
    none: &str,
) -> fmt::Result {
    let mut separator = "";
    for (slot, entry) in entries.filter_map(|(slot, entry)| Some((slot, entry?))) {
        write!(f, "{separator}{slot:?}={entry:?}")?;
        separator = " ";
    }
    if separator.is_empty() { f.write_str(none) } else { Ok(()) }
}
