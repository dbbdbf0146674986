//! A trace, taken on its model step by step, up to where it stops being a behaviour.
//!
//! What it is not: a check of the protocol. A trace of a model with a bug is a behaviour of that model.

use std::fmt;

use serde::Serialize;

use super::{
    Trace, Traced, does,
    itf::{Difference, Value},
};
use state_explorer::Behaviour;

/// What became of a trace.
pub struct Replay<M: Traced> {
    /// The behaviour, as far as it is one.
    pub behaviour: Behaviour<M>,
    /// How many steps changed nothing; other tools write those, too.
    pub unchanged: usize,
    /// Where it stops being a behaviour, if it does.
    pub stopped: Option<Stopped>,
    /// The step that closes the loop of a lasso. Nothing if the trace is none, or stops being a behaviour.
    pub returns: Option<Return>,
}

/// The step from the last state of a lasso to the one where its loop starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Return {
    /// The number of the state where the loop starts.
    pub to: usize,
    /// The action that leads there; nothing if the last state is the same as that one.
    pub action: Option<String>,
}

/// Where a trace stops being a behaviour of its model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// The step that is none, counted from 1; 0 is the beginning. The step that closes the loop of a lasso
    /// comes after all the others.
    pub step: usize,
    /// What it is said to be, if that is recorded.
    pub action: Option<String>,
    /// Why it is none.
    pub why: Why,
    /// What would have been possible instead.
    pub possible: Vec<String>,
}

/// Why a step is none of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its action cannot be taken where it stands.
    NotPossible {
        /// What is in the way.
        since: String,
    },
    /// Its action leads elsewhere.
    Differs {
        /// The part of the state that differs.
        field: String,
        /// What is recorded there.
        recorded: String,
        /// What the model has there.
        model: String,
    },
    /// It has no action, and no action leads to what is recorded.
    Unexplained,
    /// No action leads from the last state to the one where the loop starts.
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
    /// The part of the trace that is no step of the model, for people.
    pub fn place(&self) -> String {
        match (self.step, &self.why) {
            (_, Why::DoesNotReturn { .. }) => "the loop".to_owned(),
            (0, _) => "the beginning".to_owned(),
            (step, _) => format!("step {step}"),
        }
    }
}

impl<M: Traced> Trace<M> {
    /// Takes it on its model, from the initial state, and compares after each step. At the end of a lasso, it
    /// looks for an action that leads back to where the loop starts. Since nothing there says which, the loop
    /// may also be closed by doing nothing, as Apalache closes it.
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

/// Where a replay is, and how it came there.
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

    /// The first action that leads to what is recorded, and where it leads. If several do, they lead to the
    /// same.
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

    /// What changes the state here; and how far each is from what is recorded, if that is asked.
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
