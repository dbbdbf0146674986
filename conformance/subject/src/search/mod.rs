//! All schedules within bounds, shortest first.
//!
//! A state of the cluster is the state of each node, and all messages and facts so far. The network may deliver any message
//! that was ever sent, any number of times, at any later moment, or never. So a message stays, and loss and repetition need no
//! steps of their own. Schedules that differ only in the order of steps of different nodes lead to the same state, and it is
//! visited once. That is the partial order reduction.

mod rounds;
mod state;

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
    time::Instant,
};

use itertools::Itertools as _;
use serde::Serialize;
use verdict::Interrupt;

use self::state::sum_of;
pub(crate) use self::{rounds::explore_rounds, state::State};
use crate::{
    claims::Class,
    cluster::{Cluster, Input, LocalId, MessageId, Node, Size, Transition},
    findings::{Findings, Schedule},
    process::Broken,
    protocol::Kind,
};

/// The most states with the same number of steps. Each takes some hundred bytes until its steps were taken.
const LEVEL_MAX: usize = 500_000;
/// The most states of a learner that are tried after one step of another node.
const LEARNER_STATES_MAX: usize = 2_000;

/// The limits of an exhaustive search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// The numbers of nodes.
    #[serde(flatten)]
    pub size: Size,
    /// The most ballots that are prepared.
    pub ballots: usize,
    /// The most restarts of all nodes together.
    pub restarts: u32,
    /// The number of values that clients ask each proposer for.
    pub wishes: usize,
    /// True if all refusals are lost.
    #[serde(rename = "nacks_lost")]
    pub loses_nacks: bool,
}

/// The limits of a search, and a request to end it.
#[derive(Clone, Debug)]
pub(crate) struct Budget<'a> {
    pub(crate) until: Instant,
    /// The most states. A visited state takes some fifty bytes.
    pub(crate) states_max: usize,
    pub(crate) interrupt: &'a Interrupt,
}

impl Budget<'_> {
    pub(crate) fn is_spent(&self) -> bool {
        self.interrupt.requested() || Instant::now() >= self.until
    }
}

/// The result of a search.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Explored {
    /// The bounds.
    #[serde(flatten)]
    pub bounds: Bounds,
    /// True if only whole rounds were taken, one after the other.
    pub by_rounds: bool,
    /// The number of states of the cluster.
    pub states: usize,
    /// The greatest number of steps, or of rounds, after which all states were visited.
    pub steps: usize,
    /// True if all states within the bounds were visited.
    pub complete: bool,
}

/// The state before an entry, and the step between.
#[derive(Clone, Copy, Debug)]
struct Entry {
    before: usize,
    node: Node,
    input: Input,
}

struct Search<'a> {
    cluster: &'a mut Cluster,
    bounds: Bounds,
    found: &'a mut Findings,
    /// The step by which each visited state was reached first.
    entries: Vec<Entry>,
    visited: HashSet<u128>,
    /// Nodes that only learn, and have sent nothing.
    silent: Vec<Node>,
    /// The inputs of nodes that do not come from other nodes.
    own_inputs: HashMap<LocalId, Vec<Input>>,
    /// The messages to a learner, with the votes, whose deliveries were searched.
    learned: HashSet<u128>,
    /// False if a node that was assumed to be silent has sent something.
    is_silent: bool,
    budget: &'a Budget<'a>,
    /// True if something within the bounds was left out.
    is_cut: bool,
}

/// A subject that broke, and the schedule at which it did.
pub(crate) type BrokenAt = (Broken, Schedule);

/// Visits all states within bounds, breadth first. `progress` is called with the number of states and steps.
pub(crate) fn explore(
    cluster: &mut Cluster,
    bounds: Bounds,
    budget: &Budget<'_>,
    found: &mut Findings,
    mut progress: impl FnMut(Explored),
) -> Result<Explored, BrokenAt> {
    let silent = (0..cluster.nodes()).filter(|node| cluster.only_learns(*node)).collect();
    match explore_beside(cluster, silent, bounds, budget, found, &mut progress)? {
        Some(explored) => Ok(explored),
        // A node that only learns has sent something. So it is a part of the cluster like all others.
        None => Ok(explore_beside(cluster, Vec::new(), bounds, budget, found, &mut progress)?
            .expect("no node is assumed to be silent")),
    }
}

/// Visits all states, where some nodes are assumed to be silent. Returns `None` if one of them is not.
fn explore_beside(
    cluster: &mut Cluster,
    silent: Vec<Node>,
    bounds: Bounds,
    budget: &Budget<'_>,
    found: &mut Findings,
    progress: &mut impl FnMut(Explored),
) -> Result<Option<Explored>, BrokenAt> {
    let mut search = Search::new(cluster, silent, bounds, budget, found);
    let first = State::first(search.cluster);
    search.visited.insert(first.sum);
    // The first state has no entry. Places of others are counted from 1.
    let mut level = vec![(0, first)];
    let mut explored = Explored { bounds, by_rounds: false, states: 1, steps: 0, complete: false };
    while !level.is_empty() {
        let mut next = Vec::new();
        for (count, (place, state)) in level.iter().enumerate() {
            search.expand(*place, state, &mut next)?;
            if !search.is_silent {
                return Ok(None);
            }
            explored.states = search.visited.len();
            if count % 64 == 0 {
                progress(explored);
                if budget.is_spent()
                    || explored.states > budget.states_max
                    || next.len() > LEVEL_MAX
                {
                    return Ok(Some(explored));
                }
            }
        }
        if search.found.is_final() {
            return Ok(Some(explored));
        }
        explored.steps += usize::from(!next.is_empty());
        level = next;
    }
    explored.complete = !search.is_cut;
    Ok(Some(explored))
}

/// A place in a search, and the state there.
type At = (usize, State);

impl<'a> Search<'a> {
    fn new(
        cluster: &'a mut Cluster,
        silent: Vec<Node>,
        bounds: Bounds,
        budget: &'a Budget<'a>,
        found: &'a mut Findings,
    ) -> Self {
        Self {
            cluster,
            bounds,
            found,
            entries: Vec::new(),
            visited: HashSet::new(),
            silent,
            own_inputs: HashMap::new(),
            learned: HashSet::new(),
            is_silent: true,
            budget,
            is_cut: false,
        }
    }

    fn expand(&mut self, place: usize, state: &State, next: &mut Vec<At>) -> Result<(), BrokenAt> {
        for node in 0..self.cluster.nodes() {
            if self.silent.contains(&node) {
                continue;
            }
            for input in self.inputs(state, node) {
                let step = self.step(place, state.locals[node], node, input)?;
                let sent = self.arriving(&step);
                let sum = state.sum_after(node, &step, &sent);
                if step.findings.is_empty() && self.visited.contains(&sum) {
                    continue;
                }
                let after = self.advance(place, state, (node, input), &step, &sent)?;
                let Some(after) = after.filter(|it| self.visited.insert(it.sum)) else { continue };
                self.entries.push(Entry { before: place, node, input });
                next.push((self.entries.len(), after));
            }
        }
        Ok(())
    }

    /// Takes a step whose messages `sent` are not lost, keeps its findings, and returns the state after it. Returns `None` if the
    /// search does not go on from there.
    fn advance(
        &mut self,
        place: usize,
        state: &State,
        last: (Node, Input),
        step: &Transition,
        sent: &[MessageId],
    ) -> Result<Option<State>, BrokenAt> {
        let mut after = state.clone();
        let findings = after.take(self.cluster, last.0, step, sent);
        let mut goes_on = !step.fault && after.ballots <= self.bounds.ballots;
        for (finding, class) in findings {
            goes_on &= class > Class::Fault;
            self.found.add(finding, class, || path_to(&self.entries, place, last));
        }
        if goes_on {
            self.learn(place, last, &after, step)?;
        }
        Ok(goes_on.then_some(after))
    }

    /// The messages of a step that are not lost at once.
    fn arriving(&self, step: &Transition) -> Vec<MessageId> {
        let lost = |id: &&MessageId| {
            self.bounds.loses_nacks && self.cluster.message(**id).message.kind == Kind::Nack
        };
        step.sent.iter().filter(|id| !lost(id)).copied().collect()
    }

    fn inputs(&mut self, state: &State, node: Node) -> Vec<Input> {
        let local = state.locals[node];
        let cluster = &*self.cluster;
        // Acceptors that nothing has reached are alike. So the first of them takes the next message.
        let rank = cluster.rank(node);
        if rank > 0
            && local == cluster.initial[node]
            && state.locals[node - 1] == cluster.initial[node - 1]
        {
            return Vec::new();
        }
        let own = self.own_inputs.entry(local).or_insert_with(|| cluster.own_inputs(local));
        let restarts: u32 = state.locals.iter().map(|local| cluster.restarts(*local)).sum();
        let allowed = |input: &Input| match input {
            Input::Restart => restarts < self.bounds.restarts,
            // A proposer that starts again may get another value.
            Input::Propose(wish) => {
                cluster.round_of(*wish) < self.bounds.wishes + cluster.restarts(local) as usize
            }
            Input::Timer(_) => (cluster.fired(local) as usize) < self.bounds.ballots,
            _ => true,
        };
        let mut inputs: Vec<_> = own.iter().copied().filter(allowed).collect();
        let arrives =
            |id: &MessageId| cluster.message(*id).to == node && cluster.may_take(local, *id);
        inputs.extend(state.messages.iter().copied().filter(arrives).map(Input::Deliver));
        inputs
    }

    fn step(
        &mut self,
        place: usize,
        local: LocalId,
        node: Node,
        input: Input,
    ) -> Result<Rc<Transition>, BrokenAt> {
        let broken_at = |broken| (broken, path_to(&self.entries, place, (node, input)));
        self.cluster.step(local, input).map_err(broken_at)
    }

    /// Delivers messages to the nodes that only learn, in all orders, after a step that sent them something. They send nothing.
    /// So their states are no part of the state of the cluster.
    fn learn(
        &mut self,
        place: usize,
        last: (Node, Input),
        state: &State,
        step: &Transition,
    ) -> Result<(), BrokenAt> {
        let to = |node: Node, cluster: &Cluster, ids: &[MessageId]| -> Vec<MessageId> {
            ids.iter().copied().filter(|id| cluster.message(*id).to == node).collect()
        };
        for node in self.silent.clone() {
            if to(node, self.cluster, &step.sent).is_empty() {
                continue;
            }
            let messages = to(node, self.cluster, &state.messages);
            let sum = sum_of(&messages).wrapping_add(state.votes(self.cluster));
            if !self.learned.insert(sum) {
                continue;
            }
            let mut seen = HashSet::from([state.locals[node]]);
            let mut open: Vec<(LocalId, Schedule)> = vec![(state.locals[node], Vec::new())];
            while let Some((local, steps)) = open.pop() {
                if seen.len() > LEARNER_STATES_MAX || self.budget.is_spent() {
                    self.is_cut = true;
                    break;
                }
                let taken =
                    |id: &MessageId| steps.iter().filter(|it| it.1 == Input::Deliver(*id)).count();
                // A learner that counts repeated messages would never come to an end.
                let may_take = |id: &MessageId| taken(id) < 2 && self.cluster.may_take(local, *id);
                let next = messages.iter().copied().filter(may_take).collect_vec();
                for input in next {
                    let input = Input::Deliver(input);
                    let step = self.step(place, local, node, input)?;
                    self.is_silent &= step.sent.is_empty();
                    let mut steps = steps.clone();
                    steps.push((node, input));
                    let mut after = state.clone();
                    for (finding, class) in after.take(self.cluster, node, &step, &step.sent) {
                        self.found.add(finding, class, || {
                            let mut schedule = path_to(&self.entries, place, last);
                            schedule.extend(&steps);
                            schedule
                        });
                    }
                    if !step.fault && seen.insert(step.next) {
                        open.push((step.next, steps));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Returns the steps that lead to a state, and one more.
fn path_to(entries: &[Entry], mut place: usize, last: (Node, Input)) -> Schedule {
    let mut steps = vec![last];
    while place > 0 {
        let Entry { before, node, input } = entries[place - 1];
        steps.push((node, input));
        place = before;
    }
    steps.reverse();
    steps
}
