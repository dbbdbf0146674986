//! What the nodes of a run have done, and the claims about several nodes together.

use std::collections::BTreeSet;

use itertools::Itertools as _;

use crate::{
    claims::{
        AGREEMENT, DECIDED, Finding, ONE_PROPOSER, ONE_VALUE, PROMISE_QUORUM, VALIDITY,
        VOTES_PROPOSED,
    },
    memory::{Name, Rules, ballots_are_shared, noops},
    protocol::{Ballot, Slot, Value},
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
    Proposed {
        proposer: Name,
        slot: Slot,
        ballot: Ballot,
        value: Option<Value>,
    },
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

/// Returns the claims that new facts contradict, together with the facts before them. `all` has the new facts as well.
pub(crate) fn contradictions(rules: &Rules, all: &[&Fact], new: &[Fact]) -> Vec<Finding> {
    new.iter().filter_map(|fact| contradiction(rules, all, fact)).collect()
}

fn contradiction(rules: &Rules, all: &[&Fact], new: &Fact) -> Option<Finding> {
    match new {
        Fact::Asked { .. } => None,
        Fact::Prepared { proposer, ballot } => {
            if ballots_are_shared(rules) {
                return None;
            }
            let other = all.iter().find_map(|fact| match fact {
                Fact::Prepared { proposer: other, ballot: same } => {
                    (same == ballot && other != proposer).then_some(other)
                }
                _ => None,
            })?;
            Some(
                ONE_PROPOSER
                    .fails(format!("{other} and {proposer} prepare {}", rules.text(ballot))),
            )
        }
        Fact::Promised { ballot, .. } => {
            let promises = all.iter().filter_map(|fact| match fact {
                Fact::Promised { acceptor, ballot: same, to } if same == ballot => {
                    Some((to, acceptor))
                }
                _ => None,
            });
            let by_proposer = promises.into_group_map();
            let with_quorum: Vec<_> = by_proposer
                .iter()
                .filter(|(_, acceptors)| acceptors.iter().unique().count() >= rules.quorum)
                .map(|(to, _)| to.to_string())
                .sorted()
                .collect();
            (with_quorum.len() > 1).then(|| {
                ONE_PROPOSER.fails(format!(
                    "quorums have promised {} to {}",
                    rules.text(ballot),
                    with_quorum.join(" and to ")
                ))
            })
        }
        Fact::Skipped { proposer, base, ballot } => {
            let between = all.iter().find_map(|fact| match fact {
                Fact::Prepared { proposer: other, ballot: between } => {
                    (other != proposer && base < between && between < ballot).then_some(between)
                }
                _ => None,
            })?;
            Some(PROMISE_QUORUM.fails(format!(
                "{proposer} proposes at {} without a promise, after {} was prepared",
                rules.text(ballot),
                rules.text(between)
            )))
        }
        Fact::Proposed { slot, ballot, value, proposer } => {
            if let Some(value) = value
                && !noops(rules).contains(value)
                && !all
                    .iter()
                    .any(|fact| matches!(fact, Fact::Asked { value: asked } if asked == value))
            {
                return Some(VALIDITY.fails(format!("no client has asked for {value}")));
            }
            if ballots_are_shared(rules) {
                return None;
            }
            all.iter().find_map(|fact| match fact {
                Fact::Proposed { slot: same, ballot: at, value: other, proposer: by }
                    if same == slot && at == ballot && (other, by) != (value, proposer) =>
                {
                    let text = rules.text(ballot);
                    let facts = format!("{by} and {proposer} propose at {text} in slot {slot}");
                    Some(if by == proposer {
                        ONE_VALUE.fails(facts)
                    } else {
                        ONE_PROPOSER.fails(facts)
                    })
                }
                _ => None,
            })
        }
        Fact::Voted { acceptor, slot, ballot, value } => {
            let mut proposed = all.iter().filter_map(|fact| match fact {
                Fact::Proposed { slot: same, ballot: at, value, .. } => {
                    (same == slot && at == ballot).then_some(value)
                }
                _ => None,
            });
            if !proposed.any(|proposed| value.is_none() || proposed.is_none() || proposed == value)
            {
                return Some(VOTES_PROPOSED.fails(format!(
                    "{acceptor} votes for {} at {} in slot {slot}, which was not proposed there",
                    value.as_deref().unwrap_or("a value"),
                    rules.text(ballot)
                )));
            }
            let chosen = chosen(rules, all, *slot);
            (chosen.len() > 1).then(|| {
                AGREEMENT.fails(format!(
                    "quorums have voted for {} in slot {slot}",
                    chosen.iter().join(" and for ")
                ))
            })
        }
        Fact::Decided { learner, slot, value } => {
            if !chosen(rules, all, *slot).contains(value) {
                return Some(
                    DECIDED.fails(format!("{learner} takes {value} as chosen in slot {slot}")),
                );
            }
            all.iter().find_map(|fact| match fact {
                Fact::Decided { learner: other, slot: same, value: differs } => {
                    (same == slot && differs != value).then(|| {
                        let facts = format!("{other} takes {differs} as chosen in slot {slot}, and {learner} {value}");
                        AGREEMENT.fails(facts)
                    })
                }
                _ => None,
            })
        }
    }
}

/// Returns the values for which a quorum has voted at one ballot.
fn chosen(rules: &Rules, all: &[&Fact], slot: Slot) -> BTreeSet<Value> {
    let votes = all.iter().filter_map(|fact| match fact {
        Fact::Voted { acceptor, slot: same, ballot, value } if *same == slot => {
            let value = value.clone().or_else(|| proposed(all, slot, ballot))?;
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

fn proposed(all: &[&Fact], slot: Slot, ballot: &Ballot) -> Option<Value> {
    all.iter().find_map(|fact| match fact {
        Fact::Proposed { slot: same, ballot: at, value, .. } if *same == slot && at == ballot => {
            value.clone()
        }
        _ => None,
    })
}
