//! The check that `synod` has the same steps as the text of `synod.epr`, or of `flexible.epr` with quorums of two kinds.
//!
//! The check reads the message set of `synod` as a structure of the text. The messages determine the stored state of the
//! acceptors. In each state, the model and the text must have the same labelled successors: the same actions, and the same
//! states after them.
//!
//! Two differences are by design:
//!
//! - The text names the quorum that allows a proposal. The model only requires that such a quorum exists.
//! - The text has an action that decides a chosen value. The model has votes only. So the structure of a state has no
//!   decisions, and the check compares the possible decisions with the chosen values. No guard reads decisions, so
//!   no other step depends on them.
//!
//! The model may propose any value. So in the structure, clients ask for all values, and this check says nothing about
//! validity.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use itertools::Itertools as _;
use stateright::{Model, Property};

use super::{
    Acceptors, assert_axioms, describe, difference, quorums, relation, set_members, sizes,
};
use crate::synod::{Acceptor, Action, Ballot, State, Synod, Value};
use epr_prover::{
    interpreter::{Interpreter, Step},
    language::{Relation, Sort, Specification},
    structure::{Element, Structure},
};
use state_explorer::Explorable;

/// The property that the model and the text have the same steps.
pub const FOLLOWS: &str = "the model and its text can do the same";

/// A model that is compared with its text during exploration.
#[derive(Clone)]
pub struct SynodRefinement {
    synod: Synod,
    text: Arc<Text>,
}

/// The text and its relations.
struct Text {
    specification: Specification,
    relations: Relations,
    /// The structure of the state without messages.
    nothing: Structure,
}

struct Relations {
    prepare: Relation,
    promise: Relation,
    promise_reports: Relation,
    promise_reports_ge: Relation,
    proposal: Relation,
    vote: Relation,
    reached: Relation,
    left: Relation,
    accepted: Relation,
    accepted_ge: Relation,
}

impl SynodRefinement {
    /// Returns the refinement of `synod.epr`, `flexible.epr`, or a text with the same relations and actions.
    ///
    /// # Panics
    /// Panics if the text has other relations or actions, or if its axioms do not hold in the model. An axiom of
    /// `synod.epr` is that any two quorums intersect.
    pub fn new(synod: Synod, specification: Specification) -> Self {
        let text = Arc::new(Text::new(&synod, specification));
        Self { synod, text }
    }

    /// Returns the model.
    pub fn model(&self) -> &Synod {
        &self.synod
    }

    /// Returns the structure of a state of the model.
    ///
    /// The state need not be reachable. But each ballot must have at most one proposal, and each vote must be for one.
    pub fn structure(&self, state: State) -> Structure {
        let (synod, names) = (&self.synod, &self.text.relations);
        let mut structure = self.text.nothing.clone();
        for b in synod.ballots() {
            let ballot = Element(b.0);
            structure.set(names.prepare, &[ballot], synod.prepared(state, b));
            for v in synod.proposals(state, b) {
                structure.set(names.proposal, &[ballot, Element(v.0)], true);
            }
        }
        for a in synod.acceptors() {
            let acceptor = Element(a.0);
            let max_bal = synod.max_bal(state, a);
            let last_vote = synod.last_vote(state, a);
            if let Some((m, v)) = last_vote {
                structure.set(names.accepted, &[acceptor, Element(m.0), Element(v.0)], true);
            }
            for b in synod.ballots() {
                let ballot = Element(b.0);
                structure.set(names.reached, &[acceptor, ballot], max_bal >= Some(b));
                structure.set(names.left, &[acceptor, ballot], max_bal > Some(b));
                let stored = last_vote.is_some_and(|(m, _)| m >= b);
                structure.set(names.accepted_ge, &[acceptor, ballot], stored);
                if synod.voted(state, a, b)
                    && let Some(v) = synod.proposal(state, b)
                {
                    structure.set(names.vote, &[acceptor, ballot, Element(v.0)], true);
                }
                if synod.promised(state, a, b) {
                    structure.set(names.promise, &[acceptor, ballot], true);
                    if let Some((m, v)) = synod.report(state, a, b) {
                        let reported = [acceptor, ballot, Element(m.0), Element(v.0)];
                        structure.set(names.promise_reports, &reported, true);
                        for below in synod.ballots().filter(|below| *below <= m) {
                            let ge = [acceptor, ballot, Element(below.0)];
                            structure.set(names.promise_reports_ge, &ge, true);
                        }
                    }
                }
            }
        }
        structure
    }

    /// Compares the steps of the model and of the text in a state.
    ///
    /// # Errors
    /// Fails if only one of them has a step, if a step leads to different states, or if the possible decisions of the text
    /// are not the chosen values of the model.
    pub fn compare(&self, state: State) -> Result<(), String> {
        let specification = &self.text.specification;
        let interpreter = Interpreter::new(specification);
        let names = |sort: Sort, Element(number): Element| {
            format!("{} {number}", specification.sorts[sort.0].name)
        };
        let mut of_text: BTreeMap<Action, (Step, Structure)> = BTreeMap::new();
        let mut decided = BTreeSet::new();
        for (step, next) in interpreter.steps(&self.structure(state)) {
            match self.read(&step) {
                Label::Learn(b, v) => {
                    decided.insert((b, v));
                }
                Label::Action(action) => {
                    // Several quorums may allow the same proposal.
                    let known = of_text.entry(action).or_insert((step, next.clone()));
                    assert_eq!(known.1, next, "one action has one effect");
                }
            }
        }
        let mut actions = Vec::new();
        self.synod.actions(&state, &mut actions);
        for action in &actions {
            let what = self.synod.describe(action);
            let Some((step, next)) = of_text.remove(action) else {
                return Err(format!("only the model can {what}"));
            };
            let state = self.synod.step(state, *action).expect("a listed action can be taken");
            let after = self.structure(state);
            if let Some((fact, in_text)) = difference(specification, &next, &after, &names) {
                let (so, not) = if in_text { ("text", "model") } else { ("model", "text") };
                let said = describe(specification, &step, &names);
                return Err(format!(
                    "after this, {fact}, in the {so} and not in the {not}: {said} ({what})"
                ));
            }
        }
        if let Some((step, _)) = of_text.values().next() {
            let what = describe(specification, step, &names);
            return Err(format!("only in the text, {what}"));
        }
        let chosen = |b: Ballot| self.synod.chosen_in(state, b);
        let chosen = self.synod.ballots().filter(|b| chosen(*b));
        let chosen: BTreeSet<_> =
            chosen.filter_map(|b| Some((b, self.synod.proposal(state, b)?))).collect();
        if decided != chosen {
            return Err(format!("chosen is {chosen:?}, and what can be decided {decided:?}"));
        }
        Ok(())
    }

    /// Converts a step of the text to an action of the model.
    fn read(&self, step: &Step) -> Label {
        let name = &*self.text.specification.actions[step.action].name;
        let numbers: Vec<_> = step.arguments.iter().map(|element| element.0).collect();
        match (name, &numbers[..]) {
            ("prepare", [b]) => Label::Action(Action::Prepare(Ballot(*b))),
            ("promise", [a, b]) => Label::Action(Action::Promise(Acceptor(*a), Ballot(*b))),
            ("propose", [b, _, v]) => Label::Action(Action::Propose(Ballot(*b), Value(*v))),
            ("accept", [a, b, _]) => Label::Action(Action::Vote(Acceptor(*a), Ballot(*b))),
            ("learn", [b, v, _]) => Label::Learn(Ballot(*b), Value(*v)),
            _ => panic!("{name} is no action of this refinement"),
        }
    }
}

impl Text {
    fn new(synod: &Synod, specification: Specification) -> Self {
        let named = |name| relation(&specification, name);
        let decision = named("decision");
        let guards = specification.actions.iter().flat_map(|action| &action.guards);
        let read = guards.filter(|guard| guard.mentions(&|relation| relation == decision)).count();
        assert_eq!(read, 0, "no guard may read decisions");
        let bounds = synod.bounds();
        let phase1 = quorums(bounds.acceptors, bounds.phase1_quorum.expect("it was settled"));
        let phase2 = quorums(bounds.acceptors, bounds.phase2_quorum.expect("it was settled"));
        let kinds: Vec<(&str, Vec<Acceptors>)> = if specification.relation("member").is_some() {
            // Quorums of one kind serve both phases.
            vec![("member", phase1.iter().chain(&phase2).copied().unique().collect())]
        } else {
            vec![("promiser", phase1), ("voter", phase2)]
        };
        let sizes = sizes(&specification, |name| match name {
            "acceptor" => usize::from(bounds.acceptors),
            "ballot" => usize::from(bounds.ballots),
            "value" => usize::from(bounds.values),
            "quorum" | "promisers" => kinds[0].1.len(),
            "voters" => kinds[1].1.len(),
            other => panic!("{other} is no sort of this refinement"),
        });
        let mut nothing = Structure::empty(&specification, &sizes);
        for (member, quorums) in kinds {
            set_members(&mut nothing, named(member), &quorums, bounds.acceptors);
        }
        for value in 0..bounds.values {
            nothing.set(named("proposed_by_client"), &[Element(value)], true);
        }
        for high in synod.ballots() {
            for low in synod.ballots().filter(|low| *low <= high) {
                nothing.set(named("le"), &[Element(low.0), Element(high.0)], true);
            }
        }
        assert_axioms(Interpreter::new(&specification), &nothing);
        let relations = Relations {
            prepare: named("prepare"),
            promise: named("promise"),
            promise_reports: named("promise_reports"),
            promise_reports_ge: named("promise_reports_ge"),
            proposal: named("proposal"),
            vote: named("vote"),
            reached: named("reached"),
            left: named("left"),
            accepted: named("accepted"),
            accepted_ge: named("accepted_ge"),
        };
        Self { specification, relations, nothing }
    }
}

enum Label {
    Action(Action),
    Learn(Ballot, Value),
}

impl Model for SynodRefinement {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.synod.init_states()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.synod.actions(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.synod.step(*state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(FOLLOWS, |refinement: &Self, state| {
            refinement.compare(*state).is_ok()
        })]
    }
}

impl Explorable for SynodRefinement {
    const KINDS: &'static [&'static str] = Synod::KINDS;
    const GRADED: bool = Synod::GRADED;

    fn title(&self) -> String {
        format!("{} and {}.epr", self.synod.title(), self.text.specification.name)
    }

    fn kind(action: &Action) -> usize {
        Synod::kind(action)
    }

    fn only(&self, _: &'static str) -> Self {
        // There is one property.
        Self { ..self.clone() }
    }

    fn describe(&self, action: &Action) -> String {
        self.synod.describe(action)
    }

    fn render(&self, state: &State) -> String {
        let messages = self.synod.render(state);
        match self.compare(*state) {
            Ok(()) => messages,
            Err(difference) => format!("{messages}\nDIFFERENT: {difference}"),
        }
    }
}
