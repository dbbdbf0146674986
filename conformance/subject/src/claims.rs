//! The claims about a subject, and what contradicts one.

use serde::{Deserialize, Serialize};

/// The class of a finding. Classes come in the order in which they make the headline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The same schedule has given different replies.
    Nondeterministic,
    /// The adapter hangs, ends, prints something else than replies, or takes too much memory.
    Broken,
    /// A rule of Paxos is broken, on which agreement depends.
    Safety,
    /// A node ends in a legal event.
    Fault,
    /// A finding that follows from a restart without the round, which the implementation leaves to its caller.
    Contract,
    /// A legal request is refused, or some nodes are needed that should not be.
    Liveness,
    /// Nothing is decided even if nothing goes wrong. So the search has not tried anything.
    Vacuous,
}

/// A rule that a subject has to keep.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    /// The class of a finding that contradicts the claim.
    pub class: Class,
    /// The claim.
    pub text: &'static str,
    /// True if the claim may fail because a ballot was used again.
    follows_from_reuse: bool,
}

/// A claim that a schedule contradicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The claim.
    pub claim: &'static Claim,
    /// The facts that contradict it.
    pub facts: String,
}

impl Claim {
    pub(crate) fn fails(&'static self, facts: impl Into<String>) -> Finding {
        Finding { claim: self, facts: facts.into() }
    }

    /// The class of a finding after a ballot was used again.
    pub(crate) fn class_after(&self, reuse: bool) -> Class {
        if reuse && self.follows_from_reuse { Class::Contract } else { self.class }
    }
}

const fn claim(class: Class, text: &'static str) -> Claim {
    Claim { class, text, follows_from_reuse: false }
}

const fn unless_reused(class: Class, text: &'static str) -> Claim {
    Claim { class, text, follows_from_reuse: true }
}

/// Steps depend on the node and the event alone.
pub static DETERMINISTIC: Claim =
    claim(Class::Nondeterministic, "the same schedule gives the same replies");
/// A step of one node depends on that node alone.
pub static INDEPENDENT: Claim =
    claim(Class::Nondeterministic, "a step of a node depends on that node alone");
/// A crash leaves nothing but the disk.
pub static ONLY_DISK: Claim =
    claim(Class::Nondeterministic, "a node that is killed starts again as one that crashes");
/// The adapter keeps to the protocol.
pub static REPLIES: Claim = claim(Class::Broken, "the adapter replies to each request");
/// No two values are chosen.
pub static AGREEMENT: Claim = unless_reused(Class::Safety, "one value is chosen in a slot");
/// A quorum of votes stands behind a decision.
pub static DECIDED: Claim = unless_reused(
    Class::Safety,
    "a node takes a value as chosen only if a quorum has voted for it",
);
/// Values come from clients.
pub static VALIDITY: Claim = claim(Class::Safety, "only values of clients are proposed");
/// One value per ballot.
pub static ONE_VALUE: Claim = unless_reused(Class::Safety, "a ballot has one value in a slot");
/// One proposer per ballot.
pub static ONE_PROPOSER: Claim = claim(Class::Safety, "a ballot belongs to one proposer");
/// A promise is kept.
pub static KEEPS_PROMISE: Claim =
    claim(Class::Safety, "an acceptor does not vote below a ballot that it has promised");
/// A promise is not forgotten.
pub static REMEMBERS_PROMISE: Claim =
    claim(Class::Safety, "the ballot that an acceptor has promised does not fall");
/// A promise reports the vote.
pub static REPORTS_VOTE: Claim =
    claim(Class::Safety, "a promise reports the acceptor's last vote below its ballot");
/// A promise reports no other vote.
pub static REPORTS_TRULY: Claim =
    claim(Class::Safety, "a promise reports only votes that the acceptor has cast");
/// A vote is not forgotten.
pub static REMEMBERS_VOTE: Claim = claim(Class::Safety, "an acceptor does not forget its vote");
/// A vote is for a proposed value.
pub static VOTES_PROPOSED: Claim =
    unless_reused(Class::Safety, "an acceptor votes for the value that was proposed at the ballot");
/// A proposer proposes after promises of a quorum.
pub static PROMISE_QUORUM: Claim =
    unless_reused(Class::Safety, "a proposer proposes only after promises of a quorum");
/// A proposer proposes the reported value of the highest ballot.
pub static ADOPTS: Claim = unless_reused(
    Class::Safety,
    "a proposer proposes the value that was reported with the highest ballot",
);
/// The ballots of a proposer rise.
pub static RISES: Claim = claim(Class::Safety, "the ballots of a proposer rise");
/// The ballots of a proposer rise over a restart.
pub static RISES_AFTER_RESTART: Claim =
    claim(Class::Safety, "the ballots of a proposer rise, also after a restart");
/// The caller has to keep the round.
pub static ROUND_IS_KEPT: Claim =
    claim(Class::Contract, "no ballot is used again after a restart, which is left to the caller");
/// Legal events do not end a node.
pub static NO_FAULT: Claim = unless_reused(Class::Fault, "no legal event ends a node");
/// An acceptor votes if it may.
pub static VOTES: Claim =
    claim(Class::Liveness, "an acceptor votes if it has not promised a higher ballot");
/// A quorum is enough.
pub static QUORUM_IS_ENOUGH: Claim =
    claim(Class::Liveness, "a quorum of acceptors is enough to decide");
/// Something happens.
pub static DECIDES: Claim =
    claim(Class::Vacuous, "one proposer decides a value if nothing goes wrong");

/// All claims.
pub static ALL: &[&Claim] = &[
    &DETERMINISTIC,
    &INDEPENDENT,
    &ONLY_DISK,
    &REPLIES,
    &AGREEMENT,
    &DECIDED,
    &VALIDITY,
    &ONE_VALUE,
    &ONE_PROPOSER,
    &KEEPS_PROMISE,
    &REMEMBERS_PROMISE,
    &REPORTS_VOTE,
    &REPORTS_TRULY,
    &REMEMBERS_VOTE,
    &VOTES_PROPOSED,
    &PROMISE_QUORUM,
    &ADOPTS,
    &RISES,
    &RISES_AFTER_RESTART,
    &ROUND_IS_KEPT,
    &NO_FAULT,
    &VOTES,
    &QUORUM_IS_ENOUGH,
    &DECIDES,
];
