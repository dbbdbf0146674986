//! Space-time diagrams (Lamport 1978) as SVG and as Mermaid. Each process has a lane, time runs down, and a message is an
//! arrow.
//!
//! ```
//! use space_time::{Arrow, Diagram, End};
//!
//! let mut diagram = Diagram::new("ping");
//! let (left, right) = (diagram.lane("left"), diagram.lane("right"));
//! diagram.arrow(Arrow::new((left, 0), (right, 7), "ping"));
//! diagram.arrow(Arrow { end: End::Lost, ..Arrow::new((right, 7), (left, 20), "pong") });
//! assert!(diagram.svg().starts_with("<svg"));
//! assert!(diagram.mermaid().starts_with("sequenceDiagram"));
//! ```
//!
//! In SVG, the distance of two neighbouring times is proportional to the time between them, within a least and a greatest
//! distance. The least distance keeps labels readable, and the greatest keeps long pauses short. Notes and labels that need
//! more space extend the distance further. Mermaid shows the order of times, without a scale. Equal diagrams have equal
//! text, byte for byte.
//!
//! This crate draws diagrams, and knows nothing of Paxos. This file has the diagram itself. `svg` draws it as SVG, with
//! `scale` for the heights of times and `labels` for the positions of labels. `mermaid` writes it as Mermaid.

mod labels;
mod mermaid;
mod scale;
mod svg;

/// A lane, by its index from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane(usize);

/// The end of an arrow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// The message arrives.
    #[default]
    Arrives,
    /// The message is lost on its way.
    Lost,
    /// The message arrives, and its receiver refuses it.
    Refused,
}

/// A message from lane to lane.
#[derive(Clone, Debug)]
pub struct Arrow {
    /// The lane of the sender, and the time at which the message leaves.
    pub from: (Lane, u64),
    /// The lane of the receiver, and the time at which the message arrives. A lost message would have arrived then.
    pub to: (Lane, u64),
    /// The text along the arrow.
    pub label: String,
    /// The end of the arrow.
    pub end: End,
    /// True to draw an arrow that arrives in a pale colour in SVG, and dotted in Mermaid.
    pub faint: bool,
}

impl Arrow {
    /// Returns an arrow that arrives and is not faint.
    pub fn new(from: (Lane, u64), to: (Lane, u64), label: impl Into<String>) -> Self {
        Self { from, to, label: label.into(), end: End::default(), faint: false }
    }
}

/// A note beside a lane.
#[derive(Clone, Debug)]
struct Event {
    lane: Lane,
    at: u64,
    label: String,
}

/// A time span in which a lane is down. Without `until`, the lane stays down.
#[derive(Clone, Debug)]
struct Down {
    lane: Lane,
    from: u64,
    until: Option<u64>,
}

/// A line across all lanes.
#[derive(Clone, Debug)]
struct Moment {
    at: u64,
    label: String,
    weight: Weight,
}

/// The emphasis of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Small,
    Milestone,
    Alarm,
}

/// A diagram. Its parts can be added in any order.
#[derive(Clone, Debug)]
pub struct Diagram {
    title: String,
    unit: String,
    pixels: u8,
    lanes: Vec<String>,
    arrows: Vec<Arrow>,
    events: Vec<Event>,
    downs: Vec<Down>,
    moments: Vec<Moment>,
    end: u64,
}

impl Diagram {
    /// Returns a diagram without lanes.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            unit: String::new(),
            pixels: scale::PER_UNIT,
            lanes: Vec::new(),
            arrows: Vec::new(),
            events: Vec::new(),
            downs: Vec::new(),
            moments: Vec::new(),
            end: 0,
        }
    }

    /// Sets the unit of time. The diagram writes it after each time.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = unit.into();
        self
    }

    /// Sets the height of one unit of time in SVG, in pixels. The least and the greatest distance of neighbouring times stay
    /// the same. A larger scale leaves more space for notes.
    #[must_use]
    pub fn scale(mut self, pixels: u8) -> Self {
        self.pixels = pixels;
        self
    }

    /// Adds a lane to the right of all others.
    pub fn lane(&mut self, name: impl Into<String>) -> Lane {
        self.lanes.push(name.into());
        Lane(self.lanes.len() - 1)
    }

    /// Adds an arrow.
    pub fn arrow(&mut self, arrow: Arrow) {
        self.arrows.push(arrow);
    }

    /// Adds a note beside a lane.
    pub fn event(&mut self, lane: Lane, at: u64, label: impl Into<String>) {
        self.events.push(Event { lane, at, label: label.into() });
    }

    /// Marks a time span in which a lane is down. Without `until`, the lane stays down.
    pub fn down(&mut self, lane: Lane, from: u64, until: Option<u64>) {
        self.downs.push(Down { lane, from, until });
    }

    /// Adds a thin line with a label across all lanes.
    pub fn moment(&mut self, at: u64, label: impl Into<String>) {
        self.moments.push(Moment { at, label: label.into(), weight: Weight::Small });
    }

    /// Adds a thick green line across all lanes, for a main event of the diagram.
    pub fn milestone(&mut self, at: u64, label: impl Into<String>) {
        self.moments.push(Moment { at, label: label.into(), weight: Weight::Milestone });
    }

    /// Adds a thick red line across all lanes, for an event that should never happen.
    pub fn alarm(&mut self, at: u64, label: impl Into<String>) {
        self.moments.push(Moment { at, label: label.into(), weight: Weight::Alarm });
    }

    /// Extends the lanes at least to this time. Mermaid does not show it.
    pub fn end(&mut self, at: u64) {
        self.end = self.end.max(at);
    }

    /// Returns the diagram as an SVG image.
    pub fn svg(&self) -> String {
        svg::draw(self)
    }

    /// Returns the diagram as a Mermaid `sequenceDiagram`.
    pub fn mermaid(&self) -> String {
        mermaid::draw(self)
    }

    /// Returns time 0, the end, and all times at which something is drawn. They are in no order and may repeat.
    fn times(&self) -> impl Iterator<Item = u64> {
        let arrows = self.arrows.iter().flat_map(|arrow| [arrow.from.1, arrow.to.1]);
        let events = self.events.iter().map(|event| event.at);
        let downs = self.downs.iter().flat_map(|down| [Some(down.from), down.until]).flatten();
        let moments = self.moments.iter().map(|moment| moment.at);
        arrows.chain(events).chain(downs).chain(moments).chain([0, self.end])
    }
}
