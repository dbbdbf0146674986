//! Space-time diagrams (Lamport 1978) as SVG and as Mermaid: a lane for everything that acts, time
//! running down, an arrow for everything that travels.
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
//! In SVG, distances between times are drawn so that every label can be read: to scale where things
//! are dense enough, shortened where nothing happens for long. Mermaid has no scale, only an order.
//! Equal diagrams are equal byte for byte.

mod labels;
mod mermaid;
mod scale;
mod svg;

/// A lane, by its place from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane(usize);

/// What becomes of an arrow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It arrives.
    #[default]
    Arrives,
    /// It ends on the way.
    Lost,
    /// It arrives and is turned away.
    Refused,
}

/// Something that travels from lane to lane.
#[derive(Clone, Debug)]
pub struct Arrow {
    /// Where and when it leaves.
    pub from: (Lane, u64),
    /// Where and when it arrives, or would have.
    pub to: (Lane, u64),
    /// Written along it.
    pub label: String,
    /// Whether it arrives.
    pub end: End,
    /// Drawn so that it does not stand out.
    pub faint: bool,
}

impl Arrow {
    /// An ordinary arrow that arrives.
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

/// A time in which a lane does not act.
#[derive(Clone, Debug)]
struct Down {
    lane: Lane,
    from: u64,
    until: Option<u64>,
}

/// Something that concerns all lanes.
#[derive(Clone, Debug)]
struct Moment {
    at: u64,
    label: String,
    weight: Weight,
}

/// How much a moment stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Small,
    Great,
    Alarm,
}

/// A diagram, to which things are added in any order.
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
    /// An empty diagram.
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

    /// What times are counted in: written behind each.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = unit.into();
        self
    }

    /// How many pixels one unit of time is high in SVG, where that neither crowds nor scatters what is
    /// drawn. The more, the more room for notes.
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

    /// A lane stops acting, until some time or for ever.
    pub fn down(&mut self, lane: Lane, from: u64, until: Option<u64>) {
        self.downs.push(Down { lane, from, until });
    }

    /// Something small that concerns all lanes: a thin line across them.
    pub fn moment(&mut self, at: u64, label: impl Into<String>) {
        self.moments.push(Moment { at, label: label.into(), weight: Weight::Small });
    }

    /// What the diagram is all about: a thick line across all lanes.
    pub fn great_moment(&mut self, at: u64, label: impl Into<String>) {
        self.moments.push(Moment { at, label: label.into(), weight: Weight::Great });
    }

    /// What should never happen: a thick line across all lanes, in red.
    pub fn alarm(&mut self, at: u64, label: impl Into<String>) {
        self.moments.push(Moment { at, label: label.into(), weight: Weight::Alarm });
    }

    /// Lanes reach at least to this time.
    pub fn end(&mut self, at: u64) {
        self.end = self.end.max(at);
    }

    /// The picture.
    pub fn svg(&self) -> String {
        svg::draw(self)
    }

    /// The same as text that draws itself in many places: a Mermaid `sequenceDiagram`.
    pub fn mermaid(&self) -> String {
        mermaid::draw(self)
    }

    /// Every time at which something is drawn.
    fn times(&self) -> impl Iterator<Item = u64> {
        let arrows = self.arrows.iter().flat_map(|arrow| [arrow.from.1, arrow.to.1]);
        let events = self.events.iter().map(|event| event.at);
        let downs = self.downs.iter().flat_map(|down| [Some(down.from), down.until]).flatten();
        let moments = self.moments.iter().map(|moment| moment.at);
        arrows.chain(events).chain(downs).chain(moments).chain([0, self.end])
    }
}
