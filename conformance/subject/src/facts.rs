//! The deeds of the nodes of a run, as facts, and the claims about several nodes together.

use std::collections::BTreeSet;

use itertools::Itertools as _;

use crate::{
    claims::{
        AGREEMENT, DECIDED, Finding, ONE_PROPOSER, ONE_VALUE, PROMISE_QUORUM, VALIDITY,
        VOTES_PROPOSED,
    },
    protocol::{Ballot, Slot, Value},
    rules::{Name, Rules, may_be_same},
};

/// Something that a node has done. Facts do not change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fact {
    /// A client asked for a value.
    Asked {
        value: Value,
    },
    Prepared {
        proposer: Name,
        ballot: Ballot,
    },
    Promised {
        acceptor: Name,
        ballot: Ballot,
        to: Name,
    },
    Proposed(Proposal),
    /// A proposal at a ballot that was not prepared. `base` is the highest prepared ballot below.
    Skipped {
        proposer: Name,
        base: Ballot,
        ballot: Ballot,
    },
    Voted {
        acceptor: Name,
        slot: Slot,
        ballot: Ballot,
        value: Option<Value>,
    },
    Decided {
        learner: Name,
        slot: Slot,
        value: Value,
    },
}

/// A value that a proposer proposes at a ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Proposal {
    pub(crate) proposer: Name,
    pub(crate) slot: Slot,
    pub(crate) ballot: Ballot,
    pub(crate) value: Option<Value>,
}

/// Returns the claims that new facts contradict, together with the facts before them. `all` has the new facts as well.
pub(crate) fn contradictions(rules: &Rules, all: &[&Fact], new: &[Fact]) -> Vec<Finding> {
    new.iter().filter_map(|fact| contradiction(rules, all, fact)).collect()
}

fn contradiction(rules: &Rules, all: &[&Fact], new: &Fact) -> Option<Finding> {
    match new {
        Fact::Asked { .. } => None,
        Fact::Prepared { proposer, ballot } => prepared(rules, all, proposer, ballot),
        Fact::Promised { ballot, .. } => promised(rules, all, ballot),
        Fact::Skipped { proposer, base, ballot } => skipped(rules, all, proposer, base, ballot),
        Fact::Proposed(proposal) => proposed(rules, all, proposal),
        Fact::Voted { acceptor, slot, ballot, value } => {
            voted(rules, all, acceptor, (*slot, ballot, value))
        }
        Fact::Decided { learner, slot, value } => decided(rules, all, learner, (*slot, value)),
    }
}

fn prepared(rules: &Rules, all: &[&Fact], proposer: &Name, ballot: &Ballot) -> Option<Finding> {
    if rules.ballots_are_shared() {
        return None;
    }
    let other = all.iter().find_map(|fact| match fact {
        Fact::Prepared { proposer: other, ballot: same } => {
            (same == ballot && other != proposer).then_some(other)
        }
        _ => None,
    })?;
    Some(ONE_PROPOSER.fails(format!("{other} and {proposer} prepare {}", rules.text(ballot))))
}

fn promised(rules: &Rules, all: &[&Fact], ballot: &Ballot) -> Option<Finding> {
    let promises = all.iter().filter_map(|fact| match fact {
        Fact::Promised { acceptor, ballot: same, to } if same == ballot => {
            // A learner may hear of the promise, too.
            let has_prepared = all.iter().any(|fact| {
                matches!(fact, Fact::Prepared { proposer, ballot: same } if proposer == to && same == ballot)
            });
            has_prepared.then_some((to, acceptor))
        }
        _ => None,
    });
    let by_proposer = promises.into_group_map().into_iter();
    let has_quorum = |acceptors: Vec<&Name>| acceptors.iter().unique().count() >= rules.quorum;
    let with_quorum = by_proposer.filter_map(|(to, acceptors)| has_quorum(acceptors).then_some(to));
    let with_quorum: Vec<_> = with_quorum.sorted().collect();
    let (text, to) = (rules.text(ballot), with_quorum.iter().join(" and to "));
    (with_quorum.len() > 1)
        .then(|| ONE_PROPOSER.fails(format!("quorums have promised {text} to {to}")))
}

fn skipped(
    rules: &Rules,
    all: &[&Fact],
    proposer: &Name,
    base: &Ballot,
    ballot: &Ballot,
) -> Option<Finding> {
    let between = all.iter().find_map(|fact| match fact {
        Fact::Prepared { proposer: other, ballot: between } => {
            (other != proposer && base < between && between < ballot).then_some(between)
        }
        _ => None,
    })?;
    let (ballot, between) = (rules.text(ballot), rules.text(between));
    let facts =
        format!("{proposer} proposes at {ballot} without a promise, after {between} was prepared");
    Some(PROMISE_QUORUM.fails(facts))
}

fn proposed(rules: &Rules, all: &[&Fact], proposal: &Proposal) -> Option<Finding> {
    let Proposal { proposer, slot, ballot, value } = proposal;
    if let Some(value) = value
        && !rules.noops.contains(value)
        && !all.iter().any(|fact| matches!(fact, Fact::Asked { value: asked } if asked == value))
    {
        return Some(VALIDITY.fails(format!("no client has asked for {value}")));
    }
    if rules.ballots_are_shared() {
        return None;
    }
    let other = proposals(all, *slot, ballot)
        .find(|other| (&other.proposer, &other.value) != (proposer, value))?;
    let text = rules.text(ballot);
    let facts = format!("{} and {proposer} propose at {text} in slot {slot}", other.proposer);
    let claim = if other.proposer == *proposer { &ONE_VALUE } else { &ONE_PROPOSER };
    Some(claim.fails(facts))
}

fn voted(
    rules: &Rules,
    all: &[&Fact],
    acceptor: &Name,
    (slot, ballot, value): (Slot, &Ballot, &Option<Value>),
) -> Option<Finding> {
    let fits = |proposal: &Proposal| may_be_same(value.as_ref(), proposal.value.as_ref());
    if !proposals(all, slot, ballot).any(fits) {
        let (value, text) = (value.as_deref().unwrap_or("a value"), rules.text(ballot));
        let facts = format!("{acceptor} votes for {value} at {text} in slot {slot}");
        return Some(VOTES_PROPOSED.fails(facts));
    }
    let chosen = chosen(rules, all, slot);
    let values = chosen.iter().join(" and for ");
    (chosen.len() > 1)
        .then(|| AGREEMENT.fails(format!("quorums have voted for {values} in slot {slot}")))
}

fn decided(
    rules: &Rules,
    all: &[&Fact],
    learner: &Name,
    (slot, value): (Slot, &Value),
) -> Option<Finding> {
    if !chosen(rules, all, slot).contains(value) {
        let facts = format!("{learner} takes {value} as chosen in slot {slot}");
        return Some(DECIDED.fails(facts));
    }
    all.iter().find_map(|fact| match fact {
        Fact::Decided { learner: other, slot: same, value: differs } => {
            let facts =
                || format!("{other} takes {differs}, and {learner} {value}, in slot {slot}");
            (*same == slot && differs != value).then(|| AGREEMENT.fails(facts()))
        }
        _ => None,
    })
}

/// Returns the proposals at a ballot.
fn proposals<'a>(
    all: &[&'a Fact],
    slot: Slot,
    ballot: &Ballot,
) -> impl Iterator<Item = &'a Proposal> {
    all.iter().filter_map(move |fact| match fact {
        Fact::Proposed(proposal) => {
            (proposal.slot == slot && proposal.ballot == *ballot).then_some(proposal)
        }
        _ => None,
    })
}

/// Returns the values for which a quorum has voted at one ballot.
fn chosen(rules: &Rules, all: &[&Fact], slot: Slot) -> BTreeSet<Value> {
    let votes = all.iter().filter_map(|fact| match fact {
        Fact::Voted { acceptor, slot: same, ballot, value } if *same == slot => {
            let value = value.clone().or_else(|| {
                let proposed = proposals(all, slot, ballot).next();
                proposed.and_then(|it| it.value.clone())
            })?;
            Some(((ballot, value), acceptor))
        }
        _ => None,
    });
    let voters = votes.into_group_map();
    let with_quorum = voters
        .into_iter()
        .filter(|(_, acceptors)| acceptors.iter().unique().count() >= rules.quorum);
    with_quorum.map(|((_, value), _)| value).collect()
}
