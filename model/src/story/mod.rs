//! A behaviour as a picture: a lane for whoever acts, an arrow for whatever was heard, and the moment
//! in which a value is chosen.
//!
//! Both models keep what was said and not who carried it where, so an arrow is drawn when a message
//! is *read*: from the step that sent it to the step that it made possible. What nobody reads has no
//! arrow. Time is counted in steps; the first step is 1, and 0 is before it.
//!
//! [`synod`] and [`cluster`] say what is drawn for a step of each. What it is not: a judge. Nothing
//! is checked here, and whatever a behaviour does is drawn, a second chosen value included.

mod cluster;
mod synod;

use itertools::Itertools as _;
use space_time::Diagram;

use crate::explore::{Behaviour, Explorable};

/// A model whose behaviours can be drawn.
pub trait Storied: Explorable {
    /// The behaviour as a diagram, for `svg()` or `mermaid()`.
    fn diagram(&self, behaviour: &Behaviour<Self>, title: &str) -> Diagram;
}

/// What a step means for everybody: values that are chosen now, and what is wrong with that.
#[derive(Default)]
struct Meaning {
    chosen: Vec<String>,
    wrong: Vec<String>,
}

impl Meaning {
    /// One line across the picture, so that nothing covers anything.
    fn draw(self, at: u64, diagram: &mut Diagram) {
        let label = self.chosen.iter().chain(&self.wrong).join("; ");
        if !self.wrong.is_empty() {
            diagram.alarm(at, label);
        } else if !self.chosen.is_empty() {
            diagram.great_moment(at, label);
        }
    }
}
