//! A behaviour as a picture: a lane for whoever acts, an arrow for whatever was heard, and the moment
//! in which a value is chosen.
//!
//! Both models keep what was said and not who carried it where, so an arrow is drawn when a message
//! is *read*: from the step that sent it to the step that it made possible. What nobody reads has no
//! arrow. Time is counted in steps; the first step is 1, and 0 is before it.
//!
//! `synod` and `cluster` say what is drawn for a step of each; [`Shown`] puts the pictures into
//! stateright's Explorer. What it is not: a judge. Nothing
//! is checked here, and whatever a behaviour does is drawn, a second chosen value included.

mod cluster;
mod shown;
mod synod;

use itertools::Itertools as _;
use space_time::Diagram;

pub use self::shown::Shown;
use crate::synod::Value;
use state_explorer::{Behaviour, Explorable};

/// How many pixels a step is high: room for a note, and for the label of an arrow beside it.
const STEP: u8 = 40;

/// A model whose behaviours can be drawn.
pub trait Storied: Explorable {
    /// The behaviour as a diagram, for `svg()` or `mermaid()`.
    fn diagram(&self, behaviour: &Behaviour<Self>, title: &str) -> Diagram;
}

/// What a step means for everybody: values that are chosen now, and what is wrong with that.
#[derive(Default)]
struct Meaning {
    chosen: Vec<String>,
    again: Vec<String>,
    wrong: Vec<String>,
}

impl Meaning {
    /// A value is chosen in a ballot, after some others were.
    fn chosen(&mut self, value: Value, what: &str, ballot: &str, before: &[Value]) {
        if before.iter().any(|other| *other != value) {
            self.wrong.push(format!("A SECOND VALUE IS CHOSEN: {what} in {ballot}"));
        } else if before.is_empty() {
            self.chosen.push(format!("{what} is chosen in {ballot}"));
        } else {
            self.again.push(format!("{what} is chosen again, in {ballot}"));
        }
    }

    /// One line across the picture, so that nothing covers anything.
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
