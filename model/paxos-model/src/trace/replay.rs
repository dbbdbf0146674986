//! Takes the steps of a trace in its model, up to the first one that is not a step of the model.
//!
//! A replay does not check the protocol: a trace of a model with a bug is a behaviour of that model.

use std::fmt;

use serde::Serialize;

use super::{
    Trace, Traced, does,
    itf::{Difference, Value},
};
use state_explorer::Behaviour;

/// The result of a replay.
pub struct Replay<M: Traced> {
    /// The behaviour up to the end of the trace, or up to the step that is not one of the model.
    pub behaviour: Behaviour<M>,
    /// The number of steps that change nothing. Other tools write such steps.
    pub unchanged: usize,
    /// The first step that is not one of the model.
    pub stopped: Option<Stopped>,
    /// The step that closes the loop of a lasso. None if the trace is not a lasso, or if the replay stopped.
    pub returns: Option<Return>,
}

/// The step from the last state of a lasso to the state where its loop starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Return {
    /// The number of the state where the loop starts.
    pub to: usize,
    /// The action that leads there. None if the last state equals that state.
    pub action: Option<String>,
}

/// The first step of a trace that is not a step of its model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// The number of the step, counted from 1. 0 is the initial state. The step that closes the loop of a lasso
    /// has the number after the last step.
    pub step: usize,
    /// The recorded action in words. None if the file has no actions.
    pub action: Option<String>,
    /// The reason.
    pub why: Why,
    /// The actions that were possible instead.
    pub possible: Vec<String>,
}

/// The reason why a step is not one of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The action of the step cannot be taken in the state before it.
    NotPossible {
        /// The reason, in words.
        since: String,
    },
    /// The action of the step leads to another state than the recorded one, or has other words than those in the file.
    Differs {
        /// The part of the state that differs.
        field: String,
        /// The value in the file.
        recorded: String,
        /// The value in the model.
        model: String,
    },
    /// The file has no actions, and no action of the model leads to the recorded state.
    Unexplained,
    /// No action leads from the last state to the state where the loop starts.
    DoesNotReturn {
        /// The number of the state where the loop starts.
        to: usize,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPossible { since } => write!(f, "not possible here, since {since}"),
            Self::Differs { field, recorded, model } => write!(
                f,
                "the recorded state differs at {field}: recorded {recorded}, the model has {model}"
            ),
            Self::Unexplained => f.write_str("no action leads to the recorded state"),
            Self::DoesNotReturn { to } => {
                write!(f, "no action leads from the last state back to state {to}, as loop says")
            }
        }
    }
}

impl Stopped {
    /// Returns the place in the trace where the replay stopped, for people.
    pub fn place(&self) -> String {
        match (self.step, &self.why) {
            (_, Why::DoesNotReturn { .. }) => "the loop".to_owned(),
            (0, _) => "the beginning".to_owned(),
            (step, _) => format!("step {step}"),
        }
    }
}

impl<M: Traced> Trace<M> {
    /// Takes the steps of the trace in its model from the initial state, and compares the states after each step.
    ///
    /// At the end of a lasso, the replay searches for an action that leads back to the state where the loop starts. The file
    /// does not record that action. The last state may also equal that state, because Apalache closes loops this way.
    pub fn replay(&self) -> Replay<M> {
        let mut walk =
            Walk { model: &self.model, state: initial(&self.model), actions: Vec::new() };
        let explained = !self.has_actions();
        let mut unchanged = 0;
        let mut stopped = None;
        for (step, recorded) in self.states.iter().enumerate() {
            let said = Value::Record(recorded.variables.clone());
            let taken = match &recorded.action {
                _ if step == 0 => walk.stays(&said),
                Some(action) => walk.take(action, recorded.does.as_deref(), &said),
                None if walk.stays(&said).is_ok() => {
                    unchanged += 1;
                    Ok(())
                }
                None => match walk.explanation(&said) {
                    Some((action, next)) => {
                        walk.go(action, next);
                        Ok(())
                    }
                    None => Err(Why::Unexplained),
                },
            };
            if let Err(why) = taken {
                let action = recorded.action.as_ref().map(|action| self.model.describe(action));
                let possible = if step == 0 {
                    Vec::new()
                } else if explained {
                    walk.possible(Some(&said))
                } else {
                    walk.possible(None)
                };
                stopped = Some(Stopped { step, action, why, possible });
                break;
            }
        }
        let mut returns = None;
        if let (Some(to), None) = (self.returns_to, &stopped) {
            let said = Value::Record(self.states[to].variables.clone());
            let action = walk.explanation(&said).map(|(action, _)| self.model.describe(&action));
            if action.is_some() || walk.stays(&said).is_ok() {
                returns = Some(Return { to, action });
            } else {
                let (step, why) = (self.states.len(), Why::DoesNotReturn { to });
                let possible = walk.possible(Some(&said));
                stopped = Some(Stopped { step, action: None, why, possible });
            }
        }
        let behaviour = Behaviour::replay(&self.model, initial(&self.model), walk.actions);
        let behaviour = behaviour.expect("each of these was taken before");
        Replay { behaviour, unchanged, stopped, returns }
    }
}

fn initial<M: Traced>(model: &M) -> M::State {
    model.init_states().remove(0)
}

/// The current state of a replay, and the actions that led to it.
struct Walk<'m, M: Traced> {
    model: &'m M,
    state: M::State,
    actions: Vec<M::Action>,
}

impl<M: Traced> Walk<'_, M> {
    fn stays(&self, said: &Value) -> Result<(), Why> {
        self.compare(&self.state, said)
    }

    fn take(&mut self, action: &M::Action, said_to: Option<&str>, said: &Value) -> Result<(), Why> {
        let offered = self.model.offered(&self.state).contains(action);
        let Some(next) = self.model.taken(&self.state, action).filter(|_| offered) else {
            return Err(Why::NotPossible { since: self.model.why_not(&self.state, action) });
        };
        let does = does(self.model, Some(action));
        if let Some(recorded) = said_to.filter(|said_to| *said_to != does) {
            let (field, recorded) = ("#meta.does".to_owned(), recorded.to_owned());
            return Err(Why::Differs { field, recorded, model: does });
        }
        self.compare(&next, said)?;
        self.go(action.clone(), next);
        Ok(())
    }

    fn go(&mut self, action: M::Action, next: M::State) {
        self.state = next;
        self.actions.push(action);
    }

    /// Returns the first action that leads to the recorded state, and that state. All such actions lead to the same state.
    fn explanation(&self, said: &Value) -> Option<(M::Action, M::State)> {
        self.model.offered(&self.state).into_iter().find_map(|action| {
            let next = self.model.taken(&self.state, &action)?;
            self.compare(&next, said).is_ok().then_some((action, next))
        })
    }

    fn compare(&self, state: &M::State, said: &Value) -> Result<(), Why> {
        let is = Value::Record(self.model.write_state(state));
        said.difference(&is).map_or(Ok(()), |Difference { at, left, right }| {
            let field = at.trim_start_matches('.').to_owned();
            Err(Why::Differs { field, recorded: left, model: right })
        })
    }

    /// Returns the actions that change the current state, in words. If `said` is given, each is listed with the first
    /// difference between its state and the recorded one.
    fn possible(&self, said: Option<&Value>) -> Vec<String> {
        let mut possible = Vec::new();
        for action in self.model.offered(&self.state) {
            let Some(next) = self.model.taken(&self.state, &action) else { continue };
            let does = self.model.describe(&action);
            let off = said.and_then(|said| self.compare(&next, said).err());
            possible.push(off.map_or(does.clone(), |off| format!("{does}; but {off}")));
        }
        possible
    }
}
