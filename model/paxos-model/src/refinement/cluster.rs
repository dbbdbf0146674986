//! The check that each step of `cluster` is a short sequence of steps of `multipaxos.epr`, or no step.
//!
//! The check reads a state of the cluster as a structure of the text. The sent messages are the messages of the text, and the
//! disks are what its acceptors store. The check treats a step that is not yet synced as not taken. Accept messages are the
//! exception, because they may leave before the sync. Steps of the text explain a step of the cluster if they lead from the
//! structure before it to exactly the structure after it. The interpreter must allow each of them.
//!
//! The cluster trims its logs, and the text does not. The votes of a trimmed slot are still among the messages, so the check
//! takes them from there. The last vote of the acceptor in that slot counts as stored. A promise that leaves the slot out
//! counts as reporting the vote that the acceptor stored when it promised. A trim is no step of the text. Neither is a
//! promise that is repeated because of a trim, or a [late](State::is_late) one.
//!
//! A Prepare message of the cluster names the first slot that the candidate does not know to be chosen, and promises leave out
//! the slots before it. In the text a promise reports all slots. The check treats these slots like trimmed ones, and each of
//! them must be decided when the Prepare message leaves.
//!
//! The text has no reads. A node that confirms a round of reads changes nothing in the text.
//!
//! The text has two facts that are not in a state of the cluster:
//! - *The promises behind a ballot*, which are those that its leader counted. The text keeps them for ever. A node forgets
//!   them when it begins to lead, and when it crashes. So a state of the refinement consists of a state of the cluster and
//!   these promises. A ballot is led as soon as its owner leads and all promises behind the ballot are durable, including
//!   the owner's.
//! - *Decisions.* Nodes learn and forget chosen values. In the text, decisions are for ever. The check takes each decision
//!   as soon as the text allows it, so every value that a node can learn is decided. Each value that a node believes chosen
//!   must be among the decisions.
//!
//! The check is weaker than the model in one place. In the cluster, the client of a ballot asks for one value. In
//! the text, any ballot may propose a value that any client asks for. So the check does not notice a ballot that
//! proposes the value of another ballot's client. It does notice a value that no client asks for.
//!
//! # Explanations that are kept
//!
//! The text sees only a part of a state: the messages, the disks, and the promises behind each ballot. Many steps are equal in
//! this part, and differ only in what nodes keep in memory. The check keeps the explanations that it has found.
//!
//! Claim: a search with kept explanations finds a fault if and only if a search that explains each step finds one. An
//! explanation is a function of the seen parts of both states. The check removes all other parts of the states before it
//! looks for an explanation, and compares the seen parts by value. It keeps no fault, since a fault ends the search and
//! must be found again on the path to it. The beliefs of nodes are in memory, so they are checked for each step.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use ahash::HashMap;
use smallvec::SmallVec;
use stateright::{Model, Property};

use super::{
    Acceptors, assert_axioms, describe, difference, quorums, relation, set_members, sizes,
};
use crate::{
    cluster::{
        Action, Bounds, BoundsError, Bug, CheckedCluster, CheckedState, Cluster,
        monitors::History,
        state::{
            BALLOTS_MAX, Ballot, Message, Node, NodeId, NodeSet, Role, SharedNode, Slot, State,
            Value, Vote,
        },
    },
    specifications::shipped,
};
use epr_prover::{
    interpreter::{Interpreter, Step},
    language::{Relation, Sort, Specification},
    structure::{Element, Structure},
};
use state_explorer::{Explorable, Tally};

/// The property that each step of the cluster is explained by steps of the text.
pub const FOLLOWS: &str = "each step follows the proved specification";

/// A cluster whose steps are checked against the text during exploration.
#[derive(Clone)]
pub struct ClusterRefinement {
    cluster: CheckedCluster,
    text: Arc<Text>,
    steps: Arc<Tally>,
    explanations: Arc<Mutex<Explanations>>,
}

/// The explanations that were found.
#[derive(Default)]
struct Explanations {
    /// A number for each seen part of a state.
    seen: HashMap<Refined, u32>,
    /// The actions of the text that explain a step from one seen part to another.
    actions: HashMap<(u32, u32), SmallVec<[u8; 8]>>,
}

/// The most seen parts that are kept, at about 300 bytes each.
const KEPT_MAX: usize = 1_000_000;

/// The text, with its quorums and relations.
struct Text {
    specification: Specification,
    /// The structure of the initial state.
    nothing: Structure,
    promisers: Vec<Acceptors>,
    voters: Vec<Acceptors>,
    prepare: Relation,
    promise: Relation,
    promise_reports: Relation,
    promise_reports_ge: Relation,
    leads: Relation,
    proposal: Relation,
    vote: Relation,
    decision: Relation,
    reached: Relation,
    left: Relation,
    accepted: Relation,
    accepted_ge: Relation,
}

/// A state of the cluster, and the promises behind each ballot, which the text keeps.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Refined {
    /// The state of the cluster.
    pub cluster: CheckedState,
    /// For each ballot, the nodes whose promises its leader counted. The set is empty before, and once all these promises
    /// are durable.
    heard: [NodeSet; BALLOTS_MAX],
    /// For each ballot that is led, the nodes whose promises its leader counted.
    led: [NodeSet; BALLOTS_MAX],
    /// The reason why the last step is not explained.
    fault: Option<String>,
}

impl fmt::Debug for Refined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.cluster)?;
        for (ballot, led) in self.led.iter().enumerate().filter(|(_, led)| !led.is_empty()) {
            writeln!(f, "b{ballot} is led on the promises of {led:?}")?;
        }
        if let Some(fault) = &self.fault {
            write!(f, "NOT EXPLAINED: {fault}")?;
        }
        Ok(())
    }
}

impl ClusterRefinement {
    /// Returns the refinement of `multipaxos.epr` by the cluster within these bounds.
    ///
    /// # Errors
    /// Fails if the bounds are out of range.
    pub fn new(bounds: Bounds) -> Result<Self, BoundsError> {
        // The cluster's own properties are not checked here.
        let cluster = Cluster::new(bounds)?.with_only(&[FOLLOWS]).checked();
        let text = Arc::new(Text::new(&bounds));
        let (steps, explanations) = Default::default();
        Ok(Self { cluster, text, steps, explanations })
    }

    /// Returns the same refinement with a bug in the cluster.
    #[must_use]
    pub fn with_bug(self, bug: Bug) -> Self {
        let cluster = self.cluster.model().clone().with_bug(bug).checked();
        Self { cluster, explanations: Arc::default(), ..self }
    }

    /// Returns each action of the text, and the number of times that it explained a step of the cluster or a part of one.
    pub fn explained(&self) -> Vec<(String, u64)> {
        let actions = self.text.specification.actions.iter().enumerate();
        actions.map(|(index, action)| (action.name.clone(), self.steps.get(index))).collect()
    }

    /// Returns the initial state.
    pub fn initial(&self) -> Refined {
        Refined {
            cluster: self.cluster.init_states().remove(0),
            heard: Default::default(),
            led: Default::default(),
            fault: None,
        }
    }

    /// Returns the state after an action, or none if the action changes nothing or may not happen.
    pub fn successor(&self, state: &Refined, action: Action) -> Option<Refined> {
        let cluster = self.cluster.after(&state.cluster, &action)?;
        let mut next =
            Refined { cluster, heard: state.heard, led: state.led, fault: state.fault.clone() };
        self.remember(state, action, &mut next);
        next.fault = self.unexplained(state, &next);
        Some(next)
    }

    /// Updates `heard` for nodes that begin to lead or crash. Updates `led` for ballots whose promises are all
    /// durable now.
    fn remember(&self, before: &Refined, action: Action, after: &mut Refined) {
        let bounds = self.cluster.bounds();
        for id in self.cluster.nodes() {
            let (was, is) = (before.cluster.node(id).live, after.cluster.node(id).live);
            let began = matches!(is.role, Role::Leader { .. })
                && (!matches!(was.role, Role::Leader { .. })
                    || was.acceptor.promised != is.acceptor.promised);
            if began && let Some(Ballot(ballot)) = is.acceptor.promised {
                let earlier = match was.role {
                    Role::Candidate { heard, .. }
                        if was.acceptor.promised == is.acceptor.promised =>
                    {
                        heard
                    }
                    _ => NodeSet::of(id),
                };
                after.heard[usize::from(ballot)] = match action {
                    Action::Deliver { message: Message::Promise { from, .. }, .. } => {
                        earlier.with(from)
                    }
                    _ => earlier,
                };
            }
            if let Action::Crash(crashed) = action
                && crashed == id
            {
                let owned = (0..bounds.ballots).map(Ballot).filter(|b| bounds.owner(*b) == id);
                owned.for_each(|ballot| after.heard[usize::from(ballot.0)] = NodeSet::default());
            }
        }
        for ballot in 0..bounds.ballots {
            let heard = after.heard[usize::from(ballot)];
            let promised = |node: NodeId| after.cluster.has_promised(node, Ballot(ballot));
            let durable = self.cluster.nodes().filter(|node| heard.has(*node)).all(promised);
            if !heard.is_empty() && durable {
                after.led[usize::from(ballot)] = heard;
                after.heard[usize::from(ballot)] = NodeSet::default();
            }
        }
    }

    /// Returns the reason why no steps of the text explain a step, or why a belief of a node is wrong after it.
    fn unexplained(&self, before: &Refined, after: &Refined) -> Option<String> {
        let (was, is) = (seen(before), seen(after));
        let result = if was == is { Ok(()) } else { self.explained_once(was, is) };
        result.and_then(|()| self.beliefs(after)).err()
    }

    /// Explains a step between the seen parts of two states, unless an explanation is kept. Counts its actions.
    fn explained_once(&self, was: Refined, is: Refined) -> Result<(), String> {
        let count = |actions: &[u8]| {
            for action in actions {
                self.steps.count(usize::from(*action));
            }
        };
        {
            let kept = self.kept();
            let pair = kept.seen.get(&was).copied().zip(kept.seen.get(&is).copied());
            if let Some(actions) = pair.and_then(|pair| kept.actions.get(&pair)) {
                count(actions);
                return Ok(());
            }
        }
        let actions = self.explain(&was, &is)?;
        count(&actions);
        let mut kept = self.kept();
        if kept.seen.len() < KEPT_MAX {
            let [was, is] = [was, is].map(|part| {
                let next = kept.seen.len() as u32;
                *kept.seen.entry(part).or_insert(next)
            });
            kept.actions.insert((was, is), actions);
        }
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Explanations> {
        self.explanations.lock().expect("no thread panics while it holds this lock")
    }

    /// Checks that steps of the text lead from the structure of `before` to exactly the structure of `after`. Returns the
    /// actions of these steps.
    fn explain(&self, before: &Refined, after: &Refined) -> Result<SmallVec<[u8; 8]>, String> {
        let specification = &self.text.specification;
        let interpreter = Interpreter::new(specification);
        let mut actions = SmallVec::new();
        let mut at = self.text.structure(self.cluster.bounds(), before);
        for (name, arguments) in self.steps_between(before, after)? {
            let action = specification.action(name).expect("the text has this action");
            let step = Step { action, arguments };
            let next = interpreter.take(&at, &step);
            let next = next.ok_or_else(|| {
                let said = describe(specification, &step, &|sort, it| self.text.name(sort, it));
                format!("the specification does not allow that {said}")
            })?;
            // A withdrawal changes nothing if a promise or a vote has already raised the promise.
            if next != at {
                actions.push(action as u8);
                at = next;
            }
        }
        let is = self.text.structure(self.cluster.bounds(), after);
        match difference(specification, &at, &is, &|sort, it| self.text.name(sort, it)) {
            None => Ok(actions),
            Some((fact, true)) => Err(format!("it should now be so that {fact}")),
            Some((fact, false)) => Err(format!("nothing made it so that {fact}")),
        }
    }

    /// Returns the steps of the text for the new messages, promises and decisions, in an order that the text allows.
    fn steps_between(
        &self,
        before: &Refined,
        after: &Refined,
    ) -> Result<Vec<(&'static str, Vec<Element>)>, String> {
        let text = &self.text;
        let (was, is) = (&before.cluster, &after.cluster);
        let sent = || is.network.iter().filter(|&message| !was.network.contains(message));
        let quorum_of = |ballot: Ballot| {
            let led = after.led[usize::from(ballot.0)];
            text.promisers_of(led).ok_or_else(|| {
                format!("b{} is led on the promises of {led:?}, which are no quorum", ballot.0)
            })
        };
        let mut steps = Vec::new();
        for message in sent() {
            if let Message::Prepare { ballot, .. } = message {
                steps.push(("prepare", vec![Element(ballot.0)]));
            }
        }
        for message in sent() {
            if let Message::Promise { ballot, from, trimmed, .. } = message
                && !(trimmed > Slot(0) && was.has_promised(from, ballot))
                && !is.is_late(message)
            {
                steps.push(("promise", vec![Element(from.0), Element(ballot.0)]));
            }
        }
        for ballot in (0..self.cluster.bounds().ballots).map(Ballot) {
            if before.led[usize::from(ballot.0)] != after.led[usize::from(ballot.0)] {
                steps.push(("lead", vec![Element(ballot.0), quorum_of(ballot)?]));
            }
        }
        for message in sent() {
            if let Message::Accept { ballot, slot, value } = message {
                let quorum = quorum_of(ballot)?;
                let arguments = vec![Element(slot.0), Element(ballot.0), quorum, Element(value.0)];
                steps.push(("propose", arguments));
            }
        }
        for message in sent() {
            if let Message::Accepted { ballot, slot, value, from } = message {
                let arguments =
                    vec![Element(from.0), Element(slot.0), Element(ballot.0), Element(value.0)];
                steps.push(("accept", arguments));
            }
        }
        for id in self.cluster.nodes() {
            let promised = is.node(id).durable.promised;
            if let Some(ballot) = promised.filter(|_| promised > was.node(id).durable.promised) {
                steps.push(("withdraw", vec![Element(id.0), Element(ballot.0)]));
            }
        }
        for slot in (0..self.cluster.bounds().slots).map(Slot) {
            for (Vote { ballot, value }, voters) in is.ballots_voted(slot) {
                if let Some(quorum) = text.voters_of(voters) {
                    let decided =
                        vec![Element(slot.0), Element(ballot.0), Element(value.0), quorum];
                    steps.push(("learn", decided));
                }
            }
        }
        Ok(steps)
    }

    /// Returns true if a value is decided in a slot.
    fn has_decision(&self, state: &State, slot: Slot) -> bool {
        let mut values = (0..=self.cluster.bounds().values).map(Value);
        values.any(|value| self.decided(state, slot, value))
    }

    /// Checks that each slot before the first that a Prepare message names has a decision. Also checks the beliefs of the
    /// nodes without unsynced steps. A leader must have a quorum of promises behind its ballot. Each slot that a node has
    /// trimmed must have a decision. Each value that a node believes chosen must be decided.
    fn beliefs(&self, state: &Refined) -> Result<(), String> {
        for message in state.cluster.network.iter() {
            let Message::Prepare { ballot, first } = message else { continue };
            let mut known = (0..first.0).map(Slot);
            if let Some(slot) = known.find(|&slot| !self.has_decision(&state.cluster, slot)) {
                let ballot = ballot.0;
                return Err(format!(
                    "b{ballot} asks for no votes in {slot:?}, which is not decided"
                ));
            }
        }
        for id in self.cluster.nodes() {
            let node = state.cluster.node(id);
            if !node.unsynced.is_empty() {
                continue;
            }
            if let (Role::Leader { .. }, Some(ballot)) =
                (node.live.role, node.live.acceptor.promised)
                && self.text.promisers_of(state.led[usize::from(ballot.0)]).is_none()
            {
                return Err(format!("{id:?} leads in b{} without a quorum", ballot.0));
            }
            for slot in (0..node.durable.trimmed.0).map(Slot) {
                if !self.has_decision(&state.cluster, slot) {
                    return Err(format!(
                        "{id:?} has trimmed {slot:?}, in which nothing is decided"
                    ));
                }
            }
            for (slot, known) in (0..).map(Slot).zip(node.live.chosen) {
                let Some(value) = known else { continue };
                if !self.decided(&state.cluster, slot, value) {
                    return Err(format!(
                        "{id:?} believes that v{} is chosen in {slot:?}, which is not decided",
                        value.0
                    ));
                }
            }
        }
        Ok(())
    }

    fn decided(&self, state: &State, slot: Slot, value: Value) -> bool {
        let votes = state.ballots_voted(slot).into_iter();
        let mut votes = votes.filter(|(vote, _)| vote.value == value);
        votes.any(|(_, voters)| self.text.voters_of(voters).is_some())
    }
}

/// Returns the part of a state that the text sees: the messages, the disks, and the promises behind each ballot.
fn seen(state: &Refined) -> Refined {
    let State { nodes, network } = &state.cluster.state;
    let on_disk = |node: &SharedNode| Node { durable: node.durable, ..Node::default() }.into();
    let cluster = State { nodes: nodes.iter().map(on_disk).collect(), network: network.clone() };
    let cluster = CheckedState { state: cluster, history: History::default() };
    Refined { cluster, heard: Default::default(), led: state.led, fault: None }
}

impl Text {
    fn new(bounds: &Bounds) -> Self {
        let specification = shipped("multipaxos");
        let named = |name| relation(&specification, name);
        let promisers = quorums(bounds.nodes, bounds.phase1_quorum);
        let voters = quorums(bounds.nodes, bounds.phase2_quorum);
        let sizes = sizes(&specification, |name| match name {
            "acceptor" => usize::from(bounds.nodes),
            "ballot" => usize::from(bounds.ballots),
            "value" => usize::from(bounds.values) + 1,
            "slot" => usize::from(bounds.slots),
            "promisers" => promisers.len(),
            "voters" => voters.len(),
            other => panic!("{other} is no sort of this refinement"),
        });
        let mut nothing = Structure::empty(&specification, &sizes);
        set_members(&mut nothing, named("promiser"), &promisers, bounds.nodes);
        set_members(&mut nothing, named("voter"), &voters, bounds.nodes);
        for ballot in (0..bounds.ballots).map(Ballot) {
            let Value(asked) = bounds.client_value(ballot);
            nothing.set(named("proposed_by_client"), &[Element(asked)], true);
        }
        // No-ops fill gaps, and one slot has no gap.
        nothing.set(named("noop"), &[Element(bounds.noop().0)], bounds.slots > 1);
        for high in 0..bounds.ballots {
            for low in 0..=high {
                nothing.set(named("le"), &[Element(low), Element(high)], true);
            }
        }
        assert_axioms(Interpreter::new(&specification), &nothing);
        Self {
            prepare: named("prepare"),
            promise: named("promise"),
            promise_reports: named("promise_reports"),
            promise_reports_ge: named("promise_reports_ge"),
            leads: named("leads"),
            proposal: named("proposal"),
            vote: named("vote"),
            decision: named("decision"),
            reached: named("reached"),
            left: named("left"),
            accepted: named("accepted"),
            accepted_ge: named("accepted_ge"),
            specification,
            nothing,
            promisers,
            voters,
        }
    }

    /// Returns the name of an element in the cluster.
    fn name(&self, sort: Sort, Element(number): Element) -> String {
        let nodes = |quorums: &[Acceptors]| format!("{:?}", NodeSet(quorums[usize::from(number)]));
        match &*self.specification.sorts[sort.0].name {
            "acceptor" => format!("{:?}", NodeId(number)),
            "slot" => format!("{:?}", Slot(number)),
            "ballot" => format!("b{number}"),
            "promisers" => nodes(&self.promisers),
            "voters" => nodes(&self.voters),
            _ => format!("v{number}"),
        }
    }

    fn promisers_of(&self, nodes: NodeSet) -> Option<Element> {
        self.promisers.iter().position(|&quorum| quorum == nodes.0).map(|at| Element(at as u8))
    }

    fn voters_of(&self, nodes: NodeSet) -> Option<Element> {
        self.voters.iter().position(|&quorum| quorum == nodes.0).map(|at| Element(at as u8))
    }

    /// Returns the structure of a state of the cluster.
    fn structure(&self, bounds: &Bounds, state: &Refined) -> Structure {
        let mut structure = self.nothing.clone();
        let up_to = |ballot: Ballot| (0..=ballot.0).map(Element);
        for (id, node) in (0..).map(Element).zip(&state.cluster.nodes) {
            if let Some(promised) = node.durable.promised {
                for below in up_to(promised) {
                    structure.set(self.reached, &[id, below], true);
                    structure.set(self.left, &[id, below], below.0 < promised.0);
                }
            }
            for (slot, vote) in (0..).map(Slot).zip(node.durable.votes) {
                let trimmed = slot < node.durable.trimmed;
                let gone = || state.cluster.last_vote(NodeId(id.0), slot, None);
                let Some(Vote { ballot, value }) = (if trimmed { gone() } else { vote }) else {
                    continue;
                };
                let slot = Element(slot.0);
                let entry = [id, slot, Element(ballot.0), Element(value.0)];
                structure.set(self.accepted, &entry, true);
                for below in up_to(ballot) {
                    structure.set(self.accepted_ge, &[id, slot, below], true);
                }
            }
        }
        for message in state.cluster.network.iter() {
            let ballot = Element(message.ballot().0);
            match message {
                Message::Promise { .. } if state.cluster.is_late(message) => {}
                Message::Prepare { .. } => structure.set(self.prepare, &[ballot], true),
                Message::Promise { from: node, trimmed, reports, .. } => {
                    let from = Element(node.0);
                    let first = state.cluster.prepared_from(message.ballot()).unwrap_or_default();
                    structure.set(self.promise, &[from, ballot], true);
                    for (slot, vote) in (0..).map(Slot).zip(reports) {
                        let below = Some(message.ballot());
                        let gone = || state.cluster.last_vote(node, slot, below);
                        let Some(vote) = (if slot < trimmed.max(first) { gone() } else { vote })
                        else {
                            continue;
                        };
                        let slot = Element(slot.0);
                        let entry =
                            [from, ballot, slot, Element(vote.ballot.0), Element(vote.value.0)];
                        structure.set(self.promise_reports, &entry, true);
                        for below in up_to(vote.ballot) {
                            let ge = [from, ballot, slot, below];
                            structure.set(self.promise_reports_ge, &ge, true);
                        }
                    }
                }
                Message::Confirm { .. } | Message::Confirmed { .. } => {}
                Message::Accept { slot, value, .. } => {
                    let entry = [Element(slot.0), ballot, Element(value.0)];
                    structure.set(self.proposal, &entry, true);
                }
                Message::Accepted { slot, value, from, .. } => {
                    let entry = [Element(from.0), Element(slot.0), ballot, Element(value.0)];
                    structure.set(self.vote, &entry, true);
                }
            }
        }
        for slot in (0..bounds.slots).map(Slot) {
            for (Vote { ballot, value }, voters) in state.cluster.ballots_voted(slot) {
                if self.voters_of(voters).is_some() {
                    let entry = [Element(slot.0), Element(ballot.0), Element(value.0)];
                    structure.set(self.decision, &entry, true);
                }
            }
        }
        for (ballot, &led) in (0..).map(Element).zip(&state.led) {
            if let Some(quorum) = self.promisers_of(led) {
                structure.set(self.leads, &[ballot, quorum], true);
            }
        }
        structure
    }
}

impl Model for ClusterRefinement {
    type State = Refined;
    type Action = Action;

    fn init_states(&self) -> Vec<Refined> {
        vec![self.initial()]
    }

    fn actions(&self, state: &Refined, actions: &mut Vec<Action>) {
        if state.fault.is_none() {
            self.cluster.candidates(&state.cluster, |action| actions.push(action));
        }
    }

    fn next_state(&self, state: &Refined, action: Action) -> Option<Refined> {
        let next = self.successor(state, action)?;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(FOLLOWS, |_, state: &Refined| state.fault.is_none()),
            Property::sometimes("a value is decided", |refinement: &Self, state: &Refined| {
                let bounds = refinement.cluster.bounds();
                (0..bounds.slots).map(Slot).any(|slot| {
                    (0..=bounds.values)
                        .any(|value| refinement.decided(&state.cluster, slot, Value(value)))
                })
            }),
        ]
    }
}

impl Explorable for ClusterRefinement {
    const KINDS: &'static [&'static str] = Cluster::KINDS;

    fn title(&self) -> String {
        self.cluster.bounds().title("cluster and multipaxos.epr")
    }

    fn kind(action: &Action) -> usize {
        Cluster::kind(action)
    }

    fn only(&self, _: &'static str) -> Self {
        // Only one property can fail.
        Self { ..self.clone() }
    }

    fn describe(&self, action: &Action) -> String {
        self.cluster.describe(action)
    }
}
