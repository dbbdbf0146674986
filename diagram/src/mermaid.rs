//! A diagram as a Mermaid `sequenceDiagram`, which code forges and many editors draw.
//!
//! Mermaid has no axis of time: it draws lines of text in their order. An arrow is one line, at the time of its arrival. Each
//! label begins with its time. If anything happened while a message was on its way, the label also names the time at which
//! the message was sent. A lost arrow is dashed with a cross, and a refused arrow is solid with a cross.
//!
//! Mermaid decides the layout. Labels are [escaped](Escaped), so that Mermaid cannot take them for syntax.

use std::fmt::{self, Write};

use crate::{Arrow, Diagram, Down, End, Event, Moment, Weight};

/// The background of a milestone.
const MILESTONE: &str = "rgb(220, 252, 231)";
/// The background of an alarm.
const ALARM: &str = "rgb(254, 202, 202)";

pub(crate) fn draw(diagram: &Diagram) -> String {
    let mut sequence = Sequence { diagram, text: String::new() };
    sequence.all().expect("writing to a string cannot fail");
    sequence.text
}

struct Sequence<'a> {
    diagram: &'a Diagram,
    text: String,
}

impl Sequence<'_> {
    fn all(&mut self) -> fmt::Result {
        let diagram = self.diagram;
        writeln!(self.text, "sequenceDiagram")?;
        if !diagram.title.trim().is_empty() {
            writeln!(self.text, "    title {}", Escaped(&diagram.title))?;
        }
        for (index, name) in diagram.lanes.iter().enumerate() {
            writeln!(self.text, "    participant L{index} as {}", Escaped(name))?;
        }
        let mut times: Vec<u64> = diagram.times().collect();
        times.sort_unstable();
        times.dedup();
        for at in times {
            self.lines_at(at)?;
        }
        Ok(())
    }

    /// Writes the lines of one time: first the arrows that end then, then the notes of lanes, then the notes across all lanes.
    fn lines_at(&mut self, at: u64) -> fmt::Result {
        let diagram = self.diagram;
        for arrow in diagram.arrows.iter().filter(|arrow| arrow.to.1 == at) {
            self.arrow(arrow)?;
        }
        for lane in 0..diagram.lanes.len() {
            let here = |event: &&Event| event.lane.0 == lane && event.at == at;
            let mut lines: Vec<_> =
                diagram.events.iter().filter(here).map(|event| event.label.clone()).collect();
            let here = |down: &&Down| down.lane.0 == lane && down.from == at;
            lines.extend(diagram.downs.iter().filter(here).filter_map(|down| self.down(down)));
            if !lines.is_empty() {
                let lines: Vec<_> =
                    lines.iter().map(|line| Escaped(line.as_str()).to_string()).collect();
                let (time, lines) = (self.time(at), lines.join("<br/>"));
                writeln!(self.text, "    Note over L{lane}: {time}{lines}")?;
            }
        }
        for moment in diagram.moments.iter().filter(|moment| moment.at == at) {
            self.moment(moment)?;
        }
        Ok(())
    }

    fn arrow(&mut self, arrow: &Arrow) -> fmt::Result {
        let end = match (arrow.end, arrow.faint) {
            (End::Arrives, false) => "->>",
            (End::Arrives, true) => "-->>",
            (End::Lost, _) => "--x",
            (End::Refused, _) => "-x",
        };
        let sent = if self.anything_between(arrow.from.1, arrow.to.1) {
            format!(" (sent at {}{})", arrow.from.1, self.diagram.unit)
        } else {
            String::new()
        };
        let label = format!("{}{sent}", arrow.label);
        let (from, to, time) = (arrow.from.0.0, arrow.to.0.0, self.time(arrow.to.1));
        writeln!(self.text, "    L{from}{end}L{to}: {time}{}", Escaped(&label))
    }

    /// Returns the note that a lane is down, unless the lane is up again before anything else happens.
    fn down(&self, down: &Down) -> Option<String> {
        match down.until {
            None => Some("down from here on".to_owned()),
            Some(until) if self.anything_between(down.from, until) => {
                Some(format!("down until {until}{}", self.diagram.unit))
            }
            Some(_) => None,
        }
    }

    fn moment(&mut self, moment: &Moment) -> fmt::Result {
        let across = match self.diagram.lanes.len() {
            // Mermaid cannot draw a note without a lane.
            0 => return Ok(()),
            1 => "L0".to_owned(),
            lanes => format!("L0,L{}", lanes - 1),
        };
        let (time, label) = (self.time(moment.at), Escaped(&moment.label));
        let note = format!("Note over {across}: {time}{label}");
        let background = match moment.weight {
            Weight::Small => return writeln!(self.text, "    {note}"),
            Weight::Milestone => MILESTONE,
            Weight::Alarm => ALARM,
        };
        writeln!(self.text, "    rect {background}\n        {note}\n    end")
    }

    /// Returns true if anything is drawn strictly between two times.
    fn anything_between(&self, from: u64, to: u64) -> bool {
        self.diagram.times().any(|time| from < time && time < to)
    }

    fn time(&self, at: u64) -> String {
        format!("{at}{} · ", Escaped(&self.diagram.unit))
    }
}

/// Escapes text. Writes characters with a meaning in Mermaid, and the first letter of a keyword, as `#code;`. Writes control
/// characters as spaces.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0;
        for (place, character) in text.char_indices() {
            let word_begins = !text[..place].ends_with(char::is_alphanumeric);
            match character {
                other if other.is_control() => f.write_char(' ')?,
                other if word_begins && keyword(&text[place..]) => code(f, other)?,
                ' ' | '.' | ',' | '=' | '(' | ')' | '/' | '+' | '*' | '!' | '?' | '\'' | '_' => {
                    f.write_char(character)?;
                }
                // A colon before a space, and a single hyphen, have no meaning in Mermaid.
                ':' if text[place + 1..].starts_with(' ') => f.write_char(':')?,
                '-' if !text[..place].ends_with('-') && !text[place + 1..].starts_with('-') => {
                    f.write_char('-')?;
                }
                other if other.is_alphanumeric() || !other.is_ascii() => f.write_char(other)?,
                other => code(f, other)?,
            }
        }
        Ok(())
    }
}

fn code(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    write!(f, "#{};", u32::from(character))
}

/// Returns true if the text begins with a word that Mermaid takes for a keyword anywhere in a line.
fn keyword(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
    ["end", "wrap", "nowrap", "style", "classDef"]
        .iter()
        .any(|word| text[..end].eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn lines_are_in_the_order_of_their_times() {
        let mut diagram = Diagram::new("all there is").unit(" ms");
        let (a, b) = (diagram.lane("a"), diagram.lane("b"));
        diagram.milestone(9, "settled");
        diagram.arrow(Arrow::new((a, 1), (b, 7), "slow"));
        diagram.arrow(Arrow::new((a, 1), (b, 2), "fast"));
        diagram.arrow(Arrow { end: End::Lost, ..Arrow::new((b, 2), (a, 3), "gone") });
        diagram.arrow(Arrow { end: End::Refused, ..Arrow::new((b, 3), (a, 4), "no") });
        diagram.arrow(Arrow { faint: true, ..Arrow::new((b, 4), (b, 5), "to itself") });
        diagram.event(b, 2, "sees it");
        diagram.event(b, 2, "answers");
        diagram.event(a, 3, "stops");
        diagram.down(a, 3, Some(7));
        diagram.down(b, 8, Some(9));
        diagram.down(b, 10, None);
        diagram.moment(5, "halfway");
        diagram.alarm(10, "broken");
        expect![[r"
            sequenceDiagram
                title all there is
                participant L0 as a
                participant L1 as b
                L0->>L1: 2 ms · fast
                Note over L1: 2 ms · sees it<br/>answers
                L1--xL0: 3 ms · gone
                Note over L0: 3 ms · stops<br/>down until 7 ms
                L1-xL0: 4 ms · no
                L1-->>L1: 5 ms · to itself
                Note over L0,L1: 5 ms · halfway
                L0->>L1: 7 ms · slow (sent at 1 ms)
                rect rgb(220, 252, 231)
                    Note over L0,L1: 9 ms · settled
                end
                Note over L1: 10 ms · down from here on
                rect rgb(254, 202, 202)
                    Note over L0,L1: 10 ms · broken
                end
        "]]
        .assert_eq(&diagram.mermaid());
    }

    #[test]
    fn hostile_labels_stay_labels() {
        let mut diagram = Diagram::new("a; b\nend\n#35;");
        let lane = diagram.lane("end");
        let other = diagram.lane("x as y; participant <b>&\"`{[\\|");
        let labels = [
            "wrap: it",
            "style:#1;",
            "the END of it, but no bending",
            "%%{init: {}}%%",
            "a\nL0->>L1: forged",
            "<br/>",
            "größer ≥ 1 — b0:v0",
            "",
        ];
        for (at, label) in (1..).zip(labels) {
            diagram.arrow(Arrow::new((lane, at - 1), (other, at), label));
        }
        diagram.event(lane, 9, "end");
        diagram.alarm(9, "end");
        expect![[r"
            sequenceDiagram
                title a#59; b #101;nd #35;35#59;
                participant L0 as #101;nd
                participant L1 as x as y#59; participant #60;b#62;#38;#34;#96;#123;#91;#92;#124;
                L0->>L1: 1 · #119;rap: it
                L0->>L1: 2 · #115;tyle#58;#35;1#59;
                L0->>L1: 3 · the #69;ND of it, but no bending
                L0->>L1: 4 · #37;#37;#123;init: #123;#125;#125;#37;#37;
                L0->>L1: 5 · a L0-#62;#62;L1: forged
                L0->>L1: 6 · #60;br/#62;
                L0->>L1: 7 · größer ≥ 1 — b0#58;v0
                L0->>L1: 8 · 
                Note over L0: 9 · #101;nd
                rect rgb(254, 202, 202)
                    Note over L0,L1: 9 · #101;nd
                end
        "]]
        .assert_eq(&diagram.mermaid());
    }

    #[test]
    fn a_diagram_without_lanes_is_valid() {
        let mut diagram = Diagram::new("");
        diagram.milestone(1, "there is no lane");
        assert_eq!(diagram.mermaid(), "sequenceDiagram\n");
    }
}
