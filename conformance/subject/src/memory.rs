//! The memory of the judge about one node: the events and messages of that node, and the claims that they contradict.
//!
//! Claims about several nodes are in [`facts`](crate::facts).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::{
    claims::{
        ADOPTS, Finding, KEEPS_PROMISE, ONE_PROPOSER, ONE_VALUE, PROMISE_QUORUM, REMEMBERS_PROMISE,
        REMEMBERS_VOTE, REPORTS_TRULY, REPORTS_VOTE, RISES, RISES_AFTER_RESTART, ROUND_IS_KEPT,
        VOTES,
    },
    facts::{Fact, Proposal},
    protocol::{Ballot, Entry, Field, Kind, Malformed, Message, Slot, Value},
    rules::{Name, Rules, may_be_same},
};

/// The report of an acceptor about a slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Report {
    NoVote,
    Vote(Ballot, Option<Value>),
    /// The promise does not say.
    Unknown,
}

/// The parts of a Promise that were sent, while further parts follow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Part {
    entries: BTreeMap<Slot, Entry>,
    decided_below: Slot,
}

/// A Promise that reached a proposer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Reports {
    entries: BTreeMap<Slot, (Field<Ballot>, Option<Value>)>,
    first: Slot,
    decided_below: Slot,
    /// True if the last part has arrived.
    is_complete: bool,
}

/// The memory of the judge about a node. It follows from the events and replies of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    pub(crate) restarts: u32,
    /// The highest ballot that the node has promised or voted in.
    promised: Option<Ballot>,
    votes: BTreeMap<Slot, BTreeMap<Ballot, Option<Value>>>,
    /// The slots of a Promise that was sent in parts.
    parts: BTreeMap<Ballot, Part>,
    decided: BTreeMap<Slot, Value>,
    /// The values that clients have asked the node for.
    pub(crate) asked: BTreeSet<Value>,
    /// The number of requests of clients since the node has started.
    pub(crate) asks: u32,
    /// The ballots that the node has prepared, with the number of restarts before.
    prepared: BTreeMap<Ballot, u32>,
    /// Ballots that an Accept has promised in advance.
    next: BTreeSet<Ballot>,
    promises: BTreeMap<Ballot, BTreeMap<Name, Reports>>,
    proposed: BTreeMap<(Slot, Ballot), Option<Value>>,
}

/// The findings and facts that a step of a node adds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noticed {
    pub(crate) findings: Vec<Finding>,
    pub(crate) facts: Vec<Fact>,
    /// A ballot was used again, which the contract of the subject forbids to its caller.
    pub(crate) reuse: bool,
}

impl Memory {
    /// Returns true if the node knows a decision.
    pub(crate) fn has_decided(&self) -> bool {
        !self.decided.is_empty()
    }

    /// Takes a message that the node receives.
    pub(crate) fn receives(&mut self, rules: &Rules, from: &Name, message: &Message) {
        let Message { kind, ballot, entries, .. } = message;
        match (kind, ballot) {
            // A promise that comes after the proposal of its ballot changes nothing, if there is only one slot.
            (Kind::Promise, Some(ballot))
                if self.prepared.contains_key(ballot)
                    && (rules.caps.multi || !self.proposed.contains_key(&(0, ballot.clone()))) =>
            {
                let promises = self.promises.entry(ballot.clone()).or_default();
                let reports = promises.entry(from.clone()).or_default();
                let votes = entries.iter().map(|it| (it.slot, (it.vote.clone(), it.value.clone())));
                reports.entries.extend(votes);
                reports.first = message.first;
                reports.decided_below = reports.decided_below.max(message.decided_below);
                reports.is_complete |= !message.more;
            }
            (Kind::Decided, _) => {
                for Entry { slot, value, .. } in entries {
                    let value = value.clone().unwrap_or_else(|| "".into());
                    self.decided.entry(*slot).or_insert(value);
                }
            }
            _ => {}
        }
    }

    /// Takes a message that the node `name` sends to some nodes.
    pub(crate) fn sends(
        &mut self,
        rules: &Rules,
        name: &Name,
        to: &[Name],
        message: &Message,
        noticed: &mut Noticed,
    ) {
        let Some(ballot) = &message.ballot else { return };
        match message.kind {
            Kind::Prepare => self.prepares(rules, name, ballot, noticed),
            Kind::Promise => {
                let promised = |to: &Name| {
                    let (acceptor, ballot) = (name.clone(), ballot.clone());
                    Fact::Promised { acceptor, ballot, to: to.clone() }
                };
                noticed.facts.extend(to.iter().map(promised));
                self.promises(rules, ballot, message, noticed);
            }
            Kind::Accept => {
                self.next.extend(message.next.clone());
                for entry in &message.entries {
                    self.proposes(rules, name, ballot, entry, noticed);
                }
            }
            Kind::Accepted => {
                for entry in &message.entries {
                    self.votes(rules, name, ballot, entry, noticed);
                }
                self.promised = self.promised.take().max(message.next.clone());
            }
            Kind::Nack | Kind::Decided | Kind::Other => {}
        }
    }

    fn prepares(&mut self, rules: &Rules, name: &Name, ballot: &Ballot, noticed: &mut Noticed) {
        let text = rules.text(ballot);
        if let Some(place) = ballot.owner() {
            let owner = &rules.setup.proposers[place];
            if **owner != **name {
                noticed.findings.push(
                    ONE_PROPOSER.fails(format!("{name} prepares {text}, a ballot of {owner}")),
                );
            }
        }
        noticed.facts.push(Fact::Prepared { proposer: name.clone(), ballot: ballot.clone() });
        match self.prepared.get(ballot) {
            Some(restarts) if *restarts == self.restarts => return, // It is sent again.
            Some(_) => {
                let facts = format!("{name} prepares {text} again after a restart");
                noticed.findings.push(if rules.caps.keeps_rounds() {
                    RISES_AFTER_RESTART.fails(facts)
                } else {
                    noticed.reuse = true;
                    ROUND_IS_KEPT.fails(facts)
                });
            }
            None => {
                if let Some((highest, restarts)) =
                    self.prepared.last_key_value().filter(|(it, _)| *it > ballot)
                {
                    let facts = format!("{name} prepares {text} after {}", rules.text(highest));
                    noticed.findings.push(if *restarts == self.restarts {
                        RISES.fails(facts)
                    } else if rules.caps.keeps_rounds() {
                        RISES_AFTER_RESTART.fails(facts)
                    } else {
                        noticed.reuse = true;
                        ROUND_IS_KEPT.fails(facts)
                    });
                }
            }
        }
        self.prepared.insert(ballot.clone(), self.restarts);
    }

    /// A promise for a lower ballot is harmless, if its report is true and no vote follows.
    fn promises(
        &mut self,
        rules: &Rules,
        ballot: &Ballot,
        message: &Message,
        noticed: &mut Noticed,
    ) {
        let text = rules.text(ballot);
        let Part { mut entries, decided_below } = self.parts.remove(ballot).unwrap_or_default();
        entries.extend(message.entries.iter().map(|entry| (entry.slot, entry.clone())));
        let decided_below = decided_below.max(message.decided_below);
        for Entry { slot, vote, value } in entries.values() {
            let Field::Just(vote) = vote else { continue };
            let cast = self.votes.get(slot).and_then(|votes| votes.get(vote));
            if !cast.is_some_and(|cast| may_be_same(cast.as_ref(), value.as_ref())) {
                let facts = format!(
                    "the promise for {text} reports a vote for {} at {} in slot {slot}",
                    value.as_deref().unwrap_or("a value"),
                    rules.text(vote)
                );
                noticed.findings.push(REPORTS_TRULY.fails(facts));
            }
        }
        if message.more {
            self.parts.insert(ballot.clone(), Part { entries, decided_below });
        } else {
            for (slot, votes) in self.votes.range(message.first.max(decided_below)..) {
                let Some((last, value)) = votes.range(..ballot).next_back() else { continue };
                let reported = entries.get(slot).map(|entry| &entry.vote);
                let enough = match reported {
                    Some(Field::Just(vote)) => vote >= last,
                    Some(Field::NotCarried) => true,
                    Some(Field::Nothing) | None => false,
                };
                if !enough {
                    let facts = format!(
                        "the promise for {text} does not report the vote for {} at {} in slot {slot}",
                        value.as_deref().unwrap_or("a value"),
                        rules.text(last)
                    );
                    noticed.findings.push(REPORTS_VOTE.fails(facts));
                }
            }
        }
        self.promised = self.promised.take().max(Some(ballot.clone()));
    }

    fn proposes(
        &mut self,
        rules: &Rules,
        name: &Name,
        ballot: &Ballot,
        entry: &Entry,
        noticed: &mut Noticed,
    ) {
        let Entry { slot, value, .. } = entry;
        let (text, slot) = (rules.text(ballot), *slot);
        let (proposer, ballot_of) = (name.clone(), ballot.clone());
        let proposal = Proposal { proposer, slot, ballot: ballot_of, value: value.clone() };
        noticed.facts.push(Fact::Proposed(proposal));
        let before = self.proposed.insert((slot, ballot.clone()), value.clone());
        if let Some(before) = before {
            if before != *value {
                let name_of = |value: &Option<Value>| value.as_deref().unwrap_or("none").to_owned();
                let (before, after) = (name_of(&before), name_of(value));
                let facts =
                    format!("{name} proposes {before} and {after} at {text} in slot {slot}");
                noticed.findings.push(ONE_VALUE.fails(facts));
            }
            return;
        }
        if self.next.contains(ballot) {
            return;
        }
        // A ballot that was never prepared stands on the promises for the one below, unless another proposer prepared one
        // between.
        let Some((base, _)) = self.prepared.range(..=ballot).next_back() else {
            let facts = format!("{name} proposes at {text} and has prepared no ballot up to it");
            noticed.findings.push(PROMISE_QUORUM.fails(facts));
            return;
        };
        let base = base.clone();
        if base != *ballot {
            let (name, ballot) = (name.clone(), ballot.clone());
            noticed.facts.push(Fact::Skipped { proposer: name, base: base.clone(), ballot });
        }
        let promises = self.promises.get(&base);
        let count = promises.map_or(0, BTreeMap::len);
        if count < rules.quorum {
            let facts = format!(
                "{name} proposes at {text} with promises of {count} acceptors; a quorum is {}",
                rules.quorum
            );
            noticed.findings.push(PROMISE_QUORUM.fails(facts));
            return;
        }
        let reports: Vec<_> =
            promises.into_iter().flat_map(BTreeMap::values).map(|it| it.about(slot)).collect();
        if let Some(value) = value
            && !may_propose(&reports, value, rules.quorum)
        {
            let highest = reports.iter().filter_map(|report| match report {
                Report::Vote(ballot, value) => Some((ballot, value)),
                _ => None,
            });
            let highest = highest.max_by_key(|(ballot, _)| *ballot);
            let reported = highest.map_or_else(String::new, |(ballot, value)| {
                format!(
                    "; {} was reported with {}",
                    value.as_deref().unwrap_or("a value"),
                    rules.text(ballot)
                )
            });
            let facts = format!("{name} proposes {value} at {text} in slot {slot}{reported}");
            noticed.findings.push(ADOPTS.fails(facts));
        }
    }

    fn votes(
        &mut self,
        rules: &Rules,
        name: &Name,
        ballot: &Ballot,
        entry: &Entry,
        noticed: &mut Noticed,
    ) {
        let votes = self.votes.entry(entry.slot).or_default();
        if votes.get(ballot).is_some_and(|cast| may_be_same(cast.as_ref(), entry.value.as_ref())) {
            return; // A vote that was cast may be acknowledged again.
        }
        if let Some(promised) = self.promised.as_ref().filter(|it| *it > ballot) {
            let facts = format!(
                "{name} votes at {} after it has promised or voted at {}",
                rules.text(ballot),
                rules.text(promised)
            );
            noticed.findings.push(KEEPS_PROMISE.fails(facts));
        }
        votes.insert(ballot.clone(), entry.value.clone());
        self.promised = self.promised.take().max(Some(ballot.clone()));
        noticed.facts.push(Fact::Voted {
            acceptor: name.clone(),
            slot: entry.slot,
            ballot: ballot.clone(),
            value: entry.value.clone(),
        });
    }

    /// Takes a value that the node takes as chosen.
    pub(crate) fn decides(
        &mut self,
        name: &Name,
        slot: Slot,
        value: &Value,
        noticed: &mut Noticed,
    ) {
        self.decided.entry(slot).or_insert_with(|| value.clone());
        noticed.facts.push(Fact::Decided { learner: name.clone(), slot, value: value.clone() });
    }

    /// Takes the state that a node reports after a step.
    pub(crate) fn reports(
        &mut self,
        rules: &Rules,
        name: &Name,
        state: &Json,
        noticed: &mut Noticed,
    ) -> Result<(), Malformed> {
        let proposers = &rules.setup.proposers;
        let seen = |part: &str| rules.caps.observe.iter().any(|it| it == part);
        let ballot = |json: &Json| match json {
            Json::Null => Ok(None),
            json => Ballot::read(json, proposers).map(Some),
        };
        let entries: Vec<(Slot, &Json)> = match state["slots"].as_array() {
            Some(slots) => slots.iter().map(|it| (it["s"].as_u64().unwrap_or(0), it)).collect(),
            None => vec![(0, state)],
        };
        if seen("promised") && seen("accepted") && state.get("promised").is_some() {
            // An acceptor may keep its promise and the ballots of its votes apart, and heed the highest.
            let votes = entries.iter().map(|(_, entry)| ballot(&entry["accepted"]["b"]));
            let mut ballots = votes.collect::<Result<Vec<_>, _>>()?;
            ballots.push(ballot(&state["promised"])?);
            let heeded = ballots.into_iter().max().flatten();
            if heeded < self.promised && self.decided.is_empty() {
                let text = |ballot: &Option<Ballot>| {
                    ballot.as_ref().map_or("nothing".to_owned(), |it| rules.text(it))
                };
                let (before, now) = (text(&self.promised), text(&heeded));
                let facts = format!("{name} has promised or voted at {before}, and reports {now}");
                noticed.findings.push(REMEMBERS_PROMISE.fails(facts));
            }
            self.promised = self.promised.take().max(heeded);
        }
        for (slot, entry) in entries {
            let decided = !entry["decided"].is_null() || self.decided.contains_key(&slot);
            if !seen("accepted") || entry.get("accepted").is_none() || decided {
                continue;
            }
            let accepted = match &entry["accepted"] {
                Json::Null => None,
                vote => ballot(&vote["b"])?,
            };
            let Some(votes) = self.votes.get(&slot) else { continue };
            let last = votes.last_key_value().map(|(last, _)| last);
            if accepted.as_ref() < last {
                let facts = format!(
                    "{name} reports {}, and has voted at {}",
                    accepted
                        .as_ref()
                        .map_or("no vote".to_owned(), |it| format!("a vote at {}", rules.text(it))),
                    last.map_or_else(String::new, |it| rules.text(it))
                );
                noticed.findings.push(REMEMBERS_VOTE.fails(facts));
            }
        }
        Ok(())
    }

    /// Returns a finding if the node, before it voted on an Accept message, may and does not. `self` is what was
    /// remembered before the message, `after` what is remembered after it.
    pub(crate) fn refuses(
        &self,
        rules: &Rules,
        name: &Name,
        message: &Message,
        after: &Self,
    ) -> Option<Finding> {
        if message.kind != Kind::Accept || !rules.setup.acceptors.iter().any(|it| **it == **name) {
            return None;
        }
        let ballot = message.ballot.as_ref()?;
        for Entry { slot, .. } in &message.entries {
            let voted = after.votes.get(slot).is_some_and(|votes| votes.contains_key(ballot));
            let decided = self.decided.contains_key(slot) || after.decided.contains_key(slot);
            let higher = self.votes.get(slot).and_then(|votes| votes.last_key_value());
            let may = self.promised.as_ref() <= Some(ballot)
                && higher.is_none_or(|(last, _)| last < ballot);
            if may && !voted && !decided {
                let promised =
                    self.promised.as_ref().map_or("nothing".to_owned(), |it| rules.text(it));
                let facts = format!(
                    "{name} has promised {promised} and does not vote at {}",
                    rules.text(ballot)
                );
                return Some(VOTES.fails(facts));
            }
        }
        None
    }
}

impl Reports {
    fn about(&self, slot: Slot) -> Report {
        match self.entries.get(&slot) {
            Some((Field::Just(ballot), value)) => Report::Vote(ballot.clone(), value.clone()),
            Some((Field::NotCarried, _)) => Report::Unknown,
            None if !self.is_complete || slot < self.first.max(self.decided_below) => {
                Report::Unknown
            }
            Some((Field::Nothing, _)) | None => Report::NoVote,
        }
    }
}

/// Returns true if some quorum of the reports allows the value: none of them has a vote, or the value is that of the
/// highest vote among them.
fn may_propose(reports: &[Report], value: &Value, quorum: usize) -> bool {
    if reports.contains(&Report::Unknown) {
        return true;
    }
    let up_to = |limit: Option<&Ballot>| {
        let fits = |report: &&Report| match report {
            Report::Vote(ballot, _) => limit.is_some_and(|limit| ballot <= limit),
            _ => true,
        };
        reports.iter().filter(fits).count()
    };
    up_to(None) >= quorum
        || reports.iter().any(|report| match report {
            Report::Vote(ballot, reported) => {
                reported.as_ref().is_none_or(|reported| reported == value)
                    && up_to(Some(ballot)) >= quorum
            }
            _ => false,
        })
}
