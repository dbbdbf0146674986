//! Traces: behaviours in files, in ITF, the JSON that Apalache and Quint write.
//!
//! A trace holds what makes its model, and for each state the action that led to it and all of the
//! state. [`mod@file`] is how it stands in a file, [`itf`] the values in there; [`cluster`] and [`synod`]
//! say what of each model is written how. [`replay`] takes a trace on its model, step by step.
//!
//! A file is not believed. It says how many steps it has, so that a cut one is refused; each state has
//! its number; and what it records is compared with what the model does. What it cannot tell is a file
//! that was altered into another behaviour of the model: that is one, and replayed as one.
//!
//! Other tools write states only. Such a file is read, too, and held to less: the replay then looks for
//! an action that explains each step. Its names and notation are those of its author; [`mod@paxos_tla`]
//! translates them for Lamport's Paxos.

pub mod cluster;
pub mod file;
pub mod itf;
pub mod paxos_tla;
mod read;
pub mod replay;
pub mod synod;

use std::{collections::BTreeMap, fmt};

use thiserror::Error;

use self::itf::Value;
pub use self::{
    file::{AnyTrace, EXTENSION, TraceError, file_name},
    read::{Unusable, Usable},
    replay::{Replay, Return, Stopped, Why},
};
use crate::cluster::{Bug, CheckedCluster};
use state_explorer::{Behaviour, Explorable};

/// The variables of a state, by name.
pub type Variables = BTreeMap<String, Value>;

/// A model whose behaviours can be written to a file and read again.
pub trait Traced: Explorable {
    /// The variables of its states, in order; beside them there is `action`.
    const VARIABLES: &'static [&'static str];

    /// Its bounds, as they stand in a file.
    fn write_bounds(&self) -> Value;

    /// The bug that it has, as it stands in a file.
    fn write_bug(&self) -> Option<Value> {
        None
    }

    /// The model within some bounds, with a bug if there is one.
    ///
    /// # Errors
    /// What is wrong with them, and where.
    fn read(bounds: &Value, bug: Option<&Value>) -> Result<Self, String>;

    /// A state of a file that this program wrote, perhaps an earlier version of it, in the form in which
    /// [`Self::write_state`] writes one.
    fn in_our_form(state: Variables) -> Variables {
        state
    }

    /// The states of a file that another tool wrote, in the names and the form in which
    /// [`Self::write_state`] writes them. `parameters` are the constants of the specification as far as the
    /// file has them, and `told` is the model, if the file has its bounds.
    ///
    /// # Errors
    /// If the states have a notation that is unknown, or more of something than the model has room for.
    fn translate(
        states: Vec<Variables>,
        _parameters: &Variables,
        _told: Option<&Self>,
    ) -> Result<Translation, String> {
        Ok(Translation { states, ..Translation::default() })
    }

    /// A state.
    fn write_state(&self, state: &Self::State) -> Variables;

    /// An action; none is the beginning.
    fn write_action(&self, action: Option<&Self::Action>) -> Value;

    /// Reads an action; none is the beginning.
    ///
    /// # Errors
    /// If it is none, or has a number out of bounds.
    fn read_action(&self, value: &Value) -> Usable<Option<Self::Action>>;

    /// The actions that may be tried in a state, whatever came before; some may change nothing.
    fn offered(&self, state: &Self::State) -> Vec<Self::Action>;

    /// The state after an action, or nothing if it changes nothing or may not happen.
    fn taken(&self, state: &Self::State, action: &Self::Action) -> Option<Self::State>;

    /// Why an action that cannot be taken in a state cannot.
    fn why_not(&self, state: &Self::State, action: &Self::Action) -> String;
}

/// States of another tool in the names and the form of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// The states.
    pub states: Vec<Variables>,
    /// The least bounds within which such states are possible, if that can be told.
    pub bounds: Option<Value>,
    /// The names that are others here than in the file: here, and there.
    pub names: Vec<(String, String)>,
    /// The assumptions about things that neither the states nor the parameters tell.
    pub assumed: Vec<String>,
}

/// The differences between a file and the trace that was read from it. A file of this program has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The names that are others here than in the file: here, and there.
    pub names: Vec<(String, String)>,
    /// The variables of the file that the model does not have.
    pub ignored: Vec<String>,
    /// The assumptions about things that the file does not tell.
    pub assumed: Vec<String>,
}

/// A behaviour of a model, or what claims to be one.
#[derive(Clone)]
pub struct Trace<M: Traced> {
    /// What it shows, in a sentence.
    pub description: String,
    model: M,
    states: Vec<Recorded<M::Action>>,
    returns_to: Option<usize>,
    reading: Reading,
}

/// One state of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded<A> {
    /// What led to it; nothing led to the first, and what led to the others may not be recorded.
    pub action: Option<A>,
    /// The same, for people; nothing if it is not recorded.
    pub does: Option<String>,
    /// The state, as it is recorded.
    pub variables: Variables,
}

/// An action that may not happen, or changes nothing, so that some actions are no behaviour.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("step {step} may not happen: {action}")]
pub struct NoBehaviour {
    /// Which, counted from 1.
    pub step: usize,
    /// What.
    pub action: String,
}

/// The behaviour as the text of a trace file.
pub fn write<M: Traced>(model: &M, behaviour: &Behaviour<M>, description: &str) -> String {
    Trace::of(model, behaviour, description).to_itf()
}

impl<M: Traced> Trace<M> {
    /// The trace of a behaviour.
    pub fn of(model: &M, behaviour: &Behaviour<M>, description: &str) -> Self {
        let steps = behaviour.steps().iter().map(|(action, state)| (Some(action), state));
        let states = [(None, behaviour.initial())].into_iter().chain(steps);
        Self {
            description: description.to_owned(),
            model: model.clone(),
            states: states.map(|(action, state)| Recorded::of(model, action, state)).collect(),
            returns_to: None,
            reading: Reading::default(),
        }
    }

    /// The trace of some actions, from the initial state.
    ///
    /// # Errors
    /// If they are no behaviour of the model.
    pub fn record(
        model: &M,
        description: &str,
        actions: &[M::Action],
    ) -> Result<Self, NoBehaviour> {
        let mut state = model.init_states().remove(0);
        let mut states = vec![Recorded::of(model, None, &state)];
        for (step, action) in (1..).zip(actions) {
            let offered = model.offered(&state).contains(action);
            let Some(next) = model.taken(&state, action).filter(|_| offered) else {
                return Err(NoBehaviour { step, action: model.describe(action) });
            };
            state = next;
            states.push(Recorded::of(model, Some(action), &state));
        }
        Ok(Self {
            description: description.to_owned(),
            model: model.clone(),
            states,
            returns_to: None,
            reading: Reading::default(),
        })
    }

    /// What it is a behaviour of, or claims to be.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// How many steps it has.
    pub fn steps(&self) -> usize {
        self.states.len() - 1
    }

    /// Its states, the initial one first.
    pub fn states(&self) -> &[Recorded<M::Action>] {
        &self.states
    }

    /// The state that comes after the last one, if the trace is a lasso: its end is said to go on with that
    /// state again, for ever.
    pub const fn returns_to(&self) -> Option<usize> {
        self.returns_to
    }

    /// The differences between the file and this trace.
    pub const fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Its actions, as far as they are recorded.
    pub fn actions(&self) -> impl Iterator<Item = &M::Action> {
        self.states.iter().filter_map(|state| state.action.as_ref())
    }
}

impl Trace<CheckedCluster> {
    /// The same trace, to be taken on a model with a bug.
    #[must_use]
    pub fn with_bug(self, bug: Bug) -> Self {
        Self { model: self.model.model().clone().with_bug(bug).checked(), ..self }
    }
}

impl<A> Recorded<A> {
    fn of<M: Traced<Action = A>>(model: &M, action: Option<&A>, state: &M::State) -> Self
    where
        A: Clone,
    {
        Self {
            action: action.cloned(),
            does: Some(does(model, action)),
            variables: model.write_state(state),
        }
    }
}

/// An action, for people; none is the beginning.
fn does<M: Explorable>(model: &M, action: Option<&M::Action>) -> String {
    action.map_or("initially".to_owned(), |action| model.describe(action))
}

/// Equal traces are equal as files.
impl<M: Traced> PartialEq for Trace<M> {
    fn eq(&self, other: &Self) -> bool {
        let model = |trace: &Self| (trace.model.write_bounds(), trace.model.write_bug());
        self.description == other.description
            && model(self) == model(other)
            && self.states == other.states
            && self.returns_to == other.returns_to
    }
}

impl<M: Traced> fmt::Debug for Trace<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} steps): {}", self.model.title(), self.steps(), self.description)
    }
}
