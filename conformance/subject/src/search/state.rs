//! A state of the cluster: the state of each node, and all messages and facts so far.

use itertools::Itertools as _;
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    claims::{Class, Finding},
    cluster::{Cluster, FactId, LocalId, MessageId, Node, Transition},
    facts::{Fact, contradictions},
};

/// A state of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) locals: Vec<LocalId>,
    /// The messages that were sent, sorted.
    pub(crate) messages: Vec<MessageId>,
    facts: Vec<FactId>,
    /// The number of different ballots that were prepared.
    pub(super) ballots: usize,
    /// True if a ballot was used again.
    reuse: bool,
    /// The sum of the hashes of all parts. Equal states have equal sums.
    pub(super) sum: u128,
}

impl State {
    pub(crate) fn first(cluster: &Cluster) -> Self {
        let locals = cluster.initial.clone();
        let sum =
            locals.iter().fold(0, |sum: u128, local| sum.wrapping_add(hash(LOCAL, local.number())));
        let (messages, facts) = (Vec::new(), Vec::new());
        Self { locals, messages, facts, ballots: 0, reuse: false, sum }
    }

    /// Returns the sum that the state has after a step.
    pub(super) fn sum_after(&self, node: Node, step: &Transition, sent: &[MessageId]) -> u128 {
        let messages = sent.iter().filter(|id| self.messages.binary_search(id).is_err());
        let facts = step.facts.iter().filter(|id| self.facts.binary_search(id).is_err());
        let added = messages.map(|id| hash(MESSAGE, id.0)).chain(facts.map(|id| hash(FACT, id.0)));
        let moved = self.sum.wrapping_sub(hash(LOCAL, self.locals[node].number()));
        let moved = moved.wrapping_add(hash(LOCAL, step.next.number()));
        let reused = if step.reuse && !self.reuse { hash(REUSE, 0) } else { 0 };
        added.fold(moved.wrapping_add(reused), u128::wrapping_add)
    }

    /// Takes a step whose messages `sent` are not lost. Returns the findings with their classes.
    pub(crate) fn take(
        &mut self,
        cluster: &Cluster,
        node: Node,
        step: &Transition,
        sent: &[MessageId],
    ) -> Vec<(Finding, Class)> {
        self.sum = self.sum_after(node, step, sent);
        self.locals[node] = step.next;
        for id in sent {
            insert(&mut self.messages, *id);
        }
        let mut findings = step.findings.clone();
        self.reuse |= step.reuse;
        findings.extend(self.notice(cluster, step));
        let class = |finding: Finding| {
            let class = finding.claim.class_after(self.reuse);
            (finding, class)
        };
        // One step often contradicts several claims of a class in the same way. The first is the closest to the cause.
        findings.into_iter().map(class).unique_by(|(_, class)| *class).collect()
    }

    /// Takes the facts of a step, and returns what they contradict.
    fn notice(&mut self, cluster: &Cluster, step: &Transition) -> Vec<Finding> {
        let new: Vec<_> =
            step.facts.iter().copied().filter(|id| insert(&mut self.facts, *id)).collect();
        if new.is_empty() {
            return Vec::new();
        }
        let all: Vec<&Fact> = self.facts.iter().map(|id| cluster.fact(*id)).collect();
        let new: Vec<_> = new.into_iter().map(|id| cluster.fact(id).clone()).collect();
        if new.iter().any(|fact| matches!(fact, Fact::Prepared { .. })) {
            let prepared = all.iter().filter_map(|fact| match fact {
                Fact::Prepared { ballot, .. } => Some(ballot),
                _ => None,
            });
            self.ballots = prepared.unique().count();
        }
        contradictions(&cluster.rules, &all, &new)
    }

    /// Returns the sum of the hashes of all votes.
    pub(super) fn votes(&self, cluster: &Cluster) -> u128 {
        let is_vote = |id: &&FactId| matches!(cluster.fact(**id), Fact::Voted { .. });
        let votes = self.facts.iter().filter(is_vote);
        votes.map(|id| hash(FACT, id.0)).fold(0, u128::wrapping_add)
    }

    /// Returns true if a node has taken a value as chosen.
    pub(crate) fn has_decided(&self, cluster: &Cluster) -> bool {
        self.facts.iter().any(|id| matches!(cluster.fact(*id), Fact::Decided { .. }))
    }
}

/// The kinds of the parts of a state, in hashes.
const LOCAL: u32 = 0;
const MESSAGE: u32 = 1;
const FACT: u32 = 2;
const REUSE: u32 = 3;

/// Returns the sum of the hashes of some messages.
pub(super) fn sum_of(messages: &[MessageId]) -> u128 {
    messages.iter().map(|id| hash(MESSAGE, id.0)).fold(0, u128::wrapping_add)
}

fn hash(kind: u32, id: u32) -> u128 {
    xxh3_128(&(u64::from(kind) << 32 | u64::from(id)).to_le_bytes())
}

/// Inserts an element into a sorted list. Returns false if it is there.
fn insert<T: Ord>(list: &mut Vec<T>, element: T) -> bool {
    match list.binary_search(&element) {
        Ok(_) => false,
        Err(place) => {
            list.insert(place, element);
            true
        }
    }
}
