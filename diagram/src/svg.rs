//! A diagram as SVG. All lengths are in pixels.
//!
//! A *time* is a number at which something happens; later times are lower in the picture. A *moment* is a labelled line across
//! all lanes at one time.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt::{self, Write},
};

use textwrap::{Options, WordSplitter, WrapAlgorithm};

use crate::{
    Arrow, Diagram, Down, End, Event, Lane, Moment, Weight,
    labels::{Area, CHARACTER, LINE, Labels, Stretch, width},
    scale::Scale,
};

/// The position of the first lane.
const LEFT: f64 = 130.0;
/// The least distance of two lanes.
const APART: f64 = 250.0;
/// The space that a label leaves free between two lanes.
const BETWEEN: f64 = 40.0;
/// The least width to the right of the last lane, for notes and the labels of moments.
const RIGHT: f64 = 330.0;
/// The distance of a note from its lane.
const NOTE_GAP: f64 = 9.0;
/// The radius of the dot of an event.
const DOT: f64 = 4.0;
/// The greatest width of a character in the label of a moment.
const MOMENT_CHARACTER: f64 = 7.4;
/// The greatest width of a character of the title.
const TITLE_CHARACTER: f64 = 9.3;
/// The height of the title's line.
const TITLE: f64 = 20.0;
/// The least width of the picture, so that a title is not wrapped early.
const TITLE_WIDTH: f64 = 600.0;
/// The vertical distance from the title to the earliest time.
const TOP: f64 = 80.0;
/// The space that is added if the label of an arrow has no free position. It is added below each *time* from the start of the
/// arrow up to, but not including, its end. Then the picture is drawn again.
const MORE: f64 = 12.0;
/// The greatest number of times that the picture is drawn again.
const ROUNDS: usize = 60;
/// The distance of an arrow's tip from its lane, so that heads do not cover the lane.
const TIP_GAP: f64 = 4.0;

const STYLE: &str = "\
text{font:12px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#1f2937}\
.title{font-size:15px;font-weight:bold}\
.tick{fill:#6b7280;font-size:11px;text-anchor:end}\
.grid{stroke:#eef0f3}\
.lane{stroke:#374151;stroke-width:2}\
.name{fill:#fff;font-weight:bold;text-anchor:middle}\
.box{fill:#374151}\
.down{fill:#fde2e2;stroke:#dc2626;stroke-dasharray:4 3}\
.arrow{stroke:#2563eb;stroke-width:1.5}\
.head{fill:#2563eb}\
.faint .arrow{stroke:#a8b3c4;stroke-width:1}\
.faint .head{fill:#a8b3c4}\
.along.faint{fill:#8a94a6}\
.lost .arrow,.refused .arrow{stroke:#dc2626;stroke-dasharray:5 4}\
.along.lost,.along.refused{fill:#b91c1c}\
.cross{stroke:#dc2626;stroke-width:2}\
.along{text-anchor:middle;font-size:11px;paint-order:stroke;stroke:#fff;stroke-width:4px}\
.dot{fill:#374151}\
.note{font-size:11px;font-weight:bold;paint-order:stroke;stroke:#fff;stroke-width:4px}\
.moment{stroke:#b45309;stroke-dasharray:2 4}\
.moment-label{fill:#b45309;font-size:11px}\
.great{stroke:#15803d;stroke-width:2.5}\
.great-box{fill:#15803d}\
.great-label{fill:#fff;font-weight:bold}\
.alarm{stroke:#dc2626;stroke-width:4}\
.alarm-box{fill:#dc2626}\
.alarm-label{fill:#fff;font-weight:bold}";

pub(crate) fn draw(diagram: &Diagram) -> String {
    let layout = Layout::of(diagram);
    let mut room = room_for_notes(&layout);
    let mut picture = Picture::draw(diagram, &layout, &room);
    for _ in 0..ROUNDS {
        let Some((from, to)) = picture.crowded else { break };
        for at in diagram.times().filter(|at| (from..to.max(from + 1)).contains(at)) {
            let distance = picture.scale.after(at);
            room.insert(at, distance + MORE);
        }
        picture = Picture::draw(diagram, &layout, &room);
    }
    picture.svg
}

/// Returns the least distance from each time with notes to the next time, so that the notes fit above the next time.
fn room_for_notes(layout: &Layout) -> BTreeMap<u64, f64> {
    let mut room = BTreeMap::new();
    for Note { at, lines, .. } in &layout.notes {
        let height = LINE * f64::from(u16::try_from(lines.len()).unwrap_or(u16::MAX)) + 12.0;
        let least = room.entry(*at).or_insert(height);
        *least = least.max(height);
    }
    room
}

/// The notes beside a lane at one time, joined and wrapped.
struct Note {
    lane: Lane,
    at: u64,
    lines: Vec<String>,
}

/// The parts of the layout that do not depend on the vertical positions of times.
struct Layout {
    /// The distance of two lanes. Each label of an arrow fits between them.
    apart: f64,
    /// The notes, by time and lane.
    notes: Vec<Note>,
    /// The position of the labels of moments, to the right of all notes beside the last lane.
    beside: f64,
    /// The width of the picture.
    width: f64,
    /// The lines of the title.
    title: Vec<String>,
}

impl Layout {
    fn of(diagram: &Diagram) -> Self {
        let labels = diagram.arrows.iter().map(|arrow| width(&arrow.label) + BETWEEN);
        let names = diagram.lanes.iter().map(|name| 2.0 * half_width_of(name) + BETWEEN);
        let apart = labels.chain(names).fold(APART, f64::max);
        let last = diagram.lanes.len().saturating_sub(1);
        let notes = notes(diagram, columns(apart - 2.0 * NOTE_GAP, CHARACTER));
        let beside_last = notes.iter().filter(|note| note.lane.0 == last);
        let widths = beside_last.flat_map(|note| &note.lines).map(|line| 24.0 + width(line));
        let right = x(Lane(last), apart);
        let beside = right + widths.fold(92.0, f64::max);
        let mut moments: BTreeMap<u64, f64> = BTreeMap::new();
        for moment in &diagram.moments {
            *moments.entry(moment.at).or_insert(beside) += moment_width(moment);
        }
        let moments = moments.into_values().map(|end| end + BETWEEN);
        let width = moments.fold((right + RIGHT).max(TITLE_WIDTH), f64::max);
        let title = wrapped(&diagram.title, columns(width - BETWEEN, TITLE_CHARACTER));
        Self { apart, notes, beside, width, title }
    }

    fn title_height(&self) -> f64 {
        10.0 + TITLE * count_lines(&self.title)
    }
}

/// Returns half the width of the box with the name of a lane.
fn half_width_of(name: &str) -> f64 {
    14.0 + 4.0 * count(name)
}

/// Returns the width of the label of a moment, with the space around it.
fn moment_width(moment: &Moment) -> f64 {
    MOMENT_CHARACTER * count(&moment.label) + 24.0
}

/// Returns the notes in the order of times and lanes. Joins the events of the same lane and time into one note.
fn notes(diagram: &Diagram, columns: usize) -> Vec<Note> {
    let mut joined: BTreeMap<(u64, usize), String> = BTreeMap::new();
    for Event { lane, at, label } in &diagram.events {
        let note = joined.entry((*at, lane.0)).or_default();
        if !note.is_empty() {
            note.push_str("; ");
        }
        note.push_str(label);
    }
    let joined = joined.into_iter();
    let note = |((at, lane), note): ((u64, usize), String)| Note {
        lane: Lane(lane),
        at,
        lines: wrapped(&note, columns),
    };
    joined.map(note).collect()
}

/// Returns the number of characters that fit in a width.
#[expect(clippy::cast_sign_loss, reason = "a width is not negative")]
fn columns(width: f64, character: f64) -> usize {
    (width / character) as usize
}

/// Wraps text between words, and breaks a word that is longer than a line. Returns at least one line.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let options = Options::new(columns)
        .wrap_algorithm(WrapAlgorithm::FirstFit)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).into_iter().map(Cow::into_owned).collect()
}

struct Picture<'a> {
    diagram: &'a Diagram,
    layout: &'a Layout,
    scale: Scale,
    labels: Labels,
    /// The times of the first arrow whose label has no free position.
    crowded: Option<(u64, u64)>,
    svg: String,
    /// The labels of arrows. At the end, `svg` gets these labels first and the notes after them. So the notes are on top.
    labels_svg: String,
    notes_svg: String,
}

impl<'a> Picture<'a> {
    fn draw(diagram: &'a Diagram, layout: &'a Layout, room: &BTreeMap<u64, f64>) -> Self {
        let top = layout.title_height() + TOP;
        let mut picture = Self {
            diagram,
            layout,
            scale: Scale::new(diagram.times(), top, diagram.pixels, room),
            labels: Labels::default(),
            crowded: None,
            svg: String::new(),
            labels_svg: String::new(),
            notes_svg: String::new(),
        };
        picture.all().expect("writing to a string cannot fail");
        picture
    }

    fn all(&mut self) -> fmt::Result {
        let diagram = self.diagram;
        let (width, height) = (self.layout.width, self.height());
        writeln!(
            self.svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">"#
        )?;
        writeln!(self.svg, "<title>{}</title>", Escaped(&diagram.title))?;
        writeln!(self.svg, "<style>{STYLE}</style>")?;
        writeln!(self.svg, r##"<rect width="{width}" height="{height}" fill="#fff"/>"##)?;
        for (line, y) in self.layout.title.iter().zip(rows(30.0, TITLE)) {
            writeln!(self.svg, r#"<text class="title" x="20" y="{y}">{}</text>"#, Escaped(line))?;
        }
        self.grid()?;
        for (index, name) in diagram.lanes.iter().enumerate() {
            self.lane(Lane(index), name)?;
        }
        for down in &diagram.downs {
            self.down(down)?;
        }
        // Notes have fewer possible positions than labels, so they are placed first. Both are drawn last, on top of all lines.
        self.notes()?;
        // Faint arrows are drawn first, so that the moments and all other arrows cover them.
        for arrow in diagram.arrows.iter().filter(|arrow| arrow.faint) {
            self.arrow(arrow)?;
        }
        self.moments()?;
        for arrow in diagram.arrows.iter().filter(|arrow| !arrow.faint) {
            self.arrow(arrow)?;
        }
        write!(self.svg, "{}{}", self.labels_svg, self.notes_svg)?;
        writeln!(self.svg, "</svg>")
    }

    /// Returns the height of the picture, including the notes at the latest time.
    fn height(&self) -> f64 {
        let last = self.diagram.times().max().unwrap_or(0);
        let notes = self.layout.notes.iter().filter(|note| note.at == last);
        let notes = notes.map(|note| LINE * count_lines(&note.lines) + 20.0);
        self.scale.bottom() + notes.fold(40.0, f64::max)
    }

    fn x(&self, lane: Lane) -> f64 {
        x(lane, self.layout.apart)
    }

    fn grid(&mut self) -> fmt::Result {
        let right = self.x(Lane(self.diagram.lanes.len().saturating_sub(1)));
        for (time, y) in self.scale.ticks() {
            let unit = Escaped(&self.diagram.unit);
            writeln!(
                self.svg,
                r#"<line class="grid" x1="70" y1="{y}" x2="{right}" y2="{y}"/><text class="tick" x="62" y="{}">{time}{unit}</text>"#,
                y + 4.0
            )?;
        }
        Ok(())
    }

    fn lane(&mut self, lane: Lane, name: &str) -> fmt::Result {
        let (x, end) = (self.x(lane), self.scale.bottom() + 20.0);
        let half = half_width_of(name);
        let top = self.layout.title_height() + 26.0;
        writeln!(
            self.svg,
            r#"<line class="lane" x1="{x}" y1="{}" x2="{x}" y2="{end}"/><rect class="box" x="{}" y="{top}" width="{}" height="26" rx="6"/><text class="name" x="{x}" y="{}">{}</text>"#,
            top + 24.0,
            x - half,
            2.0 * half,
            top + 17.0,
            Escaped(name)
        )
    }

    fn down(&mut self, down: &Down) -> fmt::Result {
        let (x, from) = (self.x(down.lane), self.scale.at(down.from));
        let until = down.until.map_or(self.scale.bottom() + 20.0, |until| self.scale.at(until));
        writeln!(
            self.svg,
            r#"<rect class="down" x="{}" y="{from}" width="16" height="{}" rx="3"/>"#,
            x - 8.0,
            until - from
        )
    }

    fn moments(&mut self) -> fmt::Result {
        let diagram = self.diagram;
        // The labels of moments at the same time are beside each other.
        let mut ends: BTreeMap<u64, f64> = BTreeMap::new();
        for moment in &diagram.moments {
            let end = ends.entry(moment.at).or_insert(self.layout.beside);
            let beside = *end;
            *end += moment_width(moment);
            self.moment(moment, beside)?;
        }
        Ok(())
    }

    fn moment(&mut self, moment: &Moment, end: f64) -> fmt::Result {
        let (y, label) = (self.scale.at(moment.at), Escaped(&moment.label));
        let text = end + 8.0;
        let class = match moment.weight {
            Weight::Small => {
                return writeln!(
                    self.svg,
                    r#"<line class="moment" x1="70" y1="{y}" x2="{text}" y2="{y}"/><text class="moment-label" x="{}" y="{}">{label}</text>"#,
                    text + 4.0,
                    y + 4.0
                );
            }
            Weight::Milestone => "great",
            Weight::Alarm => "alarm",
        };
        writeln!(
            self.svg,
            r#"<line class="{class}" x1="70" y1="{y}" x2="{text}" y2="{y}"/><rect class="{class}-box" x="{end}" y="{}" width="{}" height="22" rx="6"/><text class="{class}-label" x="{text}" y="{}">{label}</text>"#,
            y - 11.0,
            16.0 + MOMENT_CHARACTER * count(&moment.label),
            y + 4.0
        )
    }

    fn arrow(&mut self, arrow: &Arrow) -> fmt::Result {
        let (x1, y1) = (self.x(arrow.from.0), self.scale.at(arrow.from.1));
        let (x2, y2) = (self.x(arrow.to.0), self.scale.at(arrow.to.1));
        let length = (x2 - x1).hypot(y2 - y1).max(1.0);
        let (dx, dy) = ((x2 - x1) / length, (y2 - y1) / length);
        let reach = if arrow.end == End::Lost { 0.6 * length } else { length - TIP_GAP };
        let (tip_x, tip_y) = (x1 + dx * reach, y1 + dy * reach);
        let kind = match arrow.end {
            End::Arrives => "arrives",
            End::Lost => "lost",
            End::Refused => "refused",
        };
        let faint = if arrow.faint { " faint" } else { "" };
        writeln!(
            self.svg,
            r#"<g class="{kind}{faint}"><line class="arrow" x1="{x1:.1}" y1="{y1:.1}" x2="{tip_x:.1}" y2="{tip_y:.1}"/>"#
        )?;
        if arrow.end == End::Arrives {
            let (back_x, back_y) = (tip_x - 9.0 * dx, tip_y - 9.0 * dy);
            writeln!(
                self.svg,
                r#"<path class="head" d="M{tip_x:.1} {tip_y:.1}L{:.1} {:.1}L{:.1} {:.1}z"/>"#,
                back_x - 4.0 * dy,
                back_y + 4.0 * dx,
                back_x + 4.0 * dy,
                back_y - 4.0 * dx
            )?;
        } else {
            let (a, b, c, d) = (tip_x - 5.0, tip_y - 5.0, tip_x + 5.0, tip_y + 5.0);
            writeln!(
                self.svg,
                r#"<path class="cross" d="M{a:.1} {b:.1}L{c:.1} {d:.1}M{a:.1} {d:.1}L{c:.1} {b:.1}"/>"#
            )?;
        }
        // Arrows that begin at the same point spread out towards their ends. So a label is placed in the last gap between lanes
        // that its arrow crosses, if there is space. The label of a lost arrow is in the first gap, because the arrow may not reach the last one.
        let gap = (self.layout.apart / (x2 - x1).abs().max(1.0) * length).min(length);
        let lost = arrow.end == End::Lost;
        let (start, part) = if lost { (0.0, gap.min(reach)) } else { (length - gap, gap) };
        let direction = (dx, dy);
        let near = Stretch { start: (x1 + dx * start, y1 + dy * start), direction, length: part };
        let all = Stretch { start: (x1, y1), direction, length: if lost { reach } else { length } };
        let (position, free) = self.labels.place(&[near, all], &arrow.label);
        if !free {
            self.crowded.get_or_insert((arrow.from.1, arrow.to.1));
        }
        let ((x, y), baseline) = (position.beside, position.baseline);
        let slope = (dy / if dx < 0.0 { -1.0 } else { 1.0 }).atan2(dx.abs()).to_degrees();
        writeln!(
            self.labels_svg,
            r#"<text class="along {kind}{faint}" x="{x:.1}" y="{y:.1}" dy="{baseline}" transform="rotate({slope:.2} {x:.1} {y:.1})">{}</text>"#,
            Escaped(&arrow.label)
        )?;
        writeln!(self.svg, "</g>")
    }

    fn notes(&mut self) -> fmt::Result {
        for note in &self.layout.notes {
            self.labels.mark((self.x(note.lane), self.scale.at(note.at)), DOT);
        }
        for &Note { lane, at, ref lines } in &self.layout.notes {
            let (x, y) = (self.x(lane), self.scale.at(at));
            let height = LINE * count_lines(lines);
            let size = (lines.iter().map(|line| width(line)).fold(0.0, f64::max), height);
            let [above, below] = [y - 4.0 - height, y + 3.0];
            let area = |top| Area::upright((x + NOTE_GAP, top), size);
            // An arrow that leaves to the right goes down, so the note is above it if there is space.
            let above = (self.only_leaves_to_the_right(lane, at)
                && self.labels.is_free(&area(above)))
            .then_some(above);
            let top = above.unwrap_or(below);
            self.labels.take(area(top));
            writeln!(self.notes_svg, r#"<circle class="dot" cx="{x}" cy="{y}" r="{DOT}"/>"#)?;
            for (line, y) in lines.iter().zip(rows(top + LINE - 3.0, LINE)) {
                writeln!(
                    self.notes_svg,
                    r#"<text class="note" x="{}" y="{y}">{}</text>"#,
                    x + NOTE_GAP,
                    Escaped(line)
                )?;
            }
        }
        Ok(())
    }

    /// Returns true if an arrow leaves to the right at this time, and none arrives from the right.
    fn only_leaves_to_the_right(&self, lane: Lane, at: u64) -> bool {
        let to_the_right =
            |(near, far): ((Lane, u64), (Lane, u64))| near == (lane, at) && far.0.0 > lane.0;
        let mut arrows = self.diagram.arrows.iter();
        let leaves = arrows.clone().any(|arrow| to_the_right((arrow.from, arrow.to)));
        leaves && !arrows.any(|arrow| to_the_right((arrow.to, arrow.from)))
    }
}

/// Returns the number of characters, capped at `u16::MAX`.
fn count(text: &str) -> f64 {
    f64::from(u16::try_from(text.chars().count()).unwrap_or(u16::MAX))
}

fn count_lines(lines: &[String]) -> f64 {
    f64::from(u16::try_from(lines.len()).unwrap_or(u16::MAX))
}

/// Returns the vertical positions of lines below each other.
fn rows(first: f64, distance: f64) -> impl Iterator<Item = f64> {
    (0..u16::MAX).map(move |row| first + distance * f64::from(row))
}

fn x(lane: Lane, apart: f64) -> f64 {
    LEFT + apart * f64::from(u16::try_from(lane.0).unwrap_or(u16::MAX))
}

/// Escapes text for XML, and replaces control characters by spaces.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                other if other.is_control() => f.write_char(' ')?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the value of the first attribute called `name` after the text `mark`.
    fn number(svg: &str, mark: &str, name: &str) -> f64 {
        let (_, rest) = svg.split_once(mark).expect("the mark is there");
        let (_, rest) = rest.split_once(&format!("{name}=\"")).expect("the attribute is there");
        let (number, _) = rest.split_once('"').expect("the attribute is closed");
        number.parse().expect("a number")
    }

    #[test]
    fn the_label_of_a_moment_covers_no_note_and_is_within_the_picture() {
        let (note, name) = ("a note that is longer than most".repeat(3), "an alarm ".repeat(20));
        let mut diagram = Diagram::new("");
        let lane = diagram.lane("a");
        diagram.event(lane, 1, &note);
        diagram.alarm(1, &name);
        let svg = diagram.svg();
        let note_ends = number(&svg, "class=\"note\"", "x") + 6.6 * 34.0;
        let (begins, wide) = (
            number(&svg, "class=\"alarm-box\"", "x"),
            number(&svg, "class=\"alarm-box\"", "width"),
        );
        assert!(begins > note_ends, "{begins} {note_ends}");
        assert!(begins + wide < number(&svg, "<svg", " width"));
    }

    #[test]
    fn a_note_is_above_its_dot_only_if_arrows_leave_and_none_arrive() {
        let drawn = |leaves: bool, arrives: bool| {
            let mut diagram = Diagram::new("").scale(40);
            let (left, right) = (diagram.lane("a"), diagram.lane("b"));
            diagram.event(left, 2, "note");
            if leaves {
                diagram.arrow(Arrow::new((left, 2), (right, 3), ""));
            }
            if arrives {
                diagram.arrow(Arrow::new((right, 1), (left, 2), ""));
            }
            let svg = diagram.svg();
            number(&svg, "class=\"note\"", "y") - number(&svg, "class=\"dot\"", "cy")
        };
        assert!(drawn(true, false) < 0.0, "above an arrow that leaves here");
        assert!(drawn(false, true) > 0.0, "below an arrow that arrives here");
        assert!(drawn(true, true) > 0.0 && drawn(false, false) > 0.0);
    }
}
