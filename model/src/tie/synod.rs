//! `synod` is the text of `synod.epr`, and of `flexible.epr` with quorums of two kinds.
//!
//! The message set of `synod` is read as a structure: relations for messages are the messages, and what
//! acceptors store is what follows from those. In each state the labelled successors must be the same:
//! the same actions, and the same states after them.
//!
//! Two differences are by design. The text says on which quorum a proposal rests, and the model only
//! that there is one. And the text has an action for finding out that a value is chosen, where the model
//! has votes only; so no decision is in the structure of a state, and what could be decided there is
//! compared with what is chosen. No guard reads decisions, so that nothing depends on them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use stateright::Model as _;

use super::{
    Acceptors, assert_axioms, describe, difference, quorums, relation, set_members, sizes,
};
use crate::{
    explore::Explorable as _,
    proof::{
        interpreter::{Interpreter, Step},
        language::{Relation, Specification},
        structure::{Element, Structure},
    },
    synod::{Acceptor, Action, Ballot, State, Synod, Value},
};

/// A model and a text.
pub struct SynodTie<'s> {
    synod: &'s Synod,
    interpreter: Interpreter<'s>,
    relations: Relations,
    /// The structure of the state without messages.
    nothing: Structure,
}

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// States, each with all that can happen in it.
    pub states: usize,
    /// Actions that both can take.
    pub transitions: usize,
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

impl<'s> SynodTie<'s> {
    /// Between a model and `synod.epr` or `flexible.epr`.
    ///
    /// # Panics
    /// If the text is another one, or what it takes for granted does not hold in the model: with
    /// `synod.epr`, that any two quorums meet.
    pub fn new(synod: &'s Synod, specification: &'s Specification) -> Self {
        let interpreter = Interpreter::new(specification);
        let named = |name| relation(specification, name);
        let decision = named("decision");
        let guards = specification.actions.iter().flat_map(|action| &action.guards);
        let read = guards.filter(|guard| guard.mentions(&|relation| relation == decision)).count();
        assert_eq!(read, 0, "no guard may read decisions");
        let bounds = synod.bounds();
        let phase1 = quorums(bounds.acceptors, bounds.phase1_quorum.expect("it was settled"));
        let phase2 = quorums(bounds.acceptors, bounds.phase2_quorum.expect("it was settled"));
        let kinds: Vec<(&str, Vec<Acceptors>)> = if specification.relation("member").is_some() {
            assert_eq!(phase1, phase2, "{} has quorums of one kind", specification.name);
            vec![("member", phase1.clone())]
        } else {
            vec![("promiser", phase1.clone()), ("voter", phase2.clone())]
        };
        let sizes = sizes(specification, |name| match name {
            "acceptor" => usize::from(bounds.acceptors),
            "ballot" => usize::from(bounds.ballots),
            "value" => usize::from(bounds.values),
            "quorum" | "promisers" => phase1.len(),
            "voters" => phase2.len(),
            other => panic!("{other} is no sort of this tie"),
        });
        let mut nothing = Structure::empty(specification, &sizes);
        for (member, quorums) in kinds {
            set_members(&mut nothing, named(member), &quorums, bounds.acceptors);
        }
        for value in synod_values(synod) {
            nothing.set(named("proposed_by_client"), &[Element(value.0)], true);
        }
        for high in synod.ballots() {
            for low in synod.ballots().filter(|low| *low <= high) {
                nothing.set(named("le"), &[Element(low.0), Element(high.0)], true);
            }
        }
        assert_axioms(&interpreter, &nothing);
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
        Self { synod, interpreter, relations, nothing }
    }

    /// A state of the model as one of the text.
    ///
    /// It means something where the model means something: votes are for proposals, of which a ballot
    /// has one at most. States that are not reachable are otherwise as good as any.
    pub fn structure(&self, state: State) -> Structure {
        let (synod, names) = (self.synod, &self.relations);
        let mut structure = self.nothing.clone();
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

    /// Compares what the model and the text can do in a state.
    ///
    /// # Errors
    /// What one of them can do and the other can not, or does otherwise.
    pub fn compare(&self, state: State) -> Result<Compared, String> {
        let specification = self.interpreter.specification();
        let mut of_text: BTreeMap<Action, (Step, Structure)> = BTreeMap::new();
        let mut decided = BTreeSet::new();
        for (step, next) in self.interpreter.steps(&self.structure(state)) {
            match self.read(&step) {
                Label::Learn(b, v) => {
                    decided.insert((b, v));
                }
                Label::Action(action) => {
                    // Several quorums may stand behind one proposal.
                    let known = of_text.entry(action).or_insert((step, next.clone()));
                    assert_eq!(known.1, next, "one action has one effect");
                }
            }
        }
        let here = || format!("in the state {}", self.synod.render(&state));
        let mut actions = Vec::new();
        self.synod.actions(&state, &mut actions);
        for action in &actions {
            let what = self.synod.describe(action);
            let Some((step, next)) = of_text.remove(action) else {
                return Err(format!("{}: only the model can {what}", here()));
            };
            let state = self.synod.step(state, *action).expect("what is listed may be taken");
            if let Some((fact, in_text)) = difference(specification, &next, &self.structure(state)) {
                let (so, not) = if in_text { ("text", "model") } else { ("model", "text") };
                let said = describe(specification, &step);
                return Err(format!(
                    "{}: after {said} ({what}), {fact}: in the {so}, not in the {not}",
                    here()
                ));
            }
        }
        if let Some((step, _)) = of_text.values().next() {
            let what = describe(specification, step);
            return Err(format!("{}: only in the text, {what}", here()));
        }
        let chosen = |b: Ballot| self.synod.chosen_in(state, b);
        let chosen = self.synod.ballots().filter(|b| chosen(*b));
        let chosen: BTreeSet<_> =
            chosen.filter_map(|b| Some((b, self.synod.proposal(state, b)?))).collect();
        if decided != chosen {
            return Err(format!("{}: chosen is {chosen:?}, decided can be {decided:?}", here()));
        }
        Ok(Compared { states: 1, transitions: actions.len() })
    }

    /// Compares in every reachable state.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare_reachable(&self) -> Result<Compared, String> {
        let mut left = self.synod.init_states();
        let mut known: HashSet<State> = left.iter().copied().collect();
        let mut total = Compared::default();
        let mut actions = Vec::new();
        while let Some(state) = left.pop() {
            let Compared { states, transitions } = self.compare(state)?;
            total.states += states;
            total.transitions += transitions;
            self.synod.actions(&state, &mut actions);
            for action in actions.drain(..) {
                let next = self.synod.step(state, action).expect("what is listed may be taken");
                if known.insert(next) {
                    left.push(next);
                }
            }
        }
        Ok(total)
    }

    /// A step of the text as an action of the model.
    fn read(&self, step: &Step) -> Label {
        let name = &*self.interpreter.specification().actions[step.action].name;
        let numbers: Vec<_> = step.arguments.iter().map(|element| element.0).collect();
        match (name, &numbers[..]) {
            ("prepare", [b]) => Label::Action(Action::Prepare(Ballot(*b))),
            ("promise", [a, b]) => Label::Action(Action::Promise(Acceptor(*a), Ballot(*b))),
            ("propose", [b, _, v]) => Label::Action(Action::Propose(Ballot(*b), Value(*v))),
            ("accept", [a, b, _]) => Label::Action(Action::Vote(Acceptor(*a), Ballot(*b))),
            ("learn", [b, v, _]) => Label::Learn(Ballot(*b), Value(*v)),
            _ => panic!("{name} is no action of this tie"),
        }
    }
}

enum Label {
    Action(Action),
    Learn(Ballot, Value),
}

fn synod_values(synod: &Synod) -> impl Iterator<Item = Value> {
    (0..synod.bounds().values).map(Value)
}
