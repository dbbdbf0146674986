//! Monitors: history variables beside the states of a model, and properties of both.
//!
//! Some properties depend on the past: a counter of what has happened, or the highest value that was ever seen. A
//! [`Monitor`] remembers it. [`Monitored`] is the model with the monitor around it, and a model itself: its states are
//! those of the model [with a history](WithHistory), and its properties are those of the model and of the monitor.
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
    /// The history that it keeps.
    type History: Clone + Debug + Default + Eq + Hash + Send + Sync + 'static;

    /// Returns the title of the model with its monitor.
    fn title(&self, model: &M) -> String {
        model.title()
    }

    /// Returns the history after a step. The default history is that of an initial state.
    fn observe(
        &self,
        model: &M,
        before: &WithHistory<M::State, Self::History>,
        action: &M::Action,
        after: &M::State,
    ) -> Self::History;

    /// Returns false if the history forbids an action: for instance, if all of a budget is used.
    fn allows(&self, _model: &M, _history: &Self::History, _action: &M::Action) -> bool {
        true
    }

    /// Returns false if a run ends with this history.
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

    /// Returns the history with other names, see [`Symmetry::rename`].
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

/// A state of a model, and the history that a monitor keeps of the run that led to it.
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

    /// Returns the state after an action, also where a run has ended: the action has to be one that the model offers.
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
