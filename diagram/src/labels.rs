//! Positions of labels along arrows. A label is placed where it covers the least of the text placed before. All
//! lengths are in pixels.

use std::collections::HashMap;

/// The width of a character of a label.
const CHARACTER: f64 = 6.7;
/// The least distance of two lines of text.
const LINE: f64 = 12.0;
/// The height of the middle of a label above its line.
const LABEL_HEIGHT: f64 = 7.0;
/// The number of positions that are tried along an arrow.
const CANDIDATES: u8 = 15;
/// The distance of labels from both ends of an arrow.
const MARGIN: f64 = 14.0;

/// The part of an arrow along which a label may be placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) start: (f64, f64),
    /// A vector of length 1.
    pub(crate) direction: (f64, f64),
    pub(crate) length: f64,
}

/// The text placed so far, as points by cells. A cell is [`LINE`] wide and high, so all points nearer than [`LINE`]
/// are in the same cell or in a neighbouring one.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    taken: HashMap<(i32, i32), Vec<(f64, f64)>>,
}

impl Labels {
    /// Records text whose position is given: the start of its baseline.
    pub(crate) fn fixed(&mut self, (x, y): (f64, f64), label: &str) {
        self.take((x + width(label) / 2.0, y), (1.0, 0.0), label);
    }

    /// Places a label along a stretch, and returns the position of its middle.
    pub(crate) fn place(&mut self, stretch: Stretch, label: &str) -> (f64, f64) {
        let Stretch { start, direction, length } = stretch;
        let half = width(label) / 2.0;
        let slack = (length / 2.0 - half - MARGIN).max(0.0);
        let mut best: Option<(usize, (f64, f64))> = None;
        // The candidates go from the middle outwards. The first of equally good ones is taken.
        for place in 0..CANDIDATES {
            let step = f64::from(place.div_ceil(2)) / f64::from(CANDIDATES / 2);
            let side = if place % 2 == 0 { 1.0 } else { -1.0 };
            let along = length / 2.0 + side * step * slack;
            let middle = (start.0 + direction.0 * along, start.1 + direction.1 * along);
            let covered = points(middle, direction, label).filter(|&point| self.covers(point));
            let covered = covered.count();
            if best.is_none_or(|(least, _)| covered < least) {
                best = Some((covered, middle));
            }
        }
        let (_, middle) = best.expect("there are candidates");
        self.take(middle, direction, label);
        middle
    }

    fn take(&mut self, middle: (f64, f64), direction: (f64, f64), label: &str) {
        for point in points(middle, direction, label) {
            self.taken.entry(cell(point)).or_default().push(point);
        }
    }

    fn covers(&self, (x, y): (f64, f64)) -> bool {
        let (column, row) = cell((x, y));
        let beside = (column - 1..=column + 1)
            .flat_map(|column| (row - 1..=row + 1).map(move |row| (column, row)));
        let mut near = beside.filter_map(|cell| self.taken.get(&cell)).flatten();
        near.any(|&(a, b)| (x - a).hypot(y - b) < LINE)
    }
}

fn cell((x, y): (f64, f64)) -> (i32, i32) {
    ((x / LINE).floor() as i32, (y / LINE).floor() as i32)
}

fn width(label: &str) -> f64 {
    CHARACTER * f64::from(characters(label))
}

fn characters(label: &str) -> u16 {
    u16::try_from(label.chars().count()).unwrap_or(u16::MAX)
}

/// Returns points along the middle of the text, one for each character and one more.
fn points(
    (x, y): (f64, f64),
    (dx, dy): (f64, f64),
    label: &str,
) -> impl Iterator<Item = (f64, f64)> {
    // Text reads from left to right for both directions of the arrow, and is above the line.
    let (cos, sin) = if dx < 0.0 { (-dx, -dy) } else { (dx, dy) };
    let (x, y) = (x + LABEL_HEIGHT * sin, y - LABEL_HEIGHT * cos);
    let half = width(label) / 2.0;
    (0..=characters(label)).map(move |index| {
        let along = CHARACTER * f64::from(index) - half;
        (x + cos * along, y + sin * along)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_placed_beside_an_earlier_one() {
        let stretch = Stretch { start: (0.0, 0.0), direction: (1.0, 0.0), length: 300.0 };
        let mut labels = Labels::default();
        let first = labels.place(stretch, "first");
        let second = labels.place(stretch, "second");
        assert_eq!(first, (150.0, 0.0));
        assert!((second.0 - first.0).abs() > width("second"), "{second:?}");
    }

    #[test]
    fn a_label_that_is_too_long_stays_in_the_middle() {
        let stretch = Stretch { start: (0.0, 0.0), direction: (1.0, 0.0), length: 30.0 };
        let mut labels = Labels::default();
        labels.place(stretch, "a long label");
        assert_eq!(labels.place(stretch, "another long label"), (15.0, 0.0));
    }
}
