//! Shortens a trace that shows a difference, until no step of it can be left out.
//!
//! A shortened trace is a behaviour of the model and shows a difference. The difference may be another one than in the whole
//! trace. The result need not be the shortest trace: the search leaves steps out, and never puts others in.

use std::fmt;

use paxos_model::diagrams::Drawn as _;
use space_time::Diagram;

use super::{
    Trace,
    replay::{ReplayFailure, Replayed},
};

/// A shortened trace, with the difference that it shows.
#[derive(Debug)]
pub struct Shortened {
    /// The trace.
    pub trace: Trace,
    /// The difference.
    pub failure: ReplayFailure,
}

/// Shortens a trace. `replayed` replays it. Returns `None` if the steps show no difference by themselves, as in a lasso of
/// which only the step that closes the loop shows one.
///
/// # Errors
/// The stores of the nodes cannot be used.
pub fn shorten(
    trace: &Trace,
    replayed: impl Fn(&Trace) -> Result<Replayed, ReplayFailure>,
) -> Result<Option<Shortened>, ReplayFailure> {
    let shows = |actions: &[_]| {
        let Ok(trace) = Trace::record(trace.model(), "a shortened trace", actions) else {
            return Ok(None);
        };
        match replayed(&trace) {
            Err(failure @ ReplayFailure::Diverged { .. }) => Ok(Some(Shortened { trace, failure })),
            Err(failure @ ReplayFailure::Store(_)) => Err(failure),
            Ok(_) | Err(_) => Ok(None),
        }
    };
    let mut actions: Vec<_> = trace.actions().copied().collect();
    let Some(mut shortest) = shows(&actions)? else { return Ok(None) };
    let mut length = actions.len();
    while length > 0 {
        let (mut start, mut shortened) = (0, false);
        while start < actions.len() {
            let mut fewer = actions.clone();
            fewer.drain(start..(start + length).min(actions.len()));
            if let Some(found) = shows(&fewer)? {
                (actions, shortest, shortened) = (fewer, found, true);
            } else {
                start += length;
            }
        }
        // A step may become superfluous once a later one is gone.
        if !(shortened && length == 1) {
            length /= 2;
        }
    }
    Ok(Some(shortest))
}

impl Shortened {
    /// Returns the trace as a diagram that ends with the difference.
    pub fn diagram(&self) -> Diagram {
        let model = self.trace.model();
        let mut diagram = model.diagram(&self.trace.replay().behaviour, &self.trace.description);
        diagram.alarm(self.trace.steps() as u64, self.failure.to_string());
        diagram
    }
}

/// The steps of the trace in words, and the difference.
impl fmt::Display for Shortened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = (0..).zip(self.trace.states().iter().filter_map(|state| state.does.as_ref()));
        for (step, does) in states {
            writeln!(f, "{step:>4}  {does}")?;
        }
        write!(f, "{}", self.failure)
    }
}
