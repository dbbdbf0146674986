//! Takes a trace on the production replicas.
//!
//! The replay distinguishes a trace that is no behaviour of the model from an implementation that differs from the model.
//! The model's reader of traces has already refused a file that is no trace.

use paxos_lockstep::{
    comparator::Divergence,
    pairs::{Lockstep, Pair},
};
use paxos_model::{
    cluster::{Action, Bug, CheckedCluster},
    trace::{Traced as _, itf::Value},
};
use thiserror::Error;

use super::{
    Trace,
    on_disk::{Fault, Nodes, Trouble},
};

/// A trace that was replayed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Number of steps that were taken and compared.
    pub steps: usize,
    /// Number of delivered inputs that change nothing in the model, and have changed nothing in the replicas.
    pub ignored: usize,
}

/// The reason for which a trace was not replayed to its end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplayFailure {
    /// The bounds are out of range.
    #[error("no such space: {0}")]
    Bounds(#[from] paxos_model::cluster::BoundsError),
    /// A step is recorded without its action.
    #[error(
        "state {state} does not say what led to it; `paxos-model trace` finds out, and this takes \
         traces that do"
    )]
    NoAction {
        /// The number of the state.
        state: usize,
    },
    /// The trace is of a cluster with a bug.
    #[error("it is a trace of a cluster with {bug:?}; the replicas have no such bug")]
    OfMutant {
        /// The bug.
        bug: Bug,
    },
    /// An action is not possible in the state before it.
    #[error("state {state} is no successor of the one before: \"{action}\" may not happen there")]
    MayNotHappen {
        /// The number of the state after it.
        state: usize,
        /// The action.
        action: String,
    },
    /// An action is possible but has no effect.
    #[error("state {state} is no successor of the one before: \"{action}\" changes nothing there")]
    ChangesNothing {
        /// The number of the state after it.
        state: usize,
        /// The action.
        action: String,
    },
    /// A recorded state differs from the state of the model.
    #[error(
        "state {state} is not what the model does after \"{action}\": {field} differs\n  \
         recorded  {recorded}\n  model     {model}"
    )]
    Altered {
        /// The number of the state.
        state: usize,
        /// The action before it.
        action: String,
        /// The part that differs.
        field: String,
        /// The part in the trace.
        recorded: String,
        /// The part in the model.
        model: String,
    },
    /// No action closes the loop.
    #[error(
        "no action leads from the last state back to state {to}, as loop says; \
         `paxos-model trace` shows those that are possible"
    )]
    DoesNotReturn {
        /// The state where the loop starts.
        to: usize,
    },
    /// The system has failed a store.
    #[error("the stores of the nodes cannot be used: {0}")]
    Store(String),
    /// The implementation differs from the model.
    #[error("after \"{action}\", step {step} of the trace: {divergence}")]
    Diverged {
        /// The number of the step, counted from 1.
        step: usize,
        /// The action.
        action: String,
        /// The difference.
        divergence: Box<Divergence>,
    },
}

impl ReplayFailure {
    /// The exit code: 1 if the implementation differs from the model, 2 if the trace cannot be replayed,
    /// and 3 if the stores cannot be used.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Diverged { .. } => 1,
            Self::Store(_) => 3,
            _ => 2,
        }
    }
}

/// Takes a trace on production replicas. After each step, compares the recorded state with the model, and the model with
/// the replicas. In each state, also delivers the inputs that change nothing in the model. If the trace is a lasso, also
/// compares the step that closes the loop.
///
/// # Errors
/// Returns the first failure.
pub fn replay(trace: &Trace) -> Result<Replayed, ReplayFailure> {
    replay_on(trace, &Lockstep::new(*trace.model().bounds())?, None)
}

/// Takes a trace on production replicas in memory, and on nodes that store their records on [disk](super::on_disk). A fault of
/// the stores is for tests, which expect a difference.
///
/// # Errors
/// Returns the first failure.
pub fn replay_on_nodes(trace: &Trace, fault: Option<Fault>) -> Result<Replayed, ReplayFailure> {
    let lockstep = Lockstep::new(*trace.model().bounds())?;
    let nodes = Nodes::start(&lockstep.start(), fault);
    let nodes = nodes.map_err(|error| ReplayFailure::Store(error.to_string()))?;
    replay_on(trace, &lockstep, Some(nodes))
}

/// Takes a trace on mutants. The caller expects a difference.
///
/// # Errors
/// Returns the first failure.
pub fn replay_on_mutants(trace: &Trace, bug: Bug) -> Result<Replayed, ReplayFailure> {
    replay_on(trace, &Lockstep::new(*trace.model().bounds())?.with_mutant(bug), None)
}

fn replay_on(
    trace: &Trace,
    lockstep: &Lockstep,
    mut nodes: Option<Nodes>,
) -> Result<Replayed, ReplayFailure> {
    let cluster = trace.model();
    if let Some(bug) = cluster.bug() {
        return Err(ReplayFailure::OfMutant { bug });
    }
    let mut pair = lockstep.start();
    let mut offered = Vec::new();
    let mut replayed = Replayed { steps: 0, ignored: 0 };
    for (i, recorded) in trace.states().iter().enumerate() {
        let does = does(cluster, recorded.action);
        if i > 0 && recorded.action.is_none() {
            return Err(ReplayFailure::NoAction { state: i });
        }
        if let Some(action) = recorded.action {
            if !offered.contains(&action) {
                return Err(ReplayFailure::MayNotHappen { state: i, action: does });
            }
            match taken(cluster, lockstep, nodes.as_mut(), &pair, action)? {
                None => return Err(ReplayFailure::ChangesNothing { state: i, action: does }),
                Some(Pair { divergence: Some(divergence), .. }) => {
                    return Err(ReplayFailure::Diverged { step: i, action: does, divergence });
                }
                Some(next) => pair = next,
            }
            replayed.steps += 1;
        }
        let altered = |field, recorded, model| {
            let action = does.clone();
            ReplayFailure::Altered { state: i, action, field, recorded, model }
        };
        if let Some(said) = recorded.does.as_ref().filter(|said| **said != does) {
            return Err(altered("#meta.does".to_owned(), said.clone(), does.clone()));
        }
        let is = Value::Record(cluster.write_state(&pair.model));
        let said = Value::Record(recorded.variables.clone());
        if let Some(difference) = said.difference(&is) {
            let field = difference.at.trim_start_matches('.').to_owned();
            return Err(altered(field, difference.left, difference.right));
        }
        offered.clear();
        cluster.candidates(&pair.model, |action| offered.push(action));
        for &action in &offered {
            if ignored(cluster, lockstep, &pair, action, i)? {
                replayed.ignored += 1;
            }
        }
    }
    if let Some(to) = trace.returns_to()
        && trace.states()[to].variables != cluster.write_state(&pair.model)
    {
        closes(trace, lockstep, nodes.as_mut(), &pair, &offered, to)?;
        replayed.steps += 1;
    }
    Ok(replayed)
}

/// Takes a step in memory, and then on the nodes that have stores. Returns `None` if the step changes nothing.
fn taken(
    cluster: &CheckedCluster,
    lockstep: &Lockstep,
    nodes: Option<&mut Nodes>,
    pair: &Pair,
    action: Action,
) -> Result<Option<Pair>, ReplayFailure> {
    let Some(mut next) = lockstep.successor(pair, action) else { return Ok(None) };
    if let (Some(nodes), None) = (nodes, &next.divergence) {
        match nodes.follow(cluster, lockstep, (pair, &next), action) {
            Ok(()) => {}
            Err(Trouble::Differs(divergence)) => next.divergence = Some(divergence),
            Err(Trouble::System(error)) => return Err(ReplayFailure::Store(error.to_string())),
        }
    }
    Ok(Some(next))
}

/// Takes the step from the last state of a lasso back to the state where its loop starts. Both states were compared with
/// the model before. The trace does not name the action of this step, so this function searches for it.
fn closes(
    trace: &Trace,
    lockstep: &Lockstep,
    nodes: Option<&mut Nodes>,
    pair: &Pair,
    offered: &[Action],
    to: usize,
) -> Result<(), ReplayFailure> {
    let cluster = trace.model();
    let start = &trace.states()[to].variables;
    let closing = offered.iter().find(|action| {
        let next = cluster.after(&pair.model, action);
        next.is_some_and(|next| cluster.write_state(&next) == *start)
    });
    let Some(&action) = closing else { return Err(ReplayFailure::DoesNotReturn { to }) };
    match taken(cluster, lockstep, nodes, pair, action)?.and_then(|next| next.divergence) {
        None => Ok(()),
        Some(divergence) => {
            let (step, action) = (trace.steps() + 1, does(cluster, Some(action)));
            Err(ReplayFailure::Diverged { step, action, divergence })
        }
    }
}

/// Returns true if an action changes nothing in the model. Fails if the action then changes the replica.
fn ignored(
    cluster: &CheckedCluster,
    lockstep: &Lockstep,
    pair: &Pair,
    action: Action,
    step: usize,
) -> Result<bool, ReplayFailure> {
    if cluster.after(&pair.model, &action).is_some() {
        return Ok(false);
    }
    match lockstep.successor(pair, action).and_then(|next| next.divergence) {
        None => Ok(true),
        Some(divergence) => {
            let action = format!("{}, which changes nothing", does(cluster, Some(action)));
            Err(ReplayFailure::Diverged { step: step + 1, action, divergence })
        }
    }
}

/// Returns the text of an action in a file. `None` stands for the initial state.
fn does(cluster: &CheckedCluster, action: Option<Action>) -> String {
    action.map_or("initially".to_owned(), |action| cluster.does(&action))
}
