//! Plots as SVG: lines over logarithmic axes, without a dependency.

use std::fmt::Write as _;

use crate::report::short;

/// A plot.
pub(crate) struct Plot {
    /// The end of the name of its file.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) x_axis: &'static str,
    pub(crate) y_axis: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// The points of a contestant, by rising x. All numbers are above 0.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
/// The area of the lines.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 536.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 312.0;
/// The least distance between the names of two lines.
const NAME_HEIGHT: f64 = 16.0;

/// Colours that are told apart on white and on black, also by readers who see red and green alike.
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];
/// The dashes also tell the lines apart.
const DASHES: [&str; 4] = ["none", "7 3", "2 3", "9 3 2 3"];

/// A logarithmic axis.
struct Axis {
    /// The logarithms of the ends.
    low: f64,
    high: f64,
    /// The places of the ends in the picture.
    begin: f64,
    end: f64,
}

impl Axis {
    fn new(numbers: impl Iterator<Item = f64>, begin: f64, end: f64) -> Self {
        let (low, high) = numbers
            .map(f64::ln)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), n| (low.min(n), high.max(n)));
        // A single number is in the middle.
        let margin = if high > low { (high - low) * 0.04 } else { 1.0 };
        Self { low: low - margin, high: high + margin, begin, end }
    }

    fn place(&self, number: f64) -> f64 {
        self.begin + (number.ln() - self.low) / (self.high - self.low) * (self.end - self.begin)
    }

    /// Returns the numbers 1, 2 and 5 times a power of ten that are on the axis.
    fn ticks(&self) -> Vec<f64> {
        let powers = (-6..=12).map(|power| 10_f64.powi(power));
        let numbers = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * power));
        numbers.filter(|number| (self.low..=self.high).contains(&number.ln())).collect()
    }
}

impl Plot {
    /// Returns the picture.
    pub(crate) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = Axis::new(points().map(|point| point.0), LEFT, RIGHT);
        let y = Axis::new(points().map(|point| point.1), BOTTOM, TOP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
             <title>{}: {} against {}</title>\n\
             <style>text{{font:12px sans-serif;fill:#333}} .grid{{stroke:#8884}} \
             @media (prefers-color-scheme:dark){{text{{fill:#ccc}}}}</style>\n",
            escape(self.title),
            escape(self.y_axis),
            escape(self.x_axis),
        );
        // Writing to a string cannot fail.
        let mut add = |text: String| {
            let _ = writeln!(svg, "{text}");
        };
        for number in y.ticks() {
            let place = y.place(number);
            add(format!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{place:.1}\" y2=\"{place:.1}\"/>"
            ));
            add(text(LEFT - 6.0, place + 4.0, "end", &short_tick(number)));
        }
        let mut values: Vec<f64> = points().map(|point| point.0).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        for number in values {
            let place = x.place(number);
            add(format!(
                "<line class=\"grid\" y1=\"{TOP}\" y2=\"{BOTTOM}\" x1=\"{place:.1}\" x2=\"{place:.1}\"/>"
            ));
            add(text(place, BOTTOM + 16.0, "middle", &short_tick(number)));
        }
        add(text(f64::midpoint(LEFT, RIGHT), HEIGHT - 8.0, "middle", self.x_axis));
        let middle = f64::midpoint(TOP, BOTTOM);
        add(format!(
            "<text transform=\"translate(14 {middle}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            escape(self.y_axis)
        ));
        let names = self.name_places(&y);
        for (index, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let dash = DASHES[index % DASHES.len()];
            let places = line.points.iter().map(|point| (x.place(point.0), y.place(point.1)));
            let path: Vec<_> = places.clone().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            add(format!(
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\" \
                 points=\"{}\"/>",
                path.join(" ")
            ));
            for (x, y) in places {
                add(format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"));
            }
            add(format!(
                "<text style=\"fill:{colour}\" x=\"{}\" y=\"{:.1}\">{}</text>",
                RIGHT + 8.0,
                names[index] + 4.0,
                escape(line.name)
            ));
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// Returns the place of the name of each line: beside its last point, or below the name that is already there.
    fn name_places(&self, y: &Axis) -> Vec<f64> {
        let last = |line: &Line| line.points.last().map_or(BOTTOM, |point| y.place(point.1));
        let mut places: Vec<(usize, f64)> = self.lines.iter().map(last).enumerate().collect();
        places.sort_by(|one, other| one.1.total_cmp(&other.1));
        for index in 1..places.len() {
            places[index].1 = places[index].1.max(places[index - 1].1 + NAME_HEIGHT);
        }
        places.sort_by_key(|place| place.0);
        places.into_iter().map(|place| place.1).collect()
    }
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escape(text))
}

/// Formats the number of a tick, which has few digits.
fn short_tick(number: f64) -> String {
    if (1.0..10_000.0).contains(&number) { number.to_string() } else { short(number) }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_all_points_within_its_area() {
        let line = |name, factor| Line {
            name,
            points: vec![(1.0, 900.0 * factor), (64.0, 200.0 * factor), (1024.0, 190.0)],
        };
        let lines = vec![line("ours", 1.0), line("a < b", 4.0)];
        let plot = Plot { name: "test", title: "Test", x_axis: "x", y_axis: "y", lines };
        let svg = plot.svg();
        assert!(svg.ends_with("</svg>\n") && svg.contains(">a &lt; b</text>"), "{svg}");
        let attribute = |line: &str, name: &str| -> f64 {
            let rest = line.split_once(&format!(" {name}=\"")).expect("the attribute is there").1;
            rest.split('"').next().and_then(|number| number.parse().ok()).expect("a number")
        };
        let circles: Vec<_> = svg.lines().filter(|line| line.starts_with("<circle")).collect();
        assert_eq!(circles.len(), 6);
        for circle in circles {
            assert!((LEFT..=RIGHT).contains(&attribute(circle, "cx")), "{circle}");
            assert!((TOP..=BOTTOM).contains(&attribute(circle, "cy")), "{circle}");
        }
        // Both lines end in one point, but their names do not lie upon each other.
        let y = Axis::new([190.0, 3600.0].into_iter(), BOTTOM, TOP);
        let places = plot.name_places(&y);
        assert!((places[0] - places[1]).abs() >= NAME_HEIGHT);
    }

    #[test]
    fn more_is_higher() {
        let y = Axis::new([1.0, 100.0].into_iter(), BOTTOM, TOP);
        assert!(y.place(100.0) < y.place(10.0) && y.place(10.0) < y.place(1.0));
        assert!((y.place(10.0) - f64::midpoint(TOP, BOTTOM)).abs() < 1.0);
        assert_eq!(y.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
    }
}
