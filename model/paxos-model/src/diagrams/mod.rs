//! Behaviours as diagrams: a lane for each node, an arrow for each message that is read, and a line where a value is chosen.
//!
//! Both models keep the messages that were sent, and not their deliveries. An arrow leads from the step that sends a message
//! to a step that reads it. A message that no node reads has no arrow. Time is counted in steps: the first step has time 1,
//! and the initial state has time 0.
//!
//! The modules `synod` and `cluster` draw the steps of the two models. [`ExplorerAdapter`] shows the diagrams in stateright's
//! Explorer. Every behaviour can be drawn, also one that chooses a second value. That choice is a red line.

mod cluster;
mod explorer;
mod synod;

use itertools::Itertools as _;
use space_time::Diagram;

pub use self::explorer::ExplorerAdapter;
use crate::synod::Value;
use state_explorer::{Behaviour, Explorable};

/// The height of a step in pixels: enough for a note and the label of an arrow, one below the other.
const STEP: u8 = 40;

/// A model whose behaviours can be drawn.
pub trait Drawn: Explorable {
    /// Returns the behaviour as a diagram.
    fn diagram(&self, behaviour: &Behaviour<Self>, title: &str) -> Diagram;
}

/// The meaning of a step for the whole cluster, in words.
#[derive(Default)]
struct Meaning {
    /// The values that the step chooses first.
    chosen: Vec<String>,
    /// The values that were chosen before, and that the step chooses in another ballot.
    again: Vec<String>,
    /// The violations of the step.
    wrong: Vec<String>,
}

impl Meaning {
    /// Adds a value that is chosen in a ballot. `before` has the values that were chosen earlier.
    fn chosen(&mut self, value: Value, what: &str, ballot: &str, before: &[Value]) {
        if before.iter().any(|other| *other != value) {
            self.wrong.push(format!("A SECOND VALUE IS CHOSEN: {what} in {ballot}"));
        } else if before.is_empty() {
            self.chosen.push(format!("{what} is chosen in {ballot}"));
        } else {
            self.again.push(format!("{what} is chosen again, in {ballot}"));
        }
    }

    /// Draws the meaning as one line across the diagram, red if there is a violation. Draws nothing if the meaning is empty.
    fn draw(self, at: u64, diagram: &mut Diagram) {
        let Self { chosen, again, wrong } = self;
        let label = wrong.iter().chain(&chosen).chain(&again).join("; ");
        if !wrong.is_empty() {
            diagram.alarm(at, label);
        } else if !chosen.is_empty() {
            diagram.milestone(at, label);
        } else if !again.is_empty() {
            diagram.moment(at, label);
        }
    }
}
