//! Monitors: history variables beside the states of a model, and properties of both.
//!
//! Some properties depend on the past, for example on a number of events, or on the highest value so far. A [`Monitor`]
//! keeps such facts as a history. [`Monitored`] is a model with a monitor, and is itself a model. Its states are those of the
//! model [with a history](WithHistory), and its properties are those of the model and of the monitor.
//!
//! No step of the model sees the history. So without [`Monitor::allows`] and [`Monitor::goes_on`], the monitored model
//! has exactly the behaviours of the model.

use std::{
    fmt::{self, Debug},
    hash::Hash,
    ops::Deref,
};

use stateright::{Model, Property};

use crate::{
    Explorable, Names, Packing, Symmetry,
    packing::{Packer, Unpacker},
    wrapper::{Wrapper, lifted},
};

/// A monitor of a model.
pub trait Monitor<M: Explorable>: Clone + Send + Sync + 'static {
    /// The history that the monitor keeps.
    type History: Clone + Debug + Default + Eq + Hash + Send + Sync + 'static;

    /// Returns the title of the model with its monitor.
    fn title(&self, model: &M) -> String {
        model.title()
    }

    /// Returns a history as a text for people, as [`Explorable::render`] does for states.
    fn render(&self, _model: &M, history: &Self::History) -> String {
        format!("{history:?}")
    }

    /// Returns the history after a step. The default history is that of an initial state.
    fn observe(
        &self,
        model: &M,
        before: &WithHistory<M::State, Self::History>,
        action: &M::Action,
        after: &M::State,
    ) -> Self::History;

    /// Returns false if the history forbids an action, for example because a limit of such actions is reached.
    fn allows(&self, _model: &M, _history: &Self::History, _action: &M::Action) -> bool {
        true
    }

    /// Returns false if a behaviour ends with this history.
    fn goes_on(&self, _history: &Self::History) -> bool {
        true
    }

    /// Returns the properties of the model with its history.
    fn properties(&self, model: &M) -> Vec<Property<Monitored<M, Self>>>;

    /// Returns the same monitor with at most one property.
    #[must_use]
    fn only(&self, property: &'static str) -> Self;

    /// Writes a history, under the conditions of [`Packing::pack`].
    fn pack(&self, model: &M, history: &Self::History, packer: &mut Packer);

    /// Reads what [`Monitor::pack`] wrote.
    fn unpack(&self, model: &M, unpacker: &mut Unpacker<'_>) -> Self::History;

    /// Returns the history after a renaming, see [`Symmetry::rename`].
    fn rename(&self, history: Self::History, names: &Names) -> Self::History;

    /// Returns false if no history `target` follows from `history`, see [`Explorable::may_lead_to`].
    fn may_lead_to(&self, _history: &Self::History, _target: &Self::History) -> bool {
        true
    }
}

/// A model with a monitor.
pub struct Monitored<M: Model, O> {
    model: M,
    monitor: O,
    properties: Vec<Property<M>>,
}

/// A state of a model, and the history of the behaviour that led to it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WithHistory<S, H> {
    /// The state.
    pub state: S,
    /// The history.
    pub history: H,
}

impl<M: Explorable, O: Monitor<M>> Monitored<M, O> {
    /// Puts a monitor around a model.
    pub fn new(model: M, monitor: O) -> Self {
        let properties = model.properties();
        Self { model, monitor, properties }
    }

    /// Returns the model without the monitor.
    pub const fn model(&self) -> &M {
        &self.model
    }

    /// Returns the monitor.
    pub const fn monitor(&self) -> &O {
        &self.monitor
    }

    /// Returns the state after an action, or none if the monitor forbids the action or it changes nothing. The caller must
    /// pass an action that the model offers. The monitor may have ended the behaviour before.
    pub fn after(
        &self,
        before: &WithHistory<M::State, O::History>,
        action: &M::Action,
    ) -> Option<WithHistory<M::State, O::History>> {
        if !self.monitor.allows(&self.model, &before.history, action) {
            return None;
        }
        let state = self.model.next_state(&before.state, action.clone())?;
        let history = self.monitor.observe(&self.model, before, action, &state);
        Some(WithHistory { state, history })
    }
}

impl<M: Explorable, O: Monitor<M>> Clone for Monitored<M, O> {
    fn clone(&self) -> Self {
        Self::new(self.model.clone(), self.monitor.clone())
    }
}

impl<M: Model, O> Deref for Monitored<M, O> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.model
    }
}

impl<S, H> Deref for WithHistory<S, H> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.state
    }
}

impl<S: Debug, H: Debug> Debug for WithHistory<S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)?;
        self.history.fmt(f)
    }
}

impl<M: Explorable, O: Monitor<M>> Wrapper for Monitored<M, O> {
    type Inner = M;

    fn inner(&self) -> &M {
        &self.model
    }

    fn inner_properties(&self) -> &[Property<M>] {
        &self.properties
    }

    fn inner_state(state: &Self::State) -> &M::State {
        &state.state
    }
}

impl<M: Explorable, O: Monitor<M>> Model for Monitored<M, O> {
    type State = WithHistory<M::State, O::History>;
    type Action = M::Action;

    fn init_states(&self) -> Vec<Self::State> {
        let states = self.model.init_states().into_iter();
        states.map(|state| WithHistory { state, history: O::History::default() }).collect()
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<M::Action>) {
        if self.monitor.goes_on(&state.history) {
            self.model.actions(&state.state, actions);
        }
    }

    fn next_state(&self, state: &Self::State, action: M::Action) -> Option<Self::State> {
        self.after(state, &action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = lifted(self);
        all.extend(self.monitor.properties(&self.model));
        all
    }

    fn within_boundary(&self, state: &Self::State) -> bool {
        self.model.within_boundary(&state.state)
    }
}

impl<M: Explorable, O: Monitor<M>> Explorable for Monitored<M, O> {
    const KINDS: &'static [&'static str] = M::KINDS;
    const GRADED: bool = M::GRADED;

    fn title(&self) -> String {
        self.monitor.title(&self.model)
    }

    fn identity(&self) -> String {
        self.model.identity()
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.model.settings()
    }

    fn kind(action: &M::Action) -> usize {
        M::kind(action)
    }

    fn leaves_out(&self, kind: usize) -> bool {
        self.model.leaves_out(kind)
    }

    fn only(&self, property: &'static str) -> Self {
        Self::new(self.model.only(property), self.monitor.only(property))
    }

    fn describe(&self, action: &M::Action) -> String {
        self.model.describe(action)
    }

    fn render(&self, state: &Self::State) -> String {
        self.model.render(&state.state) + &self.monitor.render(&self.model, &state.history)
    }

    fn packing(&self) -> Option<&dyn Packing<Self::State>> {
        self.model.packing().map(|_| self as _)
    }

    fn symmetry(&self) -> Option<&dyn Symmetry<Self::State>> {
        self.model.symmetry().map(|_| self as _)
    }

    fn may_lead_to(&self, state: &Self::State, target: &Self::State) -> bool {
        self.monitor.may_lead_to(&state.history, &target.history)
            && self.model.may_lead_to(&state.state, &target.state)
    }

    fn smaller(&self) -> Option<Self> {
        Some(Self::new(self.model.smaller()?, self.monitor.clone()))
    }
}

/// The model has a packing, because [`Monitored::packing`] offers this one only then.
impl<M: Explorable, O: Monitor<M>> Packing<WithHistory<M::State, O::History>> for Monitored<M, O> {
    fn pack(&self, state: &WithHistory<M::State, O::History>, packer: &mut Packer) {
        self.model.packing().expect("the model has one").pack(&state.state, packer);
        self.monitor.pack(&self.model, &state.history, packer);
    }

    fn unpack(&self, unpacker: &mut Unpacker<'_>) -> WithHistory<M::State, O::History> {
        let state = self.model.packing().expect("the model has one").unpack(unpacker);
        WithHistory { state, history: self.monitor.unpack(&self.model, unpacker) }
    }
}

/// The model has a symmetry, because [`Monitored::symmetry`] offers this one only then. A history names nothing that
/// the state does not name, so the names that the state chooses serve both.
impl<M: Explorable, O: Monitor<M>> Symmetry<WithHistory<M::State, O::History>> for Monitored<M, O> {
    fn what(&self) -> String {
        self.model.symmetry().expect("the model has one").what()
    }

    fn names(&self, state: &WithHistory<M::State, O::History>) -> Option<Names> {
        self.model.symmetry().expect("the model has one").names(&state.state)
    }

    fn rename(
        &self,
        state: WithHistory<M::State, O::History>,
        names: &Names,
    ) -> WithHistory<M::State, O::History> {
        let WithHistory { state, history } = state;
        let symmetry = self.model.symmetry().expect("the model has one");
        WithHistory {
            state: symmetry.rename(state, names),
            history: self.monitor.rename(history, names),
        }
    }

    fn orbit(&self, state: &WithHistory<M::State, O::History>) -> u64 {
        self.model.symmetry().expect("the model has one").orbit(&state.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Engine, Finding, Options, Report, explore};
    use verdict::Verdict;

    /// A lamp that can be switched on and off.
    #[derive(Clone)]
    struct Lamp;

    impl Model for Lamp {
        type State = bool;
        type Action = bool;

        fn init_states(&self) -> Vec<bool> {
            vec![false]
        }

        fn actions(&self, _: &bool, actions: &mut Vec<bool>) {
            actions.extend([false, true]);
        }

        fn next_state(&self, lit: &bool, switched_on: bool) -> Option<bool> {
            (*lit != switched_on).then_some(switched_on)
        }

        fn properties(&self) -> Vec<Property<Self>> {
            vec![Property::sometimes("the lamp is lit", |_, lit| *lit)]
        }
    }

    impl Explorable for Lamp {
        const KINDS: &'static [&'static str] = &["off", "on"];

        fn kind(switched_on: &bool) -> usize {
            usize::from(*switched_on)
        }

        fn only(&self, _: &'static str) -> Self {
            self.clone()
        }

        fn describe(&self, switched_on: &bool) -> String {
            if *switched_on { "on" } else { "off" }.to_owned()
        }

        fn packing(&self) -> Option<&dyn Packing<bool>> {
            Some(self)
        }
    }

    impl Packing<bool> for Lamp {
        fn pack(&self, lit: &bool, packer: &mut Packer) {
            packer.push(u64::from(*lit), 2);
        }

        fn unpack(&self, unpacker: &mut Unpacker<'_>) -> bool {
            unpacker.take(2) == 1
        }
    }

    /// Counts how often the lamp was switched on, up to a budget, and ends a behaviour at some number.
    #[derive(Clone)]
    struct Counter {
        budget: u8,
        ends_at: Option<u8>,
        at_most: u8,
    }

    impl Monitor<Lamp> for Counter {
        type History = u8;

        fn observe(
            &self,
            _: &Lamp,
            before: &WithHistory<bool, u8>,
            switched_on: &bool,
            _: &bool,
        ) -> u8 {
            before.history + u8::from(*switched_on)
        }

        fn allows(&self, _: &Lamp, count: &u8, switched_on: &bool) -> bool {
            !switched_on || *count < self.budget
        }

        fn goes_on(&self, count: &u8) -> bool {
            self.ends_at != Some(*count)
        }

        fn properties(&self, _: &Lamp) -> Vec<Property<Monitored<Lamp, Self>>> {
            let seldom = |lamp: &Monitored<Lamp, Self>, state: &WithHistory<bool, u8>| {
                state.history <= lamp.monitor().at_most
            };
            vec![Property::always("it was not lit too often", seldom)]
        }

        fn only(&self, _: &'static str) -> Self {
            self.clone()
        }

        fn pack(&self, _: &Lamp, count: &u8, packer: &mut Packer) {
            packer.push(u64::from(*count), 256);
        }

        fn unpack(&self, _: &Lamp, unpacker: &mut Unpacker<'_>) -> u8 {
            unpacker.take(256) as u8
        }

        fn rename(&self, count: u8, _: &Names) -> u8 {
            count
        }
    }

    fn explored(counter: Counter, engine: Engine) -> Report {
        let options = Options { engine, ..Options::default() };
        explore(&Monitored::new(Lamp, counter), &options)
    }

    const COUNTER: Counter = Counter { budget: 4, ends_at: None, at_most: 4 };

    /// The lamp has two states and the counter five. A lamp that is lit was switched on at least once.
    #[test]
    fn each_state_has_its_histories() {
        for engine in [Engine::Bfs, Engine::Dfs, Engine::Timely] {
            let report = explored(COUNTER, engine);
            assert_eq!((&report.verdict, report.states), (&Verdict::Holds, 9), "{engine:?}");
            let named = report.properties.iter().map(|property| (property.name, property.finding));
            let expected =
                [("the lamp is lit", Finding::Seen), ("it was not lit too often", Finding::Holds)];
            assert!(named.eq(expected), "the properties of both are looked for");
        }
        assert_eq!(explore(&Lamp, &Options::default()).states, 2);
    }

    #[test]
    fn a_property_of_the_history_can_fail() {
        let report = explored(Counter { at_most: 2, ..COUNTER }, Engine::Bfs);
        assert_eq!(report.verdict, Verdict::Violated);
        let counterexample = report.properties[1].counterexample.as_ref();
        assert_eq!(counterexample.expect("it fails").steps.len(), 1 + 5);
    }

    #[test]
    fn a_history_can_end_a_behaviour() {
        let report = explored(Counter { ends_at: Some(2), ..COUNTER }, Engine::Bfs);
        assert_eq!((report.verdict, report.states), (Verdict::Holds, 4));
    }
}
