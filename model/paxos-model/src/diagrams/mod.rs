//! Behaviours as diagrams: a lane for each node, an arrow for each message that is read, and a mark where a value is chosen.
//!
//! Both models keep the messages that were sent, and not their deliveries. So an arrow is drawn when a message is *read*: it
//! leads from the step that sent the message to the step that read it. A message that no node reads has no arrow. Time is
//! counted in steps from 1, and 0 is before the first step.
//!
//! The modules `synod` and `cluster` draw the steps of the two models. [`ExplorerAdapter`] puts the diagrams into
//! stateright's Explorer. A diagram judges nothing: it draws every behaviour, also one with a second chosen value.

mod cluster;
mod explorer;
mod synod;

use itertools::Itertools as _;
use space_time::Diagram;

pub use self::explorer::ExplorerAdapter;
use crate::synod::Value;
use state_explorer::{Behaviour, Explorable};

/// The height of a step in pixels. A note and the label of an arrow fit into it, one below the other.
const STEP: u8 = 40;

/// A model whose behaviours can be drawn.
pub trait Drawn: Explorable {
    /// Returns the behaviour as a diagram.
    fn diagram(&self, behaviour: &Behaviour<Self>, title: &str) -> Diagram;
}

/// The meaning of a step for the whole cluster: the values that are chosen in it, and the violations.
#[derive(Default)]
struct Meaning {
    chosen: Vec<String>,
    again: Vec<String>,
    wrong: Vec<String>,
}

impl Meaning {
    /// Adds a value that is chosen in a ballot, after some other values.
    fn chosen(&mut self, value: Value, what: &str, ballot: &str, before: &[Value]) {
        if before.iter().any(|other| *other != value) {
            self.wrong.push(format!("A SECOND VALUE IS CHOSEN: {what} in {ballot}"));
        } else if before.is_empty() {
            self.chosen.push(format!("{what} is chosen in {ballot}"));
        } else {
            self.again.push(format!("{what} is chosen again, in {ballot}"));
        }
    }

    /// Draws one line across the diagram, so that no label covers another.
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
