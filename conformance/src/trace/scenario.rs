//! A scenario: a short behaviour that people read, kept as a trace.
//!
//! Each step is an action of the model that must be possible and have an effect. Some scenarios also name actions that are
//! possible at the end and have no effect. The replay delivers them to the replicas, which must ignore them as well.

use paxos_model::cluster::{Action, Bounds, BoundsError, CheckedState, Cluster, state::State};
use state_explorer::Explorable as _;
use stateright::Model as _;
use thiserror::Error;

use super::{NoBehaviour, Trace};

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The name of the scenario, and of its file.
    pub name: &'static str,
    /// The description in the trace.
    pub shows: &'static str,
    /// The cluster.
    pub bounds: Bounds,
    /// The steps.
    pub actions: &'static [Action],
    /// Actions that are possible at the end, and change nothing.
    pub ignored: &'static [Action],
    /// The condition that the last state must satisfy.
    pub ends: fn(&State) -> bool,
}

/// The reason for which a scenario is not a behaviour of the model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScenarioError {
    /// A step that is not possible, or has no effect.
    #[error("{scenario}, step {step}: {action:?} is none of these:\n{}", .possible.join("\n"))]
    NoSuchStep {
        /// The scenario.
        scenario: &'static str,
        /// The number of the step, counted from 1.
        step: usize,
        /// The action, as the model describes it.
        action: String,
        /// The actions that have an effect at this step.
        possible: Vec<String>,
    },
    /// An action that should be possible at the end without effect, and is not.
    #[error("{scenario}: {action:?} is not ignored at the end")]
    NotIgnored {
        /// The scenario.
        scenario: &'static str,
        /// The action, as the model describes it.
        action: String,
    },
    /// The last state does not satisfy the condition of the scenario.
    #[error("{scenario} ends otherwise:\n{end}")]
    EndsOtherwise {
        /// The scenario.
        scenario: &'static str,
        /// The last state.
        end: String,
    },
    /// Bounds that are out of range.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
    /// Steps that the trace could not record.
    #[error(transparent)]
    NoBehaviour(#[from] NoBehaviour),
}

impl Scenario {
    /// Takes the steps in the model, and checks the last state and the ignored actions.
    ///
    /// # Errors
    /// Fails if a step is not possible, an ignored action has an effect, or the last state is wrong.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let cluster = Cluster::new(self.bounds)?.checked();
        let mut state = cluster.init_states().remove(0);
        let candidates = |state: &CheckedState| {
            let mut candidates = Vec::new();
            cluster.candidates(state, |action| candidates.push(action));
            candidates
        };
        for (step, action) in (1..).zip(self.actions) {
            let mut possible = candidates(&state);
            let next = possible.contains(action).then(|| cluster.after(&state, action));
            let Some(next) = next.flatten() else {
                possible.retain(|action| cluster.after(&state, action).is_some());
                return Err(ScenarioError::NoSuchStep {
                    scenario: self.name,
                    step,
                    action: cluster.describe(action),
                    possible: possible.iter().map(|action| cluster.describe(action)).collect(),
                });
            };
            state = next;
        }
        for action in self.ignored {
            let possible = candidates(&state).contains(action);
            if !possible || cluster.after(&state, action).is_some() {
                let (scenario, action) = (self.name, cluster.describe(action));
                return Err(ScenarioError::NotIgnored { scenario, action });
            }
        }
        if !(self.ends)(&state) {
            let (scenario, end) = (self.name, format!("{state:?}"));
            return Err(ScenarioError::EndsOtherwise { scenario, end });
        }
        Ok(())
    }

    /// Returns the trace of the scenario.
    ///
    /// # Errors
    /// Fails as [`Scenario::check`] does.
    pub fn trace(&self) -> Result<Trace, ScenarioError> {
        self.check()?;
        Ok(Trace::record(&Cluster::new(self.bounds)?.checked(), self.shows, self.actions)?)
    }
}
