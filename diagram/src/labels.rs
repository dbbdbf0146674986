//! Finds positions for the labels of arrows, so that no label covers other text. All lengths are in pixels.
//!
//! The caller takes the areas of the notes first. A label is in a row beside the line of its arrow: in the nearest row that has
//! a free position. If no row has one, the caller draws the picture again, with more space between the times of the arrow.

use std::collections::HashMap;

/// The greatest width of a character of an arrow's label or of a note.
pub(crate) const CHARACTER: f64 = 6.8;
/// The height of a line of text.
pub(crate) const LINE: f64 = 13.0;
/// The height of the middle of a text above its baseline.
pub(crate) const MIDDLE: f64 = 4.0;
/// The least distance of a label from both ends of a stretch, where there is space.
const MARGIN: f64 = 14.0;
/// The distances of the middle of a label from the line of its arrow. Each row has a distance above the line and one below it.
const ROWS: [[f64; 2]; 3] = [[-8.0, 9.0], [-21.0, 22.0], [-34.0, 35.0]];
/// The number of positions that are tried along a stretch, on each side of its line.
const POSITIONS: u8 = 15;
/// The height of a horizontal band of the picture. An area is compared only with areas that touch the same band.
const BAND: f64 = 64.0;

/// A part of an arrow along which a label may be placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) start: (f64, f64),
    /// A vector of length 1.
    pub(crate) direction: (f64, f64),
    pub(crate) length: f64,
}

/// The position of a label beside an arrow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// The point on the arrow's line that is nearest to the middle of the text.
    pub(crate) beside: (f64, f64),
    /// The distance of the text's baseline from the arrow's line. It is negative if the baseline is above the line.
    pub(crate) baseline: f64,
}

/// A rectangle, which may be rotated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    middle: (f64, f64),
    half: (f64, f64),
    /// The direction of the width, as a vector of length 1.
    direction: (f64, f64),
}

impl Area {
    /// Returns an area that is not rotated, by its upper left corner and its size.
    pub(crate) fn upright((x, y): (f64, f64), (width, height): (f64, f64)) -> Self {
        let half = (width / 2.0, height / 2.0);
        Self { middle: (x + half.0, y + half.1), half, direction: (1.0, 0.0) }
    }

    /// Returns true if the two areas overlap. If they do not, a line parallel to a side of one of them separates them, so it is
    /// enough to try the directions of the sides.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let apart = (other.middle.0 - self.middle.0, other.middle.1 - self.middle.1);
        let sides = [self, other].map(|area| area.direction);
        let axes = sides.into_iter().flat_map(|(x, y)| [(x, y), (-y, x)]);
        axes.into_iter().all(|axis| dot(apart, axis).abs() < self.reach(axis) + other.reach(axis))
    }

    /// Returns half the length of the area's projection onto an axis. The axis must have length 1.
    fn reach(&self, axis: (f64, f64)) -> f64 {
        let (x, y) = self.direction;
        self.half.0 * dot((x, y), axis).abs() + self.half.1 * dot((-y, x), axis).abs()
    }

    /// Returns the bands that the area touches.
    fn bands(&self) -> impl Iterator<Item = i32> {
        let reach = self.reach((0.0, 1.0));
        let [top, bottom] = [-reach, reach].map(|by| ((self.middle.1 + by) / BAND).floor() as i32);
        top..=bottom
    }
}

fn dot(a: (f64, f64), b: (f64, f64)) -> f64 {
    a.0 * b.0 + a.1 * b.1
}

/// The areas of text and of the dots of events.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    text: Bands,
    marks: Bands,
}

/// Areas by the bands that they touch.
#[derive(Debug, Default)]
struct Bands(HashMap<i32, Vec<Area>>);

impl Bands {
    fn add(&mut self, area: Area) {
        for band in area.bands() {
            self.0.entry(band).or_default().push(area);
        }
    }

    fn overlaps(&self, area: &Area) -> bool {
        let mut near = area.bands().filter_map(|band| self.0.get(&band)).flatten();
        near.any(|taken| taken.overlaps(area))
    }
}

impl Labels {
    /// Returns true if the area covers no text.
    pub(crate) fn is_free(&self, area: &Area) -> bool {
        !self.text.overlaps(area)
    }

    /// Records an area of text.
    pub(crate) fn take(&mut self, area: Area) {
        self.text.add(area);
    }

    /// Records the dot of an event. A label covers it only if no other free position of the same row avoids all dots.
    pub(crate) fn mark(&mut self, (x, y): (f64, f64), radius: f64) {
        let size = 2.0 * radius;
        self.marks.add(Area::upright((x - radius, y - radius), (size, size)));
    }

    /// Places a label beside one of the stretches, and records its area. Prefers the nearest row, then a position that covers no
    /// dot, then an earlier stretch. Returns the position, and true if the label covers no other text.
    pub(crate) fn place(&mut self, stretches: &[Stretch], label: &str) -> (Position, bool) {
        let candidates = || {
            let rows = ROWS.into_iter();
            rows.map(|row| stretches.iter().flat_map(move |stretch| along(*stretch, label, row)))
        };
        let covers_no_mark = |(_, area): &(Position, Area)| !self.marks.overlaps(area);
        for row in candidates() {
            let free: Vec<_> = row.filter(|(_, area)| self.is_free(area)).collect();
            let best = free.iter().find(|it| covers_no_mark(it)).or(free.first());
            if let Some(&(position, area)) = best {
                self.take(area);
                return (position, true);
            }
        }
        let (position, area) = candidates().flatten().next().expect("there are candidates");
        self.take(area);
        (position, false)
    }
}

/// Returns the positions of a row: those above the line first, each time from the middle of the stretch outwards.
fn along(
    Stretch { start, direction, length }: Stretch,
    label: &str,
    row: [f64; 2],
) -> impl Iterator<Item = (Position, Area)> {
    let half = (width(label) / 2.0, LINE / 2.0);
    let slack = (length / 2.0 - half.0 - MARGIN).max(0.0);
    // Text reads from left to right, also beside an arrow to the left.
    let (x, y) = direction;
    let direction = if x < 0.0 { (-x, -y) } else { (x, y) };
    row.into_iter().flat_map(move |away| {
        (0..POSITIONS).map(move |place| {
            let step = f64::from(place.div_ceil(2)) / f64::from(POSITIONS / 2);
            let side = if place % 2 == 0 { 1.0 } else { -1.0 };
            let along = length / 2.0 + side * step * slack;
            let beside = (start.0 + x * along, start.1 + y * along);
            let middle = (beside.0 - away * direction.1, beside.1 + away * direction.0);
            let position = Position { beside, baseline: away + MIDDLE };
            (position, Area { middle, half, direction })
        })
    })
}

/// Returns an upper bound of the width of a label, or of a line of a note.
pub(crate) fn width(label: &str) -> f64 {
    CHARACTER * f64::from(u16::try_from(label.chars().count()).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(length: f64) -> [Stretch; 1] {
        [Stretch { start: (0.0, 0.0), direction: (1.0, 0.0), length }]
    }

    #[test]
    fn a_label_is_placed_beside_an_earlier_one() {
        let mut labels = Labels::default();
        let (first, _) = labels.place(&level(300.0), "first");
        let (second, free) = labels.place(&level(300.0), "second");
        assert_eq!(first.beside, (150.0, 0.0));
        assert!(free && (second.beside.0 - first.beside.0).abs() > width("second"), "{second:?}");
    }

    #[test]
    fn labels_that_are_too_long_are_in_rows_until_no_row_is_free() {
        let mut labels = Labels::default();
        let placed = |_| labels.place(&level(30.0), "a long label");
        let placed: Vec<_> = (0..7).map(placed).collect();
        assert!(placed.iter().all(|(position, _)| position.beside == (15.0, 0.0)));
        let rows: Vec<_> = placed.iter().map(|(position, _)| position.baseline).collect();
        assert_eq!(rows, [-4.0, 13.0, -17.0, 26.0, -30.0, 39.0, -4.0]);
        let free: Vec<_> = placed.iter().map(|(_, free)| *free).collect();
        assert_eq!(free, [true, true, true, true, true, true, false]);
    }

    #[test]
    fn a_label_avoids_a_mark_where_it_can() {
        let mut labels = Labels::default();
        labels.mark((150.0, -8.0), 4.0);
        let (position, free) = labels.place(&level(300.0), "label");
        assert!(free && (position.beside.0 - 150.0).abs() > width("label") / 2.0, "{position:?}");
        let (position, free) =
            labels.place(&level(30.0), "a label that is far too long to avoid it");
        assert!(free, "{position:?}");
    }

    #[test]
    fn rotated_areas_overlap_if_no_side_separates_them() {
        let half = (50.0, 5.0);
        let slope = std::f64::consts::FRAC_1_SQRT_2;
        let flat = Area { middle: (0.0, 0.0), half, direction: (1.0, 0.0) };
        let steep = |middle| Area { middle, half, direction: (slope, slope) };
        assert!(flat.overlaps(&steep((0.0, 20.0))));
        assert!(!flat.overlaps(&steep((0.0, 60.0))), "their bounds overlap, and they do not");
        assert!(!steep((0.0, 0.0)).overlaps(&steep((12.0, -12.0))));
    }
}
