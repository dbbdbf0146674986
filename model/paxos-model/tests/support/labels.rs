//! The labels of a drawn diagram, as boxes. The boxes are computed from the SVG alone, so that a mistake of the layout cannot
//! hide itself.

/// The width of a character as a part of the font size, rounded up. Common monospaced fonts have 0.6 to 0.602.
const ADVANCE: f64 = 0.61;
/// The part of the font size above and below the baseline that letters use.
const LETTERS: (f64, f64) = (0.76, 0.2);

/// A label with the corners of its box, in order.
struct Label {
    text: String,
    corners: [(f64, f64); 4],
}

/// Returns the value of an attribute.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

fn number(tag: &str, name: &str) -> f64 {
    attribute(tag, name).map_or(0.0, |value| value.parse().expect("a number"))
}

fn labels(svg: &str) -> Vec<Label> {
    let texts = svg.split("<text").skip(1);
    texts.map(|text| label(text.split("</text>").next().expect("it is closed"))).collect()
}

fn label(element: &str) -> Label {
    let (tag, text) = element.split_once('>').expect("a tag has an end");
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    let text = entities.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let class = attribute(tag, "class").expect("each text has a class");
    let class = class.split(' ').next().expect("a class has a name");
    let (size, anchor) = match class {
        "title" => (15.0, 0.0),
        "name" => (12.0, 0.5),
        "tick" => (11.0, 1.0),
        "along" => (11.0, 0.5),
        "note" | "moment-label" => (11.0, 0.0),
        "great-label" | "alarm-label" => (12.0, 0.0),
        other => panic!("texts of the class {other} are not known here"),
    };
    let width = ADVANCE * size * f64::from(u16::try_from(text.chars().count()).expect("short"));
    let (x, y) = (number(tag, "x"), number(tag, "y"));
    let baseline = y + number(tag, "dy");
    let (left, right) = (x - anchor * width, x + (1.0 - anchor) * width);
    let (top, bottom) = (baseline - LETTERS.0 * size, baseline + LETTERS.1 * size);
    let turned = attribute(tag, "transform").map_or(0.0, |turn| {
        let turn = turn.strip_prefix("rotate(").expect("texts are only rotated");
        turn.split(' ').next().expect("an angle").parse::<f64>().expect("an angle").to_radians()
    });
    let turn = |(corner_x, corner_y): (f64, f64)| {
        let (across, down) = (corner_x - x, corner_y - y);
        (
            x + across * turned.cos() - down * turned.sin(),
            y + across * turned.sin() + down * turned.cos(),
        )
    };
    let corners = [(left, top), (right, top), (right, bottom), (left, bottom)].map(turn);
    Label { text, corners }
}

/// Returns true if no line parallel to a side of one of the boxes separates them.
fn overlap(a: &Label, b: &Label) -> bool {
    let sides = [a, b].into_iter().flat_map(|label| {
        let [first, second, third, _] = label.corners;
        [(first, second), (second, third)]
    });
    let mut axes = sides.map(|(from, to)| (to.0 - from.0, to.1 - from.1));
    axes.all(|axis| {
        let shadow = |label: &Label| {
            let along = label.corners.map(|(x, y)| x * axis.0 + y * axis.1);
            let ends = |f: fn(f64, f64) -> f64| along.into_iter().reduce(f).expect("four corners");
            (ends(f64::min), ends(f64::max))
        };
        let (a, b) = (shadow(a), shadow(b));
        a.0 < b.1 && b.0 < a.1
    })
}

/// Fails if two labels of a picture overlap, or if a label is not within the picture. Returns the number of labels.
pub(crate) fn assert_readable(svg: &str, picture: &str) -> usize {
    let labels = labels(svg);
    let (width, height) = (number(svg, "width"), number(svg, "height"));
    for (index, label) in labels.iter().enumerate() {
        let within =
            |&(x, y): &(f64, f64)| (0.0..=width).contains(&x) && (0.0..=height).contains(&y);
        assert!(
            label.corners.iter().all(within),
            "{picture}: {:?} is not in the picture",
            label.text
        );
        for other in &labels[index + 1..] {
            assert!(!overlap(label, other), "{picture}: {:?} covers {:?}", label.text, other.text);
        }
    }
    labels.len()
}
