//! A diagram as SVG. All lengths are in pixels.

use std::fmt::{self, Write};

use crate::{
    Arrow, Diagram, Down, End, Event, Lane, Moment, Weight,
    labels::{Labels, Stretch},
    scale::Scale,
};

/// The position of the first lane.
const LEFT: f64 = 130.0;
/// The distance of two lanes.
const APART: f64 = 250.0;
/// The least width to the right of the last lane, for notes and moments.
const RIGHT: f64 = 330.0;
/// The least distance from the note before it at which a note may be above its dot.
const NOTE_GAP: f64 = 36.0;
/// The greatest width of a character of a note.
const NOTE_CHARACTER: f64 = 6.8;
/// The greatest width of a character of a moment.
const MOMENT_CHARACTER: f64 = 7.4;
/// The greatest width of a character of the title.
const TITLE_CHARACTER: f64 = 9.3;
/// The height of the first time.
const TOP: f64 = 110.0;
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
    let scale = Scale::new(diagram.times(), TOP, diagram.pixels);
    let mut picture = Picture {
        diagram,
        scale,
        labels: Labels::default(),
        beside: beside(diagram),
        svg: String::new(),
        labels_svg: String::new(),
        notes_svg: String::new(),
    };
    picture.all().expect("writing to a string cannot fail");
    picture.svg
}

struct Picture<'a> {
    diagram: &'a Diagram,
    scale: Scale,
    labels: Labels,
    /// The position of the names of moments: to the right of all notes beside the last lane.
    beside: f64,
    svg: String,
    /// Appended to `svg` at the end, labels before notes, so that notes are on top.
    labels_svg: String,
    notes_svg: String,
}

impl Picture<'_> {
    fn all(&mut self) -> fmt::Result {
        let diagram = self.diagram;
        let (width, height) = (self.width(), self.scale.bottom() + 40.0);
        writeln!(
            self.svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">"#
        )?;
        writeln!(self.svg, "<title>{}</title>", Escaped(&diagram.title))?;
        writeln!(self.svg, "<style>{STYLE}</style>")?;
        writeln!(self.svg, r##"<rect width="{width}" height="{height}" fill="#fff"/>"##)?;
        writeln!(
            self.svg,
            r#"<text class="title" x="20" y="30">{}</text>"#,
            Escaped(&diagram.title)
        )?;
        self.grid()?;
        for (index, name) in diagram.lanes.iter().enumerate() {
            self.lane(Lane(index), name)?;
        }
        for down in &diagram.downs {
            self.down(down)?;
        }
        // Notes have given positions, so they are placed before labels. Text is drawn above all lines.
        self.notes()?;
        // Faint arrows are drawn below everything that is not faint.
        for arrow in diagram.arrows.iter().filter(|arrow| arrow.faint) {
            self.arrow(arrow)?;
        }
        for moment in &diagram.moments {
            self.moment(moment)?;
        }
        for arrow in diagram.arrows.iter().filter(|arrow| !arrow.faint) {
            self.arrow(arrow)?;
        }
        write!(self.svg, "{}{}", self.labels_svg, self.notes_svg)?;
        writeln!(self.svg, "</svg>")
    }

    fn grid(&mut self) -> fmt::Result {
        let right = right(self.diagram);
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
        let (x, end) = (x(lane), self.scale.bottom() + 20.0);
        let half = 14.0 + 4.0 * count(name);
        writeln!(
            self.svg,
            r#"<line class="lane" x1="{x}" y1="80" x2="{x}" y2="{end}"/><rect class="box" x="{}" y="56" width="{}" height="26" rx="6"/><text class="name" x="{x}" y="73">{}</text>"#,
            x - half,
            2.0 * half,
            Escaped(name)
        )
    }

    fn down(&mut self, down: &Down) -> fmt::Result {
        let (x, from) = (x(down.lane), self.scale.at(down.from));
        let until = down.until.map_or(self.scale.bottom() + 20.0, |until| self.scale.at(until));
        writeln!(
            self.svg,
            r#"<rect class="down" x="{}" y="{from}" width="16" height="{}" rx="3"/>"#,
            x - 8.0,
            until - from
        )
    }

    fn moment(&mut self, moment: &Moment) -> fmt::Result {
        let (y, label) = (self.scale.at(moment.at), Escaped(&moment.label));
        let (end, text) = (self.beside, self.beside + 8.0);
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
        let (x1, y1) = (x(arrow.from.0), self.scale.at(arrow.from.1));
        let (x2, y2) = (x(arrow.to.0), self.scale.at(arrow.to.1));
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
        // Arrows that leave together are apart where they arrive, so a label is in the last gap between two lanes.
        // That of a lost arrow is in the first gap, since the arrow may not reach the last.
        let gap = (APART / (x2 - x1).abs().max(1.0) * length).min(length);
        let (start, length) =
            if arrow.end == End::Lost { (0.0, gap.min(reach)) } else { (length - gap, gap) };
        let start = (x1 + dx * start, y1 + dy * start);
        let stretch = Stretch { start, direction: (dx, dy), length };
        let (x, y) = self.labels.place(stretch, &arrow.label);
        let slope = (dy / if dx < 0.0 { -1.0 } else { 1.0 }).atan2(dx.abs()).to_degrees();
        writeln!(
            self.labels_svg,
            r#"<text class="along {kind}{faint}" x="{x:.1}" y="{y:.1}" dy="-3" transform="rotate({slope:.2} {x:.1} {y:.1})">{}</text>"#,
            Escaped(&arrow.label)
        )?;
        writeln!(self.svg, "</g>")
    }

    fn notes(&mut self) -> fmt::Result {
        let notes_by_place = notes_by_place(self.diagram);
        for (lane, at, label) in &notes_by_place {
            let (x, y) = (x(*lane), self.scale.at(*at));
            let before =
                notes_by_place.iter().filter(|(other, earlier, _)| other == lane && earlier < at);
            let gap = before.map(|(_, earlier, _)| y - self.scale.at(*earlier)).fold(y, f64::min);
            // An arrow to the right goes down from here, so the note is above it if there is space.
            let above = gap > NOTE_GAP && self.only_leaves_to_the_right(*lane, *at);
            let text = (x + 9.0, if above { y - 7.0 } else { y + 13.0 });
            self.labels.fixed(text, label);
            writeln!(
                self.notes_svg,
                r#"<circle class="dot" cx="{x}" cy="{y}" r="4"/><text class="note" x="{}" y="{}">{}</text>"#,
                text.0,
                text.1,
                Escaped(label)
            )?;
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

    /// Returns the width of the picture.
    fn width(&self) -> f64 {
        let moments = self.diagram.moments.iter();
        let moments = moments.map(|moment| MOMENT_CHARACTER * count(&moment.label));
        let title = 40.0 + TITLE_CHARACTER * count(&self.diagram.title);
        let moments = moments.map(|width| self.beside + width + 36.0);
        moments.fold(title.max(right(self.diagram) + RIGHT), f64::max)
    }
}

fn beside(diagram: &Diagram) -> f64 {
    let last = diagram.lanes.len().saturating_sub(1);
    let notes = notes_by_place(diagram).into_iter().filter(|(lane, ..)| lane.0 == last);
    let notes = notes.map(|(.., label)| 24.0 + NOTE_CHARACTER * count(&label));
    right(diagram) + notes.fold(92.0, f64::max)
}

/// Returns the position of the last lane.
fn right(diagram: &Diagram) -> f64 {
    x(Lane(diagram.lanes.len().saturating_sub(1)))
}

/// Returns the notes, those at the same lane and time joined into one.
fn notes_by_place(diagram: &Diagram) -> Vec<(Lane, u64, String)> {
    let mut notes_by_place: Vec<(Lane, u64, String)> = Vec::new();
    for Event { lane, at, label } in &diagram.events {
        match notes_by_place.iter_mut().find(|place| (place.0, place.1) == (*lane, *at)) {
            Some((.., labels)) => {
                labels.push_str("; ");
                labels.push_str(label);
            }
            None => notes_by_place.push((*lane, *at, label.clone())),
        }
    }
    notes_by_place
}

/// Returns the number of characters, capped at `u16::MAX`.
fn count(text: &str) -> f64 {
    f64::from(u16::try_from(text.chars().count()).unwrap_or(u16::MAX))
}

fn x(lane: Lane) -> f64 {
    LEFT + APART * f64::from(u16::try_from(lane.0).unwrap_or(u16::MAX))
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

    /// The number behind the first `name="` after a mark.
    fn number(svg: &str, mark: &str, name: &str) -> f64 {
        let (_, rest) = svg.split_once(mark).expect("the mark is there");
        let (_, rest) = rest.split_once(&format!("{name}=\"")).expect("the attribute is there");
        let (number, _) = rest.split_once('"').expect("the attribute is closed");
        number.parse().expect("a number")
    }

    #[test]
    fn the_name_of_a_moment_covers_no_note_and_is_within_the_picture() {
        let (note, name) = ("a note that is longer than most".repeat(3), "an alarm ".repeat(20));
        let mut diagram = Diagram::new("");
        let lane = diagram.lane("a");
        diagram.event(lane, 1, &note);
        diagram.alarm(1, &name);
        let svg = diagram.svg();
        let note_ends = number(&svg, "class=\"note\"", "x") + 6.6 * count(&note);
        let (begins, wide) = (
            number(&svg, "class=\"alarm-box\"", "x"),
            number(&svg, "class=\"alarm-box\"", "width"),
        );
        assert!(begins > note_ends, "{begins} {note_ends}");
        assert!(begins + wide < number(&svg, "<svg", " width"));
    }

    #[test]
    fn a_note_does_not_cover_arrows() {
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
