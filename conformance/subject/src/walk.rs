//! Single schedules: fair ones, random ones, and shorter ones.

use std::collections::VecDeque;

use rand::{RngExt as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;

use crate::{
    claims::{Claim, Class, Finding},
    cluster::{Cluster, Input, MessageId, Node, Sent},
    findings::{Findings, Found, Schedule},
    search::{BrokenAt, Budget, State},
};

/// The most steps of a fair schedule.
const FAIR_STEPS_MAX: usize = 500;
/// The most steps of a random schedule.
const RANDOM_STEPS_MAX: usize = 120;

/// A state and the steps that lead to it.
pub(crate) struct Walk<'a> {
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) state: State,
    pub(crate) schedule: Schedule,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(cluster: &'a mut Cluster) -> Self {
        let state = State::first(cluster);
        Self { cluster, state, schedule: Vec::new() }
    }

    /// Takes a step, and returns the messages that it sends. Keeps the findings.
    pub(crate) fn take(
        &mut self,
        node: Node,
        input: Input,
        found: &mut Findings,
    ) -> Result<Vec<MessageId>, BrokenAt> {
        self.schedule.push((node, input));
        let step = self.cluster.step(self.state.locals[node], input);
        let step = step.map_err(|broken| (broken, self.schedule.clone()))?;
        for (finding, class) in self.state.take(self.cluster, node, &step, &step.sent) {
            found.add(finding, class, || self.schedule.clone());
        }
        Ok(step.sent.clone())
    }

    pub(crate) fn own_inputs(&self, node: Node) -> Vec<Input> {
        self.cluster.own_inputs(self.state.locals[node])
    }

    /// Returns the next step while no message is on its way: a client asks `first`, or a timer fires.
    fn on_its_own(&self, first: Node, others: impl Iterator<Item = Node>) -> Option<(Node, Input)> {
        let nodes = [first].into_iter().chain(others);
        let inputs =
            nodes.flat_map(|node| self.own_inputs(node).into_iter().map(move |it| (node, it)));
        let inputs: Vec<_> = inputs.collect();
        // A request without an effect is repeated after a timer has fired.
        let repeats = matches!(self.schedule.last(), Some((_, Input::Propose(_))));
        let is_wish =
            |it: &&(Node, Input)| !repeats && it.0 == first && matches!(it.1, Input::Propose(_));
        let is_timer = |it: &&(Node, Input)| matches!(it.1, Input::Timer(_));
        inputs.iter().find(is_wish).or_else(|| inputs.iter().find(is_timer)).copied()
    }
}

/// Runs a schedule in which the first proposer alone has a value, each message arrives once and in order, and timers fire when no
/// message is on its way. The last `silent` acceptors get nothing. Returns the schedule and whether a value was decided.
pub(crate) fn fair(
    cluster: &mut Cluster,
    silent: usize,
    found: &mut Findings,
) -> Result<(Schedule, bool), BrokenAt> {
    let first = cluster.wishes[0].0;
    let acceptors = &cluster.rules.setup.acceptors;
    let silent: Vec<_> = acceptors[acceptors.len() - silent..].to_vec();
    let is_silent: Vec<_> = (0..cluster.nodes())
        .map(|node| silent.iter().any(|it| **it == **cluster.name(node)))
        .collect();
    let mut walk = Walk::new(cluster);
    let mut on_their_way = VecDeque::new();
    while walk.schedule.len() < FAIR_STEPS_MAX && !walk.state.has_decided(walk.cluster) {
        let next = if let Some(id) = on_their_way.pop_front() {
            let Sent { from, to, .. } = *walk.cluster.message(id);
            let lost = (from, Input::Fail(id));
            match is_silent[to] {
                false => Some((to, Input::Deliver(id))),
                true if walk.own_inputs(from).contains(&lost.1) => Some(lost),
                true => continue,
            }
        } else {
            let others = (0..walk.cluster.nodes()).filter(|it| *it != first && !is_silent[*it]);
            walk.on_its_own(first, others)
        };
        let Some((node, input)) = next else { break };
        if matches!(input, Input::Deliver(id) if !walk.cluster.may_take(walk.state.locals[node], id))
        {
            continue;
        }
        on_their_way.extend(walk.take(node, input, found)?);
    }
    let decided = walk.state.has_decided(walk.cluster);
    Ok((walk.schedule, decided))
}

/// Runs a random schedule: messages are lost, repeated and late, and nodes start again. Stops at a finding that ends the search.
pub(crate) fn random(
    cluster: &mut Cluster,
    random: &mut ChaCha8Rng,
    budget: &Budget<'_>,
    found: &mut Findings,
) -> Result<Schedule, BrokenAt> {
    // Each schedule has its own habits, since many faults need few restarts or much loss.
    let loss = *[0.0, 0.1, 0.4].choose(random).expect("there are some");
    let repetition = *[0.0, 0.1, 0.3].choose(random).expect("there are some");
    let restarts = *[0.0, 0.02, 0.1].choose(random).expect("there are some");
    let own = *[0.05, 0.15, 0.4].choose(random).expect("there are some");
    cluster.follow(true).map_err(|broken| (broken, Vec::new()))?;
    let mut walk = Walk::new(cluster);
    let mut on_their_way: Vec<MessageId> = Vec::new();
    for _ in 0..RANDOM_STEPS_MAX {
        if found.is_final() || budget.is_spent() {
            break;
        }
        let picks_own = on_their_way.is_empty() || random.random_bool(own);
        let (node, input) = if picks_own {
            let node = random.random_range(0..walk.cluster.nodes());
            let inputs = walk.own_inputs(node);
            let Some(input) = inputs.choose(random).copied() else { continue };
            if input == Input::Restart && !random.random_bool(restarts) {
                continue;
            }
            (node, input)
        } else if random.random_bool(repetition) {
            let id = *walk.state.messages.choose(random).expect("something was sent");
            (walk.cluster.message(id).to, Input::Deliver(id))
        } else {
            let id = on_their_way.swap_remove(random.random_range(0..on_their_way.len()));
            if random.random_bool(loss) {
                continue;
            }
            (walk.cluster.message(id).to, Input::Deliver(id))
        };
        if let Input::Deliver(id) = input
            && !walk.cluster.may_take(walk.state.locals[node], id)
        {
            continue;
        }
        on_their_way.extend(walk.take(node, input, found)?);
    }
    let Walk { cluster, schedule, .. } = walk;
    cluster.follow(false).map_err(|broken| (broken, schedule.clone()))?;
    Ok(schedule)
}

/// A schedule that leads to a finding, and the messages that each of its steps has sent.
struct Taken {
    schedule: Schedule,
    sent: Vec<Vec<MessageId>>,
    finding: Finding,
}

impl Taken {
    /// Returns the step that has sent a message, and the place of the message among those of the step.
    fn origin(&self, id: MessageId) -> Option<(usize, usize)> {
        let place = |sent: &Vec<MessageId>| sent.iter().position(|it| *it == id);
        self.sent.iter().enumerate().find_map(|(step, sent)| Some((step, place(sent)?)))
    }
}

/// Takes some steps of a schedule, by their places. A message is the one that the same step sends now: its ballot may be another than
/// before. Returns the steps up to the first finding for a claim, or `None` if a step is not possible or there is no such finding.
fn take_again(
    cluster: &mut Cluster,
    before: &Taken,
    kept: &[usize],
    (claim, class): (&Claim, Class),
) -> Result<Option<Taken>, BrokenAt> {
    let mut walk = Walk::new(cluster);
    let mut sent: Vec<Vec<MessageId>> = Vec::new();
    for place in kept {
        let (node, input) = before.schedule[*place];
        let input = match input {
            Input::Deliver(id) => {
                let now = before.origin(id).and_then(|(step, at)| {
                    let step = kept.iter().position(|it| *it == step)?;
                    sent.get(step)?.get(at).copied()
                });
                let now = now.filter(|it| {
                    walk.cluster.message(*it).to == node
                        && walk.cluster.may_take(walk.state.locals[node], *it)
                });
                now.map(Input::Deliver)
            }
            own => walk.own_inputs(node).contains(&own).then_some(own),
        };
        let Some(input) = input else { return Ok(None) };
        let mut found = Findings::new(class);
        sent.push(walk.take(node, input, &mut found)?);
        let mut found = found.all.into_iter().map(|it| (it.finding, it.class));
        if let Some((finding, _)) = found.find(|(it, of)| it.claim == claim && *of == class) {
            return Ok(Some(Taken { schedule: walk.schedule, sent, finding }));
        }
    }
    Ok(None)
}

/// Leaves out the steps of a schedule that its finding does not need: first many at once, then fewer, then single ones.
pub(crate) fn shorten(
    cluster: &mut Cluster,
    found: &Found,
    budget: &Budget<'_>,
) -> Result<Found, BrokenAt> {
    let Found { finding, class, schedule } = found.clone();
    let of = (finding.claim, class);
    let mut walk = Walk::new(cluster);
    let mut sent = Vec::new();
    for (node, input) in &schedule {
        sent.push(walk.take(*node, *input, &mut Findings::new(class))?);
    }
    let mut shortest = Taken { schedule, sent, finding };
    let mut count = (shortest.schedule.len() / 2).max(1);
    loop {
        let (mut place, before) = (shortest.schedule.len(), shortest.schedule.len());
        while place > 0 && !budget.is_spent() {
            place = place.saturating_sub(count);
            let kept =
                (0..shortest.schedule.len()).filter(|it| !(place..place + count).contains(it));
            if let Some(taken) = take_again(cluster, &shortest, &kept.collect::<Vec<_>>(), of)? {
                shortest = taken;
            }
            place = place.min(shortest.schedule.len());
        }
        // A step may be needed only by one that was left out later.
        let settled = count == 1 && shortest.schedule.len() == before;
        if settled || budget.is_spent() {
            let Taken { schedule, finding, .. } = shortest;
            return Ok(Found { finding, class, schedule });
        }
        count = (count / 2).max(1);
    }
}
