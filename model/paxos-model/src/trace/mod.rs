//! Traces: behaviours in files, in ITF, the JSON that Apalache and Quint write.
//!
//! A trace contains the bounds and the bug of its model, each state in full, and the action that led to each state.
//!
//! - [`mod@file`] reads and writes trace files, and [`itf`] the values in them.
//! - [`cluster`] and [`synod`] define the notation for the bounds, actions and states of each model.
//! - [`replay`] takes the steps of a trace in its model.
//!
//! The program does not trust a file. The file records its number of steps, so the reader refuses a truncated file. Each
//! state records its index. The replay compares each recorded state with the state of the model. If a file was altered into
//! another behaviour of the model, the replay does not detect it and replays that behaviour.
//!
//! Other tools write states only. The replay of such a file searches for an action that explains each step. The file has its
//! author's names and notation. [`mod@paxos_tla`] translates them for Lamport's Paxos.

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
    /// The variables of the states, in order. The variable `action` is not among them.
    const VARIABLES: &'static [&'static str];

    /// Returns the bounds of the model, as written in a file.
    fn write_bounds(&self) -> Value;

    /// Returns the bug of the model, as written in a file, or none if the model has no bug.
    fn write_bug(&self) -> Option<Value> {
        None
    }

    /// Returns the model within these bounds, with this bug.
    ///
    /// # Errors
    /// Fails if the bounds or the bug cannot be used. The error names the place in the file.
    fn read(bounds: &Value, bug: Option<&Value>) -> Result<Self, String>;

    /// Returns the text of an action in a file.
    fn does(&self, action: &Self::Action) -> String {
        self.describe(action)
    }

    /// Converts a state from a file of this program to the form that [`Self::write_state`] writes. An earlier
    /// version of the program may have written the file.
    fn in_our_form(state: Variables) -> Variables {
        state
    }

    /// Converts the states from a file of another tool to the names and the form that [`Self::write_state`]
    /// writes. `parameters` are the constants of the specification that the file has. `told` is the model if
    /// the file has bounds.
    ///
    /// # Errors
    /// Fails if the notation of the states is unknown, or if the states exceed the capacity of the model.
    fn translate(
        states: Vec<Variables>,
        _parameters: &Variables,
        _told: Option<&Self>,
    ) -> Result<Translation, String> {
        Ok(Translation { states, ..Translation::default() })
    }

    /// Converts a state to ITF values.
    fn write_state(&self, state: &Self::State) -> Variables;

    /// Converts an action to an ITF value. `None` is the initial state.
    fn write_action(&self, action: Option<&Self::Action>) -> Value;

    /// Reads an action. `None` is the initial state.
    ///
    /// # Errors
    /// Fails if the value is not an action, or if a number in it is out of bounds.
    fn read_action(&self, value: &Value) -> Usable<Option<Self::Action>>;

    /// Returns the actions to try in a state. Some may change nothing.
    fn offered(&self, state: &Self::State) -> Vec<Self::Action>;

    /// Returns the state after an action, or none if the action changes nothing or cannot be taken.
    fn taken(&self, state: &Self::State, action: &Self::Action) -> Option<Self::State>;

    /// Returns the reason why an action cannot be taken in a state.
    fn why_not(&self, state: &Self::State, action: &Self::Action) -> String;
}

/// States of another tool, converted to the names and the form of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// The states.
    pub states: Vec<Variables>,
    /// The least bounds that allow such states. None if the states do not determine them.
    pub bounds: Option<Value>,
    /// The names that differ: the name here, and the name in the file.
    pub names: Vec<(String, String)>,
    /// The assumptions about facts that neither the states nor the parameters record.
    pub assumed: Vec<String>,
}

/// The differences between a file and the trace that was read from it. A file of this program has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The names that differ: the name here, and the name in the file.
    pub names: Vec<(String, String)>,
    /// The variables of the file that the model does not have.
    pub ignored: Vec<String>,
    /// The assumptions about facts that the file does not record.
    pub assumed: Vec<String>,
}

/// A recorded behaviour of a model. Only a replay shows that the model allows it.
#[derive(Clone)]
pub struct Trace<M: Traced> {
    /// A sentence about the behaviour, for people.
    pub description: String,
    model: M,
    states: Vec<Recorded<M::Action>>,
    returns_to: Option<usize>,
    reading: Reading,
}

/// One state of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded<A> {
    /// The action that led to the state. None for the first state, and where the file does not record it.
    pub action: Option<A>,
    /// The action in words. None if the file does not record it.
    pub does: Option<String>,
    /// The recorded state.
    pub variables: Variables,
}

/// The error for a sequence of actions that is not a behaviour: one action cannot be taken, or changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("step {step} may not happen: {action}")]
pub struct NoBehaviour {
    /// The number of the step, counted from 1.
    pub step: usize,
    /// The action in words.
    pub action: String,
}

/// Returns the text of a trace file for a behaviour.
pub fn write<M: Traced>(model: &M, behaviour: &Behaviour<M>, description: &str) -> String {
    Trace::of(model, behaviour, description).to_itf()
}

impl<M: Traced> Trace<M> {
    /// Returns the trace of a behaviour.
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

    /// Takes actions from the initial state, and returns the trace.
    ///
    /// # Errors
    /// Fails if the actions are not a behaviour of the model.
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

    /// Returns the model of the trace.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Returns the number of steps, which is one less than the number of states.
    pub fn steps(&self) -> usize {
        self.states.len() - 1
    }

    /// Returns the recorded states, the initial one first.
    pub fn states(&self) -> &[Recorded<M::Action>] {
        &self.states
    }

    /// Returns the index of the state that follows the last one, if the trace is a lasso. Its behaviour then repeats the
    /// states from this one on for ever.
    pub const fn returns_to(&self) -> Option<usize> {
        self.returns_to
    }

    /// Returns the differences between the file and this trace.
    pub const fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Returns the recorded actions.
    pub fn actions(&self) -> impl Iterator<Item = &M::Action> {
        self.states.iter().filter_map(|state| state.action.as_ref())
    }
}

impl Trace<CheckedCluster> {
    /// Returns the same trace for a model with this bug.
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

/// Returns the text of an action in a file. `None` is the initial state.
fn does<M: Traced>(model: &M, action: Option<&M::Action>) -> String {
    action.map_or("initially".to_owned(), |action| model.does(action))
}

/// Compares traces by the content of their files.
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
